"""A rectangular table reads back the same; one delimiter more or less is refused at its line."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomix_cli.errors import DataError
from genomix_cli.genome.tables import TextTable, open_table

Rows = list[list[str]]

ANY_TEXT = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=6)
WORDS = st.text("abc019.", min_size=1, max_size=4)
NAMES = WORDS.map("n".__add__)


@st.composite
def tables(draw: st.DrawFn, cells: st.SearchStrategy[str]) -> Rows:
    """A header and at least two rows, of at least two columns."""
    width = draw(st.integers(2, 5))
    row = st.lists(cells, min_size=width, max_size=width)
    names = draw(st.lists(NAMES, min_size=width, max_size=width, unique=True))
    return [names, *draw(st.lists(row, min_size=2, max_size=5))]


def read(data: bytes) -> tuple[TextTable, Rows]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        path.write_bytes(data)
        with open_table(path) as table:
            return table, [row.cells for row in table.rows()]


@settings(max_examples=150, deadline=None)
@given(
    tables(ANY_TEXT),
    st.sampled_from("\t,"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", "\ufeff"]),
    st.booleans(),
)
def test_a_table_reads_back_the_same(
    rows: Rows, delimiter: str, end: str, mark: str, zipped: bool
) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(rows)
    data = (mark + text.getvalue()).encode()
    table, found = read(gzip.compress(data) if zipped else data)
    assert [table.columns, *found] == rows


@settings(max_examples=150, deadline=None)
@given(tables(WORDS), st.sampled_from("\t,"), st.data())
def test_one_delimiter_more_or_less_is_refused_at_its_line(
    rows: Rows, delimiter: str, data: st.DataObject
) -> None:
    lines = [delimiter.join(row) for row in rows]
    i = data.draw(st.integers(0, len(lines) - 1))
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(lines[i])))
        lines[i] = lines[i][:at] + delimiter + lines[i][at:]
    else:
        at = data.draw(st.sampled_from([k for k, c in enumerate(lines[i]) if c == delimiter]))
        lines[i] = lines[i][:at] + lines[i][at + 1 :]
        if i == 0 and len(rows[0]) > 2:
            # What R writes: a header that does not name the column of row names.
            assert read("\n".join(lines).encode())[0].columns[0] == ""
            return
    where = "has only one column" if delimiter not in lines[0] else f"/a:{i + 1}: "
    with pytest.raises(DataError, match=where):
        read("\n".join(lines).encode())
