"""Signal of each base of genome windows, read from bigWigs piece by piece.

Letters: n windows, m windows at a time, T tracks, L bases of a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.formats.sequences import Profiles, Windows
from genomix_cli.genome.bigwig import BigWig
from genomix_cli.genome.signal import Uncovered
from genomix_cli.progress import track

# Numbers of bases of a contig, and of values of a block, to hold at a time.
PIECE, BLOCK = 4_000_000, 1 << 24


@dataclass(frozen=True)
class BaseSignal:
    """Signal of each base of genome windows, still in its bigWigs.

    Attributes
    ----------
    files : dict of str to Path
        bigWig of each track, by name.
    opposite : tuple of int
        See `genomix_cli.formats.sequences.Profiles`.
    uncovered : {"missing", "zero"}
        Meaning of bases without data.
    windows : Windows
    contigs : tuple of str
    length : int
        L.
    """

    files: dict[str, Path]
    opposite: tuple[int, ...]
    uncovered: Uncovered
    windows: Windows
    contigs: tuple[str, ...]
    length: int

    @property
    def unread(self) -> Profiles:
        """Return names and opposites of the tracks, without signal."""
        nothing = np.empty((0, len(self.files), self.length), np.float32)
        return Profiles(tuple(self.files), self.opposite, nothing)

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield rows int64 ``[m]`` and their signal float32 ``[m, T, L]``, in genome order.

        Raises
        ------
        DataError
            If a file is damaged, or a value is negative, since it should be a number of reads.
        """
        with ExitStack() as stack:
            files = [stack.enter_context(BigWig(path)) for path in self.files.values()]
            for number, contig in enumerate(track(self.contigs, "reading the signal of bases")):
                for rows in self._pieces(number):
                    yield rows, self._turned(rows, self._read(files, contig, rows))

    def _pieces(self, contig: int) -> Iterator[NDArray[np.int64]]:
        """Yield the rows of a contig in pieces that are small enough to read at once."""
        rows = np.flatnonzero(self.windows.contig == contig)
        rows = rows[np.argsort(self.windows.start[rows], kind="stable")]
        most = max(BLOCK // (len(self.files) * self.length), 1)
        piece = self.windows.start[rows] // PIECE
        for near in np.split(rows, np.flatnonzero(np.diff(piece)) + 1):
            yield from (near[i : i + most] for i in range(0, len(near), most))

    def _read(
        self, files: list[BigWig], contig: str, rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the signal of a contig's windows on the forward strand."""
        starts = self.windows.start[rows]
        first, last = int(starts[0]), int(starts[-1]) + self.length
        signal = np.full((len(rows), len(files), self.length), np.nan, np.float32)
        for column, file in enumerate(files):
            if file.names.find(contig) is None:
                continue
            bins = file.bins(contig, first, last, 1)
            self._refuse_negative(file, contig, first, bins.mean)
            if self.uncovered == "missing":
                bins.mean[~bins.covered] = np.nan
            views = np.lib.stride_tricks.sliding_window_view(bins.mean, self.length)
            signal[:, column] = views[starts - first]
        return signal

    def _refuse_negative(
        self, file: BigWig, contig: str, first: int, values: NDArray[np.float32]
    ) -> None:
        if values.min() < 0:
            at = first + int(values.argmin())
            raise DataError(
                "has negative values, which cannot be read counts",
                where=file.path,
                expected="0 or more, with --profiles",
                found=f"{values.min():g} at {contig}:{at + 1}",
                hint="if a strand is stored as negative numbers, take the absolute values",
            )

    def _turned(self, rows: NDArray[np.int64], signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the signal in the direction of each window."""
        other = signal[:, list(self.opposite), ::-1]
        return np.where(self.windows.strand[rows, None, None] < 0, other, signal)
