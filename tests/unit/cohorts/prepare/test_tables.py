"""Matrices from text and Parquet: what is read, and where what is wrong stands."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genomix_cli.cohorts.prepare import tables
from genomix_cli.cohorts.prepare.modality import (
    Modality,
    check_log_scale,
    check_names,
    check_placeholders,
    feature_table,
    log2_of,
    m_to_beta,
    without_empty,
)
from genomix_cli.cohorts.prepare.tables import read_matrix
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.cohort import KINDS
from genomix_cli.genome.tables import converted, is_missing, open_table

OTHER, BETA = KINDS["other"], KINDS["methylation"]
NAN = np.nan
PLAIN = "gene\ts1\ts2\nTP53\t0.25\t0.5\nKRAS\tNA\t1\n"
VALUES = [[0.25, 0.5], [NAN, 1.0]]


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def same(values: object, expected: object) -> bool:
    return np.array_equal(np.asarray(values), np.asarray(expected, np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", PLAIN),
        ("a.csv", PLAIN.replace("\t", ",")),
        ("a.txt.gz", PLAIN),
        ("mac.tsv", PLAIN.replace("\n", "\r")),
        ("windows.tsv", PLAIN.replace("\n", "\r\n")),
        ("bom.tsv", "\ufeff" + PLAIN),
        ("comments.tsv", "# made by hand\n#\n\n" + PLAIN),
        ("r.tsv", PLAIN.removeprefix("gene\t")),
        ("quoted.csv", 'gene,"s1","s2"\n"TP53",0.25,"0.5"\n"KRAS",NA,1\n'),
        ("end.tsv", PLAIN.rstrip("\n")),
        ("spaces.tsv", PLAIN.replace("0.25", " 0.25 ").replace("NA", " NA ")),
        ("tail.tsv", PLAIN + "\n\n"),
        ("excel.csv", "\ufeff" + PLAIN.replace(".", ",").replace("\t", ";").replace("\n", "\r\n")),
        ("quoted_excel.csv", 'gene;"s1";s2\n"TP53";"0,25";0,5\nKRAS;NA;1\n'),
    ],
)
def test_the_dialects_of_text(tmp_path: Path, name: str, text: str) -> None:
    table = read_matrix(write(tmp_path / name, text), OTHER)
    assert (table.rows, table.columns) == (["TP53", "KRAS"], ["s1", "s2"])
    assert table.values.dtype == np.float32
    assert same(table.values, VALUES)


def test_names_with_the_delimiter_in_them(tmp_path: Path) -> None:
    text = 'region,s1,s2\n"chr1:1,000-2,000",1,2\n'
    assert read_matrix(write(tmp_path / "a.csv", text), OTHER).rows == ["chr1:1,000-2,000"]


@pytest.mark.parametrize(
    "cell", ["", "NA", "na", "NaN", "N/A", "n/a", "null", "Null", ".", "[Not Available]", "nAn"]
)
def test_what_is_missing(tmp_path: Path, cell: str) -> None:
    assert is_missing(cell)
    table = read_matrix(
        write(tmp_path / "a.tsv", f"g\ts1\ts2\nA\t1\t{cell}\nB\t{cell}\t2\n"), OTHER
    )
    assert same(table.values, [[1, NAN], [NAN, 2]])


def test_annotations_after_the_names_are_left_out(tmp_path: Path) -> None:
    text = "Hugo_Symbol\tEntrez_Gene_Id\ts1\nTP53\t7157\t1.5\n\t4609\t2\n"
    table = read_matrix(write(tmp_path / "a.txt", text), OTHER)
    assert table.columns == ["s1"]
    assert table.rows == ["TP53", "4609"]
    assert same(table.values, [[1.5], [2]])
    table = read_matrix(write(tmp_path / "b.txt", text.replace("\n\t", "\nNA\t")), OTHER)
    assert table.rows == ["TP53", "4609"]


def test_columns_that_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "n\tgene\tlength\ts1\ts2\n1\tTP53\t9\t1\t2\n")
    table = read_matrix(path, OTHER, id_column="gene", skip=["n", "length"])
    assert (table.corner, table.rows, table.columns) == ("gene", ["TP53"], ["s1", "s2"])
    assert same(table.values, [[1, 2]])
    with pytest.raises(UsageError, match=r"no column 'gnee' \(--id-column\).*did you mean 'gene'"):
        read_matrix(path, OTHER, id_column="gnee")


@pytest.mark.parametrize("block", [1, 3, 5])
def test_blocks_are_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(tables, "BLOCK", block)
    values = np.arange(14, dtype=np.float32).reshape(7, 2)
    lines = [f"g{i}\t{a}\t{b}" for i, (a, b) in enumerate(values)]
    path = write(tmp_path / "a.tsv", "\n".join(["g\ts1\ts2", *lines]))
    table = read_matrix(path, OTHER)
    assert same(table.values, values)
    assert table.places.tolist() == list(range(2, 9))
    assert table.where(3, 1) == f"{path}:5, column s2"


WRONG = {
    "letters": ("g\ts1\ts2\nA\t1\t2\nB\t1\tx\n", ":3, column s2: not a number (found 'x')"),
    "two numbers": ("g\ts1\ts2\nA\t1\t2 3\n", ":2, column s2: not a number (found '2 3')"),
    "decimal comma": ("g\ts1\ts2\nA\t1,5\t2\n", ":2, column s1: not a number (found '1,5')"),
    "underscore": ("g\ts1\ts2\nA\t1_000\t2\n", ":2, column s1: not a number (found '1_000')"),
    "beta above 1": (
        "g\ts1\ts2\nA\t1\t0\n\nB\t1\t1.2\n",
        ":4, column s2: not a value of methylation (expected numbers from 0 to 1, found 1.2)",
    ),
    "beta just above 1": ("g\ts1\ts2\nA\t1\t1.0000001\n", "from 0 to 1, found 1.0000001)"),
    "second header": (
        "g\tlog2\ts2\nid\tlog2 ratio\tNA\nA\t1\t0\n",
        ":2: the row holds text instead of numbers: a second header or a description (found "
        "'log2 ratio'); remove the line",
    ),
    "column of words": ("g\ts1\ts2\nA\tx\ty\nB\tx\ty\n", ":2, column s1: not a number (found 'x')"),
    "missing name": ("g\ts1\nA\t1\nnan\t1\n", ":3: the row has no name (found 'nan', which"),
    "missing column": ("g\ts1\tNA\nA\t1\t0\n", ":1: column 3 has no name (found 'NA', which"),
    "one date for two genes": (
        "g\ts1\n1-Mar\t1\n1-Mar\t0\n",
        ":3: 1-Mar is repeated, first in line 2; a spreadsheet seems to have turned",
    ),
    "infinite": (
        "g\ts1\ts2\nA\tinf\t0\n",
        ":2, column s1: not a value of methylation (expected numbers "
        "from 0 to 1, found inf); M-values are --kind NAME=methylation_m",
    ),
    "short row": ("#\ng\ts1\ts2\nA\t1\n", ":3: the row has another number of columns than the"),
    "long row": ("g\ts1\ts2\nA\t1\t0\nB\t1\t0\t1\n", "(expected 3, found 4)"),
    "no name": ("g\ts1\ts2\nA\t1\t0\n\t1\t0\n", ":3: the row has no name"),
    "unnamed column": ("g\ts1\t\nA\t1\t0\n", ":1: column 3 has no name"),
    "row twice": (
        "g\ts1\ts2\nA\t1\t0\nB\t1\t0\nA\t1\t0\n",
        ":4: A is repeated, first in line 2",
    ),
    "column twice": ("#\ng\ts1\ts1\nA\t1\t0\n", ":2: the column s1 is repeated"),
    "no rows": ("g\ts1\ts2\n", "has a header but no rows"),
    "no columns": ("Hugo_Symbol\tEntrez_Gene_Id\nA\t1\n", "has a header but no columns of values"),
    "one column": ("g\nA\n", "has only one column"),
    "empty": ("", "is empty"),
    "only comments": ("# a\n# b\n", "is empty"),
}


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz"])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_has_its_place(tmp_path: Path, name: str, suffix: str) -> None:
    text, message = WRONG[name]
    path = write(tmp_path / f"a{suffix}", text)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        read_matrix(path, BETA)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_the_place_is_known_far_into_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BLOCK", 20)
    lines = [f"g{i},0.5,0.5" for i in range(100)]
    lines[77] = "g77,0.5,half"
    path = write(tmp_path / "a.csv.gz", "\n".join(["g,s1,s2", *lines]))
    with pytest.raises(DataError, match=r"a.csv.gz:79, column s2: not a number"):
        read_matrix(path, BETA)


def test_the_first_of_duplicates(tmp_path: Path) -> None:
    text = "g\ts1\ts2\ts1\nA\t1\t2\t3\nA\t4\t5\t6\nB\t7\t8\t9\n"
    table = read_matrix(write(tmp_path / "a.tsv", text), OTHER, duplicates="first")
    assert (table.rows, table.columns) == (["A", "B"], ["s1", "s2"])
    assert same(table.values, [[1, 2], [7, 8]])
    assert table.places.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04 and so on", "is a zip archive or an Excel sheet"),
        (b"BZh91AY", "is compressed by bzip2"),
        (b"g\ts1\nA\t\xff\xfe\n", "is not text in UTF-8"),
        (gzip.compress(PLAIN.encode() * 50, mtime=0)[:40], "is cut short or damaged"),
    ],
)
def test_what_is_no_table_is_told(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_matrix(path, OTHER)
    with pytest.raises(UsageError, match="no such file"):
        read_matrix(tmp_path / "none.tsv", OTHER)
    with pytest.raises(DataError, match="cannot be read"):
        read_matrix(tmp_path, OTHER)


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BLOCK", 2)
    frame = pd.DataFrame({"s1": [0.25, None, 0.0], "s2": [1, 0, 1]}, index=["A", "B", "C"])
    frame.to_parquet(tmp_path / "index.parquet")
    frame.reset_index(names="gene").to_parquet(tmp_path / "column.parquet", index=False)
    for name, corner in (("index", "__index_level_0__"), ("column", "gene")):
        table = read_matrix(tmp_path / f"{name}.parquet", BETA)
        assert (table.corner, table.rows, table.columns) == (corner, ["A", "B", "C"], ["s1", "s2"])
        assert same(table.values, [[0.25, 1], [NAN, 0], [0, 1]])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([0.5, 0.5, 7.0], "row 3, column s1: not a value of methylation"),
        (["0.5", "NA", "x"], "row 3, column s1: not a number"),
        (pd.to_datetime(["2020-01-01"] * 3), "column s1: not a column of numbers .found timestamp"),
    ],
)
def test_what_is_wrong_in_parquet(tmp_path: Path, column: object, message: str) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"g": ["A", "B", "C"], "s1": column}).to_parquet(path)
    with pytest.raises(DataError, match=message):
        read_matrix(path, BETA)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        read_matrix(path, BETA)


def test_rows_know_their_lines(tmp_path: Path) -> None:
    with open_table(write(tmp_path / "a.tsv", "#x\na\tb\n\n1\t2\n")) as table:
        assert (table.header, table.comments, table.columns) == (2, ["#x"], ["a", "b"])
        assert [tuple(row) for row in table.rows()] == [(4, ["1", "2"])]
        assert table.find("none", "B".lower()) == 1


def test_what_names_of_features_say() -> None:
    table = feature_table(["chr1:0-5000000:short", "chr1:0-5000000:long"], KINDS["fragments"])
    assert table["readout"].tolist() == ["short", "long"]
    assert table["end"].tolist() == [5_000_000] * 2
    assert table["contig"].tolist() == ["chr1"] * 2
    table = feature_table(["X:10-20", "2:0-5"], KINDS["chromatin"])
    assert table.columns.tolist() == ["contig", "start", "end"]
    lengths = feature_table(["len_100", "len_101"], KINDS["fragments"])
    assert lengths["length"].tolist() == [100, 101]
    assert feature_table(["100", "101"], KINDS["fragments"])["length"].tolist() == [100, 101]
    assert feature_table(["100", "101"], KINDS["expression"]).columns.empty
    assert feature_table(["TP53", "chr1:0-5"], OTHER).columns.empty


def small(values: list[list[float]], kind: str) -> Modality:
    array = np.array(values, np.float32)
    names = [f"s{i}" for i in range(len(array))]
    features = feature_table([f"f{j}" for j in range(array.shape[1])], KINDS[kind])
    return Modality("m", KINDS[kind], names, features, array, Path("a.tsv"))


def test_m_values_and_back() -> None:
    beta = np.array([[0.01, 0.5, 0.99, NAN]], np.float32)
    found = m_to_beta(small(np.log2(beta / (1 - beta)).tolist(), "methylation_m"))
    assert found.kind is BETA
    assert np.allclose(found.values, beta, atol=1e-6, equal_nan=True)
    assert same(m_to_beta(small([[-4000, 4000]], "methylation_m")).values, [[0, 1]])


def test_logarithms(caplog: pytest.LogCaptureFixture) -> None:
    assert same(log2_of(small([[0, 3, NAN]], "expression")).values, [[0, 2, NAN]])
    with pytest.raises(DataError, match="negative values such as -1: it is already on a log scale"):
        log2_of(small([[-1, 3]], "expression"))
    check_log_scale(small([[812_345.0]], "expression"))
    assert "values up to 812345 are not on a log scale" in caplog.text
    caplog.clear()
    check_log_scale(small([[15.5, NAN]], "expression"))
    check_log_scale(small([[900]], "fragments"))
    assert not caplog.text


def test_numbers_that_stand_for_missing_values(caplog: pytest.LogCaptureFixture) -> None:
    check_placeholders(small([[-999, 3, NAN], [-999, 2, 5]], "expression"))
    assert "m: the lowest value is -999 (in 2 cells); write NA where it means" in caplog.text
    caplog.clear()
    check_placeholders(small([[-1200, -999, 3]], "other"))
    check_placeholders(small([[NAN, NAN]], "other"))
    assert not caplog.text


def test_symbols_that_became_dates(caplog: pytest.LogCaptureFixture) -> None:
    bad = ["1-Mar", "2-Sep", "Mar-01", "2023-03-01", "44256", "01.03.2023", "2.31E+13", "1. Mrz"]
    good = [
        "MARCH1",
        "SEPTIN2",
        "H4-16",
        "HLA-DRB1",
        "MT-ND1",
        "DEC1",
        "7SK",
        "1060P11.3",
        "NKX2-5",
    ]
    values = np.zeros((1, len(bad + good)), np.float32)
    features = feature_table([*bad, *good], KINDS["expression"])
    check_names(Modality("rna", KINDS["expression"], ["s"], features, values, Path("a.tsv")))
    assert "rna: 8 features look like gene symbols that a spreadsheet turned into" in caplog.text
    assert ": 1-Mar, 2-Sep, Mar-01; restore them" in caplog.text


@pytest.mark.parametrize(
    "names", [["44256", "7157", "TP53"], ["40000", "40001"], ["cg1", "chr1:0-9"]]
)
def test_numbers_that_are_names_are_no_dates(names: list[str]) -> None:
    assert converted(names) == []


def test_samples_without_a_value_lack_the_modality() -> None:
    found = without_empty(small([[1, NAN], [NAN, NAN], [NAN, 2]], "other"))
    assert found.samples == ["s0", "s2"]
    assert same(found.values, [[1, NAN], [NAN, 2]])
    assert found.notes == {"samples without a value": 1}
