"""``genomix prepare sequences``: FASTA, tables or genotypes to a file of sequences."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genomix_cli.cli.options import Config, Fasta, Force, Quiet, Verbose

if TYPE_CHECKING:
    from genomix_cli.sequences.prepare.sequences import PrepareSummary

# Classes that are listed.
SHOWN = 12

log = logging.getLogger("genomix")


def sequences(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="FASTA, VCF or BCF, or a table with a column of sequences; told by content. "
            "- and pipes: a VCF.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write (HDF5).")],
    table: Annotated[
        Path | None,
        typer.Option(
            "--table", "--samples", help="TSV or CSV of phenotypes, a row per sequence or person."
        ),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(help="Column of ids of the table (sample, id, ..., else the first)."),
    ] = None,
    sequence_column: Annotated[
        str | None, typer.Option(help="Column of the sequences of a table (sequence).")
    ] = None,
    make_ids: Annotated[
        bool, typer.Option("--make-ids", help="Number the sequences: their ids are not unique.")
    ] = False,
    label: Annotated[
        str | None, typer.Option(help="Column of the classes to learn by default.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Column of what folds keep together, as family; of windows also: contig."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Column that says train, validation or test.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="Column to keep as a phenotype (all); repeat.")
    ] = None,
    categorical: Annotated[
        list[str] | None, typer.Option(help="Column of numbers that are categories; repeat.")
    ] = None,
    numeric: Annotated[
        list[str] | None, typer.Option(help="Column that must be of numbers; repeat.")
    ] = None,
    allow_unmatched: Annotated[
        bool,
        typer.Option(
            "--allow-unmatched",
            help="Keep sequences without a row of the table, unlabelled; pass over unused rows.",
        ),
    ] = False,
    window: Annotated[
        int | None, typer.Option(min=1, help="FASTA: bases of a window, or of each region.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(min=1, help="FASTA: from a window to the next (--window).")
    ] = None,
    bed: Annotated[
        Path | None, typer.Option(help="FASTA: regions; names and strands are used.")
    ] = None,
    max_n: Annotated[
        float, typer.Option(min=0, max=1, help="FASTA: share of N above which a window is no use.")
    ] = 0.5,
    haplotypes: Annotated[
        str,
        typer.Option(
            help="VCF: two sequences per person: yes, no (IUPAC letters), or auto: if phased."
        ),
    ] = "auto",
    flank: Annotated[
        int, typer.Option(min=0, help="VCF: bases of --fasta on both sides of each site.")
    ] = 0,
    fasta: Fasta = None,  # type: ignore[assignment]  # of a VCF, to check REF and for flanks
    regions: Annotated[
        str | None,
        typer.Option("--regions", "-r", help="VCF: chr1:1000-2000,chr2: sites in these."),
    ] = None,
    regions_file: Annotated[
        Path | None,
        typer.Option("--regions-file", "-R", help="The same, as BED, or as CHROM POS [END]."),
    ] = None,
    max_missing: Annotated[
        float, typer.Option(min=0, max=1, help="VCF: share of missing genotypes that a site has.")
    ] = 1.0,
    min_maf: Annotated[
        float, typer.Option(min=0, max=0.5, help="VCF: least frequency of minor alleles of a site.")
    ] = 0.0,
    like: Annotated[
        Path | None,
        typer.Option(help="VCF: have the sites of this file, to score people with its models."),
    ] = None,
    assembly: Annotated[str, typer.Option(help="Name of the assembly, for the record.")] = "",
    stats: Annotated[
        Path | None, typer.Option("--stats", help="Write the summary to this JSON file too.")
    ] = None,
    force: Force = False,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Sequences of one length with labels and phenotypes: records, windows, or people's SNVs."""
    from genomix_cli.sequences.prepare.sequences import prepare_sequences
    from genomix_cli.sequences.requests import PrepareRequest

    request = PrepareRequest(
        inputs=tuple(inputs),
        output=output,
        table=table,
        id_column=id_column,
        sequence_column=sequence_column,
        make_ids=make_ids,
        label=label,
        group=group,
        split=split,
        keep=tuple(keep or ()),
        categorical=tuple(categorical or ()),
        numeric=tuple(numeric or ()),
        allow_unmatched=allow_unmatched,
        window=window,
        stride=stride,
        bed=bed,
        max_n=max_n,
        haplotypes=haplotypes,
        flank=flank,
        fasta=fasta,
        regions=regions,
        regions_file=regions_file,
        max_missing=max_missing,
        min_maf=min_maf,
        like=like,
        assembly=assembly,
        force=force,
        stats=stats,
    )
    _render(prepare_sequences(request))


def _render(summary: PrepareSummary) -> None:
    n, length = f"{summary.sequences:,}", f"{summary.length:,}"
    log.info("%s: %s sequences (%s) of %s bases", summary.output, n, summary.rows, length)
    for name, fact in summary.facts.items():
        log.info("  %s: %s", name, f"{fact:,}" if type(fact) is int else fact)
    for reason, count in summary.left_out.items():
        log.info("left out: %s %s, first %s", f"{count:,}", reason, summary.examples[reason])
    for name, what in summary.phenotypes.items():
        log.info("  %s: %s", name, what)
    for name, why in summary.not_used.items():
        log.info("  %s is not kept: %s (--categorical %s)", name, why, name)
    if summary.label:
        classes = [f"{name} {count:,}" for name, count in summary.classes.items()]
        listed = ", ".join(classes[:SHOWN]) + (", ..." if len(classes) > SHOWN else "")
        log.info("label %s: %s; %s unlabelled", summary.label, listed, f"{summary.unlabelled:,}")
    if summary.splits:
        log.info("splits: %s", ", ".join(f"{s} {c:,}" for s, c in summary.splits.items()))
    if summary.groups < summary.sequences:
        log.info("groups: %s", f"{summary.groups:,}")
    for warning in summary.warnings:
        log.warning("%s", warning)
