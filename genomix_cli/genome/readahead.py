"""Neighbouring windows from one read: files are slow to enter and fast to go on in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """Keeps the last stretch that was read, and reads on while windows walk along a contig.

    A request inside the stretch costs no read. One that begins in it, or at its end, is a step of
    a walk: twice as much as last time is read, up to `longest`. Any other reads just what was asked
    for, so that scattered windows cost no more than without. More than `longest` is never kept.

    Parameters
    ----------
    read : callable
        ``read(contig, first, last)``; `last` may be beyond the contig.
    longest : int
        In the units of `first` and `last`.
    """

    def __init__(self, read: Callable[[str, int, int], T], longest: int) -> None:
        self._read = read
        self._longest = longest
        self._kept: tuple[str, int, int, T] | None = None

    def get(self, contig: str, first: int, last: int) -> tuple[T, slice]:
        """Return a stretch that was read, and the slice of it that is ``first .. last``."""
        if last - first > self._longest:
            return self._read(contig, first, last), slice(0, last - first)
        kept = self._kept
        steps_on = kept is not None and kept[0] == contig and kept[1] <= first <= kept[2]
        if kept is None or not steps_on or last > kept[2]:
            ahead = min(2 * (kept[2] - kept[1]), self._longest) if kept and steps_on else 0
            end = max(last, first + ahead)
            # Forgotten first: its memory may be needed, and the read may fail.
            self._kept = kept = None
            self._kept = kept = contig, first, end, self._read(contig, first, end)
        return kept[3], slice(first - kept[1], last - kept[1])
