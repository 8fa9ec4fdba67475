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

# Piece size that fits the cache and keeps memory independent of the chromosome's length.
PIECE_BASES = 10_000_000
# Positions and ends of bins below this fit into int32.
BLOCK_BASES = 2**31
# Above this total, a distribution is estimated from evenly spaced samples of `SAMPLE_BASES`.
SAMPLED_BASES = 200_000_000
SAMPLE_BASES = 1_000_000

_MAGIC = (0x888FFC26).to_bytes(4, "little")
# Version from which the file repeats its magic number at the end.
_VERSION_WITH_TRAILER = 4


class Bins(NamedTuple):
    """Signal of consecutive bins.

    Attributes
    ----------
    mean : NDArray
        float32 ``[n]``, mean over the covered bases of each bin; 0 where none is covered.
    covered : NDArray
        bool ``[n]``, True if any base of the bin is covered.
    """

    mean: NDArray[np.float32]
    covered: NDArray[np.bool_]


class Sums(NamedTuple):
    """Sum over covered bases and their number for consecutive bins, float64 ``[n]`` each."""

    total: NDArray[np.float64]
    covered: NDArray[np.float64]


class BigWig:
    """Signal track in a bigWig file.

    Blocks are decoded by :mod:`genomix_cli.genome.bigwig_blocks`. Layouts that it does not support
    are read with pyBigWig, which is several times slower but gives the same numbers.

    Parameters
    ----------
    path : str or Path
        bigWig file.

    Attributes
    ----------
    lengths : dict of str to int
        Length of each contig, by its name in the file.
    names : ContigNames
        Maps other spellings to names in the file, such as ``chr1`` to ``1``.

    Raises
    ------
    DataError
        If the file is missing, truncated or not a bigWig.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _check_format(self.path)
        try:
            self._file = pyBigWig.open(str(self.path))
        except RuntimeError as error:
            raise DataError("its bigWig header or index is damaged", where=self.path) from error
        self.lengths: dict[str, int] = dict(self._file.chroms())
        # libBigWig lists contigs in the order of their ids in the index.
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
        """Return the mean signal of the bins `first_bin` to `last_bin` (exclusive) of a contig.

        Bin ``i`` spans bases ``i * bin_size`` to ``(i + 1) * bin_size``. Bins off the contig on
        either side, and bins of a contig that the file lacks, are not covered.

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
            If this part of the file is damaged or has values that are not finite.
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
        """Return sum and number of the covered bases in windows of equal length on a contig.

        Parameters
        ----------
        contig : str
            Any usual spelling of the contig's name.
        starts : NDArray
            First base of each window, int64 ``[n]``, 0-based, in any order.
        length : int
            Length of a window in bases.

        Returns
        -------
        Sums
            Zeros for a contig that the file lacks.

        Raises
        ------
        DataError
            As in :meth:`bins`.
        """
        windows = Sums(np.zeros(len(starts)), np.zeros(len(starts)))
        name = self.names.find(contig)
        if name is None:
            return windows
        # All windows begin and end on boundaries of bins of this size.
        unit = int(np.gcd.reduce(starts, initial=length))
        part = starts // PIECE_BASES
        for number in np.unique(part):
            rows = np.flatnonzero(part == number)
            first, last = int(starts[rows].min()), int(starts[rows].max()) + length
            bins = Sums(*np.zeros((2, (last - first) // unit)))
            for piece, sums in self._pieces(name, first // unit, last // unit, unit):
                bins.total[piece], bins.covered[piece] = sums
            low = (starts[rows] - first) // unit
            # Differences of running sums would leave rounding noise where the signal is 0.
            edges = np.column_stack([low, low + length // unit]).ravel()
            for into, values in zip(windows, bins, strict=True):
                into[rows] = np.add.reduceat(np.append(values, 0), edges)[::2]
        return windows

    def _pieces(
        self, name: str, first_bin: int, last_bin: int, bin_size: int
    ) -> Iterator[tuple[slice, Sums]]:
        """Yield the slice and the sums of each piece of bins, leaving out pieces without data.

        The sums are valid until the next piece.
        """
        end = min(last_bin, -(-self.lengths[name] // bin_size))
        step = max(PIECE_BASES // bin_size, 1)
        for first in range(max(first_bin, 0), end, step):
            last = min(first + step, end)
            # Infinities of both signs give NaN, which is refused below.
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

    def distribution(self, n: int = 1001) -> NDArray[np.float32]:
        """Return quantiles of the binned signal over the covered bins of the whole file.

        Files with more than 200 Mb of contigs are sampled by 200 evenly spaced pieces of 1 Mb,
        always the same ones.

        Parameters
        ----------
        n : int
            Number of quantiles, evenly spaced from 0 to 1.

        Returns
        -------
        NDArray
            float32 ``[n]``, ascending.

        Raises
        ------
        DataError
            If no bin is covered.
        """
        sample = (self.bins(*piece) for piece in self._sample())
        values = np.concatenate(
            [np.empty(0, np.float32), *(bins.mean[bins.covered] for bins in sample)]
        )
        if not values.size:
            raise DataError("holds no signal", where=self.path)
        return np.quantile(values, np.linspace(0, 1, n)).astype(np.float32)

    def _sums(self, name: str, first: int, last: int, bin_size: int) -> Sums | None:
        """Return sums of bins that all start on the contig; None if nothing is covered.

        The last bin may be cut short by the end of the contig. Valid until the next call.
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
        """Return zeros in a reused buffer, since new memory pages cost more than the sums."""
        if len(self._scratch.total) < n:
            self._scratch = Sums(np.empty(n), np.empty(n))
        sums = Sums(self._scratch.total[:n], self._scratch.covered[:n])
        sums.total.fill(0)
        sums.covered.fill(0)
        return sums

    def _sums_of_values(self, name: str, first: int, last: int, bin_size: int) -> Sums:
        """Return the same as :meth:`_sums`, read base by base through pyBigWig."""
        start, end = first * bin_size, min(last * bin_size, self.lengths[name])
        try:
            values = self._file.values(name, start, end, numpy=True)
        except RuntimeError as error:
            raise DataError(f"is damaged at {name}:{start + 1}-{end}", where=self.path) from error
        # NaN marks uncovered bases and those after the contig's end. For a contig without entries,
        # pyBigWig returns nothing at all rather than NaN.
        whole = np.full((last - first) * bin_size, np.nan, np.float32)
        whole[: len(values)] = values
        known = ~np.isnan(whole)
        whole[~known] = 0
        total, covered = whole.reshape(-1, bin_size), known.reshape(-1, bin_size)
        return Sums(total.sum(1, dtype=np.float64), covered.sum(1, dtype=np.float64))

    def _sample(self) -> Iterator[tuple[str, int, int]]:
        """Yield contig, first and last bin of each piece sampled for a distribution."""
        lengths = {name: size for name, size in self.lengths.items() if self.has_signal(name)}
        total = sum(lengths.values())
        if total <= SAMPLED_BASES:
            yield from ((name, 0, -(-size // BIN_SIZE)) for name, size in lengths.items())
            return
        pieces = SAMPLED_BASES // SAMPLE_BASES
        before = 0
        for name, size in lengths.items():
            # Piece i starts at base i * total / pieces of the concatenated contigs.
            for i in range(-(-before * pieces // total), -(-(before + size) * pieces // total)):
                first = (i * total // pieces - before) // BIN_SIZE
                yield name, max(first, 0), max(first, 0) + SAMPLE_BASES // BIN_SIZE
            before += size

    def has_signal(self, name: str) -> bool:
        """Return True if a contig, named as in the file, has any data.

        This is cheap, since it reads zoom levels. Many files list all contigs of an assembly.
        """
        try:
            return self._file.stats(name, type="max")[0] is not None
        except RuntimeError as error:
            raise DataError(f"is damaged in {name}", where=self.path) from error


def _add(sums: Sums, intervals: Intervals, first_bin: int, bin_size: int) -> None:
    """Add entries to the bins they overlap; bin 0 of `sums` is `first_bin`.

    The part of an entry in its first bin is accumulated, since other entries may begin in that
    bin. At most one entry reaches into a bin from before it.
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
    """Add entries that start at the beginning of bin `index`: whole bins, then the last part."""
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
    """Refuse a file that is not a bigWig before libBigWig prints its own messages."""
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
