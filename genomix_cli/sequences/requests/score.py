"""The request to classify, embed or retrieve sequences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genomix_cli.options import option
from genomix_cli.sequences.requests.train import File
from genomix_cli.shared_options import Device, Stats, Table, TrainedModel


@dataclass(frozen=True)
class ScoreRequest:
    """Request to classify sequences, embed them, or retrieve phenotypes for them."""

    sequences: File
    model: TrainedModel
    output: Table = Path("-")
    embeddings: Path | None = option(
        None, "TSV or Parquet of embeddings: sample, e0, e1, ...", metavar="TABLE", writes=True
    )
    bigwig: Path | None = option(
        None,
        "Folder for a bigWig of predicted base counts per track (runs of --task profile)",
        metavar="DIR",
        writes=True,
    )
    stats: Stats = None
    device: Device = "auto"
