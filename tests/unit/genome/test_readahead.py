"""Blocks read ahead for consecutive and for scattered windows."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.genome.readahead import ReadAhead


class Reader:
    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    def __call__(self, contig: str, first: int, last: int) -> np.ndarray:
        self.asked.append((contig, first, last))
        return np.arange(first, last)


def get(ahead: ReadAhead[np.ndarray], first: int, last: int, contig: str = "a") -> None:
    data, part = ahead.get(contig, first, last)
    assert data[part].tolist() == list(range(first, last))


def test_a_walk_reads_twice_as_much_each_time() -> None:
    read = Reader()
    ahead = ReadAhead(read, 1_000)
    for first in range(-100, 4_000, 50):
        get(ahead, first, first + 100)
    sizes = [last - first for _, first, last in read.asked]
    assert sizes[:5] == [100, 200, 400, 800, 1_000]
    assert set(sizes[4:]) == {1_000}


def test_scattered_windows_read_what_they_ask_for() -> None:
    read = Reader()
    ahead = ReadAhead(read, 1_000)
    wanted = [("a", 0, 100), ("a", 500, 600), ("a", 450, 550), ("b", 460, 560), ("a", 460, 560)]
    for contig, first, last in wanted:
        get(ahead, first, last, contig)
    assert read.asked == wanted


def test_what_is_kept_is_not_read_again() -> None:
    read = Reader()
    ahead = ReadAhead(read, 1_000)
    for first, last in [(0, 100), (0, 100), (20, 30), (99, 100), (0, 1)]:
        get(ahead, first, last)
    assert len(read.asked) == 1


def test_long_requests_are_not_kept() -> None:
    read = Reader()
    ahead = ReadAhead(read, 50)
    get(ahead, 0, 51)
    get(ahead, 0, 51)
    assert len(read.asked) == 2


def test_after_a_failed_read_nothing_is_kept() -> None:
    def fail(contig: str, first: int, last: int) -> np.ndarray:
        if first >= 100:
            raise EOFError
        return np.arange(first, last)

    ahead = ReadAhead(fail, 1_000)
    get(ahead, 0, 100)
    for _ in range(2):
        with pytest.raises(EOFError):
            ahead.get("a", 100, 150)
    get(ahead, 0, 100)
