"""Contig names under every usual spelling, and unions of intervals."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.errors import DataError
from genomix_cli.genome.intervals import ContigNames, canonical, merge


@pytest.mark.parametrize(
    ("asked", "in_file"),
    [("chr1", "1"), ("1", "chr1"), ("X", "chrX"), ("CHR1", "chr1"), ("1", "Chr1"), ("22", "22")]
    + [(a, b) for a in ("chrM", "chrMT", "M", "MT") for b in ("chrM", "chrMT", "M", "MT")],
)
def test_each_spelling_is_found(asked: str, in_file: str) -> None:
    assert ContigNames([in_file, "chr7"], "file").find(asked) == in_file
    assert canonical(asked) == canonical(in_file)


@pytest.mark.parametrize("asked", ["2", "chr11", "chr", "", "MTX", "chr1_alt"])
def test_others_are_not(asked: str) -> None:
    assert ContigNames(["chr1", "chrM"], "file").find(asked) is None


def test_the_nearest_spelling_wins() -> None:
    names = ContigNames(["chrM", "chrMT", "1", "chr1"], "hg19 with both mitochondria")
    assert [names.find(n) for n in ("M", "MT", "chrMT", "1", "chr1")] == [
        "chrM",
        "chrMT",
        "chrMT",
        "1",
        "chr1",
    ]


def test_canonical_keeps_what_is_no_prefix() -> None:
    assert canonical("chr") == "chr"
    assert canonical("chromatin1") == "omatin1"
    assert canonical("scaffold_chr1") == "scaffold_chr1"
    assert canonical("chrM") == "MT"


def test_a_missing_contig_is_an_error_that_says_what_there_is() -> None:
    names = ContigNames([f"scaffold{i}" for i in range(9)], "genome.fa")
    assert names.require("chrscaffold3") == "scaffold3"
    with pytest.raises(DataError, match=r"genome\.fa: has no contig 'chr9'.*scaffold4, \.\.\."):
        names.require("chr9")
    assert (len(names), next(iter(names))) == (9, "scaffold0")


def test_merge() -> None:
    starts, ends = [50, 10, 0, 12, 20, 70, 99], [60, 15, 5, 20, 25, 70, 100]
    np.testing.assert_array_equal(merge(starts, ends), [[0, 5], [10, 25], [50, 60], [99, 100]])


def test_merge_of_nothing() -> None:
    assert merge([], []).shape == (0, 2)
    assert merge([5], [5]).shape == (0, 2)
    assert merge([], []).dtype == np.int64


def test_merge_against_marked_positions() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        starts = rng.integers(0, 200, 15)
        ends = starts + rng.integers(0, 20, 15)
        marked = np.zeros(222, bool)
        for start, end in zip(starts, ends, strict=True):
            marked[start + 1 : end + 1] = True
        edges = np.flatnonzero(np.diff(marked))
        np.testing.assert_array_equal(merge(starts, ends), edges.reshape(-1, 2))
