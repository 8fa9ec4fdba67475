"""Peaks of open chromatin, and the distance of variants to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.formats.genome_shard import Shard
from genomix_cli.genome.intervals import merge
from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.genome.tracks import is_accessibility
from genomix_cli.genome.vcf.regions import Regions
from genomix_cli.variants.train.dataset import cells_of

# Bins above this quantile of the signal belong to peaks.
QUANTILE = 0.95


@dataclass(frozen=True)
class Peaks:
    """Peaks of each cell type.

    Attributes
    ----------
    source : str
        Origin of the peaks, for the report.
    by_cell : mapping of str to mapping of str to NDArray
        Start and end (bp) of peaks, int64 ``[n, 2]``, by cell type and contig of the shard.
    """

    source: str
    by_cell: Mapping[str, Mapping[str, NDArray[np.int64]]]

    def distance(self, shard: Shard, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return bases from each variant to the nearest peak, ``[n]``: 0 inside, inf without."""
        table, (cells, cell) = shard.variants, cells_of(shard)
        names, distance = list(shard.contigs), np.full(len(rows), np.inf)
        key = np.stack([table.contig[rows].astype(np.int64), cell[rows]])
        for contig, of_cell in np.unique(key, axis=1).T:
            here = (key[0] == contig) & (key[1] == of_cell)
            peaks = self.by_cell.get(cells[of_cell], {}).get(names[contig])
            if peaks is not None and len(peaks):
                distance[here] = _distance(peaks, table.pos[rows[here]])
        return distance


def _distance(peaks: NDArray[np.int64], pos: NDArray[np.int64]) -> NDArray[np.float64]:
    starts, ends = peaks.T
    after = np.searchsorted(starts, pos, side="right")
    left = np.where(after > 0, pos - ends[np.maximum(after - 1, 0)] + 1.0, np.inf)
    right = np.where(
        after < len(starts), starts[np.minimum(after, len(starts) - 1)] - pos + 0.0, np.inf
    )
    return np.maximum(np.minimum(left, right), 0.0)


def read_peaks(path: Path, shard: Shard) -> Peaks:
    """Read peaks of a BED or narrowPeak file, for all cell types.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    regions = Regions.read(path)
    pairs = {name: regions.find(name) for name in shard.contigs}
    own = {name: peaks for name, peaks in pairs.items() if peaks is not None}
    return Peaks(path.name, dict.fromkeys(cells_of(shard)[0], own))


def call_peaks(shard: Shard, train: NDArray[np.int64]) -> Peaks | None:
    """Call peaks as runs of the strongest bins of one modality.

    This is the first accessibility modality, or else the first modality.

    Parameters
    ----------
    shard : Shard
    train : NDArray
        Rows whose contigs set the threshold; if empty, the contigs of all variants do.

    Returns
    -------
    Peaks or None
        None without tracks.
    """
    modalities = shard.modalities
    if not modalities:
        return None
    chosen = next((name for name in modalities if is_accessibility(name)), modalities[0])
    index, table = modalities.index(chosen), shard.variants
    known = np.unique(table.contig[train] if len(train) else table.contig)
    names = list(shard.contigs)
    by_cell = {}
    for cell in cells_of(shard)[0]:
        tracks = {name: _track(shard, cell, name, index) for name in names}
        measured = [tracks[names[i]] for i in known]
        values = np.concatenate([v[np.isfinite(v)] for v in measured])
        if len(values):
            threshold = np.quantile(values, QUANTILE)
            by_cell[cell] = {name: _above(v, threshold) for name, v in tracks.items()}
    return Peaks(f"bins of {chosen} above its {QUANTILE:.0%} quantile", by_cell)


def _track(shard: Shard, cell: str, contig: str, index: int) -> NDArray[np.float32]:
    """Return one modality over a contig, NaN where missing."""
    n_bins = -(-shard.contigs[contig] // BIN_SIZE)
    signal = shard.in_cell(cell).signal(contig, 0, n_bins)
    value = signal.value[index].astype(np.float32)
    return np.where(signal.state[index] > 0, value, np.nan)


def _above(value: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    bins = np.flatnonzero(value > threshold)
    return merge(bins * BIN_SIZE, (bins + 1) * BIN_SIZE)
