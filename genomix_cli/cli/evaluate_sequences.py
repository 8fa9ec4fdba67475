"""``genomix evaluate`` of generated sequences: how like held-out real ones they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genomix_cli.cli.options import Config, Force, Quiet, Seed, Verbose
from genomix_cli.cli.summary import interval_text, print_table

if TYPE_CHECKING:
    from genomix_cli.sequences.generate.evaluate import GeneratedEvaluation


def evaluate_generated(
    generated: Path,
    real: Annotated[
        Path,
        typer.Option(help="Real sequences, with those of training.", metavar="SEQUENCES.h5"),
    ],
    label: Annotated[
        str, typer.Option(help="Phenotype that was the condition; default: the real file's.")
    ] = "",
    hold_out: Annotated[
        str, typer.Option(help="As in training: auto, splits, or a share as 0.25.")
    ] = "auto",
    motifs: Annotated[
        Path | None, typer.Option("--motifs", help="Motifs in MEME format, to compare too.")
    ] = None,
    classifier: Annotated[
        Path | None,
        typer.Option(
            help="Run folder of a classifier; default: 5-mers and logistic regression.",
            metavar="RUN",
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option("--bootstrap", min=0, help="Draws for the intervals; 0: none.")
    ] = 200,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="TSV of the metrics.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="JSON of everything, with provenance.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="HTML page.")] = None,
    seed: Seed = 0,
    force: Force = False,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Compare generated sequences with held-out real ones, beside Markov chains.

    Spectrum of 6-mers, profiles and GC of single sequences, motifs, classes as a classifier sees
    them, and how close each comes to the nearest training sequence.
    """
    from genomix_cli.sequences.generate.evaluate import evaluate_generated as compare
    from genomix_cli.sequences.requests import GeneratedRequest

    request = GeneratedRequest(
        generated=generated,
        real=real,
        label=label,
        hold_out=hold_out,
        motifs=motifs,
        classifier=classifier,
        tsv=output,
        json=json,
        report=report,
        draws=draws,
        seed=seed,
        force=force,
    )
    render_generated(compare(request))


def render_generated(evaluation: GeneratedEvaluation) -> None:
    """A table on stdout, a column for each set of sequences, and what to make of it."""
    from genomix_cli.sequences.generate.entrants import METRICS

    entrants = evaluation.entrants
    rows = [
        [METRICS[name], *(interval_text(each.metrics.get(name), 4) for each in entrants)]
        for name in entrants[0].metrics
    ]
    print_table(["metric", *(each.name for each in entrants)], rows, aligned=True)
    counts = evaluation.counts
    typer.echo("")
    typer.echo(
        f"{counts['compared']:,} generated sequences beside as many held out by "
        f"{evaluation.held_out_by}"
        + (f"; {counts['left_out']:,} left out, to match classes" if counts["left_out"] else "")
    )
    typer.echo(evaluation.headline)
