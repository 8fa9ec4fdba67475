"""``genomix prepare``: raw files to shards."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genomix_cli.cli.options import (
    Config,
    Contacts,
    Fasta,
    Force,
    Quiet,
    Threads,
    Tracks,
    Verbose,
    parse_tracks,
)

if TYPE_CHECKING:
    from genomix_cli.variants.prepare import PrepareSummary

app = typer.Typer(name="prepare", help="Turn raw files into shards.", no_args_is_help=True)

log = logging.getLogger("genomix")


@app.callback()
def _group() -> None:
    """Turn raw files into shards."""


@app.command("variants")
def variants(
    vcf: Annotated[Path, typer.Option("--vcf", help="VCF, VCF.gz, or - for standard input.")],
    fasta: Fasta,
    output: Annotated[Path, typer.Option("-o", "--output", help="Shard to write (HDF5).")],
    track: Tracks = None,
    contacts: Contacts = None,
    label_info: Annotated[
        str | None, typer.Option("--label-info", help="INFO key of the label, one value per ALT.")
    ] = None,
    probability_info: Annotated[
        str | None,
        typer.Option("--probability-info", help="INFO key of the label's true probability."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="TSV: contig, pos (1-based), ref, alt, label[, weight, group, tissue].",
        ),
    ] = None,
    normalise_like: Annotated[
        str | None,
        typer.Option("--normalise-like", help="Shard or model whose track scale to conform to."),
    ] = None,
    uncovered: Annotated[
        str | None,
        typer.Option("--uncovered", help="What bins without data are: missing (default) or zero."),
    ] = None,
    max_gap: Annotated[
        int | None,
        typer.Option("--max-gap", min=0, help="Interpolate gaps up to this many bp (500)."),
    ] = None,
    flank: Annotated[
        int, typer.Option("--flank", min=1000, help="Bases to keep on each side of a variant.")
    ] = 100_000,
    layout: Annotated[
        str,
        typer.Option("--layout", help="genome (each stretch once) or windows (a row per variant)."),
    ] = "genome",
    k: Annotated[
        int, typer.Option("--k", min=3, max=7, help="k-mer length of the windows layout.")
    ] = 6,
    assembly: Annotated[
        str, typer.Option("--assembly", help="Name of the assembly, for the record.")
    ] = "",
    stats: Annotated[
        Path | None, typer.Option("--stats", help="Write the summary to this JSON file too.")
    ] = None,
    force: Force = False,
    config: Config = None,
    threads: Threads = 0,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Variants with the sequence, tracks and contacts around them, for `genomix train`."""
    from genomix_cli.variants.prepare import PrepareRequest, prepare_variants

    meaning: Any = uncovered
    request = PrepareRequest(
        vcf=vcf,
        fasta=fasta,
        output=output,
        tracks=parse_tracks(track),
        contacts=contacts,
        label_info=label_info,
        probability_info=probability_info,
        labels=labels,
        normalise_like=normalise_like,
        uncovered=meaning,
        max_gap=max_gap,
        flank=flank,
        layout=layout,
        k=k,
        assembly=assembly,
        force=force,
        stats=stats,
    )
    _render(prepare_variants(request))


def _render(summary: PrepareSummary) -> None:
    log.info(
        "%s: %s records, %s alleles, %s used",
        summary.output,
        *(f"{n:,}" for n in (summary.records, summary.alleles, summary.used)),
    )
    for reason, count in summary.skipped.items():
        log.info("  not used: %s %s, as %s", reason, f"{count:,}", summary.examples[reason][0])
    if summary.labelled or summary.labels_unused:
        log.info(
            "labels: %s alleles with, %s without; %s rows of the table match no allele",
            *(f"{n:,}" for n in (summary.labelled, summary.unlabelled, summary.labels_unused)),
        )
    shares = ", ".join(f"{name} {share:.0%}" for name, share in summary.observed.items())
    log.info("%s bases stored; bins observed: %s", f"{summary.bases:,}", shares or "no tracks")
