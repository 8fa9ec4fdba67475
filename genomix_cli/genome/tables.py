"""Reading of text tables: TSV or CSV, plain or gzipped, with errors that name the line.

Every text table is read through :func:`open_table`.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, GenomixError, UsageError
from genomix_cli.genome.parquet import MAGIC, read_facts
from genomix_cli.genome.vcf.bgzf import GZIP
from genomix_cli.provenance import facts_of

if TYPE_CHECKING:
    import pandas as pd

#: Spellings of a missing value, in lower case; cells match in any case.
MISSING = frozenset(
    ["", "na", "nan", "n/a", "#n/a", "<na>", "null", "."]
    + [f"[{words}]" for words in ("not available", "not applicable", "not evaluated", "unknown")]
)
# Names that a spreadsheet has mangled by taking MARCH1, SEPT2 or 2310009E13 for dates and numbers.
_MONTH = "(jan|feb|mar|mrz|apr|may|mai|jun|jul|aug|sept?|oct|okt|nov|dec|dez)"
_CONVERTED = re.compile(
    rf"\d{{1,2}}(-|\. ?|/| ){_MONTH}([-./ ]\d{{2,4}})?|{_MONTH}[-/ ]\d{{1,4}}|"
    r"\d{4}-\d\d-\d\d( 00:00:00)?|\d{1,2}(?P<mark>[./])\d{1,2}(?P=mark)\d{2,4}|\d(\.\d+)?E\+\d+",
    re.IGNORECASE,
)
# Serial numbers of spreadsheets for the days of 2000 to 2030.
_DAYS = range(36_526, 47_849)
#: Columns that identify the allele of a row, with the names that files use for them.
LOCUS = {
    "contig": ("contig", "chrom", "#chrom", "chr", "#contig"),
    "pos": ("pos",),
    "ref": ("ref",),
    "alt": ("alt",),
}
# Spellings of a missing value for the fast parser, which is case-sensitive.
_SPELLINGS = sorted({spell(n) for n in MISSING for spell in (str, str.upper, str.title)} | {"NaN"})
# Longest line in characters: enough for 500,000 genotypes of 500 each.
LONGEST = 1 << 28
# A quoted sequence may be longer than Python's default limit of 131,072 characters.
csv.field_size_limit(2**31 - 1)
# Other formats that users give in place of a text table, by their first bytes.
_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive or an Excel sheet",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
}


def is_missing(cell: str) -> bool:
    """Return True if a cell stands for a missing value."""
    return cell.strip().lower() in MISSING


def first_missing(names: Sequence[str]) -> int | None:
    """Return the index of the first name that stands for a missing value, or None.

    The names must have no surrounding white space.
    """
    if MISSING.isdisjoint(map(str.lower, names)):
        return None
    return next(i for i, name in enumerate(names) if is_missing(name))


def converted(names: Sequence[str]) -> list[str]:
    """Return the names that a spreadsheet seems to have turned into dates or numbers.

    Whole numbers count as converted dates if most names are not numbers, and all whole numbers are
    the serial numbers of days from 2000 to 2030.
    """
    numeric = list(filter(str.isdecimal, names))
    if 2 * len(numeric) < len(names) and all(int(name) in _DAYS for name in numeric):
        return [name for name in names if name.isdecimal() or _CONVERTED.fullmatch(name)]
    return list(filter(_CONVERTED.fullmatch, names))


def number(cell: str, where: Callable[[], str], hint: str | None = None) -> float:
    """Return the number in a cell, NaN if missing.

    Parameters
    ----------
    cell : str
    where : callable
        Returns the location of the cell, for the message.
    hint : str, optional

    Raises
    ------
    DataError
        If the cell is neither a number nor missing.
    """
    try:
        # Python would read 1_000 as a thousand, but no table means that.
        return float("x" if "_" in cell else cell)
    except ValueError as error:
        if is_missing(cell):
            return np.nan
        found = repr(cell[:40])
        raise DataError("not a number", where=where(), found=found, hint=hint) from error


def numbers(cells: Sequence[str], width: int, dtype: Any = np.float32) -> NDArray[Any]:
    """Parse cells as :func:`number` does, but fast.

    Parameters
    ----------
    cells : sequence of str
        One string per row, with its cells separated by line feeds.
    width : int
        Number of cells in a row.
    dtype : dtype, optional
        Type of the numbers.

    Returns
    -------
    NDArray
        ``[rows, width]``, NaN if missing.

    Raises
    ------
    ValueError
        If a cell is not a number or a common spelling of a missing value.
    """
    import pandas as pd

    column = pd.read_csv(
        io.BytesIO("\n".join([*cells, ""]).encode()),
        header=None,
        sep="\x01",
        quoting=3,
        dtype=dtype,
        na_values=_SPELLINGS,
        keep_default_na=False,
        skip_blank_lines=False,
    )
    return column.to_numpy().reshape(len(cells), width)


def find_locus(columns: Sequence[str], where: object, others: str = "scores") -> dict[str, int]:
    """Return the indices of the columns contig, pos, ref and alt, whose names match in any case.

    Raises
    ------
    DataError
        If a column is missing or repeated. The message adds `others` to the expected columns.
    """
    lower = [column.strip().lower() for column in columns]
    spelled = {n: next((s for s in names if s in lower), "") for n, names in LOCUS.items()}
    absent = [name for name, spelling in spelled.items() if not spelling]
    if absent:
        raise DataError(
            f"lacks the column {', '.join(absent)}",
            where=where,
            expected=f"{', '.join(LOCUS)} and {others}",
            found=", ".join(columns)[:80],
        )
    twice = next((s for s in spelled.values() if lower.count(s) > 1), None)
    if twice is not None:
        raise DataError(f"the column {twice!r} is repeated", where=where)
    return {name: lower.index(spelling) for name, spelling in spelled.items()}


def place(path: Path, number: int, header: int) -> str:
    """Return a location such as ``file.tsv:3``, or ``file.parquet: row 3`` if `header` is 0."""
    return f"{path}:{number}" if header else f"{path}: row {number}"


class Row(NamedTuple):
    """Cells of a table row, and its line in the file, from 1."""

    line: int
    cells: list[str]


class TextTable:
    """Open text table, which can be read once.

    Attributes
    ----------
    path : Path
    columns : list of str
        Names in the header. If R wrote one name fewer than there are columns, the first is "".
    header : int
        Line of the header, from 1.
    delimiter : str
        Tab, comma or, as spreadsheets write where the comma is the decimal mark, semicolon.
    comments : list of str
        Comment lines before the header.
    is_ended : bool
        False if the whole file was read and its last line has no line break; it may be truncated.
    """

    def __init__(self, path: Path, handle: TextIO, comment: str = "#") -> None:
        self.path = path
        self.comments: list[str] = []
        self.is_ended = True
        lines = self._after_comments(handle, comment)
        self.header, text = next(lines, (0, ""))
        if not self.header:
            raise DataError("is empty", where=path)
        self.delimiter = _delimiter(text, path)
        self.columns = [name.strip() for name in self.split(text)]
        first = list(islice(lines, 2))
        self._lines = chain(first, lines)
        self._check_header([text for _, text in first])

    def _after_comments(self, handle: TextIO, comment: str) -> Iterator[tuple[int, str]]:
        """Yield the non-empty lines with their numbers, and collect comments before the header."""
        began, line = False, "\n"
        for number, line in enumerate(short_lines(handle, self.path), 1):
            text = line.rstrip("\n")
            if not began and text.startswith(comment):
                self.comments.append(text)
            # A line of tabs only is a row of empty cells.
            elif text and ("\t" in text or not text.isspace()):
                began = True
                yield number, text
        self.is_ended = line.endswith("\n")

    def _check_header(self, rows: Sequence[str]) -> None:
        """Add the first name if R left it out, and refuse a header that does not fit the rows."""
        widths = set(map(self.width, rows))
        if len(widths) != 1 or widths == {len(self.columns)}:
            return
        if widths == {len(self.columns) + 1} and any(self.split(row)[-1].strip() for row in rows):
            self.columns.insert(0, "")
        elif len(rows) > 1:
            raise DataError(
                "the header has another number of columns than the rows",
                where=f"{self.path}:{self.header}",
                expected=str(max(widths)),
                found=str(len(self.columns)),
            )

    def lines(self) -> Iterator[tuple[int, str]]:
        """Return an iterator over the non-empty lines after the header, with their numbers."""
        return iter(self._lines)

    def split(self, text: str) -> list[str]:
        """Return the cells of a line; a quote that does not enclose a cell is part of it."""
        if '"' in text:
            try:
                return next(csv.reader([text], delimiter=self.delimiter, strict=True))
            except csv.Error:
                pass
        return text.split(self.delimiter)

    @property
    def has_decimal_commas(self) -> bool:
        """True for a table with semicolons: spreadsheets write them where commas are decimal."""
        return self.delimiter == ";"

    def decimal(self, text: str) -> str:
        """Return cells of numbers with decimal points."""
        return text.replace(",", ".") if self.has_decimal_commas else text

    def width(self, text: str) -> int:
        """Return the number of cells in a line."""
        return len(self.split(text)) if '"' in text else text.count(self.delimiter) + 1

    def rows(self) -> Iterator[Row]:
        """Yield the rows after the header.

        Raises
        ------
        DataError
            If a row has more or fewer cells than the header.
        """
        n, delimiter = len(self.columns), self.delimiter
        for number, text in self.lines():
            cells = self.split(text) if '"' in text else text.split(delimiter)
            if len(cells) != n:
                raise self.ragged(number, len(cells))
            yield Row(number, cells)

    def ragged(self, line: int, found: int) -> DataError:
        """Return the error for a row with more or fewer cells than the header."""
        return DataError(
            "the row has another number of columns than the header",
            where=f"{self.path}:{line}",
            expected=str(len(self.columns)),
            found=str(found),
        )

    def frame(self) -> pd.DataFrame:
        """Return all rows as text, indexed by line number.

        Raises
        ------
        DataError
            If a column is repeated, or a row has more or fewer cells than the header.
        """
        import pandas as pd

        self.refuse_repeated(self.columns)
        lines: list[int] = []
        columns: list[list[str]] = [[] for _ in self.columns]
        for line, cells in self.rows():
            lines.append(line)
            for column, cell in zip(columns, cells, strict=True):
                column.append(cell)
        data = dict(zip(self.columns, columns, strict=True))
        return pd.DataFrame(data, pd.Index(lines, dtype=np.int64), dtype=object)

    def find(self, *names: str) -> int | None:
        """Return the index of the first of these columns that exists, or None.

        `names` are in lower case; column names match in any case.

        Raises
        ------
        DataError
            If the column is repeated.
        """
        lower = [column.lower() for column in self.columns]
        index = next((lower.index(name) for name in names if name in lower), None)
        if index is not None:
            self.refuse_repeated([self.columns[index]])
        return index

    def refuse_repeated(self, names: Sequence[str]) -> None:
        """Raise DataError if the header repeats one of these names."""
        counts = Counter(self.columns)
        twice = next((name for name in names if counts[name] > 1), None)
        if twice is not None:
            where = f"{self.path}:{self.header}"
            raise DataError(f"the column {twice!r} is repeated", where=where)


@contextmanager
def open_table(path: Path, comment: str = "#") -> Iterator[TextTable]:
    """Open a text table; errors while reading it in the block become one clear line.

    Lines before the header that begin with `comment` are collected as comments.

    Raises
    ------
    UsageError
        If there is no such file.
    DataError
        If the file is not a text table, or is damaged.
    """
    with open_text(path) as handle:
        yield TextTable(path, handle, comment)


@contextmanager
def open_text(path: Path, errors: str = "strict") -> Iterator[TextIO]:
    """Open a text file, plain or gzipped; raises as :func:`open_table` does."""
    start = first_bytes(path)
    for magic, name in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise DataError(f"is {name}", where=path, expected="text, plain or gzipped")
    opener = gzip.open if start.startswith(GZIP) else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", errors=errors) as handle:
            yield handle
    except UnicodeDecodeError as error:
        raise DataError("is not text in UTF-8", where=path) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            "is cut short or damaged", where=path, hint="copy or compress it again"
        ) from error


def leading_lines(path: Path, most: int = 1 << 16) -> tuple[list[str], str]:
    """Return the ``##`` lines before a table, and the start of the line after them."""
    lines: list[str] = []
    with open_text(path, errors="replace") as handle:
        while (line := handle.readline(most)).startswith("##"):
            lines.append(line.rstrip("\n"))
    return lines, line.rstrip("\n")


def how_made(path: Path) -> dict[str, list[str]]:
    """Return the metadata on how genomix made a table, TSV or Parquet, by key."""
    if first_bytes(path).startswith(MAGIC):
        return read_facts(path)
    return facts_of(leading_lines(path)[0])


def short_lines(handle: TextIO, path: Path) -> Iterator[str]:
    """Yield the lines of a file, and refuse lines longer than `LONGEST`.

    A small compressed file can contain a line that would fill all memory.

    Raises
    ------
    DataError
        If a line is too long.
    """
    for number, line in enumerate(iter(partial(handle.readline, LONGEST), ""), 1):
        if len(line) == LONGEST:
            raise too_long(f"{path}:{number}")
        yield line


def too_long(where: str) -> DataError:
    """Return the error for a line longer than `LONGEST`."""
    return DataError("the line is longer than 256 MiB: is this the right file?", where=where)


def first_bytes(path: Path, n: int = 8) -> bytes:
    """Return the first `n` bytes of a file, where a magic number would be.

    Raises
    ------
    UsageError
        If there is no such file.
    DataError
        If the file cannot be read.
    """
    if not Path(path).exists():
        raise UsageError("no such file", where=path)
    try:
        with open(path, "rb") as handle:
            return handle.read(n)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=path) from error


def unknown_name(
    name: str, known: Sequence[str], *, what: str, where: object, option: str | None = None
) -> GenomixError:
    """Return the error for an unknown name, with the closest known name as a hint."""
    near = difflib.get_close_matches(name, known, 1, cutoff=0.4)
    lower = [other for other in known if other.lower() == name.lower()]
    meant = next(iter(lower or near), None)
    listed = ", ".join(known[:20]) + (f", ... ({len(known)} in all)" if len(known) > 20 else "")
    return UsageError(
        f"no {what} {name!r}" + (f" ({option})" if option else ""),
        where=where,
        found=listed or "none",
        hint=f"did you mean {meant!r}?" if meant else None,
    )


def _delimiter(header: str, path: Path) -> str:
    for delimiter in "\t,;":
        if delimiter in header:
            return delimiter
    raise DataError(
        "has only one column",
        where=path,
        expected="columns separated by tabs, commas or semicolons",
        found=repr(header[:60]),
    )
