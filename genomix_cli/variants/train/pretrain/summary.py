"""Result of pre-training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from genomix_cli.variants.requests.train import Masking
from genomix_cli.variants.train.pretrain.metrics import KmerRow, TrackRow


@dataclass(frozen=True)
class PretrainSummary:
    """Result of pre-training, with the content of ``metrics.json``.

    Attributes
    ----------
    folder, data, model, preset : str
    parameters : int
        Number of parameters without the heads.
    windows : dict of str to int
        Numbers of training and validation windows, and of windows left out.
    cells, modalities : tuple of str
    masking : Masking
    best : dict of str to float
    curve : tuple of dict
        Metrics of each validation.
    tracks : tuple of TrackRow
    kmers : tuple of KmerRow
        Results of the model, then of the Markov chains.
    notes : tuple of str
    """

    folder: str
    data: str
    model: str
    preset: str
    parameters: int
    windows: dict[str, int]
    cells: tuple[str, ...]
    modalities: tuple[str, ...]
    masking: Masking
    best: dict[str, float]
    curve: tuple[dict[str, float], ...]
    tracks: tuple[TrackRow, ...]
    kmers: tuple[KmerRow, ...]
    notes: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of a table for the terminal."""
        tracks = [
            {
                "hidden": f"{row.modality}{'@' if row.cell else ''}{row.cell}, {row.hidden}",
                "metric": "r",
                **_cells(row.r, row.simple_r.value),
            }
            for row in self.tracks
        ]
        best = min((row.nats_per_base.value for row in self.kmers[1:]), default=math.nan)
        kmers = [
            {"hidden": "bases", "metric": "nats", **_cells(row.nats_per_base, best)}
            for row in self.kmers[:1]
        ]
        return tracks + kmers


def _cells(interval: Any, simple: float) -> dict[str, float]:
    return {**interval._asdict(), "simple guess": simple}
