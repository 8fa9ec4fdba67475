"""Result of reading any kind of input.

Letters in shapes: n sequences, L bases of each, U units (people, records) of origin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.formats.sequences import Columns, Measurement, Phenotype, Windows
from genomix_cli.sequences.prepare.metadata import Metadata
from genomix_cli.sequences.prepare.profiles import BaseSignal

Codes = NDArray[np.uint8]

MAX_CONTIGS = np.iinfo(np.int16).max


class LeftOut:
    """Number of inputs left out, and the first of them, by reason.

    Attributes
    ----------
    counts : dict of str to int
    examples : dict of str to str
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.examples: dict[str, str] = {}

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Count something under a reason, unless `count` is 0."""
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count
            self.examples.setdefault(reason, example)

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {reason}" for reason, count in self.counts.items())


@dataclass(frozen=True)
class Parsed:
    """Sequences of an input whose bases are still on disk.

    Attributes
    ----------
    rows : str
        Kind of the sequences: ``records``, ``windows``, ``regions``, ``genotypes``, ``haplotypes``.
    names : list of str
        ``[n]``; unique.
    units : list of str
        ``[n]``: person or record of origin, as named in a table.
    length : int
        L.
    blocks : callable
        Yields the codes of all n sequences in order, uint8 ``[m, L]`` at a time.
    contigs : dict of str to int
    windows, columns
        See `genomix_cli.formats.sequences`.
    metadata : Metadata, optional
        Rows of the table that holds the sequences.
    phenotypes : tuple of Phenotype
        Phenotypes that the input itself contains, such as tracks.
    measurement : Measurement
        Measurement of these phenotypes.
    profiles : BaseSignal, optional
        Signal of each base, which is read from the input while the output is written.
    left_out : LeftOut
    facts : dict
        Facts for the summary.
    warnings : list of str
    """

    rows: str
    names: list[str]
    units: list[str]
    length: int
    blocks: Callable[[], Iterator[Codes]]
    contigs: dict[str, int] = field(default_factory=dict)
    windows: Windows | None = None
    columns: Columns | None = None
    metadata: Metadata | None = None
    phenotypes: tuple[Phenotype, ...] = ()
    measurement: Measurement = field(default_factory=Measurement)
    profiles: BaseSignal | None = None
    left_out: LeftOut = field(default_factory=LeftOut)
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class Places:
    """Positions of windows in the genome, collected contig by contig."""

    def __init__(self) -> None:
        self.contigs: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._columns: tuple[list[Any], list[Any], list[Any]] = ([], [], [])

    def add(self, contig: str, length: int, starts: Any, strand: int = 1) -> None:
        """Add windows of a contig of the given length, 0 if unknown.

        Raises
        ------
        DataError
            If there are more contigs than the file can number.
        """
        self.contigs.setdefault(contig, length)
        index = self._numbers.setdefault(contig, len(self._numbers))
        if index > MAX_CONTIGS:
            raise DataError("has too many contigs", expected=f"{MAX_CONTIGS:,} at most")
        starts = np.atleast_1d(np.asarray(starts, np.int64))
        for column, values in zip(self._columns, (index, starts, strand), strict=True):
            column.append(np.broadcast_to(values, starts.shape))

    def windows(self) -> Windows | None:
        """Return the table of windows; None if there are none."""
        if not self.contigs:
            return None
        contig, start, strand = (
            np.concatenate(column).astype(dtype)
            for column, dtype in zip(self._columns, ("i2", "i8", "i1"), strict=True)
        )
        return Windows(contig, start, strand)


class OneLength:
    """A check that all sequences have the length of the first.

    Attributes
    ----------
    length : int
        0 before the first sequence.
    """

    def __init__(self, hint: str | None = None) -> None:
        self.length = 0
        self._first = ""
        self._hint = hint

    def check(self, name: str, length: int, where: object) -> None:
        """Check the length of a sequence.

        Raises
        ------
        DataError
            If the sequence is empty, or its length is not that of the first.
        """
        if not length:
            raise DataError(f"{name} has no bases", where=where)
        if not self.length:
            self.length, self._first = length, name
        if length != self.length:
            raise DataError(
                "sequences of unequal length",
                where=where,
                expected=f"{self.length:,} bases as {self._first} has",
                found=f"{name} with {length:,}",
                hint=self._hint,
            )


def check_unique(names: Sequence[str], where: object, hint: str) -> None:
    """Refuse two sequences of one name, with a DataError."""
    twice = first_twice(names)
    if twice is not None:
        first = names.index(twice)
        again = names.index(twice, first + 1)
        raise DataError(
            f"{twice!r} is repeated",
            where=where,
            expected="ids that are unique",
            found=f"sequences {first + 1:,} and {again + 1:,}",
            hint=hint,
        )


def first_twice(names: Iterable[str]) -> str | None:
    """Return the first repeated name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
