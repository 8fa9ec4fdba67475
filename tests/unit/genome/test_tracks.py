"""Names of tracks: modality, assay, target and cell type."""

from __future__ import annotations

import pytest

from genomix_cli.errors import UsageError
from genomix_cli.genome.tracks import (
    TrackName,
    cells,
    is_accessibility,
    modalities,
    of_one_cell,
    read_track_name,
    require_cell,
    rows_in_cell,
)

NAMES = ("ATAC@K562", "CTCF", "ATAC@MCF7", "H3K27ac@MCF7")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ATAC", TrackName("ATAC", "ATAC-seq", "", "")),
        ("dnase@K562", TrackName("dnase", "DNase-seq", "", "K562")),
        ("H3K27ac@K562", TrackName("H3K27ac", "ChIP-seq", "H3K27ac", "K562")),
        ("CTCF", TrackName("CTCF", "ChIP-seq", "CTCF", "")),
        ("CUT&RUN/CTCF@GM12878", TrackName("CUT&RUN/CTCF", "CUT&RUN", "CTCF", "GM12878")),
    ],
)
def test_a_name_says_what_was_measured(name: str, expected: TrackName) -> None:
    assert read_track_name(name) == expected


@pytest.mark.parametrize("name", ["@K562", "ATAC@", "ATAC@K562@MCF7", ""])
def test_a_name_that_cannot_be_read_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not the name of a track"):
        read_track_name(name)


def test_kinds_of_modalities() -> None:
    assert is_accessibility("DNase")
    assert not is_accessibility("CTCF")


def test_a_track_without_a_cell_type_serves_them_all() -> None:
    assert modalities(NAMES) == ("ATAC", "CTCF", "H3K27ac")
    assert cells(NAMES) == ("K562", "MCF7")
    assert rows_in_cell(NAMES, "K562") == {"CTCF": 1, "ATAC": 0}
    assert rows_in_cell(NAMES, "MCF7") == {"CTCF": 1, "ATAC": 2, "H3K27ac": 3}
    assert rows_in_cell(NAMES, "") == {"CTCF": 1}
    assert cells(("ATAC", "CTCF")) == ("",)


def test_its_own_track_comes_before_one_for_all() -> None:
    assert rows_in_cell(("ATAC@K562", "ATAC"), "K562") == {"ATAC": 0}
    assert rows_in_cell(("ATAC@K562", "ATAC"), "HepG2") == {"ATAC": 1}


def test_one_cell_type_is_scored_at_a_time() -> None:
    assert of_one_cell({"ATAC@K562": 1, "CTCF": 2}) == {"ATAC": 1, "CTCF": 2}
    assert of_one_cell({}) == {}
    with pytest.raises(UsageError, match=r"several cell types \(found K562, MCF7\)"):
        of_one_cell({"ATAC@K562": 1, "CTCF@MCF7": 2})
    with pytest.raises(UsageError, match="ATAC was given twice"):
        of_one_cell({"ATAC@K562": 1, "ATAC": 2})


def test_the_cell_type_that_is_meant() -> None:
    assert require_cell(("",), "") == ""
    assert require_cell(("K562",), "") == "K562"
    assert require_cell(("K562", "MCF7"), "MCF7") == "MCF7"
    with pytest.raises(UsageError, match=r"several cell types .*K562 or MCF7"):
        require_cell(("K562", "MCF7"), "")
    with pytest.raises(UsageError, match="no tracks of HepG2"):
        require_cell(("K562",), "HepG2")
