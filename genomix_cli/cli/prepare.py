"""``genomix prepare``: raw files to shards and cohorts."""

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
    parse_names,
    parse_pairs,
    parse_tracks,
)
from genomix_cli.cli.prepare_sequences import sequences

if TYPE_CHECKING:
    from genomix_cli.cohorts.prepare.cohort import PrepareSummary as CohortSummary
    from genomix_cli.variants.prepare.shard import PrepareSummary

app = typer.Typer(
    name="prepare", help="Turn raw files into shards, cohorts and sequences.", no_args_is_help=True
)

log = logging.getLogger("genomix")

app.command("sequences")(sequences)


@app.callback()
def _group() -> None:
    """Turn raw files into shards, cohorts and sequences."""


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
    effect_info: Annotated[
        str | None,
        typer.Option("--effect-info", help="INFO key of a quantitative label, one per ALT."),
    ] = None,
    probability_info: Annotated[
        str | None,
        typer.Option("--probability-info", help="INFO key of the label's true probability."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="TSV: contig, pos (1-based), ref, alt, label and/or effect[, weight, group, "
            "tissue].",
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
    from genomix_cli.variants.prepare.shard import prepare_variants
    from genomix_cli.variants.requests import PrepareRequest

    meaning: Any = uncovered
    request = PrepareRequest(
        vcf=vcf,
        fasta=fasta,
        output=output,
        tracks=parse_tracks(track),
        contacts=contacts,
        label_info=label_info,
        effect_info=effect_info,
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


@app.command("genome")
def genome(
    fasta: Fasta,
    output: Annotated[Path, typer.Option("-o", "--output", help="Shard to write (HDF5).")],
    track: Tracks = None,
    contacts: Contacts = None,
    contigs: Annotated[
        str, typer.Option("--contigs", help="Only these contigs, comma-separated.")
    ] = "",
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
    assembly: Annotated[
        str, typer.Option("--assembly", help="Name of the assembly, for the record.")
    ] = "",
    force: Force = False,
    config: Config = None,
    threads: Threads = 0,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """A whole genome with its tracks and contacts, for `genomix train --task pretrain`."""
    from genomix_cli.variants.prepare.genome import prepare_genome
    from genomix_cli.variants.requests import PrepareGenomeRequest

    meaning: Any = uncovered
    summary = prepare_genome(
        PrepareGenomeRequest(
            fasta=fasta,
            output=output,
            tracks=parse_tracks(track),
            contacts=contacts,
            contigs=parse_names(contigs),
            normalise_like=normalise_like,
            uncovered=meaning,
            max_gap=max_gap,
            assembly=assembly,
            force=force,
        )
    )
    bases = sum(summary.contigs.values())
    log.info(
        "%s: %s bases of %s contigs; %s bases of assembly gaps left out",
        *(summary.output, f"{bases:,}", f"{len(summary.contigs):,}", f"{summary.gaps:,}"),
    )
    shares = ", ".join(f"{name} {share:.0%}" for name, share in summary.observed.items())
    log.info("bins observed: %s", shares or "no tracks")


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


@app.command("cohort")
def cohort(
    output: Annotated[Path, typer.Option("-o", "--output", help="Cohort file to write (.h5mu).")],
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help=".h5mu or .h5ad files to check and rewrite."),
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--modality",
            help="NAME=FILE: a matrix (TSV, CSV, Parquet), a MAF, a .seg, a table of fragments, or "
            "an .h5ad; repeat.",
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="NAME=KIND of a modality that is not called as one; repeat."),
    ] = None,
    study: Annotated[
        Path | None, typer.Option("--study", help="Folder of a cBioPortal study.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Modality of the study to read; repeat.")
    ] = None,
    panel: Annotated[
        list[Path] | None,
        typer.Option("--panel", help="Gene panel that the study's folder lacks; repeat."),
    ] = None,
    clinical: Annotated[
        Path | None, typer.Option("--clinical", help="Table with a row per sample.")
    ] = None,
    sample_column: Annotated[
        str | None,
        typer.Option("--sample-column", help="Its column of samples (SAMPLE_ID, ..., the first)."),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="Its column of the classes to predict.")
    ] = None,
    batch: Annotated[
        str | None, typer.Option("--batch", help="Its column of centres, plates or runs.")
    ] = None,
    patient: Annotated[
        str | None, typer.Option("--patient", help="Its column of patients.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", help="Another of its columns to keep (all); repeat."),
    ] = None,
    drop_label: Annotated[
        list[str] | None,
        typer.Option("--drop-label", help="A label that means it is not known; repeat."),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option("--id-column", help="Column of the names in matrices (the first)."),
    ] = None,
    skip_column: Annotated[
        list[str] | None,
        typer.Option("--skip-column", help="Column of matrices to leave out; repeat."),
    ] = None,
    samples: Annotated[
        str | None,
        typer.Option("--samples", help="What samples are in matrices: rows or columns (found)."),
    ] = None,
    bins: Annotated[
        str, typer.Option("--bins", help="Bins of a .seg: arms, or a size such as 5Mb.")
    ] = "arms",
    assembly: Annotated[
        str | None,
        typer.Option("--assembly", help="Of a .seg: hg38 or hg19 (as the study says, else hg38)."),
    ] = None,
    sex_chromosomes: Annotated[
        bool, typer.Option("--sex-chromosomes", help="Use segments of X and Y too.")
    ] = False,
    ids: Annotated[
        str,
        typer.Option("--ids", help="How samples are matched: auto, exact, or tcga (barcodes)."),
    ] = "auto",
    duplicates: Annotated[
        str, typer.Option("--duplicates", help="What comes twice: error, or take the first.")
    ] = "error",
    m_to_beta: Annotated[
        list[str] | None,
        typer.Option("--m-to-beta", help="Modality of M-values to turn into fractions; repeat."),
    ] = None,
    log_transform: Annotated[
        list[str] | None,
        typer.Option("--log-transform", help="Modality to take log2(x + 1) of; repeat."),
    ] = None,
    mutation_class: Annotated[
        list[str] | None,
        typer.Option(
            "--mutation-class",
            help="Variant_Classification that counts (those that change the protein), or all; "
            "repeat.",
        ),
    ] = None,
    stats: Annotated[
        Path | None, typer.Option("--stats", help="Write the summary to this JSON file too.")
    ] = None,
    force: Force = False,
    config: Config = None,
    threads: Threads = 0,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Omics tables and a clinical table in one file, which mudata and scanpy open as it is."""
    from genomix_cli.cohorts.prepare.cohort import prepare_cohort
    from genomix_cli.cohorts.prepare.mutations import PROTEIN_CHANGING
    from genomix_cli.cohorts.requests import PrepareRequest

    request = PrepareRequest(
        output=output,
        modalities={n: Path(p) for n, p in parse_pairs(modality, "--modality", "FILE").items()},
        kinds=parse_pairs(kind, "--kind", "KIND"),
        inputs=tuple(inputs or ()),
        study=study,
        only=tuple(only or ()),
        panels=tuple(panel or ()),
        clinical=clinical,
        sample_column=sample_column,
        label=label,
        batch=batch,
        patient=patient,
        keep=tuple(keep or ()),
        drop_labels=tuple(drop_label or ()),
        id_column=id_column,
        skip_columns=tuple(skip_column or ()),
        samples=samples,
        bins=bins,
        assembly=assembly,
        sex_chromosomes=sex_chromosomes,
        ids=ids,
        duplicates=duplicates,
        m_to_beta=tuple(m_to_beta or ()),
        log_transform=tuple(log_transform or ()),
        mutation_classes=tuple(mutation_class or PROTEIN_CHANGING),
        force=force,
        stats=stats,
    )
    _render_cohort(prepare_cohort(request))


def _render_cohort(summary: CohortSummary) -> None:
    log.info("%s: %s samples, matched by %s", summary.output, f"{summary.samples:,}", summary.by)
    for name, found in summary.modalities.items():
        size = f"{found.samples:,} samples x {found.features:,} features"
        share = found.missing / max(found.samples * found.features, 1)
        missing = f"{found.missing:,} values missing ({share:.1%})" if found.missing else "complete"
        log.info("  %s (%s): %s, %s", name, found.kind, size, missing)
        for what, note in found.notes.items():
            log.info("    %s: %s", what, _note(note))
    for row in summary.overlap:
        log.info("  %s with %s", f"{row['samples']:,}", " + ".join(row["modalities"]))
    if summary.labels:
        classes = ", ".join(f"{name} {n:,}" for name, n in summary.labels.items())
        log.info("labels: %s; %s unknown", classes, f"{summary.unlabelled:,}")
    if summary.without_clinical_row:
        log.info("%s samples have no clinical row", f"{summary.without_clinical_row:,}")
    for reason, n in summary.left_out.items():
        examples = ", ".join(summary.examples[reason])
        log.info("left out: %s: %s, as %s", reason, f"{n:,}", examples)


def _note(note: Any) -> str:
    if isinstance(note, dict):
        return ", ".join(f"{name} {n:,}" for name, n in note.items()) or "none"
    if isinstance(note, list):
        return ", ".join(note)
    return f"{note:,}" if isinstance(note, int) else str(note)
