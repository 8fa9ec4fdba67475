"""Fragment counts with a record per line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genomix_cli.cohorts.prepare.fragments import read_bins, read_lengths
from genomix_cli.cohorts.prepare.records import what_is
from genomix_cli.errors import DataError

LENGTHS = "sample,length,count\ns1,100,5\ns1,102,7\ns2,101,1\n"
BINS = (
    "sample\tcontig\tstart\tend\tshort\tlong\n"
    "s1\tchr1\t0\t5000000\t10\t20\n"
    "s1\tchr1\t5000000\t10000000\t11\t21\n"
    "s2\tchr1\t0\t5000000\t12\t22\n"
)


def test_a_histogram(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(LENGTHS)
    assert what_is(path) == "lengths"
    found = read_lengths("frag", path)
    assert found.samples == ["s1", "s2"]
    assert found.features["length"].tolist() == [100, 101, 102]
    assert found.values.tolist() == [[5, 0, 7], [0, 1, 0]]


def test_delfi_bins(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(BINS)
    assert what_is(path) == "bins"
    found = read_bins("frag", path)
    assert list(found.features.index[:2]) == ["chr1:0-5000000:short", "chr1:0-5000000:long"]
    assert found.features["readout"].tolist() == ["short", "long"] * 2
    assert found.features["start"].tolist() == [0, 0, 5_000_000, 5_000_000]
    expected = np.array([[10, 20, 11, 21], [12, 22, np.nan, np.nan]], np.float32)
    assert np.array_equal(found.values, expected, equal_nan=True)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("s1,100,5", ":5: repeats line 2"),
        ("s1,103,-5", ":5, column count: not a value of fragments .*found -5"),
        ("s1,103,0.5", ":5, column count: not a value of fragments"),
        ("s1,103.5,5", ":5: length is not a whole number"),
        ("s1,3000000,5", ":5, column length: not a length"),
        (",103,5", ":5: no sample"),
    ],
)
def test_what_is_wrong_has_its_line(tmp_path: Path, more: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{LENGTHS}{more}\n")
    with pytest.raises(DataError, match=message):
        read_lengths("frag", path)


def test_a_bin_that_comes_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"{BINS}s2\tchr1\t0\t5000000\t1\t2\n")
    with pytest.raises(DataError, match=":5: repeats line 4"):
        read_bins("frag", path)
