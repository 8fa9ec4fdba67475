"""Held-out parts by contig, region and fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.vcf.regions import Interval, Regions
from genomix_cli.variants.requests.train import HoldOut
from genomix_cli.variants.train.splits import HeldOutRegions, make_folds, parse_length, split_genome
from genomix_cli.variants.train.supervised import check_parts

CONTIGS = ("chr1", "chr2", "chr3", "chrM")
PARTS = ("train", "valid", "test", "beside")


def bed(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_whole_contigs_under_either_name() -> None:
    held = split_genome(HoldOut(("3",), ("MT",)), CONTIGS)
    pos = np.array([0, 10**8])
    assert held.valid.inside("chr3", pos).all()
    assert held.test.inside("chrM", pos).all()
    assert not held.test.inside("chr3", pos).any()


def test_every_unknown_contig_is_named() -> None:
    with pytest.raises(UsageError, match=r"unknown valid contigs: chr8, chr9.*chr1, chr2"):
        split_genome(HoldOut(("chr8", "chr2", "chr9")), CONTIGS)


def test_nothing_is_in_both_parts_even_under_two_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the validation and test parts overlap"):
        split_genome(HoldOut(("chr2",), ("2",)), CONTIGS)
    regions = bed(tmp_path / "a.bed", "2\t100\t200")
    with pytest.raises(UsageError, match="the validation and test parts overlap"):
        split_genome(HoldOut(("chr2",), test_regions=regions), CONTIGS)


def test_a_file_of_another_genome_is_refused(tmp_path: Path) -> None:
    regions = bed(tmp_path / "a.bed", "scaffold_7\t100\t200")
    with pytest.raises(DataError, match=r"none of its contigs .*scaffold_7"):
        split_genome(HoldOut(valid_regions=regions), CONTIGS)


def test_rows_near_a_held_out_region_are_in_no_part(tmp_path: Path) -> None:
    regions = bed(tmp_path / "a.bed", "chr1\t1000\t2000")
    held = split_genome(HoldOut(("chr3",), test_regions=regions), CONTIGS)
    pos = np.array([899, 900, 999, 1000, 1999, 2000, 2099, 2100, 5])
    names = np.array(["chr1"] * 8 + ["chr3"])
    rows = held.rows(names, pos, np.arange(9), margin=100)
    assert rows["test"].tolist() == [3, 4]
    assert rows["valid"].tolist() == [8]
    # 100 bases beyond 899 the region has not begun.
    assert rows["beside"].tolist() == [1, 2, 5, 6]
    assert rows["train"].tolist() == [0, 7]


intervals = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60)), min_size=1, max_size=6)


@given(intervals, st.integers(0, 400), st.integers(1, 50), st.integers(0, 20))
def test_it_agrees_with_every_base_looked_at(
    pairs: list[tuple[int, int]], start: int, size: int, margin: int
) -> None:
    held = HeldOutRegions(Regions(Interval("chr1", s, s + n) for s, n in pairs))
    covered = np.zeros(600, bool)
    for s, n in pairs:
        covered[s : s + n] = True
    stretch = covered[start : start + size]
    assert held.touches("chr1", start, start + size) == stretch.any()
    assert held.holds("chr1", start, start + size) == stretch.all()
    assert not held.touches("chr2", start, start + size)
    near = covered[max(0, start - margin) : start + margin + 1].any()
    assert held.inside("chr1", np.array([start]), margin)[0] == near


def test_folds_of_blocks_hold_each_variant_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pos = np.sort(rng.integers(0, 950_000, 400))
    contig = np.where(rng.random(400) < 0.5, "chr1", "chr2")
    lengths = {"chr1": 950_000, "chr2": 950_000, "chr3": 10}
    folds = make_folds(5, "100kb", contig, pos, lengths)
    times = np.zeros(400, int)
    for path in folds.write(tmp_path):
        held = HeldOutRegions.of(lengths, (), path)
        for name in ("chr1", "chr2"):
            times[contig == name] += held.inside(name, pos[contig == name])
    assert (times == 1).all()
    sizes = [sum(int(i.end - i.start) for i in fold) for fold in folds.members]
    assert max(sizes) <= 2 * min(sizes)


def test_folds_of_contigs() -> None:
    contig = np.array(["a", "b", "c", "c"])
    folds = make_folds(3, "contig", contig, np.array([5, 5, 5, 6]), {"a": 10, "b": 10, "c": 10})
    assert sorted(i.contig for fold in folds.members for i in fold) == ["a", "b", "c"]
    with pytest.raises(UsageError, match="2 to 3 folds for 3 contigs"):
        make_folds(4, "contig", contig, np.array([5, 5, 5, 6]), {"a": 10, "b": 10, "c": 10})


@pytest.mark.parametrize(
    ("text", "bases"), [("1Mb", 1_000_000), ("500kb", 500_000), ("2M", 2_000_000), ("7000", 7000)]
)
def test_lengths(text: str, bases: int) -> None:
    assert parse_length(text) == bases


@pytest.mark.parametrize("text", ["", "Mb", "0kb", "1.5Mb", "-3", "1Gb", "contigs"])
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(UsageError, match="not a length"):
        parse_length(text)


def test_parts_need_both_classes() -> None:
    label = np.array([0, 1, 0, 1, 1, 0, np.nan])
    rows = dict(zip(PARTS, map(np.array, ([0, 1], [2, 3], [4, 5], [])), strict=True))
    check_parts(label, rows, "auroc", tested=True)
    rows["valid"] = np.array([2, 6])
    rows["test"] = np.array([4])
    with pytest.raises(DataError, match=r"valid has no positives of 1 .*test has no negatives"):
        check_parts(label, rows, "auroc", tested=True)
    rows["test"] = np.array([], int)
    with pytest.raises(DataError, match="test has no labelled variants"):
        check_parts(label, rows, "auroc", tested=True)


def test_effects_alone_cannot_be_monitored_by_classes() -> None:
    label = np.full(6, np.nan)
    rows = dict(zip(PARTS, map(np.array, ([0, 1], [2, 3], [4], [])), strict=True))
    check_parts(label, rows, "ranking", tested=True)
    with pytest.raises(
        UsageError, match="so auprc cannot be computed; rank the effects: --monitor ranking"
    ):
        check_parts(label, rows, "auprc", tested=True)
