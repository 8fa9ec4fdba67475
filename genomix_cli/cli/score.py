"""``genomix score``: a VCF in, the same VCF with scores out."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genomix_cli.cli.options import (
    Config,
    Contacts,
    Device,
    Fasta,
    Model,
    Quiet,
    Threads,
    Tracks,
    Uncovered,
    Verbose,
    parse_tracks,
)
from genomix_cli.errors import UsageError

if TYPE_CHECKING:
    from genomix_cli.variants.score import ScoreSummary

log = logging.getLogger("genomix")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("score")(score)


def score(
    variants: Annotated[
        Path,
        typer.Argument(
            help="VCF or VCF.gz; - is standard input.", metavar="VARIANTS.vcf", allow_dash=True
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="VCF, or VCF.gz by its name; - is standard output.",
            allow_dash=True,
        ),
    ] = Path("-"),
    fasta: Fasta = None,  # type: ignore[assignment]  # asked for below, in more words
    model: Model = "gmt-mini-sim",
    track: Tracks = None,
    contacts: Contacts = None,
    uncovered: Uncovered = None,
    check_ref: Annotated[
        str, typer.Option(help="REF that differs from the FASTA: w (warning) or e (error).")
    ] = "w",
    stats: Annotated[
        Path | None, typer.Option(help="JSON file for counts and times.", metavar="FILE.json")
    ] = None,
    device: Device = "auto",
    threads: Threads = 0,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Score every allele of a VCF; records come back in order, with GENOMIX_* INFO fields.

    Alleles that cannot be scored get '.' and a GENOMIX_REASON.
    """
    if fasta is None:
        raise UsageError(
            "no reference",
            hint="give --fasta, set GENOMIX_FASTA, or put `fasta` under [score] "
            "in the file of --config or GENOMIX_CONFIG",
        )
    from genomix_cli.variants.score import ScoreRequest, score_variants

    summary = score_variants(
        ScoreRequest(
            vcf=variants,
            fasta=fasta,
            output=output,
            model=model,
            tracks=parse_tracks(track),
            contacts=contacts,
            uncovered=uncovered,  # type: ignore[arg-type]  # checked there
            check_ref=check_ref,  # type: ignore[arg-type]
            device=device,
            threads=threads,
            stats=stats,
        )
    )
    if log.isEnabledFor(logging.INFO):
        _render(summary)


def _render(summary: ScoreSummary) -> None:
    """The summary on stderr: a table on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        for name, value, note in _rows(summary):
            log.info("%s: %s%s", name, value, f" ({note})" if note else "")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for row in _rows(summary):
        table.add_row(*row)
    Console(stderr=True).print(table)


def _rows(summary: ScoreSummary) -> Iterator[tuple[str, str, str]]:
    """Name, value and note."""
    from genomix_cli.variants.alleles import REASONS
    from genomix_cli.variants.score import STAGES

    yield "records", f"{summary.records:,}", ""
    rate = f"{summary.variants_per_second:,.0f} a second"
    yield "alleles scored", f"{summary.scored:,}", f"of {summary.alleles:,}, {rate}"
    for reason, count in summary.not_scored.items():
        yield f"not scored: {reason}", f"{count:,}", REASONS[reason]
    yield "windows", f"{summary.windows:,}", f"{summary.model} on {summary.device}"
    for stage, seconds in summary.seconds.items():
        yield f"seconds: {stage}", f"{seconds:.2f}", STAGES[stage]
