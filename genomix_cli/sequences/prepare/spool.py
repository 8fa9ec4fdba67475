"""Spools that hold codes on disk between reading and writing, to limit memory.

The files have no name, so they disappear however the process ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]

#: Number of bytes to hold at a time.
PIECE = 1 << 24
# Number of sites to transpose at a time.
_TILE = 4096


class RowSpool:
    """Spool for rows.

    Parameters
    ----------
    folder : Path
        Folder on the disk to use.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # as long as this object
        self._size = 0

    def add(self, codes: Codes) -> None:
        """Add rows, uint8 ``[length]`` or ``[m, length]``, all of one length."""
        self._size += self._file.write(np.ascontiguousarray(codes).data)

    def blocks(self, length: int) -> Iterator[Codes]:
        """Yield all rows, uint8 ``[m, length]`` at a time."""
        step = max(PIECE // length, 1) * length
        self._file.seek(0)
        for start in range(0, self._size, step):
            block = np.empty(min(step, self._size - start), np.uint8)
            _fill(self._file, block)
            yield block.reshape(-1, length)


class ColumnSpool:
    """Spool that takes columns and yields rows; tiles are transposed on their way to the disk.

    Parameters
    ----------
    folder : Path
    n_rows : int
    """

    def __init__(self, folder: Path, n_rows: int) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # as long as this object
        self._tile = np.empty((min(max(PIECE // n_rows, 16), _TILE), n_rows), np.uint8)
        self._held = 0
        self._widths: list[int] = []
        self.n_rows = n_rows

    def __len__(self) -> int:
        return sum(self._widths) + self._held

    def add(self, column: Codes) -> None:
        """Add one column, uint8 ``[n_rows]``."""
        self._tile[self._held] = column
        self._held += 1
        if self._held == len(self._tile):
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._file.write(np.ascontiguousarray(self._tile[: self._held].T).data)
            self._widths.append(self._held)
            self._held = 0

    def blocks(self) -> Iterator[Codes]:
        """Yield all rows, uint8 ``[m, columns]`` at a time; call after adding the last column."""
        self._flush()
        step = max(PIECE // max(len(self), 1), 1)
        for first in range(0, self.n_rows, step):
            yield self._rows(first, min(first + step, self.n_rows))

    def _rows(self, first: int, last: int) -> Codes:
        rows = np.empty((last - first, len(self)), np.uint8)
        done = 0
        for width in self._widths:
            part = np.empty((last - first, width), np.uint8)
            self._file.seek(done * self.n_rows + first * width)
            _fill(self._file, part)
            rows[:, done : done + width] = part
            done += width
        return rows


def _fill(file: IO[bytes], array: Codes) -> None:
    buffer: Any = memoryview(array).cast("B")  # type: ignore[arg-type]
    if file.readinto(buffer) != array.size:  # type: ignore[attr-defined]
        raise OSError("a temporary file was cut short")
