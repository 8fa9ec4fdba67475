"""Text tables as they come: TSV or CSV, gzipped or not, and the line of all that is wrong."""

from __future__ import annotations

import csv
import difflib
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TextIO

from genomix_cli.errors import DataError, GenomixError, UsageError
from genomix_cli.genome.vcf.bgzf import GZIP

#: What stands for a missing value, in any mixture of capitals.
MISSING = frozenset(
    ["", "na", "nan", "n/a", "null", "."]
    + [f"[{words}]" for words in ("not available", "not applicable", "not evaluated", "unknown")]
)
# What people hand over in place of a table, by its first bytes.
_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive or an Excel sheet",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
}


def is_missing(cell: str) -> bool:
    """Return True if a cell says that there is no value."""
    return cell.strip().lower() in MISSING


class Row(NamedTuple):
    """A row of a table, and the line of the file it is on, from 1."""

    line: int
    cells: list[str]


class TextTable:
    """A table of text, open to be read once.

    Attributes
    ----------
    path : Path
    columns : list of str
        Names in the header. Where R wrote one name fewer than there are columns, the first is "".
    header : int
        Line of the header, from 1.
    delimiter : str
        Tab or comma.
    comments : list of str
        Lines before the header that begin with ``#``.
    """

    def __init__(self, path: Path, handle: TextIO) -> None:
        self.path = path
        self.comments: list[str] = []
        lines = self._after_comments(enumerate(map(_bare, handle), 1))
        self.header, text = next(lines, (0, ""))
        if not self.header:
            raise DataError("is empty", where=path)
        self.delimiter = _delimiter(text, path)
        self.columns = [name.strip() for name in self.split(text)]
        first = next(lines, None)
        self._lines = lines if first is None else chain([first], lines)
        if first is not None and len(self.split(first[1])) == len(self.columns) + 1:
            self.columns.insert(0, "")

    def _after_comments(self, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        """Lines that say something; what comes before the header is kept aside."""
        began = False
        for number, text in lines:
            if not began and text.startswith("#"):
                self.comments.append(text)
            elif text:
                began = True
                yield number, text

    def lines(self) -> Iterator[tuple[int, str]]:
        """The lines after the header that are not empty, with their numbers."""
        return iter(self._lines)

    def split(self, text: str) -> list[str]:
        """The cells of a line."""
        if '"' in text:
            return next(csv.reader([text], delimiter=self.delimiter))
        return text.split(self.delimiter)

    def rows(self) -> Iterator[Row]:
        """The rows after the header.

        Raises
        ------
        DataError
            If one has more or fewer cells than the header.
        """
        for number, text in self.lines():
            cells = self.split(text)
            if len(cells) != len(self.columns):
                raise self.ragged(number, len(cells))
            yield Row(number, cells)

    def ragged(self, line: int, found: int) -> DataError:
        """A row of another length than the header."""
        return DataError(
            "the row has another number of columns than the header",
            where=f"{self.path}:{line}",
            expected=str(len(self.columns)),
            found=str(found),
        )

    def find(self, *names: str) -> int | None:
        """Index of the first of these columns that is there, in any capitals."""
        lower = [column.lower() for column in self.columns]
        return next((lower.index(name) for name in names if name in lower), None)


@contextmanager
def open_table(path: Path) -> Iterator[TextTable]:
    """Open a table of text; what goes wrong in the block while reading is one clear line.

    Raises
    ------
    UsageError
        If there is no such file.
    DataError
        If it is no table of text, or damaged.
    """
    with open_text(path) as handle:
        yield TextTable(path, handle)


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file, gzipped or not; raises as :func:`open_table` does."""
    start = first_bytes(path)
    for magic, name in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise DataError(f"is {name}", where=path, expected="text, plain or gzipped")
    opener = gzip.open if start.startswith(GZIP) else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as handle:
            yield handle
    except UnicodeDecodeError as error:
        raise DataError("is not text in UTF-8", where=path) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            "is cut short or damaged", where=path, hint="copy or compress it again"
        ) from error


def first_bytes(path: Path, n: int = 8) -> bytes:
    """The start of a file, where a magic number would be."""
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
    """The error for a name that is none of those there are, with the nearest of them."""
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


def _bare(line: str) -> str:
    """A line without its end; cells of white space at the end of a row stay."""
    line = line.rstrip("\n")
    return "" if line.isspace() and "\t" not in line else line


def _delimiter(header: str, path: Path) -> str:
    for delimiter in "\t,":
        if delimiter in header:
            return delimiter
    raise DataError(
        "has one column only",
        where=path,
        expected="columns separated by tabs or commas",
        found=repr(header[:60]),
    )
