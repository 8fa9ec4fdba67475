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
        """What was read, and where ``first .. last`` lies in it."""
        if last - first > self._longest:
            return self._read(contig, first, last), slice(0, last - first)
        if self._kept is None or not self._reaches(contig, first) or last > self._kept[2]:
            end = max(last, first + self._ahead(contig, first))
            # Forgotten first: its memory may be needed, and the read may fail.
            self._kept = None
            self._kept = contig, first, end, self._read(contig, first, end)
        _, start, _, data = self._kept
        return data, slice(first - start, last - start)

    def _reaches(self, contig: str, first: int) -> bool:
        return (
            self._kept is not None
            and self._kept[0] == contig
            and self._kept[1] <= first <= self._kept[2]
        )

    def _ahead(self, contig: str, first: int) -> int:
        if self._kept is None or not self._reaches(contig, first):
            return 0
        _, start, end, _ = self._kept
        return min(2 * (end - start), self._longest)
