"""One reader of text tables: dialects, comments, and the place of all that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from genomix_cli.errors import DataError
from genomix_cli.genome.tables import TextTable, number, open_table


def cells(path: Path, text: str, comment: str = "#") -> tuple[TextTable, list[list[str]]]:
    path.write_text(text)
    with open_table(path, comment) as table:
        return table, [row.cells for row in table.rows()]


def test_comments_are_kept_aside(tmp_path: Path) -> None:
    text = "##genomix 1\n#chrom\tpos\nchr1\t5\n#2\t6\n"
    table, rows = cells(tmp_path / "a.tsv", text, "##")
    assert table.comments == ["##genomix 1"]
    assert table.columns == ["#chrom", "pos"]
    assert rows == [["chr1", "5"], ["#2", "6"]]


def test_a_quote_is_a_character_unless_it_encloses_a_cell(tmp_path: Path) -> None:
    _, rows = cells(tmp_path / "a.csv", 'a,b\n"x,y",2\n"x,2\n3\'-end "AUG",4\n')
    assert rows == [["x,y", "2"], ['"x', "2"], ['3\'-end "AUG"', "4"]]


def test_a_long_cell_between_quotes(tmp_path: Path) -> None:
    _, rows = cells(tmp_path / "a.csv", f'a,b\n"{"A" * 200_000}",2\n')
    assert len(rows[0][0]) == 200_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n1\t2\t3\n1\t2\n", ":2: the row has another number of columns than the header"),
        ("a\tb\n1\t2\n1\n", ":3: the row has another number"),
        ("a\tb\tc\td\n1\t2\n3\t4\n", ":1: the header has another number of columns than the rows"),
        # A delimiter at the end of every row is no row name of R.
        ("a\tb\n1\t2\t\n3\t4\t\n", ":1: the header has another number"),
        ('a,b\n"first\nsecond",3\n', ":2: the row has another number"),
    ],
)
def test_ragged_rows_have_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        cells(tmp_path / "a.tsv", text)


def test_a_column_that_is_asked_for_is_there_once(tmp_path: Path) -> None:
    table, _ = cells(tmp_path / "a.tsv", "id\tx\tx\n1\t2\t3\n")
    assert table.find("y", "id") == 0
    with pytest.raises(DataError, match=":1: the column 'x' is repeated"):
        table.find("x")


@pytest.mark.parametrize(("text", "ended"), [("a\tb\n1\t2", False), ("a\tb\n1\t2\n", True)])
def test_a_file_without_an_end_is_known(tmp_path: Path, text: str, ended: bool) -> None:
    assert cells(tmp_path / "a.tsv", text)[0].is_ended == ended


def test_a_cell_that_is_no_number_has_its_place() -> None:
    assert number(" 1e3 ", lambda: "") == 1000
    assert number("#N/A", lambda: "") != number("#N/A", lambda: "")
    with pytest.raises(DataError, match=r"^a:3: not a number \(found '1_0'\); do it$"):
        number("1_0", lambda: "a:3", "do it")
