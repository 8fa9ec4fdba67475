"""Regions as they are typed and as files list them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.vcf.regions import END, START, Interval, Regions


def intervals(regions: Regions) -> dict[str, list[list[int]]]:
    return {name: pairs.tolist() for name, pairs in regions.by_contig.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr1", {"chr1": [[START, END]]}),
        ("chr1:7", {"chr1": [[6, 7]]}),
        ("chr1:7-9", {"chr1": [[6, 9]]}),
        ("chr1:7-", {"chr1": [[6, END]]}),
        ("chr1:-9", {"chr1": [[START, 9]]}),
        ("chr1:1,000-2,000", {"chr1": [[999, 2000]]}),
        ("chr1:1,000,000", {"chr1": [[999_999, 1_000_000]]}),
        ("1:5,2:6", {"1": [[4, 5]], "2": [[5, 6]]}),
        ("1:5,22", {"1": [[4, 5]], "22": [[START, END]]}),
        ("1:1000,2000", {"1": [[999, 1000]], "2000": [[START, END]]}),
        (
            "chr1:1,000-2,000,chr2,chr3:500-",
            {"chr1": [[999, 2000]], "chr2": [[START, END]], "chr3": [[499, END]]},
        ),
        ("{HLA-A*01:01}:3-4,{HLA-B*07:02}", {"HLA-A*01:01": [[2, 4]], "HLA-B*07:02": [[-1, END]]}),
        ("chr1:5-9,1:1-4,chr1:20-30,chr1:25", {"chr1": [[0, 9], [19, 30]]}),
    ],
)
def test_what_is_typed(text: str, expected: dict[str, list[list[int]]]) -> None:
    regions = Regions.parse(text)
    assert intervals(regions) == expected
    assert intervals(Regions.parse(str(regions))) == expected


@pytest.mark.parametrize(
    "text",
    ["", ",", "chr1,", "chr1:", "chr1:a", "chr1:1-b", "HLA-A*01:01:01", "{a:1", "chr1:1-2-3"],
)
def test_what_is_no_region(text: str) -> None:
    with pytest.raises(UsageError, match="is not a region"):
        Regions.parse(text)


def test_ends_before_it_starts() -> None:
    with pytest.raises(UsageError, match="region chr1:9-7: ends before it starts"):
        Regions.parse("chr2,chr1:9-7")


def test_the_text_of_equal_regions_is_equal() -> None:
    assert (
        str(Regions.parse("b:1-5,a:9,b:6-7")) == str(Regions.parse("a:9-9,b:1-7")) == "a:9-9,b:1-7"
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.bed", "track x\n#c\nchr1\t4\t9\tname\nchr1\t9\t10\t\n\n", {"chr1": [[4, 10]]}),
        ("a.bed.gz", "chr1\t0\t9\r\nchr2\t3\t3\n", {"chr1": [[0, 9]]}),
        ("a.txt", "chr1\t4\t9\nchr1 20 21\n", {"chr1": [[3, 9], [19, 21]]}),
        ("a.txt", "chr1\t20\nchr2\t3\n", {"chr1": [[19, 20]], "chr2": [[2, 3]]}),
        ("a.txt", "chr2\n", {"chr2": [[-1, END]]}),
        ("a.tsv.gz", "chr1\t4\tA\tC\n", {"chr1": [[3, 4]]}),
        (
            "a.vcf",
            "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nchr1\t5\t7\tAT\tA\n",
            {"chr1": [[4, 5]]},
        ),
    ],
)
def test_files(tmp_path: Path, name: str, text: str, expected: dict[str, list[list[int]]]) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    assert intervals(Regions.read(path)) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.bed", "chr1\t4\n", "a.bed:1: is not a region .expected CHROM, START"),
        ("a.bed", "chr1\t9\t4\n", "a.bed:1: ends before"),
        ("a.txt", "chr1\t4\t6\nchr1\t0\t5\n", "a.txt:2: is not a region"),
        ("a.txt", "chr1\t4\t9\nchr2\n", "a.txt:2: the line has another number of columns"),
        ("a.bed", "#\nchr1\t4\t9\nchr1\t4\t9\t1\n", "a.bed:3: the line has another number"),
        ("a.txt", "chr1\tx\t5\n", "a.txt:1: is not a region"),
        ("a.bed", "#nothing\n", "has no regions"),
        ("a.bed", "", r"is empty .expected regions"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        Regions.read(tmp_path / name)


def test_spellings_of_a_contig_are_one() -> None:
    regions = Regions([Interval("chr1", 0, 5), Interval("1", 5, 9), Interval("MT", 1, 2)])
    assert intervals(regions) == {"chr1": [[0, 9]], "MT": [[1, 2]]}
    assert regions.find("1") is not None
    assert regions.find("chrM") is not None
    assert regions.find("chr10") is None
