"""Contig names across files with different spellings, and unions of intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genomix_cli.errors import DataError, first_few

_PREFIXES = ("", "chr", "Chr", "CHR")
_MITOCHONDRION = ("MT", "M")


def canonical(name: str) -> str:
    """Return the common spelling of ``chr1`` and ``1``, and of ``chrM``, ``chrMT``, ``M``, ``MT``.

    Returns
    -------
    str
        The name without ``chr``; ``MT`` for the mitochondrion.
    """
    bare = _without_prefix(name)
    return _MITOCHONDRION[0] if bare in _MITOCHONDRION else bare


class ContigNames:
    """Contig names of one file, found under any of their usual spellings.

    Parameters
    ----------
    names : iterable of str
        Names as spelled in the file.
    source : object
        The file, for error messages.
    """

    def __init__(self, names: Iterable[str], source: object) -> None:
        self.names = tuple(names)
        self.source = source
        self._present = frozenset(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def find(self, name: str) -> str | None:
        """Return the spelling of a contig in the file; None if the file lacks the contig.

        The nearest spelling wins, since some assemblies have both ``chrM`` and ``chrMT``, which are
        different sequences.
        """
        return next((spelling for spelling in _spellings(name) if spelling in self._present), None)

    def leave_out(self, names: Iterable[str]) -> None:
        """Treat these contigs, spelled as in the file, as missing from the file."""
        self._present -= frozenset(names)

    def require(self, name: str) -> str:
        """Return the same as :meth:`find`, but refuse a missing contig.

        Raises
        ------
        DataError
            If the file has no such contig.
        """
        spelling = self.find(name)
        if spelling is None:
            raise DataError(
                f"has no contig {name!r}",
                where=self.source,
                found=first_few(self.names) or "no contigs",
                hint="check that all files are of the same assembly",
            )
        return spelling


def merge(starts: ArrayLike, ends: ArrayLike) -> NDArray[np.int64]:
    """Return the sorted union of half-open intervals; touching ones merge, empty ones vanish.

    Parameters
    ----------
    starts, ends : array_like
        int ``[n]``, in any order, ``starts <= ends``.

    Returns
    -------
    NDArray
        int64 ``[m, 2]``: start and end.
    """
    starts, ends = np.asarray(starts, np.int64), np.asarray(ends, np.int64)
    order = np.argsort(starts, kind="stable")
    order = order[starts[order] < ends[order]]
    if not order.size:
        return np.empty((0, 2), np.int64)
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    first = np.flatnonzero(np.r_[True, starts[1:] > reach[:-1]])
    last = np.r_[first[1:] - 1, len(starts) - 1]
    return np.stack([starts[first], reach[last]], axis=1)


def _without_prefix(name: str) -> str:
    return name[3:] if name[:3] in _PREFIXES and len(name) > 3 else name


def _spellings(name: str) -> Iterator[str]:
    """Yield the name, then without and with ``chr``, then the mitochondrion's other name."""
    yield name
    bare = _without_prefix(name)
    for alias in (bare, *_MITOCHONDRION) if bare in _MITOCHONDRION else (bare,):
        yield from (prefix + alias for prefix in _PREFIXES)
