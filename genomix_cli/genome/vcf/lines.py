"""Blocks of VCF lines: their bytes, and the offsets of the columns.

Most operations need only a number or a letter of a record. Looking it up for thousands of lines
together costs a fraction of splitting each line into strings, and lines that are only passed
through are never split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.genome.vcf.record import Record

CHROM, POS, ID, REF, ALT, QUAL, FILTER, INFO = range(8)
#: Number of fixed columns.
WIDTH = 8
# Numbers with this many digits or more are not valid positions.
POS_DIGITS = 18
# Mean bytes per line from which most tabs lie beyond the fixed columns, as with many samples.
WIDE = 1024
_POWERS = 10 ** np.arange(POS_DIGITS)[::-1]

Rows = NDArray[np.int64]
#: Function that makes an error from problem, line number, expected and found.
Wrong = Callable[[str, int, str, str], DataError]


class Run(NamedTuple):
    """Consecutive lines of one contig, from `start` up to but not including `stop`."""

    start: int
    stop: int
    contig: str


@dataclass(frozen=True, eq=False)
class Lines(Sequence[Record]):
    """Non-empty lines of a VCF, as a sequence of records that are created on access.

    Attributes
    ----------
    data : bytes
        The lines, separated by line feeds.
    starts : NDArray
        int64 ``[n]``: offset in `data` at which each line begins.
    ends : NDArray
        int64 ``[8, n]``: offset at which each of the fixed columns ends.
    pos : NDArray
        int64 ``[n]``: POS, 1-based.
    numbers : NDArray
        int64 ``[n]``: number of each line in its file; 0 if unknown.
    """

    data: bytes
    starts: Rows
    ends: Rows
    pos: Rows
    numbers: Rows

    @classmethod
    def parse(cls, data: bytes, number: int, wrong: Wrong) -> Lines:
        """Locate the columns of lines; empty lines are left out.

        Parameters
        ----------
        data : bytes
            Lines, separated by line feeds.
        number : int
            Number of the first line; 0 if unknown.
        wrong : callable
            Function that makes the error for an invalid line.

        Raises
        ------
        DataError
            If a line has too few columns or an invalid position; made by `wrong`.
        """
        letters = np.frombuffer(data, np.uint8)
        starts = np.append(0, np.flatnonzero(letters == ord("\n")) + 1)
        ends = _line_ends(starts, len(data))
        numbers = np.arange(len(starts)) + number if number else np.zeros(len(starts), np.int64)
        full = ends > starts
        if not full.all():
            texts = [data[a:b] for a, b in zip(starts[full], ends[full], strict=True)]
            data, numbers = b"\n".join(texts), numbers[full]
            if not texts:
                return cls.none()
            letters = np.frombuffer(data, np.uint8)
            starts = np.append(0, np.flatnonzero(letters == ord("\n")) + 1)
            ends = _line_ends(starts, len(data))
        find = _few_tabs if len(data) < WIDE * len(starts) else _first_tabs
        columns = find(data, letters, starts, ends)
        pos = None
        if (columns[FILTER] < ends).all():
            pos = _numbers(letters, columns[CHROM] + 1, columns[POS])
        if pos is None:
            raise _first_wrong(data.split(b"\n"), numbers.tolist(), wrong)
        return cls(data, starts, columns, pos, numbers)

    @classmethod
    def of(cls, records: Iterable[Record]) -> Lines:
        """Return the lines of records."""
        records = list(records)
        lines = cls.of_texts(["\t".join(record.fields) for record in records])
        lines.numbers[:] = [record.line for record in records]
        return lines

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> Lines:
        """Return lines parsed from strings."""
        return cls.parse("\n".join(texts).encode("utf-8", "surrogateescape"), 0, _invalid)

    @classmethod
    def none(cls) -> Lines:
        """Return an empty block of lines."""
        empty = np.zeros(0, np.int64)
        return cls(b"", empty, np.zeros((WIDTH, 0), np.int64), empty, empty)

    @classmethod
    def joined(cls, parts: Sequence[Lines]) -> Lines:
        """Return the lines of all parts, in order."""
        parts = [part for part in parts if len(part)]
        if len(parts) < 2:
            return parts[0] if parts else cls.none()
        shifts = np.cumsum([0, *(len(part.data) + 1 for part in parts[:-1])]).tolist()
        moved = list(zip(parts, shifts, strict=True))
        return cls(
            b"\n".join([part.data for part in parts]),
            np.concatenate([part.starts + shift for part, shift in moved]),
            np.concatenate([part.ends + shift for part, shift in moved], axis=1),
            np.concatenate([part.pos for part in parts]),
            np.concatenate([part.numbers for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, at: int) -> Record: ...

    @overload
    def __getitem__(self, at: slice) -> Lines: ...

    def __getitem__(self, at: int | slice) -> Record | Lines:
        if isinstance(at, int):
            at = range(len(self))[at]
            text = self.data[self.starts[at] : self.stops[at]].decode("utf-8", "surrogateescape")
            return Record(int(self.numbers[at]), int(self.pos[at]), text.split("\t", WIDTH))
        start, stop, step = at.indices(len(self))
        if step != 1:
            raise ValueError("lines are taken one after another")
        if stop - start == len(self):
            return self
        if stop <= start:
            return Lines.none()
        first, last = int(self.starts[start]), int(self.stops[stop - 1])
        return Lines(
            self.data[first:last],
            self.starts[start:stop] - first,
            self.ends[:, start:stop] - first,
            self.pos[start:stop],
            self.numbers[start:stop],
        )

    def __iter__(self) -> Iterator[Record]:
        new, width = tuple.__new__, WIDTH
        texts = self.data.decode("utf-8", "surrogateescape").split("\n") if len(self) else []
        for number, pos, text in zip(self.numbers.tolist(), self.pos.tolist(), texts, strict=True):
            yield new(Record, (number, pos, text.split("\t", width)))

    @cached_property
    def stops(self) -> Rows:
        """Offset at which each line ends, int64 ``[n]``."""
        return _line_ends(self.starts, len(self.data))

    @cached_property
    def letters(self) -> NDArray[np.uint8]:
        """Bytes of all lines, uint8."""
        return np.frombuffer(self.data, np.uint8)

    def column(self, number: int) -> tuple[Rows, Rows]:
        """Return the offsets at which a column (not the first) starts and ends, int64 ``[n]``."""
        return self.ends[number - 1] + 1, self.ends[number]

    def texts(self, number: int) -> list[bytes]:
        """Return the text of a column (not the first) in each line."""
        bounds = (each.tolist() for each in self.column(number))
        return [self.data[start:end] for start, end in zip(*bounds, strict=True)]

    @cached_property
    def runs(self) -> list[Run]:
        """Runs of lines of the same contig, in order."""
        count, data = len(self), self.data
        if not count:
            return []
        first = data[: self.ends[CHROM, 0]]
        if data.count(b"\n" + first + b"\t") == count - 1:  # nearly always
            return [Run(0, count, _text(first))]
        spans = zip(self.starts.tolist(), self.ends[CHROM].tolist(), strict=True)
        names = [data[a:b] for a, b in spans]
        starts = [0, *(i for i in range(1, count) if names[i] != names[i - 1]), count]
        return [Run(start, stop, _text(names[start])) for start, stop in pairwise(starts)]

    def only(self, wanted: NDArray[np.bool_]) -> Lines:
        """Return the lines selected by a mask, bool ``[n]``."""
        if wanted.all():
            return self
        edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
        return Lines.joined([self[a:b] for a, b in edges.reshape(-1, 2).tolist()])


def between(blocks: Iterable[Lines], start: int, stop: int | None = None) -> Iterator[Lines]:
    """Yield the lines `start` to `stop` (exclusive), counted from 0 over all blocks.

    A `stop` of None means all remaining lines.
    """
    at = 0
    for lines in blocks:
        first = max(start - at, 0)
        last = len(lines) if stop is None else min(stop - at, len(lines))
        if first < last:
            yield lines[first:last]
        at += len(lines)
        if stop is not None and at >= stop:
            return


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _line_ends(starts: Rows, size: int) -> Rows:
    return np.append(starts[1:] - 1, size) if len(starts) else starts


def _few_tabs(data: bytes, letters: NDArray[np.uint8], starts: Rows, ends: Rows) -> Rows:
    """Return the ends of the first eight columns, int64 ``[8, n]``, by finding all tabs.

    If a line has too few columns, the FILTER column ends at or beyond the end of the line.
    """
    tabs = np.concatenate([np.flatnonzero(letters == ord("\t")), np.full(WIDTH, len(data))])
    found = tabs[np.searchsorted(tabs, starts) + np.arange(WIDTH)[:, None]]
    np.minimum(found[INFO], ends, out=found[INFO])
    return found


def _first_tabs(data: bytes, letters: NDArray[np.uint8], starts: Rows, ends: Rows) -> Rows:
    """Return the same as :func:`_few_tabs`, searching each line only up to the eighth column."""
    found = np.empty((WIDTH, len(starts)), np.int64)
    for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        for k in range(WIDTH):
            at = data.find(b"\t", start, end)
            found[k, i] = at = end if at < 0 else at
            start = min(at + 1, end)
    return found


def _numbers(letters: NDArray[np.uint8], first: Rows, last: Rows) -> Rows | None:
    """Parse whole numbers from their digits, int64 ``[n]``; return None if one is invalid."""
    values, length = np.empty(len(first), np.int64), last - first
    lengths = np.unique(length).tolist()
    for digits in lengths:
        if not 0 < digits < POS_DIGITS:
            return None
        rows = slice(None) if len(lengths) == 1 else length == digits
        figures = letters[first[rows, None] + np.arange(digits)] - np.uint8(ord("0"))
        if figures.max() > 9:  # a smaller byte has wrapped round
            return None
        values[rows] = figures @ _POWERS[-digits:]
    return values


def _first_wrong(texts: Sequence[bytes], numbers: Sequence[int], wrong: Wrong) -> DataError:
    """Return the error for the first invalid line."""
    for text, number in zip(texts, numbers, strict=True):
        fields = _text(text).split("\t", WIDTH)
        if len(fields) < WIDTH:
            expected = f"{WIDTH} separated by tabs"
            return wrong("too few columns", number, expected, str(len(fields)))
        pos = fields[POS]
        if not (pos.isdigit() and pos.isascii() and len(pos) < POS_DIGITS):
            return wrong("POS is no position", number, "a whole number", repr(pos[:40]))
    raise AssertionError("no line is wrong")


def _invalid(what: str, number: int, expected: str, found: str) -> DataError:
    return DataError(what, where=f"record {number}", expected=expected, found=found)
