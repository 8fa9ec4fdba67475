"""Pairs of sequences for a network to learn differences from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sequence_peers import gc_content
from teacher_pairs import (
    BASES,
    FIRST,
    LAST,
    Pairs,
    Teacher,
    answers,
    draw,
    neighbours,
    teachers_of_accessibility,
    without,
    write,
)

from genomix_cli.genome.alphabet import decode, encode

CHROMOSOME = np.concatenate(
    [np.full(500, 4, np.uint8), np.random.default_rng(0).integers(0, 4, 3000).astype(np.uint8)]
)


def some_pairs(n: int, seed: int = 1) -> Pairs:
    rng = np.random.default_rng(seed)
    pool = np.random.default_rng(3).integers(0, 4, (50, BASES)).astype(np.uint8)
    return draw(pool, CHROMOSOME, n, rng)


def test_pairs_differ_in_one_to_four_inner_bases() -> None:
    pairs = some_pairs(2000)
    different = pairs.real != pairs.changed
    assert set(different.sum(1)) == {1, 2, 3, 4}
    inner = np.flatnonzero(different.any(0))
    assert inner.min() >= FIRST
    assert inner.max() < LAST
    assert pairs.changed.max() <= 3


def test_a_quarter_lies_on_the_chromosome_without_unknown_bases() -> None:
    pairs = some_pairs(400)
    text = decode(CHROMOSOME)
    inside = [decode(codes) in text for codes in pairs.real]
    assert sum(inside) == 100
    # Shuffled: not all of them at one end.
    assert 0 < sum(inside[:200]) < 100


def test_a_seed_gives_the_same_pairs() -> None:
    one, same, other = some_pairs(50), some_pairs(50), some_pairs(50, seed=2)
    assert (one.changed == same.changed).all()
    assert (one.real != other.real).any()


def test_pairs_with_bases_of_an_element_are_left_out() -> None:
    drawn = some_pairs(30)
    place = int(np.flatnonzero(drawn.real[4] != drawn.changed[4])[0])
    # 24 bases that the real sequence does not have.
    element = decode(drawn.changed[4][place - 12 : place + 12])
    kept = without(drawn, {"e": element}, 20)
    assert len(kept.real) == 20
    assert not any(element in decode(codes) for codes in np.concatenate(kept))
    with pytest.raises(SystemExit, match="are left of 30"):
        without(drawn, {"e": element}, 30)


def test_teachers_count_by_weight_in_units_of_their_differences() -> None:
    pairs = some_pairs(300)
    alone = answers([Teacher(gc_content, 1.0)], pairs)
    thousandfold = answers([Teacher(lambda x: 1000 * gc_content(x), 1.0)], pairs)
    assert (alone[1] - alone[0]).std() == pytest.approx(1)
    assert thousandfold[0] == pytest.approx(alone[0])
    both = answers([Teacher(gc_content, 2.0), Teacher(gc_content, 1.0)], pairs)
    assert both[1] == pytest.approx(3 * alone[1])


def test_tiles_of_a_site_are_joined_where_they_overlap() -> None:
    stretch = decode(CHROMOSOME[500:758])
    rows = [("a__tile1", stretch[114:]), ("a__tile2", stretch[:144]), ("b__tile1", stretch[:144])]
    rows += [("c__tile1", stretch[:144]), ("c__tile2", stretch[:144])]
    tiles = pd.DataFrame(rows, columns=["id", "sequence"])
    assert [decode(codes) for codes in neighbours(tiles)] == [stretch]


def test_a_table_has_two_rows_per_pair(tmp_path: Path) -> None:
    pairs = some_pairs(12)
    answer = answers([Teacher(gc_content, 1.0)], pairs)
    twice = answers([Teacher(gc_content, 2.0)], pairs)
    write(tmp_path / "pairs.tsv", pairs, {"teacher": answer, "open": twice})
    table = pd.read_csv(tmp_path / "pairs.tsv", sep="\t")
    assert list(table) == ["id", "pair", "sequence", "teacher", "open"]
    assert table["pair"].tolist() == [i // 2 for i in range(24)]
    assert table["id"].is_unique
    assert table["sequence"].tolist()[1::2] == [decode(codes) for codes in pairs.changed]
    assert table["teacher"].to_numpy()[::2] == pytest.approx(answer[0], abs=1e-5)
    assert table["open"].to_numpy()[1::2] == pytest.approx(twice[1], abs=1e-5)


def test_each_cell_type_has_a_teacher_of_accessibility() -> None:
    """Each knows the word of its own sites; those of the other cell type are unknown to it."""
    word, filler = "GATTACA" * 4, "C" * (BASES - 28)
    rows = [(word + filler, "train", "yes", ""), ("C" * BASES, "train", "no", "no")] * 40
    other_word = "CGTCAGG" * 4
    rows += [(other_word + filler, "train", "", "yes")] * 40
    # Not to be learned from: the word on the wrong side.
    rows += [(word + filler, "test", "no", "no")] * 400
    sites = pd.DataFrame(rows, columns=["sequence", "split", "open_A", "open_B"])
    one, other = teachers_of_accessibility(sites)
    plain, of_a, of_b = (
        encode(each)[None] for each in ("C" * BASES, word + filler, other_word + filler)
    )
    assert one.function(of_a) > one.function(plain) + 0.01
    assert other.function(of_b) > other.function(plain) + 0.01
    assert one.function(of_a) > one.function(of_b) + 0.01
    assert other.function(of_b) > other.function(of_a) + 0.01
