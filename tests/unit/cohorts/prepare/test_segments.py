"""Segments into bins and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genomix_cli.cohorts.prepare.segments import bin_means, bins_of, read_segments
from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.arms import arms

HEADER = "ID\tchrom\tloc.start\tloc.end\tnum.mark\tseg.mean\n"


def seg(path: Path, *rows: tuple[object, ...], header: str = HEADER) -> Path:
    path.write_text(header + "".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


def test_bins() -> None:
    bins = bins_of("arms", "hg38")
    assert list(bins.index) == [arm.name for arm in arms("hg38")]
    assert bins.loc["8q", ["contig", "start", "end"]].tolist() == ["chr8", 45_200_000, 145_138_636]
    bins = bins_of("5Mb", "GRCh37", sex=True)
    assert bins.index[0] == "chr1:0-5000000"
    for contig, own in bins.groupby("contig", observed=True):
        assert own["start"].iloc[0] == 0
        assert (own["start"].to_numpy()[1:] == own["end"].to_numpy()[:-1]).all()
        assert own["end"].iloc[-1] == max(
            arm.end for arm in arms("hg19", sex=True) if arm.contig == contig
        )
    assert len(bins_of("500kb", "hg38")) == len(bins_of("500000", "hg38"))


@pytest.mark.parametrize("bins", ["arm", "5 chromosomes", "10", "-5Mb", ""])
def test_sizes_that_are_none(bins: str) -> None:
    with pytest.raises(UsageError, match="--bins: not a bin size"):
        bins_of(bins, "hg38")
    with pytest.raises(UsageError, match="unknown assembly"):
        bins_of("arms", "mm10")


def test_means_are_weighted_by_length() -> None:
    bins = pd.DataFrame({"contig": ["c", "c", "d"], "start": [0, 100, 0], "end": [100, 200, 50]})
    row = np.array([0, 0, 1, 1])
    contig = np.array(["c", "c", "c", "e"], object)
    start, end = np.array([0, 50, 150, 0]), np.array([50, 120, 200, 10])
    mean = np.array([1.0, 3.0, -1.0, 9.0])
    values, used = bin_means(row, contig, start, end, mean, bins, 2)
    expected = [[(50 * 1 + 50 * 3) / 100, 3, np.nan], [np.nan, -1, np.nan]]
    assert np.array_equal(values, np.array(expected, np.float32), equal_nan=True)
    assert used.tolist() == [True, True, True, False]


def test_a_file_to_arms(tmp_path: Path) -> None:
    path = seg(
        tmp_path / "a.seg",
        ("s1", "8", 1, 45_200_000, 10, 0.5),
        ("s1", "chr8", 45_200_001, 145_138_636, 10, -0.5),
        ("s2", "8", 1, 145_138_636, 10, 0.25),
        ("s2", "23", 1, 1000, 10, 0.25),
        ("s2", "9", 1, 1000, 10, "NA"),
    )
    found = read_segments("cna", path, "arms", "hg38")
    assert found.kind.name == "copy_number"
    assert found.samples == ["s1", "s2"]
    column = {name: i for i, name in enumerate(found.features.index)}
    assert found.values[:, column["8p"]].tolist() == [0.5, 0.25]
    assert found.values[:, column["8q"]].tolist() == [-0.5, 0.25]
    assert np.isnan(found.values[:, column["9p"]]).all()
    assert found.notes["segments without a value"] == 1
    assert found.notes["segments outside the bins"] == 1
    with_sex = read_segments("cna", path, "1Mb", "hg38", sex=True)
    assert with_sex.values[1, list(with_sex.features.index).index("chrX:0-1000000")] == 0.25


@pytest.mark.parametrize(
    "header",
    [
        "GDC_Aliquot\tChromosome\tStart\tEnd\tNum_Probes\tSegment_Mean\n",
        "sample\tchr\tstart\tend\tn\tvalue\n",
        "'ID\tchrom\tloc.start\tloc.end\tnum.mark\tseg.mean\n",
    ],
)
def test_the_names_of_columns(tmp_path: Path, header: str) -> None:
    path = seg(tmp_path / "a.seg", ("s1", "1", 1, 1000, 5, 0.5), header=header)
    assert read_segments("cna", path, "1Mb", "hg19").values[0, 0] == 0.5


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ("s1", "1", 500, 400, 1, 0.1),
            ":3: the segment ends before it starts .found chr1:500-400",
        ),
        (("s1", "1", 0, 400, 1, 0.1), ":3: the segment starts before base 1"),
        (
            ("s1", "21", 1, 48_000_000, 1, 0.1),
            ":3: the segment ends beyond hg38.*another --assembly",
        ),
        (("s1", "1", "x", 400, 1, 0.1), ":3, column loc.start: not a number .found 'x'"),
        (("s1", "1", 1.5, 400, 1, 0.1), ":3: start is not a whole number"),
        (("s1", "1", 1, 400, 1, "gain"), ":3, column seg.mean: not a number .found 'gain'"),
        (
            ("s1", "1", 1, 400, 1, 1e20),
            ":3, column seg.mean: not a value of copy_number .expected numbers from -64 to 64, "
            r"found 1e\+20",
        ),
        (("s0", "chr1", 1, 100, 5, 0.7), ":3: repeats line 2"),
        (("NA", "1", 1, 400, 1, 0.1), ":3: no sample .found NA"),
        (("", "1", 1, 400, 1, 0.1), ":3: no sample"),
        (("s1", "1", 1, 400, 0.1), ":3: the row has another number of columns"),
    ],
)
def test_what_is_wrong_has_its_line(tmp_path: Path, row: tuple[object, ...], message: str) -> None:
    path = seg(tmp_path / "a.seg", ("s0", "1", 1, 100, 5, 0.5), row)
    with pytest.raises(DataError, match=message):
        read_segments("cna", path, "arms", "hg38")


def test_segments_that_overlap_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = ("s0", "1", 1, 1_000_000, 5, 0.5)
    beside, over = ("s0", "1", 1_000_000, 2_000_000, 5, 1), ("s0", "1", 900_000, 1_500_000, 5, 1)
    read_segments("cna", seg(tmp_path / "a.seg", first, beside, ("s1", *first[1:])), "arms", "hg38")
    assert not caplog.text
    read_segments("cna", seg(tmp_path / "a.seg", first, over), "arms", "hg38")
    assert (
        "1 segments overlap another segment of the same sample, the first in line 3" in caplog.text
    )
