"""An in-memory genome shard for pre-training, and pre-training that is interrupted."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genomix_cli.genome.signal import Signal, TrackSpec
from genomix_cli.genome.tracks import cells, modalities, rows_in_cell
from genomix_cli.variants.requests.train import PretrainRequest
from genomix_cli.variants.train.pretrain.run import PretrainTask, pretrain
from genomix_cli.variants.train.pretrain.sampling import Batch

BIN = 50


class FakeShard:
    """Random bases of chr1 and chr2, and tracks that depend on them, of several cell types.

    The stretch `gap` of chr1 is a gap.
    """

    uncovered, max_gap_bins, assembly = "missing", 10, "made-up"
    tells_bridged = True

    def __init__(
        self,
        tracks: tuple[str, ...] = ("ATAC@A", "ATAC@B", "CTCF@A"),
        length: int = 200_000,
        gap: tuple[int, int] = (0, 0),
        path: Path = Path("genome.h5"),
    ) -> None:
        rng = np.random.default_rng(0)
        self.path, self.tracks = path, tracks
        self.contigs = {"chr1": length, "chr2": length // 2}
        self.sequence = {
            name: rng.integers(0, 4, n).astype(np.uint8) for name, n in self.contigs.items()
        }
        self.sequence["chr1"][slice(*gap)] = 4
        self.gap = gap
        self.row_of = {name: i for i, name in enumerate(tracks)}

    @property
    def modalities(self) -> tuple[str, ...]:
        return modalities(self.tracks)

    @property
    def cells(self) -> tuple[str, ...]:
        return cells(self.tracks)

    @property
    def modality_specs(self) -> tuple[TrackSpec, ...]:
        quantiles = tuple(np.linspace(0, 1, 1001).round(6).tolist())
        return tuple(TrackSpec(name, quantiles, 0.5, 0.3) for name in self.modalities)

    def without_tracks(self) -> FakeShard:
        bare = copy(self)
        bare.tracks, bare.row_of = (), {}
        return bare

    def in_cell(self, cell: str) -> View:
        return View(self, cell)

    def blocks(self, contig: str) -> np.ndarray:
        length, (low, high) = self.contigs[contig], self.gap
        if contig != "chr1" or low == high:
            return np.array([[0, length]])
        return np.array([[0, low], [high, length]])

    def codes(self, contig: str, start: int, end: int) -> np.ndarray:
        out = np.full(end - start, 4, np.uint8)
        low, high = max(start, 0), min(end, self.contigs[contig])
        if low < high:
            out[low - start : high - start] = self.sequence[contig][low:high]
        return out


class View:
    """One cell type of a `FakeShard`."""

    def __init__(self, shard: FakeShard, cell: str) -> None:
        self.shard, self.codes = shard, shard.codes
        self.rows = rows_in_cell(shard.tracks, cell)

    def signal(self, contig: str, first: int, last: int) -> Signal:
        """Return the GC share of each bin, in steps of the track's number; the edge is unknown."""
        codes = self.shard.codes(contig, first * BIN, last * BIN).reshape(-1, BIN)
        names = self.shard.modalities
        value = np.zeros((len(names), last - first), np.float16)
        observed = np.zeros(value.shape, np.uint8)
        for i, name in enumerate(names):
            if name in self.rows:
                value[i] = (np.isin(codes, (1, 2)).mean(1) - 0.5) * 10 + self.rows[name]
                observed[i] = (codes < 4).all(1)
        return Signal(value, observed)

    def contacts(self, contig: str, start: int, n_bins: int) -> np.ndarray:
        return np.random.default_rng(start % 2**32).normal(size=(n_bins, n_bins)).astype(np.float32)


def pretrain_until_the_second_epoch(
    request: PretrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run pre-training, and fail at the first step of its second epoch."""
    losses = PretrainTask.losses

    def stop_in_the_second_epoch(self: PretrainTask, item: Batch, rng: torch.Generator) -> Any:
        if item.draw[0, 0] == 1:
            raise RuntimeError("stopped")
        return losses(self, item, rng)

    with monkeypatch.context() as patch:
        patch.setattr(PretrainTask, "losses", stop_in_the_second_epoch)
        with pytest.raises(RuntimeError, match="stopped"):
            pretrain(request)
