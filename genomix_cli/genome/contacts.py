"""Hi-C maps as log(observed/expected) on a 5-kb grid.

The value between bins I and J is G = min(log((O/E + c) / (1 + c)), 1.5) with c = 0.2, from
balanced counts where the map has weights: 0 where O = E, bounded where counts are few.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, MissingExtraError, UsageError
from genomix_cli.genome.intervals import ContigNames

BIN = 5_000
PSEUDO = 0.2
LARGEST = 1.5
# Diagonals kept, as 5-kb bins: a window of 100 kb at any offset.
REACH = 21


class Contacts:
    """A .cool file, or one resolution of an .mcool.

    Parameters
    ----------
    path : str or Path
        ``map.cool``, ``map.mcool`` or ``map.mcool::/resolutions/5000``. Of an .mcool without a
        resolution, 5 kb is used where it is there, else the finest coarser one, else the coarsest.

    Attributes
    ----------
    lengths : dict of str to int
    names : ContigNames
    resolution : int
        Bases per bin of the map.

    Raises
    ------
    MissingExtraError
        If cooler is not installed.
    DataError
        If the file is missing or is no contact map.
    """

    def __init__(self, path: str | Path) -> None:
        self.uri = str(path)
        self._map = _open(self.uri)
        self.resolution = int(self._map.binsize or 0)
        if BIN % self.resolution and self.resolution % BIN:
            raise DataError(
                "has a resolution that does not fit the 5-kb grid",
                where=path,
                expected="a divisor or multiple of 5000",
                found=str(self.resolution),
            )
        self.lengths = {str(n): int(size) for n, size in self._map.chromsizes.items()}
        self.names = ContigNames(self.lengths, path)
        self._bands: dict[str, NDArray[np.float32]] = {}

    def close(self) -> None:
        """Forget what was read; cooler opens the file for each query."""
        self._bands.clear()

    def matrix(self, contig: str, start: int, n_bins: int) -> NDArray[np.float32]:
        """Contacts between 5-kb bins from `start`.

        Parameters
        ----------
        contig : str
        start : int
            Multiple of 5000; may be negative.
        n_bins : int

        Returns
        -------
        NDArray
            float32 ``[n_bins, n_bins]``, symmetric; 0 where unknown, off the contig, or `REACH`
            or more bins off the diagonal.
        """
        out = np.zeros((n_bins, n_bins), np.float32)
        name = self.names.find(contig)
        if name is None:
            return out
        band = self.band(name)
        first = start // BIN
        rows = np.arange(max(0, first), min(len(band), first + n_bins))
        for offset in range(min(REACH, n_bins)):
            i = rows[rows + offset < min(len(band), first + n_bins)]
            out[i - first, i - first + offset] = band[i, offset]
            out[i - first + offset, i - first] = band[i, offset]
        return out

    def band(self, contig: str) -> NDArray[np.float32]:
        """The contig near the diagonal, ``[5-kb bins, REACH]``: value of (i, i + j)."""
        if contig not in self._bands:
            n_bins = -(-self.lengths[contig] // BIN)
            self._bands = {contig: self._read_band(contig, n_bins)}
        return self._bands[contig]

    def _read_band(self, contig: str, n_bins: int) -> NDArray[np.float32]:
        counts, usable = self._counts(contig)
        if self.resolution < BIN:
            counts, usable = _coarsen(counts, usable, BIN // self.resolution, n_bins)
        value = _observed_over_expected(counts, usable)
        spread = max(1, self.resolution // BIN)
        i = np.arange(n_bins)[:, None]
        j = i + np.arange(REACH)
        inside = j < n_bins
        row, offset = i // spread, j // spread - i // spread
        row, offset = np.broadcast_arrays(row, offset)
        band = value[row, np.minimum(offset, value.shape[1] - 1)]
        return np.where(inside, band, 0).astype(np.float32)

    def _counts(self, contig: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Counts near the diagonal ``[bin, offset]``, and which bins can be trusted."""
        bins = self._map.bins().fetch(contig)
        pixels = self._map.matrix(balance=False, as_pixels=True, join=False).fetch(contig)
        first = int(bins.index[0])
        low = pixels["bin1_id"].to_numpy() - first
        offset = pixels["bin2_id"].to_numpy() - first - low
        reach = -(-REACH * BIN // self.resolution) + 1
        near = offset < reach
        low, offset = low[near], offset[near]
        count = pixels["count"].to_numpy(np.float64)[near]
        usable = np.ones(len(bins), np.bool_)
        if "weight" in bins:
            weight = bins["weight"].to_numpy(np.float64)
            usable = np.isfinite(weight)
            weight = np.where(usable, weight, 0)
            count = count * weight[low] * weight[low + offset]
        table = np.zeros((len(bins), reach))
        np.add.at(table, (low, offset), count)
        if "weight" not in bins:
            covered = table.sum(axis=1)
            np.add.at(covered, low + offset, count)
            usable = covered > 0
        return table, usable


def _observed_over_expected(
    counts: NDArray[np.float64], usable: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Compressed log(O/E) ``[bin, offset]``; E is the mean of a diagonal over usable bins."""
    value = np.zeros_like(counts)
    for offset in range(counts.shape[1]):
        n = len(counts) - offset
        if n <= 0:
            break
        pairs = usable[:n] & usable[offset:]
        expected = counts[:n, offset][pairs].mean() if pairs.any() else 0.0
        if expected > 0:
            ratio = counts[:n, offset][pairs] / expected
            value[:n, offset][pairs] = np.minimum(np.log((ratio + PSEUDO) / (1 + PSEUDO)), LARGEST)
    return value


def _coarsen(
    counts: NDArray[np.float64], usable: NDArray[np.bool_], factor: int, n_bins: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Sum `factor` x `factor` fine bins into one of the 5-kb grid."""
    i, offset = np.nonzero(counts)
    j = i + offset
    table = np.zeros((n_bins, REACH + 1))
    near = j // factor - i // factor <= REACH
    i, j, value = i[near], j[near], counts[i, offset][near]
    np.add.at(table, (i // factor, j // factor - i // factor), value)
    coarse = np.zeros(n_bins, np.bool_)
    coarse[np.flatnonzero(usable) // factor] = True
    return table, coarse


def _open(uri: str) -> Any:
    try:
        import cooler
    except ImportError as error:
        raise MissingExtraError("cooler", "hic") from error
    path, _, group = uri.partition("::")
    if not Path(path).is_file():
        raise DataError("no such file", where=path)
    try:
        resolutions = [] if group else _resolutions(cooler.fileops.list_coolers(path))
        if resolutions:
            uri = f"{path}::/resolutions/{_best(resolutions)}"
        return cooler.Cooler(uri)
    except (OSError, KeyError, ValueError) as error:
        raise DataError("is not a contact map", where=uri, expected=".cool or .mcool") from error


def _resolutions(groups: list[str]) -> list[int]:
    return sorted(int(g.rsplit("/", 1)[1]) for g in groups if g.startswith("/resolutions/"))


def _best(resolutions: list[int]) -> int:
    fits = [r for r in resolutions if r >= BIN and r % BIN == 0]
    if fits:
        return fits[0]
    finer = [r for r in resolutions if BIN % r == 0]
    if not finer:
        raise UsageError(
            "no resolution fits the 5-kb grid",
            expected="a divisor or multiple of 5000",
            found=", ".join(map(str, resolutions)),
        )
    return finer[-1]
