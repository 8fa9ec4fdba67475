"""Metadata tables of sequences: phenotypes, groups and splits.

Letters in shapes: n sequences.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.sequences import Phenotype
from genomix_cli.genome.tables import TextTable, is_missing, open_table, unknown_name
from genomix_cli.sequences.requests.prepare import PrepareRequest

log = logging.getLogger("genomix")

#: Names of the id column, in either case; without any of them the first column has the ids.
ID_NAMES = ("sample", "id", "name", "sample_id", "iid")
# A column with more categories than this, or than one per two sequences, is a column of names.
MAX_CATEGORIES, FEW_CATEGORIES = 1000, 20
MAX_SPLITS = 100
_MAX_CODES = np.iinfo(np.int16).max


@dataclass(frozen=True)
class Metadata:
    """Columns of a table.

    Attributes
    ----------
    path : Path
    ids : list of str
        Ids of the rows.
    lines : list of int
        Line of each row in the file.
    columns : dict of str to list of str
        Cells as in the file, without the column of ids.
    """

    path: Path
    ids: list[str]
    lines: list[int]
    columns: dict[str, list[str]]

    def check(self, request: PrepareRequest) -> None:
        """Refuse options that name a missing column, with a UsageError."""
        for name, option in named_columns(request).items():
            if name not in self.columns:
                known = list(self.columns)
                raise unknown_name(name, known, what="column", where=self.path, option=option)

    def rows(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each name, or -1."""
        index = {name: row for row, name in enumerate(self.ids)}
        return np.array([index.get(name, -1) for name in names], np.int64)


def named_columns(request: PrepareRequest) -> dict[str, str]:
    """Return every column that a request names, and the option that names it."""
    several = ("keep", "categorical", "numeric")
    columns = {name: f"--{each}" for each in several for name in getattr(request, each)}
    single = {"--label": request.label, "--group": request.group, "--split": request.split}
    return columns | {name: option for option, name in single.items() if name}


class Known(NamedTuple):
    """Information that a table gives about the sequences.

    Attributes
    ----------
    phenotypes : tuple of Phenotype
    group : list of str
        ``[n]``; empty if not known.
    split : NDArray
        str ``[n]``; empty if not known.
    not_used : dict of str to str
        Columns that were not used, and why.
    """

    phenotypes: tuple[Phenotype, ...]
    group: list[str]
    split: NDArray[np.str_]
    not_used: dict[str, str]


def read_metadata(path: Path, id_column: str | None) -> Metadata:
    """Read a table with one row per sequence or person.

    Parameters
    ----------
    path : Path
        TSV or CSV, gzipped or not.
    id_column : str, optional
        By default one of `ID_NAMES`, else the first.

    Raises
    ------
    DataError
        If it is not a table, has no rows, or an id is missing or repeated.
    UsageError
        If the column does not exist.
    """
    with open_table(path) as table:
        check_header(table)
        number = id_number(table, id_column)
        rows = list(table.rows())
    lines = [row.line for row in rows]
    ids = [row.cells[number].strip() for row in rows]
    columns = {
        name: [row.cells[i] for row in rows] for i, name in enumerate(table.columns) if i != number
    }
    metadata = Metadata(path, ids, lines, columns)
    check_ids(metadata)
    return metadata


def check_header(table: TextTable) -> None:
    """Refuse a header that is a comment or repeats a name, with a DataError."""
    comment = table.comments[-1] if table.comments else ""
    if len(table.split(comment)) == len(table.columns) > 1:
        raise DataError(
            "its header begins with #",
            where=table.path,
            found=comment[:60],
            hint="remove the #, since such a line is read as a comment",
        )
    table.refuse_repeated(table.columns)


def column_number(table: TextTable, name: str | None, option: str) -> int | None:
    """Return the number of a requested column; None for None.

    Raises
    ------
    UsageError
        If it does not exist.
    """
    if name is None:
        return None
    if name not in table.columns:
        raise unknown_name(name, table.columns, what="column", where=table.path, option=option)
    return table.columns.index(name)


def id_number(table: TextTable, name: str | None) -> int:
    """Return the index of the column of ids: the one named, one of the usual names, or the first.

    Raises
    ------
    UsageError
        If the one named does not exist.
    """
    number = column_number(table, name, "--id-column")
    return table.find(*ID_NAMES) or 0 if number is None else number


def check_ids(table: Metadata, hint: str | None = None) -> None:
    """Refuse rows without an id or with a repeated id, with a DataError."""
    if not table.ids:
        raise DataError("has a header but no rows", where=table.path)
    seen: dict[str, int] = {}
    for name, line in zip(table.ids, table.lines, strict=True):
        if is_missing(name):
            where = f"{table.path}:{line}"
            raise DataError("the row has no id", where=where, found=name or None, hint=hint)
        if name in seen:
            raise DataError(
                f"{name!r} is repeated, first in line {seen[name]}",
                where=f"{table.path}:{line}",
                expected="ids that are unique",
                hint=hint or "name another column: --id-column",
            )
        seen[name] = line


def known(table: Metadata, rows: NDArray[np.int64], request: PrepareRequest) -> Known:
    """Return the information that a table gives about the sequences.

    Parameters
    ----------
    table : Metadata
    rows : NDArray
        int64 ``[n]``: row of each sequence, -1 for none.
    request : PrepareRequest

    Raises
    ------
    UsageError
        If a column does not exist.
    DataError
        If a value of a numeric column is not a number (the message names the line), or there are
        too many classes.
    """
    table.check(request)
    used = {request.group, request.split} - {request.label, *request.keep}
    names = request.keep or tuple(name for name in table.columns if name not in used)
    if request.label and request.label not in names:
        names = (request.label, *names)
    made = {name: _phenotype(table, name, rows, request) for name in names}
    phenotypes = tuple(each for each in made.values() if isinstance(each, Phenotype))
    not_used = {name: why for name, why in made.items() if isinstance(why, str)}
    split = np.array(_cells(table, request.split, rows), np.str_)
    n_splits = len(np.unique(split))
    if n_splits > MAX_SPLITS:
        raise DataError(
            f"{request.split} has too many values for a split",
            where=table.path,
            expected="train, validation, test",
            found=f"{n_splits:,}",
        )
    return Known(phenotypes, _cells(table, request.group, rows), split, not_used)


def _cells(table: Metadata, name: str | None, rows: NDArray[np.int64]) -> list[str]:
    """Return a column, one cell per sequence, empty if missing."""
    if name is None:
        return [""] * len(rows)
    cells = ["" if is_missing(cell) else cell.strip() for cell in table.columns[name]]
    return [cells[row] if row >= 0 else "" for row in rows]


def _phenotype(
    table: Metadata, name: str, rows: NDArray[np.int64], request: PrepareRequest
) -> Phenotype | str:
    """Return a column as a phenotype, or the reason why it is not one."""
    cells = _cells(table, name, rows)
    is_asked = name in (*request.numeric, *request.categorical, *request.keep, request.label)
    if not any(cells):
        if is_asked:
            raise DataError(f"no value of {name} for any sequence", where=table.path)
        return "no values"
    if name != request.label and name not in request.categorical:
        numbers = [_number(cell) for cell in cells]
        wrong = next((i for i, number in enumerate(numbers) if number is None), None)
        if wrong is None:
            return Phenotype(name, None, np.array(numbers, np.float32))
        if name in request.numeric:
            raise DataError(
                f"{name} is not a number",
                where=f"{table.path}:{table.lines[rows[wrong]]}",
                found=repr(cells[wrong][:40]),
            )
        known = [i for i, cell in enumerate(cells) if cell]
        n_numbers = sum(numbers[i] is not None for i in known)
        if n_numbers > len(known) / 2:
            log.warning(
                "%s:%d: %s is read as categories, because %r is not a number (%s of %s values are)",
                *(table.path, table.lines[rows[wrong]], name, cells[wrong][:40]),
                *(f"{n_numbers:,}", f"{len(known):,}"),
            )
    return _categorical(table.path, name, cells, is_asked)


def _number(cell: str) -> float | None:
    """Return NaN for a missing value, None for anything but a finite number."""
    if not cell:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _categorical(path: Path, name: str, cells: list[str], is_asked: bool) -> Phenotype | str:
    categories = sorted(set(cells) - {""}, key=_by_number)
    n_known = sum(map(bool, cells))
    if is_asked and len(categories) > _MAX_CODES:
        raise DataError(
            f"{name} has too many categories",
            where=path,
            expected=f"{_MAX_CODES:,} at most",
            found=f"{len(categories):,}",
        )
    if not is_asked and len(categories) > max(FEW_CATEGORIES, min(MAX_CATEGORIES, n_known // 2)):
        return f"{len(categories):,} categories of {n_known:,} values (--categorical {name})"
    index = {category: i for i, category in enumerate(categories)} | {"": -1}
    return Phenotype(name, tuple(categories), np.array([index[c] for c in cells], np.int16))


def _by_number(category: str) -> tuple[bool, float, str]:
    """Return a sort key: numbers in their order, before words in theirs."""
    number = _number(category)
    return number is None, 0.0 if number is None else number, category


class Matched(NamedTuple):
    """Agreement of sequences and rows of a table.

    Attributes
    ----------
    without_row, unused_rows : list of str
    """

    without_row: Sequence[str] = ()
    unused_rows: Sequence[str] = ()


def match(table: Metadata | None, units: Sequence[str], allowed: bool) -> Matched:
    """Compare the ids of a table with the units of the sequences.

    Raises
    ------
    DataError
        If they differ and `allowed` is false, or have nothing in common.
    """
    if table is None:
        return Matched()
    there, ids = set(units), set(table.ids)
    matched = Matched(
        [name for name in dict.fromkeys(units) if name not in ids],
        [name for name in table.ids if name not in there],
    )
    if len(matched.unused_rows) == len(ids):
        raise DataError(
            "has no row for any sequence",
            where=table.path,
            expected=f"ids as {units[0]}",
            found=table.ids[0],
            hint="name the column with the ids: --id-column",
        )
    parts = [
        f"{len(names):,} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in zip(("have no row", "rows have no sequence"), matched, strict=True)
        if names
    ]
    if parts and not allowed:
        raise DataError(
            "the table and the sequences do not match",
            where=table.path,
            found=" and ".join(parts),
            hint="to keep sequences without a row as unlabelled, and ignore rows without a "
            "sequence: --allow-unmatched",
        )
    return matched


def check_single_use(request: PrepareRequest) -> None:
    """Refuse a column that is numeric and also a label or categorical, with a UsageError."""
    for name in request.numeric:
        if name in (request.label, *request.categorical):
            raise UsageError(
                f"{name} cannot be both", where="--numeric", expected="a label is categorical"
            )
