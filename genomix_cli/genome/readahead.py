"""Read-ahead cache for windows along a contig, since seeking costs more than reading on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """Cache of the last interval read, which reads ahead while windows walk along a contig.

    A request inside the cached interval needs no read. A request that begins in it or at its end
    continues a walk: the next read is twice as long as the cached interval, up to `longest`. Any
    other request reads only what was asked for, so scattered windows cost no more than without a
    cache. Intervals longer than `longest` are never cached.

    Parameters
    ----------
    read : callable
        ``read(contig, first, last)``; `last` may be beyond the contig.
    longest : int
        Longest cached interval, in the units of `first` and `last`.
    """

    def __init__(self, read: Callable[[str, int, int], T], longest: int) -> None:
        self._read = read
        self._longest = longest
        self._kept: tuple[str, int, int, T] | None = None

    def get(self, contig: str, first: int, last: int) -> tuple[T, slice]:
        """Return an interval that was read, and the slice of it for ``first .. last``."""
        if last - first > self._longest:
            return self._read(contig, first, last), slice(0, last - first)
        kept = self._kept
        steps_on = kept is not None and kept[0] == contig and kept[1] <= first <= kept[2]
        if kept is None or not steps_on or last > kept[2]:
            ahead = min(2 * (kept[2] - kept[1]), self._longest) if kept and steps_on else 0
            end = max(last, first + ahead)
            # Dropped before the read, to free its memory, and because the read may fail.
            self._kept = kept = None
            self._kept = kept = contig, first, end, self._read(contig, first, end)
        return kept[3], slice(first - kept[1], last - kept[1])
