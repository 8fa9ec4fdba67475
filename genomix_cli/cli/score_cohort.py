"""``genomix score`` of a cohort: classes of its samples."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genomix_cli.cli.options import Config, Device, Model, Quiet, Threads, Verbose
from genomix_cli.cli.summary import show

if TYPE_CHECKING:
    from genomix_cli.cohorts.score import ScoreSummary

log = logging.getLogger("genomix")


def score_cohort(
    cohort: Path,
    model: Model,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="TSV, TSV.gz or Parquet; - is standard output.",
            allow_dash=True,
        ),
    ] = Path("-"),
    stats: Annotated[
        Path | None,
        typer.Option(help="JSON file for counts and times.", metavar="FILE.json"),
    ] = None,
    device: Device = "auto",
    threads: Threads = 0,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """A row per sample, in order: calibrated probability of each class, and the prediction set.

    The set holds the true class as often as the model was calibrated to; `abstain` is 1 where it
    is not a single class. A sample of which nothing was measured has empty cells.
    """
    from genomix_cli.cohorts.requests import ScoreRequest
    from genomix_cli.cohorts.score import score_cohort as score_samples

    set_threads(threads)
    summary = score_samples(ScoreRequest(cohort, model, output, stats, device))
    if log.isEnabledFor(logging.INFO):
        show(_rows(summary))


def set_threads(threads: int) -> None:
    """Threads of torch, where it was imported before the option was read."""
    if threads:
        import torch

        torch.set_num_threads(threads)


def _rows(summary: ScoreSummary) -> Iterator[tuple[str, str, str]]:
    """Name, value and note."""
    yield "samples", f"{summary.samples:,}", f"{summary.model} on {summary.device}"
    for name, count in summary.predicted.items():
        yield f"predicted {name}", f"{count:,}", ""
    sets = f"no single class in the {summary.level:.0%} prediction set"
    yield "abstained", f"{summary.abstained:,}", sets
    if summary.scored < summary.samples:
        nothing = "nothing that the model knows was measured"
        yield "not scored", f"{summary.samples - summary.scored:,}", nothing
    for name, count in summary.lacking.items():
        yield f"without {name}", f"{count:,}", ""
    yield "seconds", f"{summary.seconds:.2f}", "computing alone"
