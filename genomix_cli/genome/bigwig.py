"""Signal tracks from bigWig files, averaged over bins."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyBigWig
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.genome.bigwig_blocks import BlockFile, Intervals, UnknownLayout
from genomix_cli.genome.intervals import ContigNames
from genomix_cli.genome.signal import BIN_SIZE

log = logging.getLogger("genomix")

# What is worked on at once stays in the cache, and memory does not grow with the chromosome.
PIECE_BASES = 10_000_000
# Positions and ends of bins below this fit into int32.
BLOCK_BASES = 2**31
# Above this, a distribution is estimated from evenly spaced samples.
SAMPLED_BASES = 200_000_000
SAMPLE_BASES = 1_000_000

_MAGIC = (0x888FFC26).to_bytes(4, "little")
# From this version on, the file ends with its magic number again.
_VERSION_WITH_TRAILER = 4


class Bins(NamedTuple):
    """Signal of consecutive bins.

    Attributes
    ----------
    mean : NDArray
        float32 ``[n]``, mean over the covered bases of each bin; 0 where none is covered.
    covered : NDArray
        bool ``[n]``, whether any base of the bin is covered.
    """

    mean: NDArray[np.float32]
    covered: NDArray[np.bool_]


class Sums(NamedTuple):
    """Sum and number of the covered bases of consecutive bins, float64 ``[n]`` each."""

    total: NDArray[np.float64]
    covered: NDArray[np.float64]


class BigWig:
    """One signal track.

    Its blocks are decoded here; what :mod:`genomix_cli.genome.bigwig_blocks` does not know is left
    to pyBigWig, several times slower and with the same numbers.

    Parameters
    ----------
    path : str or Path
        bigWig file.

    Attributes
    ----------
    lengths : dict of str to int
        Bases of each contig, under the file's own names.
    names : ContigNames
        Finds ``chr1`` where the file says ``1``.

    Raises
    ------
    DataError
        If the file is missing, truncated or no bigWig.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _check_format(self.path)
        try:
            self._file = pyBigWig.open(str(self.path))
        except RuntimeError as error:
            raise DataError("its bigWig header or index is damaged", where=self.path) from error
        self.lengths: dict[str, int] = dict(self._file.chroms())
        # libBigWig lists contigs by the number that the index calls them by.
        self._numbers = {name: number for number, name in enumerate(self.lengths)}
        self._blocks: BlockFile | None = None
        try:
            self._blocks = BlockFile(self.path)
        except UnknownLayout as error:
            log.debug("%s: %s; reading it through pyBigWig", self.path, error)
        self._scratch = Sums(np.empty(0), np.empty(0))
        self.names = ContigNames(self.lengths, self.path)

    def __enter__(self) -> BigWig:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._blocks is not None:
            self._blocks.close()

    def bins(self, contig: str, first_bin: int, last_bin: int, bin_size: int = BIN_SIZE) -> Bins:
        """Mean signal of the bins `first_bin` to `last_bin` (exclusive) of a contig.

        Bin ``i`` is bases ``i * bin_size`` to ``(i + 1) * bin_size``; those off the contig, on
        either side, are not covered, and so are bins of a contig that the file does not have.

        Parameters
        ----------
        contig : str
            Any usual spelling of the contig's name.
        first_bin, last_bin : int
        bin_size : int
            In bases.

        Raises
        ------
        DataError
            If the file is damaged there, or has values that are not finite.
        """
        n = max(last_bin - first_bin, 0)
        bins = Bins(np.zeros(n, np.float32), np.zeros(n, bool))
        name = self.names.find(contig)
        if name is None:
            return bins
        for piece, sums in self._pieces(name, first_bin, last_bin, bin_size):
            np.greater(sums.covered, 0, out=bins.covered[piece])
            np.maximum(sums.covered, 1, out=sums.covered)
            np.divide(sums.total, sums.covered, out=bins.mean[piece], casting="same_kind")
        return bins

    def windows(self, contig: str, starts: NDArray[np.int64], length: int) -> Sums:
        """Sum and number of the covered bases of windows of one length, anywhere on a contig.

        Parameters
        ----------
        contig : str
            Any usual spelling of the contig's name.
        starts : NDArray
            int64 ``[n]``, 0-based, in any order.
        length : int
            In bases.

        Returns
        -------
        Sums
            Zeros for a contig that the file does not have.

        Raises
        ------
        DataError
            As :meth:`bins`.
        """
        windows = Sums(np.zeros(len(starts)), np.zeros(len(starts)))
        name = self.names.find(contig)
        if name is None:
            return windows
        # Windows begin and end with bins of this size.
        unit = int(np.gcd.reduce(starts, initial=length))
        part = starts // PIECE_BASES
        for number in np.unique(part):
            rows = np.flatnonzero(part == number)
            first, last = int(starts[rows].min()), int(starts[rows].max()) + length
            bins = Sums(*np.zeros((2, (last - first) // unit)))
            for piece, sums in self._pieces(name, first // unit, last // unit, unit):
                bins.total[piece], bins.covered[piece] = sums
            low = (starts[rows] - first) // unit
            # Not differences of running sums, of which rounding would leave dust where all is 0.
            edges = np.column_stack([low, low + length // unit]).ravel()
            for into, values in zip(windows, bins, strict=True):
                into[rows] = np.add.reduceat(np.append(values, 0), edges)[::2]
        return windows

    def _pieces(
        self, name: str, first_bin: int, last_bin: int, bin_size: int
    ) -> Iterator[tuple[slice, Sums]]:
        """Sums of bins on a contig of the file, and where they belong; those of no data left out.

        They are valid until the next piece.
        """
        end = min(last_bin, -(-self.lengths[name] // bin_size))
        step = max(PIECE_BASES // bin_size, 1)
        for first in range(max(first_bin, 0), end, step):
            last = min(first + step, end)
            # Infinities of both signs have no sum; they are refused below.
            with np.errstate(invalid="ignore"):
                sums = self._sums(name, first, last, bin_size)
            if sums is not None:
                self._refuse_infinite(sums, name, first, bin_size)
                yield slice(first - first_bin, last - first_bin), sums

    def _refuse_infinite(self, sums: Sums, name: str, first: int, bin_size: int) -> None:
        wrong = ~np.isfinite(sums.total)
        if wrong.any():
            start = (first + int(wrong.argmax())) * bin_size
            raise DataError(
                "has values that are not finite",
                where=self.path,
                found=f"one in {name}:{start + 1}-{start + bin_size}",
                hint="divisions by 0 produce them: add a pseudocount",
            )

    def distribution(self, n: int = 1001, bin_size: int = BIN_SIZE) -> NDArray[np.float32]:
        """Quantiles of the binned signal over the covered bins of the whole file.

        Contigs of more than 200 Mb together are sampled by 200 evenly spaced pieces of 1 Mb, the
        same ones each time.

        Parameters
        ----------
        n : int
            Number of quantiles, evenly spaced from 0 to 1.
        bin_size : int
            In bases.

        Returns
        -------
        NDArray
            float32 ``[n]``, ascending.

        Raises
        ------
        DataError
            If nothing is covered.
        """
        sample = (self.bins(*piece, bin_size) for piece in self._sample(bin_size))
        values = np.concatenate(
            [np.empty(0, np.float32), *(bins.mean[bins.covered] for bins in sample)]
        )
        if not values.size:
            raise DataError("holds no signal", where=self.path)
        return np.quantile(values, np.linspace(0, 1, n)).astype(np.float32)

    def _sums(self, name: str, first: int, last: int, bin_size: int) -> Sums | None:
        """Bins that all start on the contig, or None where nothing is covered.

        The last may be cut short by the end of the contig. Valid until the next call.
        """
        if self._blocks is not None and self.lengths[name] + bin_size < BLOCK_BASES:
            start, end = first * bin_size, min(last * bin_size, self.lengths[name])
            sums = None
            try:
                for intervals in self._blocks.intervals(self._numbers[name], start, end):
                    sums = sums or self._zeros(last - first)
                    _add(sums, intervals, first, bin_size)
                return sums
            except UnknownLayout as error:
                log.debug("%s: %s; reading %s through pyBigWig", self.path, error, name)
        return self._sums_of_values(name, first, last, bin_size)

    def _zeros(self, n: int) -> Sums:
        """Sums of nothing, in memory that is used again: new pages cost more than the sums."""
        if len(self._scratch.total) < n:
            self._scratch = Sums(np.empty(n), np.empty(n))
        sums = Sums(self._scratch.total[:n], self._scratch.covered[:n])
        sums.total.fill(0)
        sums.covered.fill(0)
        return sums

    def _sums_of_values(self, name: str, first: int, last: int, bin_size: int) -> Sums:
        """Bins as :meth:`_sums` gives them, read base by base through pyBigWig."""
        start, end = first * bin_size, min(last * bin_size, self.lengths[name])
        try:
            values = self._file.values(name, start, end, numpy=True)
        except RuntimeError as error:
            raise DataError(f"is damaged at {name}:{start + 1}-{end}", where=self.path) from error
        # NaN where not covered, and after the contig's end; pyBigWig gives nothing at all, not NaN,
        # for a contig without entries.
        whole = np.full((last - first) * bin_size, np.nan, np.float32)
        whole[: len(values)] = values
        known = ~np.isnan(whole)
        whole[~known] = 0
        total, covered = whole.reshape(-1, bin_size), known.reshape(-1, bin_size)
        return Sums(total.sum(1, dtype=np.float64), covered.sum(1, dtype=np.float64))

    def _sample(self, bin_size: int) -> Iterator[tuple[str, int, int]]:
        """Contig, first and last bin of what a distribution is made of."""
        lengths = {name: size for name, size in self.lengths.items() if self.has_signal(name)}
        total = sum(lengths.values())
        if total <= SAMPLED_BASES:
            yield from ((name, 0, -(-size // bin_size)) for name, size in lengths.items())
            return
        pieces = SAMPLED_BASES // SAMPLE_BASES
        before = 0
        for name, size in lengths.items():
            # Piece i starts at base i * total / pieces of the contigs laid end to end.
            for i in range(-(-before * pieces // total), -(-(before + size) * pieces // total)):
                first = (i * total // pieces - before) // bin_size
                yield name, max(first, 0), max(first, 0) + max(SAMPLE_BASES // bin_size, 1)
            before += size

    def has_signal(self, name: str) -> bool:
        """Return True if a contig, as the file spells it, has any data.

        Cheap, from the zoom levels: many files list the contigs of a whole assembly.
        """
        try:
            return self._file.stats(name, type="max")[0] is not None
        except RuntimeError as error:
            raise DataError(f"is damaged in {name}", where=self.path) from error


def _add(sums: Sums, intervals: Intervals, first_bin: int, bin_size: int) -> None:
    """Add entries to the bins they meet; bin 0 of `sums` is `first_bin`.

    The part of an entry up to the end of its first bin is added to what is there, since other
    entries may begin in that bin. No more than one entry reaches into a bin from before.
    """
    start, end, value = intervals
    low = start // bin_size
    edge = (low + 1) * bin_size
    head = (np.minimum(end, edge) - start).astype(np.float64)
    index = low.astype(np.intp) - first_bin
    np.add.at(sums.total, index, value * head)
    np.add.at(sums.covered, index, head)
    longer = np.flatnonzero(end > edge)
    if len(longer):
        rest = Intervals(edge[longer], end[longer], value[longer])
        _add_rest(sums, rest, index[longer] + 1, bin_size)


def _add_rest(sums: Sums, rest: Intervals, index: NDArray[np.intp], bin_size: int) -> None:
    """Add entries that start with a bin, `index`: whole bins, then what reaches into the last."""
    whole = ((rest.end - rest.start - 1) // bin_size).astype(np.intp)
    tail = rest.end - rest.start - whole * bin_size
    last = index + whole
    np.add.at(sums.total, last, rest.value * tail)
    np.add.at(sums.covered, last, tail.astype(np.float64))
    several = np.flatnonzero(whole)
    if len(several):
        whole, index = whole[several], index[several]
        inside = np.repeat(index - (np.cumsum(whole) - whole), whole)
        inside += np.arange(len(inside))
        sums.total[inside] = np.repeat(rest.value[several] * bin_size, whole)
        sums.covered[inside] = bin_size


def _check_format(path: Path) -> None:
    """Refuse what is no bigWig before libBigWig writes its own messages about it."""
    try:
        with path.open("rb") as handle:
            header = handle.read(6)
            handle.seek(-min(4, path.stat().st_size), 2)
            trailer = handle.read(4)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=path) from error
    if header[:4] != _MAGIC:
        raise DataError("is not a bigWig file", where=path)
    if int.from_bytes(header[4:6], "little") >= _VERSION_WITH_TRAILER and trailer != _MAGIC:
        raise DataError("is truncated", where=path, hint="copy or download it again")
