"""``genomix score``: here a VCF in, the same VCF with scores out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genomix_cli.cli.by_input import COHORTS, SEQUENCES, VARIANTS, add_command
from genomix_cli.cli.options import (
    Config,
    Contacts,
    Device,
    Devices,
    Fasta,
    Model,
    Quiet,
    Threads,
    Tracks,
    Uncovered,
    Verbose,
    parse_tracks,
)
from genomix_cli.cli.summary import show
from genomix_cli.errors import UsageError
from genomix_cli.genome.tracks import of_one_cell

if TYPE_CHECKING:
    from genomix_cli.variants.score.blocks import ScoreSummary

log = logging.getLogger("genomix")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    from genomix_cli.cli.score_cohort import score_cohort
    from genomix_cli.cli.score_sequences import score_sequences

    add_command(
        app,
        "score",
        {VARIANTS: score, COHORTS: score_cohort, SEQUENCES: score_sequences},
        help="Score variants, the samples of a cohort, or sequences: the input says which.",
        argument=typer.Argument(
            help="VCF, VCF.gz or BCF (- is standard input), cohort (.h5mu), or sequences (.h5).",
            metavar="INPUT",
            allow_dash=True,
        ),
    )


def score(
    ctx: typer.Context,
    variants: Path,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="VCF, VCF.gz, BCF, TSV, TSV.gz or Parquet by its name; - is standard output.",
            allow_dash=True,
        ),
    ] = Path("-"),
    output_type: Annotated[
        str | None,
        typer.Option(
            "-O",
            "--output-type",
            help="v VCF, z VCF.gz, u BCF uncompressed, b BCF, t TSV; default: by the name.",
        ),
    ] = None,
    write_index: Annotated[
        bool, typer.Option("--write-index", "-W", help="Index the output too (.tbi, BCF: .csi).")
    ] = False,
    fasta: Fasta = None,  # type: ignore[assignment]  # asked for below, in more words
    model: Model = "gmt-mini-sim",
    track: Tracks = None,
    contacts: Contacts = None,
    uncovered: Uncovered = None,
    genome: Annotated[
        Path | None,
        typer.Option(
            "--genome",
            "-g",
            help="Shard of `prepare variants`, instead of --fasta, --track and --contacts.",
            metavar="SHARD.h5",
        ),
    ] = None,
    cell: Annotated[
        str,
        typer.Option("--cell", help="Cell type to read of a shard, where it holds several."),
    ] = "",
    regions: Annotated[
        str | None,
        typer.Option("--regions", "-r", help="chr1:1000-2000,chr2: records with POS in these."),
    ] = None,
    regions_file: Annotated[
        Path | None,
        typer.Option("--regions-file", "-R", help="The same, as BED, or as CHROM POS [END]."),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="Score part I of N; `bcftools concat` joins them.", metavar="I/N"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted run to -o was.")
    ] = False,
    check_ref: Annotated[
        str,
        typer.Option(
            help="REF that differs from the FASTA: w (warning), e (error) or x (leave it out)."
        ),
    ] = "w",
    mode: Annotated[
        str,
        typer.Option(help="Windows: shared (many variants), centred (few), or auto, by density."),
    ] = "auto",
    both_strands: Annotated[
        bool, typer.Option("--both-strands", help="Average both strands, at twice the cost.")
    ] = False,
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, or auto: bf16 on a GPU, fp32 on a CPU.")
    ] = "auto",
    save_background: Annotated[
        bool,
        typer.Option(
            "--save-background",
            help="Keep these scores beside the weights of -m, for GENOMIX_PCT and GENOMIX_PHRED.",
        ),
    ] = False,
    stats: Annotated[
        Path | None, typer.Option(help="JSON file for counts and times.", metavar="FILE.json")
    ] = None,
    device: Device = "auto",
    devices: Devices = "",
    threads: Threads = 0,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Records come back in order, with GENOMIX_* INFO fields.

    Alleles that cannot be scored get '.' and a GENOMIX_REASON.
    """
    if fasta is None and genome is None:
        raise UsageError(
            "no reference",
            hint="give --fasta, set GENOMIX_FASTA, or put `fasta` under [score] "
            "in the file of --config or GENOMIX_CONFIG",
        )
    if genome is not None:
        # A reference that is set up for good gives way to a shard that is asked for.
        fasta = fasta if _typed(ctx, "fasta") else None  # type: ignore[assignment]
        track = track if _typed(ctx, "track") else None
        contacts = contacts if _typed(ctx, "contacts") else None
        uncovered = uncovered if _typed(ctx, "uncovered") else None
    from genomix_cli.variants.requests import GenomeFiles, Part, ScoreRequest
    from genomix_cli.variants.score.vcf import score_variants

    tracks = of_one_cell(parse_tracks(track))
    if cell and genome is None:
        raise UsageError("names the cell type to read of a shard: give --genome", where="--cell")
    chosen: dict[str, Any] = {"check_ref": check_ref, "mode": mode, "precision": precision}
    scale: Any = uncovered  # checked with the others there
    summary = score_variants(
        ScoreRequest(
            vcf=variants,
            genome=GenomeFiles(fasta, tracks, contacts, scale, genome, cell),
            output=output,
            output_type=output_type,
            write_index=write_index,
            model=model,
            regions=regions,
            regions_file=regions_file,
            shard=None if shard is None else Part.parse(shard),
            resume=resume,
            both_strands=both_strands,
            save_background=save_background,
            device=device,
            devices=devices,
            threads=threads,
            stats=stats,
            **chosen,
        )
    )
    if log.isEnabledFor(logging.INFO):
        show(_rows(summary))


def _typed(ctx: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _rows(summary: ScoreSummary) -> Iterator[tuple[str, str, str]]:
    """Name, value and note."""
    from genomix_cli.variants.records.alleles import REASONS
    from genomix_cli.variants.score.blocks import STAGES

    again = f"{summary.resumed:,} by an earlier run" if summary.resumed else ""
    yield "records", f"{summary.records:,}", again
    rate = f"{summary.variants_per_second:,.0f} a second"
    yield "alleles scored", f"{summary.scored:,}", f"of {summary.alleles:,}, {rate}"
    if summary.n_in_window:
        yield "N in window", f"{summary.n_in_window:,}", "scored all the same"
    for reason, count in summary.not_scored.items():
        yield f"not scored: {reason}", f"{count:,}", REASONS[reason]
    if summary.excluded:
        yield "records left out", f"{summary.excluded:,}", "--check-ref x"
    where = f"{summary.mode}; {summary.model} on {summary.device}, {summary.precision}"
    yield "windows", f"{summary.windows:,}", where
    for stage, seconds in summary.seconds.items():
        yield f"seconds: {stage}", f"{seconds:.2f}", STAGES[stage]
