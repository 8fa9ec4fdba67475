"""Judging a scored cohort: see `genomix_cli.cli.evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genomix_cli.cli.options import Config, Quiet, Verbose
from genomix_cli.errors import GenomixError


def evaluate_cohort(
    scored: Path,
    cohort: Annotated[Path | None, typer.Option(help="Cohort with the labels.")] = None,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Say how good the scores of samples are."""
    raise GenomixError("evaluating cohorts is not here yet", where=scored)
