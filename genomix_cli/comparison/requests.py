"""The request of ``genomix evaluate`` for scores of samples or sequences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from genomix_cli.options import Option, Seed


def parse_modalities(text: str) -> tuple[str, ...]:
    """Names between commas or spaces."""
    return tuple(text.replace(",", " ").split())


@dataclass(frozen=True)
class EvaluateRequest:
    """Predictions of classes to compare with labels.

    Without `data` they are those of the table's own column ``label``, each sample by itself.
    """

    scored: Annotated[
        Path,
        Option("Scores of samples or sequences (TSV, Parquet), or a run folder", argument=True,
               metavar="SCORED"),
    ]  # fmt: skip
    data: Annotated[
        Path | None,
        Option(
            "Cohort or sequences with labels, and patients or groups",
            "--data",
            old="--cohort",
            metavar="FILE",
            default="the table's column label",
        ),
    ] = None
    label: Annotated[str, Option("Phenotype of sequences", default="the file's")] = ""
    model: Annotated[
        str | None,
        Option("Model of a table of several", "--model -m", default="the first"),
    ] = None
    versus: Annotated[
        Path | None, Option("Another table, for paired differences", "--vs", metavar="SCORED")
    ] = None
    versus_model: Annotated[
        str | None, Option("Model of --vs, or another of the same table", "--vs-model")
    ] = None
    modalities: Annotated[
        tuple[str, ...],
        Option(
            "Modalities that the model saw, for the Bayes ceiling",
            commas=True,
            parse=parse_modalities,
        ),
    ] = ()
    draws: Annotated[
        int, Option("Bootstrap draws for the intervals; 0: none", "--bootstrap", min=0)
    ] = 1000
    seed: Seed = 0
