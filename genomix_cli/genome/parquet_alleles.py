"""Parquet tables of alleles read by position: only row groups that may overlap are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genomix_cli.errors import DataError, guarded
from genomix_cli.genome.parquet import MISSING, require_pyarrow
from genomix_cli.genome.tables import LOCUS, Row, find_locus

# Rows converted to text at a time.
_CHUNK = 1024
_END = np.iinfo(np.int64).max


class _Group(NamedTuple):
    """Row group: number of its first row (from 1), contigs, smallest and largest position."""

    first: int
    contigs: frozenset[str]
    low: int
    high: int


class ParquetAlleles:
    """Parquet file with one row per allele: contig, pos (1-based), ref, alt and other columns.

    The file need not be sorted, but look-ups read only a small part of it if it is.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    columns : list of str
        Names of all columns.
    contigs : tuple of str
        Contigs as the file spells them.

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed.
    DataError
        If the file is damaged, lacks a column, has one twice, or its positions are not integers.
    """

    def __init__(self, path: Path) -> None:
        require_pyarrow()
        self.name = str(path)
        with guarded(path):
            self._file = import_module("pyarrow.parquet").ParquetFile(path)
            schema = self._file.schema_arrow
        self.columns: list[str] = list(schema.names)
        twice = next((name for name in self.columns if self.columns.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"the column {twice!r} is repeated", where=path)
        at = find_locus(self.columns, path)
        self._locus = [self.columns[at[name]] for name in LOCUS]
        kind = schema.field(self._locus[1]).type
        if not import_module("pyarrow").types.is_integer(kind):
            raise DataError(
                "the positions are not whole numbers",
                where=path,
                expected=f"{self._locus[1]} as int64",
                found=str(kind),
            )
        self._read: tuple[int, Sequence[str], Any] = (-1, (), None)
        with guarded(path):
            self._groups = list(self._overview())
        self.contigs = tuple(dict.fromkeys(c for g in self._groups for c in sorted(g.contigs)))

    def _overview(self) -> Iterator[_Group]:
        """Yield the contents of each row group, from its statistics if they suffice."""
        metadata, first = self._file.metadata, 1
        leaves = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
        at = [leaves.index(name) for name in self._locus[:2]]
        for i in range(metadata.num_row_groups):
            group = metadata.row_group(i)
            contig, pos = (group.column(j).statistics for j in at)
            known = all(s is not None and s.has_min_max for s in (contig, pos))
            if known and contig.min == contig.max and not contig.null_count:
                yield _Group(first, frozenset([_text(contig.min)]), pos.min, pos.max)
            elif group.num_rows:
                table = self._group(i, self._locus[:2])
                contigs = frozenset(map(_text, table.column(0).unique().to_pylist()))
                low_high = import_module("pyarrow.compute").min_max(table.column(1)).as_py()
                yield _Group(first, contigs, low_high["min"] or 0, low_high["max"] or 0)
            first += group.num_rows

    def _group(self, i: int, columns: Sequence[str]) -> Any:
        """Return some columns of a row group; the last group read is cached."""
        if self._read[:2] != (i, columns):
            with guarded(self.name):
                self._read = i, columns, self._file.read_row_group(i, columns=list(columns))
        return self._read[2].select(columns)

    def rows(self, spans: Mapping[str, ArrayLike], columns: Iterable[str]) -> Iterator[Row]:
        """Yield the rows within intervals of contigs, in the order of the file.

        Parameters
        ----------
        spans : mapping of str to array_like
            Intervals of each contig, named as in the file: int ``[m, 2]``, 0-based, half-open,
            sorted and disjoint.
        columns : iterable of str
            Further columns to return.

        Yields
        ------
        Row
            Number of the row, from 1, and its cells as text: contig, position, ref, alt, then
            `columns`; ``.`` for missing values.

        Raises
        ------
        DataError
            If the file is damaged, or a position is missing.
        """
        wanted = {contig: np.asarray(each, np.int64) for contig, each in spans.items()}
        names = [*self._locus, *columns]
        for i, group in enumerate(self._groups):
            here = {
                contig: each
                for contig, each in wanted.items()
                if contig in group.contigs
                and ((each[:, 0] < group.high) & (each[:, 1] >= group.low)).any()
            }
            if here:
                yield from self._within(i, here, names)

    def _within(
        self, i: int, spans: Mapping[str, NDArray[np.int64]], names: Sequence[str]
    ) -> Iterator[Row]:
        pa, first = import_module("pyarrow"), self._groups[i].first
        table = self._group(i, list(dict.fromkeys(names)))
        contig, pos = table.column(names[0]).cast(pa.string()), table.column(names[1])
        if pos.null_count:
            row = first + pos.to_pylist().index(None)
            raise DataError("pos is not a position", where=f"{self.name}: row {row}", found="none")
        place = pos.to_numpy().astype(np.int64) - 1
        inside = np.zeros(len(place), np.bool_)
        for name, each in spans.items():
            last = np.searchsorted(each[:, 0], place, "right") - 1
            within = (last >= 0) & (place < each[last, 1])
            inside |= within & np.asarray(
                import_module("pyarrow.compute").equal(contig, name).fill_null(False)
            )
        found = np.flatnonzero(inside)
        table = table.take(found)
        for start in range(0, len(found), _CHUNK):
            some = table.slice(start, _CHUNK)
            lines = (found[start : start + _CHUNK] + first).tolist()
            cells = [map(_text, some.column(name).to_pylist()) for name in names]
            for line, texts in zip(lines, zip(*cells, strict=True), strict=True):
                yield Row(line, list(texts))

    def lines(self, spans: Mapping[str, ArrayLike]) -> Iterator[str]:
        """Yield the rows within intervals as tab-separated lines of all columns, in file order.

        `spans` is as for :meth:`rows`.
        """
        others = [name for name in self.columns if name not in self._locus]
        order = [[*self._locus, *others].index(name) for name in self.columns]
        for _, cells in self.rows(spans, others):
            yield "\t".join([cells[j] for j in order])

    def fetch(self, contig: str, start: int, end: int | None) -> Iterator[str]:
        """Yield the lines of one interval; if `end` is None, up to the end of the contig."""
        return self.lines({contig: [(start, _END if end is None else end)]})

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _text(value: object) -> str:
    """Return a value as the text of a table cell."""
    if value is None:
        return MISSING
    return value.decode() if isinstance(value, bytes) else str(value)
