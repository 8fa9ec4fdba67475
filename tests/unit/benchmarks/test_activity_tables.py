"""Tables of real sequences: what is left out, what stays together."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pytest
from activity_tables import (
    alike,
    arranged,
    closed_starts,
    linked,
    open_sites,
    part_of,
    shares_word,
)

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
    """Twelve bases at the end of one sequence and twelve at the next start are not a run of 24."""
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


def test_rows_alike_have_every_wanted_count_as_often_and_each_row_once() -> None:
    counts = np.array([5] * 10 + [7] * 3 + [9] * 4)
    rows = alike(np.array([7, 5, 7, 5, 8]), counts, 2)
    assert len(set(rows)) == len(rows)
    # Four of each are wanted, but there are three sevens and no eight.
    assert sorted(counts[rows]) == [5] * 4 + [7] * 3


@pytest.fixture
def chr22(tmp_path: Path) -> Path:
    """A chr22 of 20 kb with a site at 3,000, a peak at 9,000 and strong signal from 14,000."""
    folder = tmp_path / "hg38_chr22"
    (folder / "tracks").mkdir(parents=True)
    with gzip.open(folder / "chr22.fa.gz", "wt") as fasta:
        fasta.write(f">chr22\n{'N' * 1000}{random_bases(19_000)}\n")
    for name, place in (("ATAC", 9000), ("DNase", 9100)):
        with gzip.open(folder / "tracks" / f"K562.{name}.macs2_peaks.narrowPeak.gz", "wt") as peaks:
            peaks.write(f"chr22\t{place}\t{place + 100}\tp\nchr1\t5000\t5100\tp\n")
    with pyBigWig.open(str(folder / "tracks" / "acc.K562.chr22.bw"), "w") as track:
        track.addHeader([("chr22", 20_000)])
        # Weak signal everywhere, no two places alike, and a strong fifth.
        low = np.arange(0, 20_000, 50)
        value = np.where((low >= 14_000) & (low < 17_000), 50.0, 1.0) + low / 1e6
        ends = (low + 50).tolist()
        track.addEntries(["chr22"] * len(low), low.tolist(), ends=ends, values=value.tolist())
    (tmp_path / "dhs_dnadiffusion").mkdir()
    with gzip.open(tmp_path / "dhs_dnadiffusion" / "sites.txt.gz", "wt") as rows:
        rows.write("chr\tstart\tend\nchr22\t3000\t3200\nchr3\t6000\t6200\n")
    return tmp_path


def test_closed_places_lie_away_from_sites_peaks_signal_and_unknown_bases(chr22: Path) -> None:
    codes = encode("N" * 1000 + random_bases(19_000))
    starts = closed_starts(chr22, codes)
    assert starts.min() == 1000
    for low, high in ((2500, 3700), (8500, 9700), (14_000, 17_000)):
        assert not ((starts + 200 > low) & (starts < high)).any()
    # What is a site or a peak elsewhere bars nothing here.
    assert {5000, 6000} <= set(starts)


def test_open_sites_are_open_where_known_and_closed_places_everywhere(chr22: Path) -> None:
    site = {"id": "s", "sequence": random_bases(200), "group": "s", "split": "train"}
    table = open_sites(chr22, pd.DataFrame([{**site, "cell": "K562"}]))
    cells = ["open_GM12878", "open_HepG2", "open_K562", "open_hESC"]
    assert list(table) == ["id", "sequence", "group", "split", *cells]
    assert table.loc[0, cells].tolist() == ["", "", "yes", ""]
    closed = table[1:]
    assert 1 <= len(closed) <= 2
    assert (closed[cells] == "no").to_numpy().all()
    assert set(closed["group"]) == {"chr22_0"}
    strong = {sum(map(sequence.count, "GC")) for sequence in table["sequence"]}
    assert len(strong) == 1
