"""The request to compare generated sequences with real ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from genomix_cli.options import Option, option
from genomix_cli.shared_options import Draws, Force, Seed


@dataclass(frozen=True)
class GeneratedRequest:
    """Request to compare generated sequences with real ones."""

    generated: Annotated[Path, Option("Generated sequences", argument=True, metavar="GENERATED.h5")]
    real: Annotated[
        Path, Option("Real sequences, including those of training", metavar="SEQUENCES.h5")
    ]
    label: str = option("", "Phenotype used as the condition", shown="the real file's")
    hold_out: str = option(
        "auto", "As in training: auto, splits, or a fraction such as 0.25", metavar="HOW"
    )
    motifs: Path | None = option(None, "Also compare these motifs", metavar="MEME")
    classifier: Path | None = option(
        None, "Run folder of a classifier", metavar="RUN", shown="5-mers and logistic regression"
    )
    tsv: Path | None = option(None, "TSV of the metrics", "-o --output", writes=True)
    json: Path | None = option(None, "JSON of all results, with provenance", writes=True)
    report: Path | None = option(None, "HTML page", metavar="HTML", writes=True)
    draws: Draws = 200
    seed: Seed = 0
    force: Force = False
