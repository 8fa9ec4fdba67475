"""Orientation of tables, and ids of the same sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genomix_cli.cohorts.prepare.samples import (
    Barcode,
    LeftOut,
    Spelling,
    check_shared,
    choose_spelling,
    orient,
    parse_barcode,
    pick_samples,
)
from genomix_cli.cohorts.prepare.tables import Table
from genomix_cli.errors import DataError, UsageError

A, B = "TCGA-A1-A0SB", "TCGA-B6-A0I1"


def table(corner: str, rows: list[str], columns: list[str]) -> Table:
    values = np.zeros((len(rows), len(columns)), np.float32)
    return Table(Path("a.tsv"), corner, rows, columns, values, np.arange(len(rows)), 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (A, Barcode(A, "")),
        (f"{A}-01", Barcode(A, "01")),
        (f"{A}-01A-11R-A144-07", Barcode(A, "01")),
        (f"{A}-11B", Barcode(A, "11")),
        ("tcga.a1.a0sb.06a.11r", Barcode(A, "06")),
        ("TCGA-A1", None),
        ("MB-0002", None),
        (f"{A}-tumour", None),
        (f"x{A}", None),
    ],
)
def test_barcodes(text: str, expected: Barcode | None) -> None:
    assert parse_barcode(text) == expected


def test_how_ids_are_matched() -> None:
    aliquots, patients = [f"{A}-01A-11R", f"{B}-11A"], [A, B]
    assert choose_spelling({"rna": aliquots}, "auto").level == "sample"
    spelling = choose_spelling({"rna": aliquots, "clinical": [A]}, "auto")
    assert spelling == Spelling("patient", frozenset([A]))
    assert choose_spelling({"rna": [*aliquots, "MB-1"]}, "auto").level == "exact"
    assert choose_spelling({"rna": aliquots, "clinical": patients}, "exact").level == "exact"
    assert choose_spelling({"rna": [*aliquots, "MB-1"]}, "tcga").level == "sample"
    with pytest.raises(DataError, match=r"cna: has no TCGA barcodes .found MB-1"):
        choose_spelling({"rna": aliquots, "cna": ["MB-1"]}, "tcga")


def test_spellings() -> None:
    aliquot = f"{A}-01A-11R"
    assert Spelling("exact").of(aliquot) == aliquot
    assert Spelling("sample").of(aliquot) == f"{A}-01"
    assert Spelling("patient").of(aliquot) == A


def test_the_tumour_comes_first() -> None:
    names = [f"{A}-11A", f"{A}-06A", f"{A}-01A", f"{B}-11A"]
    left_out = LeftOut()
    spelling = choose_spelling({"rna": names, "clinical": [A]}, "auto")
    assert pick_samples("rna", names, spelling, "error", left_out) == {A: 2, B: 3}
    assert left_out.names == {
        "rna: normal sample of a patient with a tumour": [f"{A}-11A"],
        "rna: another sample or aliquot was taken": [f"{A}-06A"],
    }
    # A tumour in any table makes the patient's normal samples of all tables others.
    spelling = choose_spelling({"rna": [f"{B}-11A"], "cna": [f"{B}-01A"], "c": [B]}, "auto")
    assert pick_samples("rna", [f"{B}-11A"], spelling, "error", left_out) == {}


def test_two_aliquots_of_a_sample() -> None:
    names = [f"{A}-01A-11R", f"{A}-01B-11R"]
    for spelling in (Spelling("sample"), Spelling("patient", frozenset([A]))):
        with pytest.raises(DataError, match=f"rna: {names[0]} and {names[1]} belong to the same"):
            pick_samples("rna", names, spelling, "error", LeftOut())
        left_out = LeftOut()
        found = pick_samples("rna", names, spelling, "first", left_out)
        assert list(found.values()) == [0]
        assert left_out.names == {"rna: another sample or aliquot was taken": [names[1]]}


def test_normal_and_tumour_are_two_samples_where_all_tables_say_which() -> None:
    names = [f"{A}-01A", f"{A}-11A"]
    found = pick_samples("rna", names, Spelling("sample"), "error", LeftOut())
    assert found == {f"{A}-01": 0, f"{A}-11": 1}


def test_which_way_up() -> None:
    upright = table("x", ["s1", "s2"], ["TP53", "KRAS"])
    turned = table("x", ["TP53", "KRAS"], ["s1", "s2", "s3"])
    found = orient({"a": upright, "b": turned}, {"s2"}, None)
    assert found == {"a": "rows", "b": "columns"}
    # The clinic knows s3 alone; with it comes s1, which settles the other.
    assert orient({"a": upright, "b": turned}, {"s3"}, None) == {"a": "rows", "b": "columns"}
    assert orient({"a": upright}, {"s9"}, "columns") == {"a": "columns"}


def test_which_way_up_without_other_ids() -> None:
    assert orient({"a": table("patient", ["1", "2"], ["x"])}, (), None) == {"a": "rows"}
    assert orient({"a": table("Hugo_Symbol", ["TP53"], ["1"])}, (), None) == {"a": "columns"}
    assert orient({"a": table("", ["TP53"], [f"{A}-01A"])}, (), None) == {"a": "columns"}
    assert orient({"a": table("", [f"{A}-01A"], ["TP53"])}, {A}, None) == {"a": "rows"}


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ((), "cannot tell whether the samples of a are its rows or its columns .found rows s1"),
        ({"p1"}, "neither have names that other tables give to samples .expected names as p1"),
        ({"s1", "TP53"}, "both have names that other tables give to samples"),
    ],
)
def test_when_it_cannot_be_told(known: set[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        orient({"a": table("x", ["s1"], ["TP53"])}, known, None)
    assert "--samples rows or --samples columns" in str(caught.value)


def test_tables_that_share_no_sample() -> None:
    check_shared({"a": ["s1"]}, None)
    check_shared({"a": ["s1"], "b": ["s1", "s2"]}, None)
    check_shared({"a": ["s1"], "b": ["s2"]}, ["s1", "s2"])
    with pytest.raises(DataError, match=r"a shares no sample .*expected names as s2"):
        check_shared({"a": ["s1"], "b": ["s2"]}, None)
    with pytest.raises(DataError, match=r"a shares no sample .*found s1.*--sample-column"):
        check_shared({"a": ["s1"]}, ["p1"])
    with pytest.raises(DataError, match=r"spell names alike in all tables: s_1 is S1 elsewhere"):
        check_shared({"a": ["s_1"]}, ["S1"])
    with pytest.raises(UsageError, match=r"spell names alike in all tables: s-1 is S1 elsewhere"):
        orient({"a": table("x", ["s-1"], ["TP53"])}, {"S1"}, None)
