"""``genomix score`` of sequences: classes, embeddings, retrieval."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genomix_cli.cli.options import Config, Device, Model, Quiet, Threads, Verbose
from genomix_cli.cli.score_cohort import set_threads
from genomix_cli.cli.summary import show

if TYPE_CHECKING:
    from genomix_cli.sequences.score.sequences import ScoreSummary

log = logging.getLogger("genomix")


def score_sequences(
    sequences: Path,
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
    embeddings: Annotated[
        Path | None,
        typer.Option(help="TSV or Parquet of embeddings: sample, e0, e1, ..."),
    ] = None,
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
    """A row per sequence, in order, by what the run is of.

    Task classify: calibrated probability of each class, the prediction set, and whether it is not a
    single class; contrast: embeddings; align: what is retrieved. A sequence of N alone has empty
    cells.
    """
    from genomix_cli.sequences.requests import ScoreRequest
    from genomix_cli.sequences.score.sequences import score_sequences as score

    set_threads(threads)
    summary = score(ScoreRequest(sequences, model, output, embeddings, stats, device))
    if log.isEnabledFor(logging.INFO):
        show(_rows(summary))


def _rows(summary: ScoreSummary) -> Iterator[tuple[str, str, str]]:
    """Name, value and note."""
    yield "sequences", f"{summary.sequences:,}", f"{summary.model} on {summary.device}"
    for name, count in summary.predicted.items():
        yield f"predicted {name}", f"{count:,}", ""
    if summary.predicted:
        sets = f"no single class in the {summary.level:.0%} prediction set"
        yield "abstained", f"{summary.abstained:,}", sets
    if summary.scored < summary.sequences:
        yield "not scored", f"{summary.sequences - summary.scored:,}", "no base is known"
    yield "seconds", f"{summary.seconds:.2f}", "computing alone"
