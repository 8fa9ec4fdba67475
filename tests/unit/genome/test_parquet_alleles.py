"""Parquet read by place: the rows that were asked for, from the groups that may hold them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomix_cli.errors import DataError, MissingExtraError
from genomix_cli.genome import parquet_alleles
from genomix_cli.genome.parquet_alleles import ParquetAlleles

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

LOCI = [(contig, pos) for contig in ("chr1", "chr2") for pos in range(1, 41)]


def write(path: Path, loci: list[tuple[Any, Any]] = LOCI, **changes: Any) -> Path:
    """Write rows in groups of ten; a score is the number of its row."""
    columns = {
        "score": [float(i) for i in range(1, len(loci) + 1)],
        "chrom": [contig for contig, _ in loci],
        "POS": [pos for _, pos in loci],
        "ref": ["A"] * len(loci),
        "alt": ["C", None] * (len(loci) // 2),
    }
    settings = {"row_group_size": 10} | changes.pop("settings", {})
    kept = {name: column for name, column in (columns | changes).items() if column is not None}
    parquet.write_table(pa.table(kept), path, **settings)
    return path


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the groups that are read from now on."""
    read: list[int] = []
    real = parquet.ParquetFile.read_row_group

    def counting(self: Any, i: int, **settings: Any) -> Any:
        read.append(i)
        return real(self, i, **settings)

    monkeypatch.setattr(parquet.ParquetFile, "read_row_group", counting)
    return read


def numbers(path: Path, spans: dict[str, list[tuple[int, int]]]) -> list[int]:
    return [row.line for row in ParquetAlleles(path).rows(spans, ["score"])]


def test_only_groups_that_may_hold_a_row_are_read(tmp_path: Path, groups: list[int]) -> None:
    table = ParquetAlleles(write(tmp_path / "t.parquet"))
    assert table.contigs == ("chr1", "chr2")
    found = list(table.rows({"chr1": [(8, 12), (30, 31)], "chr2": [(9, 11), (39, 90)]}, ["score"]))
    assert [row.line for row in found] == [9, 10, 11, 12, 31, 50, 51, 80]
    assert found[0].cells == ["chr1", "9", "A", "C", "9.0"]
    assert found[1].cells == ["chr1", "10", "A", ".", "10.0"]
    assert groups == [0, 1, 3, 4, 5, 7]
    assert list(table.fetch("chr2", 39, None)) == ["80.0\tchr2\t40\tA\t."]
    assert list(table.fetch("chr3", 0, None)) == []
    assert groups == [0, 1, 3, 4, 5, 7]  # the last is kept


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": {"write_statistics": False}},
        {"chrom": pa.array([contig for contig, _ in LOCI]).dictionary_encode()},
        {"chrom": pa.array([contig.encode() for contig, _ in LOCI])},
        {"POS": pa.array([pos for _, pos in LOCI], pa.uint32())},
    ],
)
def test_columns_may_be_stored_in_any_way(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert numbers(write(tmp_path / "t.parquet", **changes), {"chr2": [(4, 6)]}) == [45, 46]


def test_order_does_not_matter(tmp_path: Path) -> None:
    loci = [LOCI[i] for i in np.random.default_rng(0).permutation(len(LOCI))]
    path = write(tmp_path / "t.parquet", loci)
    expected = [i for i, (c, p) in enumerate(loci, 1) if c == "chr1" and 3 < p <= 20]
    assert numbers(path, {"chr1": [(3, 20)]}) == expected
    named = write(tmp_path / "n.parquet", [(int(c[3:]), p) for c, p in loci])
    assert ParquetAlleles(named).contigs == ("1", "2")
    assert numbers(named, {"1": [(3, 20)]}) == expected


def cut(path: Path) -> Path:
    path.write_bytes(write(path).read_bytes()[:-20])
    return path


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no alt": (lambda path: write(path, alt=None), "lacks the column alt"),
    "positions with decimals": (
        lambda path: write(path, POS=[float(p) for _, p in LOCI]),
        r"the positions are not whole numbers \(expected POS as int64, found double\)",
    ),
    "two of a name": (lambda path: write(path, Ref=["A"] * len(LOCI)), "'ref' is repeated"),
    "no position": (
        lambda path: write(path, POS=[*range(1, 80), None]),
        "row 80: pos is not a position",
    ),
    "cut short": (cut, "t.parquet: .*copy it again"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_one_line(tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    path = tmp_path / "t.parquet"
    with pytest.raises(DataError, match=message):
        numbers(make(path), {"chr2": [(0, 90)]})


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingExtraError("pyarrow", "parquet")

    monkeypatch.setattr(parquet_alleles, "require_pyarrow", missing)
    with pytest.raises(MissingExtraError, match=r"genomix-toolkit\[parquet\]"):
        ParquetAlleles(write(tmp_path / "t.parquet"))
