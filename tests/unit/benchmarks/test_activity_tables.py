"""Tables of real sequences: what is left out, what stays together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from activity_tables import arranged, linked, part_of, shares_word

from genomix_cli.genome.alphabet import decode, encode, reverse_complement

RNG = np.random.default_rng(5)


def random_bases(n: int) -> str:
    return decode(RNG.integers(0, 4, n).astype(np.uint8))


ELEMENT = random_bases(300)


def holding(part: str) -> str:
    """80 bases with a part of the element among others."""
    return (random_bases(20) + part + random_bases(80))[:80]


def test_24_shared_bases_are_found_on_both_strands() -> None:
    part = ELEMENT[100:124]
    backwards = decode(reverse_complement(encode(part)))
    sequences = [random_bases(80), holding(part), holding(backwards), random_bases(80)]
    assert shares_word(sequences, [ELEMENT]).tolist() == [False, True, True, False]


def test_23_shared_bases_are_too_few() -> None:
    flank = "ACGT"["ACGT".index(ELEMENT[123]) - 1]
    before = "ACGT"["ACGT".index(ELEMENT[99]) - 1]
    sequence = before + ELEMENT[100:123] + flank + random_bases(30)
    assert not shares_word([sequence], [ELEMENT]).any()


def test_unknown_bases_and_ends_share_nothing() -> None:
    """Twelve bases at the end of one and twelve at the start of the next are no run of 24."""
    gap = "N" * 30
    sequences = [random_bases(40) + ELEMENT[:12], ELEMENT[12:24] + random_bases(40), gap]
    assert not shares_word(sequences, [ELEMENT, gap]).any()


def test_the_sequence_is_named_past_the_first_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activity_tables.PIECE", 2)
    sequences = [random_bases(50 + i) for i in range(5)]
    sequences[3] = ELEMENT[:53]
    assert shares_word(sequences, [ELEMENT]).tolist() == [False, False, False, True, False]


def test_groups_that_share_bases_are_one() -> None:
    """a and c overlap, c and d on the other strand; b stands alone, whatever its name."""
    overlapping = decode(reverse_complement(encode(ELEMENT[120:220])))
    sequences = [ELEMENT[:100], random_bases(100), ELEMENT[50:150], overlapping]
    group = pd.Series(["a", "b", "c", "d"], index=[3, 5, 7, 9])
    together = linked(group, sequences)
    assert together.tolist() == ["a", "b", "a", "a"]
    assert together.index.equals(group.index)


def test_parts_follow_the_group_and_have_their_shares() -> None:
    parts = pd.Series([part_of(f"element{i}") for i in range(10_000)]).value_counts(normalize=True)
    assert parts["train"] == pytest.approx(0.8, abs=0.02)
    assert parts["validation"] == pytest.approx(0.1, abs=0.01)
    table = pd.DataFrame({"value": ["1", "2", "3"], "id": list("xyz"), "sequence": list("AAA")})
    made = arranged(table, pd.Series(["g", "h", "g"]))
    assert list(made) == ["id", "sequence", "group", "split", "value"]
    assert made["split"].tolist() == [part_of("g"), part_of("h"), part_of("g")]
