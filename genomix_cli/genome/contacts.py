"""Hi-C maps as log(observed/expected) on a 5-kb grid.

The value between bins I and J is G = min(log((O/E + c) / (1 + c)), 1.5) with c = 0.2, from balanced
counts if the map has weights. G is 0 where O = E, and bounded where counts are low.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, from_extra, guarded
from genomix_cli.genome.hdf5 import check_hdf5
from genomix_cli.genome.intervals import ContigNames

log = logging.getLogger("genomix")

BIN = 5_000
PSEUDO = 0.2
LARGEST = 1.5
# Diagonals kept, in 5-kb bins: enough for a window of 100 kb at any offset.
REACH = 21
# Columns of balancing weights that divide counts, as copied from .hic files by hictk and hic2cool;
# the weights of cooler multiply counts.
DIVISIVE = ("KR", "SCALE", "VC_SQRT", "VC")
BALANCINGS = ("weight", *DIVISIVE, "ICE")
# Pixels read at a time: a deep map has hundreds of millions on one chromosome.
PIECE_PIXELS = 10_000_000


class Contacts:
    """Contact map in a .cool file, or one resolution of an .mcool.

    Parameters
    ----------
    path : str or Path
        ``map.cool``, ``map.mcool`` or ``map.mcool::/resolutions/5000``. For an .mcool without a
        resolution, 5 kb is used if present, otherwise the finest coarser one, otherwise the
        coarsest.

    Attributes
    ----------
    lengths : dict of str to int
    names : ContigNames
    resolution : int
        Bases per bin of the map.
    balancing : str or None
        Column of the balancing weights; None if the counts are raw.

    Raises
    ------
    MissingExtraError
        If cooler is not installed.
    DataError
        If the file is missing, is not a contact map, or has no usable data.
    """

    def __init__(self, path: str | Path) -> None:
        self.uri = str(path)
        with guarded(path):
            self._map = _open(self.uri)
            self._read_bins(path)
        self._bands: dict[str, NDArray[np.float32]] = {}

    def _read_bins(self, path: str | Path) -> None:
        """Read resolution, contigs and balancing, and refuse a map that cannot be used."""
        # cooler returns None for bins of varying size.
        self.resolution = int(self._map.binsize or 0)
        if not self.resolution or (BIN % self.resolution and self.resolution % BIN):
            raise DataError(
                "has a resolution that does not fit the 5-kb grid",
                where=path,
                expected="a divisor or multiple of 5000",
                found=f"{self.resolution} bp" if self.resolution else "bins of varying size",
            )
        self.lengths = {str(n): int(size) for n, size in self._map.chromsizes.items()}
        self.names = ContigNames(self.lengths, path)
        self.balancing = next((c for c in BALANCINGS if c in self._map.bins().columns), None)
        self._refuse_empty()

    def _refuse_empty(self) -> None:
        """Refuse a map without contacts, or whose balancing failed in every bin."""
        if not self._map.info.get("nnz", 1):
            raise DataError("holds no contacts", where=self.uri)
        if self.balancing is None:
            log.info("%s is not balanced; using raw counts", self.uri)
            return
        weight = self._map.bins()[self.balancing][:].to_numpy(np.float64)
        usable = float(np.isfinite(weight).mean())
        if not usable:
            raise DataError(
                f"balancing weights ({self.balancing}) are missing in every bin, "
                "so no contact can be used",
                where=self.uri,
                hint=f"run: cooler balance --force {self.uri}",
            )
        log.info(
            "%s: %.0f %% of bins usable, balanced by %s", self.uri, 100 * usable, self.balancing
        )

    def close(self) -> None:
        """Release cached data; cooler opens the file only during queries."""
        self._bands.clear()

    def matrix(self, contig: str, start: int, n_bins: int) -> NDArray[np.float32]:
        """Return the contacts between 5-kb bins from `start`.

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
        if start % BIN:
            raise ValueError(f"start {start} is not a multiple of {BIN}")
        name = self.names.find(contig)
        if name is None:
            return np.zeros((n_bins, n_bins), np.float32)
        return from_band(self.band(name), start // BIN, n_bins)

    def band(self, contig: str) -> NDArray[np.float32]:
        """Return the band of a contig near the diagonal, ``[5-kb bins, REACH]``: (i, i + j).

        Raises
        ------
        DataError
            If the map has no such contig.
        """
        name = self.names.require(contig)
        if name not in self._bands:
            with guarded(self.uri, f"contacts of {name}"):
                self._bands[name] = self._read_band(name, -(-self.lengths[name] // BIN))
        return self._bands[name]

    def _read_band(self, contig: str, n_bins: int) -> NDArray[np.float32]:
        log.debug("reading contacts of %s", contig)
        counts, usable = self._counts(contig)
        if self.resolution < BIN:
            counts, usable = _coarsen(counts, usable, BIN // self.resolution, n_bins)
        value = _observed_over_expected(counts, usable)
        spread = max(1, self.resolution // BIN)
        i = np.arange(n_bins)[:, None]
        j = i + np.arange(REACH)
        band = value[i // spread, j // spread - i // spread]
        return np.where(j < n_bins, band, 0).astype(np.float32)

    def _counts(self, contig: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return counts near the diagonal, ``[bin, offset]``, and which bins are usable.

        Usable are bins with a balancing weight, or in a raw map bins with any contact.
        """
        bins = self._map.bins().fetch(contig)
        weight = np.ones(len(bins))
        if self.balancing is not None:
            weight = bins[self.balancing].to_numpy(np.float64)
            if self.balancing in DIVISIVE:
                weight = np.divide(1, weight, out=np.full(len(weight), np.nan), where=weight > 0)
        usable = np.isfinite(weight)
        weight = np.where(usable, weight, 0)
        # Enough offsets for REACH bins of 5 kb at any start within a bin of the map.
        reach = -(-REACH * BIN // self.resolution) + 1
        table = np.zeros((len(bins), reach))
        contacts = np.zeros(len(bins))
        for low, high, count in self._pixels(contig):
            contacts += np.bincount(low, count, len(bins)) + np.bincount(high, count, len(bins))
            near = high - low < reach
            low, high = low[near], high[near]
            table[low, high - low] = count[near] * weight[low] * weight[high]
        return table, usable & (contacts > 0)

    def _pixels(self, contig: str) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
        """Yield pieces of the contig's upper triangle: lower bin, higher bin, raw count."""
        first, end = (int(i) for i in self._map.extent(contig))
        with self._map.open("r") as file:
            start, stop = (int(file["indexes/bin1_offset"][i]) for i in (first, end))
            for begin in range(start, stop, PIECE_PIXELS):
                piece = slice(begin, min(begin + PIECE_PIXELS, stop))
                low = file["pixels/bin1_id"][piece] - first
                high = file["pixels/bin2_id"][piece] - first
                count = file["pixels/count"][piece].astype(np.float64)
                usable = (high >= low) & (high < end - first) & np.isfinite(count)
                yield low[usable], high[usable], count[usable]


def from_band(band: NDArray[np.floating], first: int, n_bins: int) -> NDArray[np.float32]:
    """Return the symmetric matrix of bins ``first .. first + n_bins`` from a contig's band.

    Parameters
    ----------
    band : NDArray
        float ``[5-kb bins of the contig, REACH]``: value of (i, i + j), 0 beyond the end.
    first, n_bins : int
        May reach off the contig.

    Returns
    -------
    NDArray
        float32 ``[n_bins, n_bins]``; 0 off the contig and off the band.
    """
    low, high = max(0, first), min(len(band), first + n_bins)
    if low == first and high == first + n_bins:
        rows = band[low:high].astype(np.float32)
    else:
        rows = np.zeros((n_bins, REACH), np.float32)
        if low < high:
            rows[low - first : high - first] = band[low:high]
    place, far = _places(n_bins)
    matrix = rows.ravel().take(place)
    if far is not None:
        matrix[far] = 0
    return matrix


@lru_cache(maxsize=4)
def _places(n: int) -> tuple[NDArray[np.intp], NDArray[np.bool_] | None]:
    """Return each matrix element's index in a flat band, and a mask of those off it, if any."""
    row, column = np.indices((n, n))
    distance = np.abs(row - column)
    place = np.minimum(row, column) * REACH + np.minimum(distance, REACH - 1)
    far = distance >= REACH
    return place, far if far.any() else None


def _observed_over_expected(
    counts: NDArray[np.float64], usable: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return compressed log(O/E), ``[bin, offset]``; E is a diagonal's mean over usable bins."""
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
    """Sum `factor` x `factor` fine bins into each bin of the 5-kb grid."""
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
    with from_extra("cooler", "hic"):
        import cooler
    path, _, group = uri.partition("::")
    expected = ".cool, .mcool or .mcool::/resolutions/5000"
    hint = "convert .hic files with hictk or hic2cool" if path.endswith(".hic") else None
    check_hdf5(Path(path), expected, hint)
    try:
        groups = [] if group else cooler.fileops.list_coolers(path)
        maps = (name.rpartition("/") for name in groups)
        resolutions = sorted(int(last) for folder, _, last in maps if folder == "/resolutions")
        if resolutions:
            uri = f"{path}::/resolutions/{_best(resolutions, path)}"
        return cooler.Cooler(uri)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            "is not a contact map, or has no such resolution",
            where=uri,
            expected=expected,
            hint=hint,
        ) from error


def _best(resolutions: list[int], path: str) -> int:
    """Return the finest resolution of 5 kb or more, otherwise the coarsest below it."""
    for resolution in sorted(resolutions, key=lambda r: (r < BIN, abs(r - BIN))):
        if resolution % BIN == 0 or BIN % resolution == 0:
            return resolution
    raise DataError(
        "has no resolution that fits the 5-kb grid",
        where=path,
        expected="a divisor or multiple of 5000",
        found=", ".join(map(str, resolutions)),
    )
