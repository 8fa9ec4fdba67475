"""Clinical tables and their columns in the cohort file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genomix_cli.cohorts.prepare.clinical import (
    Clinical,
    Roles,
    check_columns,
    merge,
    observations,
    read_clinical,
)
from genomix_cli.cohorts.prepare.samples import Spelling
from genomix_cli.errors import DataError, UsageError

TEXT = """\
#Sample Identifier,Class,Plate,Age,Stage,Empty,ER/PR
SAMPLE_ID,SUBTYPE,PLATE,AGE,STAGE,EMPTY,ER/PR
s1,LumA,012,61.5,2,,+
s2,NC,012,NA,10,NA,-
s3,Basal,013,40,1,[Not Available],+
"""
EXACT = Spelling("exact")


@pytest.fixture
def clinical(tmp_path: Path) -> Clinical:
    path = tmp_path / "clinical.csv"
    path.write_text(TEXT)
    return read_clinical(path)


def test_types_of_columns(clinical: Clinical) -> None:
    roles = Roles(label="SUBTYPE", batch="PLATE", drop_labels=("NC",))
    obs = observations(clinical, ["s3", "s1", "s2", "s9"], EXACT, roles)
    assert list(obs.columns) == ["label", "batch", "SUBTYPE", "PLATE", "AGE", "STAGE", "ER_PR"]
    assert list(obs["label"].cat.categories) == ["Basal", "LumA"]
    assert obs["label"].astype(object).fillna("").tolist() == ["Basal", "LumA", "", ""]
    # What was dropped from the label is still there to be looked at.
    assert obs["SUBTYPE"].astype(object).fillna("").tolist() == ["Basal", "LumA", "NC", ""]
    # A code with leading zeros stays one.
    assert list(obs["PLATE"].cat.categories) == ["012", "013"]
    assert np.array_equal(obs["AGE"], [40, 61.5, np.nan, np.nan], equal_nan=True)
    assert obs["STAGE"].dtype == np.float64
    assert observations(clinical, ["s1", "s2"], EXACT, Roles())["STAGE"].dtype == np.int64


def test_classes_that_are_numbers_are_in_their_order(clinical: Clinical) -> None:
    obs = observations(clinical, ["s1", "s2", "s3"], EXACT, Roles(label="STAGE"))
    assert list(obs["label"].cat.categories) == ["1", "2", "10"]


def test_columns_to_keep(clinical: Clinical) -> None:
    roles = Roles(label="SUBTYPE", keep=("AGE",))
    obs = observations(clinical, ["s1", "s2", "s3"], EXACT, roles)
    assert list(obs.columns) == ["label", "AGE"]


def test_columns_that_are_called_by_their_roles(caplog: pytest.LogCaptureFixture) -> None:
    frame = pd.DataFrame({"label": ["a", "b"], "other": ["c", "d"]}, index=["s1", "s2"])
    table = Clinical(Path("a.csv"), frame)
    assert observations(table, ["s1", "s2"], EXACT, Roles())["label"].tolist() == ["a", "b"]
    obs = observations(table, ["s1", "s2"], EXACT, Roles(label="other"))
    assert obs["label"].tolist() == ["c", "d"]
    assert "the column label is dropped, because other is used as the label" in caplog.text


def test_patients_of_barcodes() -> None:
    samples = ["TCGA-A1-A0SB-01", "TCGA-A1-A0SB-11"]
    obs = observations(None, samples, Spelling("sample"), Roles())
    assert obs["patient"].tolist() == ["TCGA-A1-A0SB"] * 2
    assert "patient" not in observations(None, samples, EXACT, Roles())


def test_labels_that_cannot_be(clinical: Clinical) -> None:
    with pytest.raises(DataError, match=r"SUBTYPE has fewer than two classes .*found LumA"):
        observations(clinical, ["s1"], EXACT, Roles(label="SUBTYPE"))
    with pytest.raises(UsageError, match=r"no class of SUBTYPE 'nc' .*did you mean 'NC'"):
        samples = ["s1", "s2", "s3"]
        observations(clinical, samples, EXACT, Roles(label="SUBTYPE", drop_labels=("nc",)))
    for roles, option in ((Roles(label="SUBTYP"), "--label"), (Roles(keep=("AG",)), "--keep")):
        with pytest.raises(UsageError, match=rf"no column .*{option}.*did you mean"):
            check_columns([clinical.frame], roles, clinical.path)


def test_labels_that_are_unlikely(caplog: pytest.LogCaptureFixture) -> None:
    samples = [f"s{i}" for i in range(8)]
    spelled = ["ER pos", "er_pos", "ER neg", "HER2+", "HER2-", "her2", "T1", "T2"]
    frame = pd.DataFrame(
        {"er": spelled, "months": [f"{i}.5" for i in range(8)], "grade": list("12312312")}, samples
    )
    table = Clinical(Path("a.csv"), frame)
    observations(table, samples, EXACT, Roles(label="er"))
    (told,) = caplog.messages
    assert "the classes 'ER pos' and 'er_pos' of er differ only in case or punctuation" in told
    caplog.clear()
    observations(table, samples, EXACT, Roles(label="grade"))
    assert not caplog.messages
    observations(table, samples, EXACT, Roles(label="months"))
    assert "the label months has 8 numbers in 8 samples: a quantity" in caplog.text


def test_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    path.write_text("\ufeffsample;age;site\ns1;61,5;Ulm, Mitte\ns2;40;Bonn\n")
    frame = read_clinical(path).frame
    assert frame["age"].tolist() == ["61.5", "40"]
    assert frame["site"].tolist() == ["Ulm, Mitte", "Bonn"]


def test_two_tables_are_one() -> None:
    first = Clinical(Path("a"), pd.DataFrame({"x": ["1", "2"], "y": ["3", "4"]}, index=["a", "b"]))
    second = Clinical(Path("b"), pd.DataFrame({"y": ["5", "6"]}, index=["b", "c"]))
    both = merge([first, second])
    assert both is not None
    assert list(both.frame.index) == ["a", "b", "c"]
    assert both.frame["x"].fillna("").tolist() == ["1", "2", ""]
    assert both.frame["y"].fillna("").tolist() == ["", "5", "6"]
    assert merge([]) is None


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("sample,x\ns1,1\ns1,2\n", None, ":3: s1 is repeated, first in line 2"),
        ("x,sample\n1,\n", None, ":2: no sample id in the column sample"),
        ("x,id\n1,s1\n", "name", r"no column 'name' \(--sample-column\)"),
        ("x,id,x\n1,s1,2\n", None, ":1: the column 'x' is repeated"),
        ("sample,x\ns1\n", None, ":2: the row has another number of columns"),
        ("sample,x\n", None, "has a header but no rows"),
    ],
)
def test_what_is_wrong_has_its_line(
    tmp_path: Path, text: str, column: str | None, message: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises((DataError, UsageError), match=message):
        read_clinical(path, column)


def test_the_column_of_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("n,Sample,x\n1,s1,5\n2,s2,6\n2,s1,7\n")
    table = read_clinical(path, duplicates="first")
    assert list(table.frame.index) == ["s1", "s2"]
    assert list(table.frame.columns) == ["n", "x"]
    assert table.frame["x"].tolist() == ["5", "6"]


def test_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"cls": ["a", None], "age": [1.5, 2.0]}, index=["s1", "s2"])
    frame.to_parquet(tmp_path / "a.parquet")
    table = read_clinical(tmp_path / "a.parquet").frame
    assert list(table.index) == ["s1", "s2"]
    assert table["cls"].fillna("").tolist() == ["a", ""]
    assert table["age"].tolist() == ["1.5", "2.0"]
