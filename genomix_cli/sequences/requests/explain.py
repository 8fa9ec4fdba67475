"""The request to explain the classes of sequences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from genomix_cli.options import RARE, option
from genomix_cli.sequences.requests.train import File
from genomix_cli.shared_options import (
    AllowIncomplete,
    Attributions,
    Device,
    Force,
    Motifs,
    Page,
    Seed,
    TrainedModel,
)


@dataclass(frozen=True)
class ExplainRequest:
    """Request to explain the classes of sequences."""

    sequences: File
    model: TrainedModel
    output: Attributions
    select: tuple[str, ...] = option(
        (), "Sequence to explain; repeatable", "--names", metavar="NAME", panel="Sequences"
    )
    most: int = option(
        20, "Explain at most this many sequences, evenly spread", "--max-sequences", min=1
    )
    of_class: str | None = option(
        None, "Explain this class instead of the predicted one", "--class"
    )
    steps: int = option(64, "Integration steps, doubled while too few", min=2, panel="")
    baseline: str = option(
        "auto",
        "Baseline: uniform, mean (of each column) or shuffle (of dinucleotides)",
        choices=("auto", "uniform", "mean", "shuffle"),
        open=True,
    )
    summary: Path | None = option(
        None, "TSV of the mean |attribution| of each column", metavar="TSV", writes=True
    )
    report: Page = None
    motifs: Motifs = None
    allow_incomplete: Annotated[AllowIncomplete, RARE] = False
    device: Device = "auto"
    seed: Seed = 0
    force: Force = False
