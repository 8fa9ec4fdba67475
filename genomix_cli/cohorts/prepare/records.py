"""Read tables with one record per line: calls, segments, counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.prepare.tables import outside_domain
from genomix_cli.errors import DataError
from genomix_cli.formats.cohort import Kind
from genomix_cli.genome.tables import first_bytes, is_missing, number, open_table

if TYPE_CHECKING:
    import pandas as pd

Names = Mapping[str, tuple[str, ...]]

SAMPLE = ("sample", "sample_id", "sampleid", "id", "'id", "gdc_aliquot", "tumor_sample_barcode")
CONTIG = ("contig", "chrom", "chr", "chromosome", "seqnames")
START, END = ("start", "loc.start", "start_position"), ("end", "loc.end", "stop", "end_position")

CALLS: Names = {"gene": ("hugo_symbol",), "sample": ("tumor_sample_barcode",)}
CALLS_MORE: Names = {"class": ("variant_classification",), "status": ("mutation_status",)}
REGION: Names = {"sample": SAMPLE, "contig": CONTIG, "start": START, "end": END}
MEAN = ("seg.mean", "segment_mean", "seg_mean", "segmean", "value", "log2", "log2ratio", "logr")
SEGMENTS: Names = {**REGION, "mean": MEAN}
LENGTHS: Names = {
    "sample": SAMPLE,
    "length": ("length", "fragment_length", "size", "insert_size"),
    "count": ("count", "counts", "n", "fragments"),
}
BINS: Names = {**REGION, "short": ("short", "n_short"), "long": ("long", "n_long")}

What = Literal["calls", "segments", "lengths", "bins", "matrix", "hdf5"]
_RECORDS: dict[What, Names] = {
    "calls": CALLS,
    "bins": BINS,
    "segments": SEGMENTS,
    "lengths": LENGTHS,
}


@dataclass(frozen=True)
class Records:
    """Some columns of a table, as text.

    Attributes
    ----------
    path : Path
    columns : DataFrame
        str, under our names of the columns.
    titles : dict of str to str
        Names of these columns in the file.
    lines : NDArray
        int64 ``[n]``, the line of each record.
    comments : list of str
        Lines before the header that begin with ``#``.
    """

    path: Path
    columns: pd.DataFrame
    titles: dict[str, str]
    lines: NDArray[np.int64]
    comments: list[str]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column as float64, NaN if missing; raise DataError for other text."""
        cells = enumerate(self.columns[name])
        where = partial(self.at, name=name)
        return np.array([number(cell, partial(where, i)) for i, cell in cells], np.float64)

    def values(self, name: str, kind: Kind) -> NDArray[np.float64]:
        """Return a column of :meth:`numbers` that the kind of a modality allows."""
        values = self.numbers(name)
        wrong = kind.outside(values)
        if wrong.any():
            i = int(wrong.argmax())
            raise outside_domain(kind, self.at(i, name), float(values[i]))
        return values

    def positions(self, name: str) -> NDArray[np.int64]:
        """Return a column of whole numbers, none of them missing."""
        values = self.numbers(name)
        wrong = ~(values >= 0) | (values != np.rint(values))
        if wrong.any():
            i = int(wrong.argmax())
            what = f"{name} is not a whole number of 0 or more"
            raise DataError(what, where=self.at(i), found=repr(self.columns[name].iloc[i]))
        return values.astype(np.int64)

    def codes(self, name: str) -> tuple[NDArray[np.intp], list[str]]:
        """Return :func:`codes` of a column; raise DataError for a missing value."""
        cells = self.columns[name]
        empty = cells.map(is_missing).to_numpy()
        if empty.any():
            i = int(empty.argmax())
            raise DataError(f"no {name}", where=self.at(i), found=cells.iloc[i] or None)
        return codes(cells)

    def refuse_repeats(self, key: NDArray[np.integer]) -> None:
        """Raise DataError if two records have the same key."""
        _, first = np.unique(key, return_index=True)
        if len(first) < len(key):
            again = int(np.setdiff1d(np.arange(len(key)), first)[0])
            line = int(self.lines[np.flatnonzero(key == key[again])[0]])
            raise DataError(f"repeats line {line}", where=self.at(again))

    def at(self, i: int, name: str | None = None) -> str:
        """Return the position of a record, or of one of its cells, in the file, for errors."""
        line = f"{self.path}:{self.lines[i]}"
        return line if name is None else f"{line}, column {self.titles[name]}"


def what_is(path: Path) -> What:
    """Return what an input holds, from its content.

    Returns
    -------
    {"calls", "segments", "lengths", "bins", "matrix", "hdf5"}
        According to the columns in the header; anything else is a matrix.
    """
    start = first_bytes(path)
    # A MuData file has its own block before the HDF5 signature.
    if start.startswith((b"\x89HDF", b"MuData")):
        return "hdf5"
    if start.startswith(b"PAR1"):
        return "matrix"
    with open_table(path) as table:
        for what, names in _RECORDS.items():
            if all(table.find(*known) is not None for known in names.values()):
                return what
    return "matrix"


def read_records(path: Path, names: Names, more: Names | None = None) -> Records:
    """Read the required columns of a table.

    Parameters
    ----------
    path : Path
        TSV or CSV, gzipped or not.
    names, more : mapping of str to tuple of str
        Our name of each column, and the names it may have in the file; those of `more` are
        optional.

    Raises
    ------
    DataError
        If a column is missing, or a row is ragged.
    """
    import pandas as pd

    with open_table(path) as table:
        missing = [known[0] for known in names.values() if table.find(*known) is None]
        if missing:
            raise DataError(
                f"lacks the column {', '.join(missing)}",
                where=f"{path}:{table.header}",
                found=", ".join(table.columns[:12]),
            )
        wanted = {**names, **(more or {})}
        index = {our: i for our, known in wanted.items() if (i := table.find(*known)) is not None}
        lines: list[int] = []
        columns: list[list[str]] = [[] for _ in index]
        for row in table.rows():
            lines.append(row.line)
            for cells, i in zip(columns, index.values(), strict=True):
                cells.append(row.cells[i].strip())
    if not lines:
        raise DataError("has a header but no rows", where=path)
    frame = pd.DataFrame(dict(zip(index, columns, strict=True)), dtype=object)
    titles = {our: table.columns[i] for our, i in index.items()}
    return Records(path, frame, titles, np.array(lines, np.int64), table.comments)


def codes(names: Iterable[str]) -> tuple[NDArray[np.intp], list[str]]:
    """Return the number of each name, and the names in order of appearance."""
    import pandas as pd

    numbers, unique = pd.factorize(np.asarray(list(names), dtype=object))
    return numbers, list(map(str, unique))
