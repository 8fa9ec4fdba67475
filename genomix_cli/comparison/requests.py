"""The request of ``genomix evaluate`` for scores of samples or sequences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from genomix_cli.options import Option, option, parse_words
from genomix_cli.shared_options import Draws, Seed, WhatIsSeen


@dataclass(frozen=True)
class EvaluateRequest:
    """Options of ``genomix evaluate`` for predictions of classes.

    Without `data`, labels come from the table's column ``label``. Units of the bootstrap come from
    its column ``unit``; without one, each sample is its own.
    """

    scored: Annotated[
        Path,
        Option(
            "Scores of samples or sequences (TSV, Parquet), or a run folder",
            argument=True,
            metavar="SCORED",
        ),
    ]
    data: Path | None = option(
        None,
        "Cohort or sequences with labels, and patients or groups",
        "--data",
        old="--cohort",
        metavar="FILE",
        shown="column label of the table",
    )
    label: str = option("", "Phenotype, for sequences", shown="the file's")
    model: str | None = option(
        None, "Model to evaluate, if the table has several", "--model -m", shown="the first"
    )
    versus: Path | None = option(
        None, "Another table, for paired differences", "--vs", metavar="SCORED"
    )
    versus_model: str | None = option(
        None, "Model of --vs, or another of the same table", "--vs-model"
    )
    modalities: tuple[str, ...] = option(
        (),
        "Modalities that the model saw, for the Bayes ceiling",
        commas=True,
        parse=parse_words,
    )
    seen: WhatIsSeen = "refuse"
    draws: Draws = 1000
    seed: Seed = 0
