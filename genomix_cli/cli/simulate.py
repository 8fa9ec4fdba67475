"""``genomix simulate``: data with a known truth."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genomix_cli.cli.options import Config, Force, Quiet, Seed, Threads, Verbose
from genomix_cli.cli.simulate_sequences import sequences
from genomix_cli.errors import UsageError

if TYPE_CHECKING:
    from genomix_cli.cohorts.fit.cohort import FitSummary
    from genomix_cli.cohorts.simulate.cohort import CohortSummary
    from genomix_cli.variants.simulate.genome import SimulationSummary

app = typer.Typer(name="simulate", help="Simulate data with a known truth.", no_args_is_help=True)

log = logging.getLogger("genomix")

_UNITS = {"": 1, "k": 1000, "M": 1_000_000}


@app.callback()
def _group() -> None:
    """Simulate data with a known truth."""


@app.command("genome")
def genome(
    out_dir: Annotated[Path, typer.Argument(help="Folder to create.")],
    size: Annotated[
        str, typer.Option("--size", help="tiny, small, medium, large, or a length such as 30M.")
    ] = "tiny",
    contigs: Annotated[
        int | None, typer.Option("--contigs", min=1, help="Number of contigs.")
    ] = None,
    contig_length: Annotated[
        str | None, typer.Option("--contig-length", help="Length of each contig, such as 5M.")
    ] = None,
    variants_per_kb: Annotated[
        float, typer.Option("--variants-per-kb", help="Variants per 1000 bp.")
    ] = 4.0,
    motifs: Annotated[
        Path | None, typer.Option("--motifs", help="Motifs in MEME format; default: 12 families.")
    ] = None,
    rule: Annotated[
        str,
        typer.Option(
            "--rule",
            help="Of the labels: full, or contact (open, and an active promoter in reach).",
        ),
    ] = "full",
    seed: Seed = 0,
    force: Force = False,
    config: Config = None,
    threads: Threads = 0,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """A genome: FASTA, ATAC, H3K27ac, H3K4me3 and CTCF bigWigs, contacts, and a labelled VCF.

    Sizes: tiny 2 x 300 kb, small 4 x 1 Mb, medium 6 x 5 Mb, large 10 x 10 Mb.
    """
    from genomix_cli.variants.requests import SimulationRequest
    from genomix_cli.variants.simulate.genome import simulate_genome

    n, length = parse_size(size)
    request = SimulationRequest(
        out_dir=out_dir,
        contigs=contigs or n,
        contig_length=length if contig_length is None else _bases(contig_length, "--contig-length"),
        variants_per_kb=variants_per_kb,
        motifs=motifs,
        rule=rule,
        seed=seed,
        force=force,
    )
    _render(simulate_genome(request))


@app.command("cohort")
def cohort(
    output: Annotated[
        Path | None, typer.Argument(help="File to write (.h5mu); not with --print-params.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="stillwell, cancer-alpha or subtypes."),
    ] = None,
    difficulty: Annotated[
        str, typer.Option("--difficulty", help="easy, medium or hard.")
    ] = "medium",
    synergy: Annotated[
        bool, typer.Option("--synergy", help="Plant interactions between modalities.")
    ] = False,
    params: Annotated[
        Path | None, typer.Option("--params", help="YAML of parameters, over the preset's.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option("-n", "--samples", min=1, help="Number of samples.")
    ] = None,
    print_params: Annotated[
        bool, typer.Option("--print-params", help="Print all parameters as YAML, and stop.")
    ] = False,
    seed: Seed = 0,
    force: Force = False,
    config: Config = None,
    threads: Threads = 0,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """A cohort in several omics, with the Bayes-optimal posterior of every sample.

    Without --preset, --params says everything: `--print-params` of a preset is where to start.
    """
    from genomix_cli.cohorts.simulate.parameters import presets, read_parameters, to_yaml

    if preset is None and params is None:
        raise UsageError(
            "nothing says what to simulate",
            expected=f"--preset {', '.join(presets())} or --params FILE",
        )
    parameters = read_parameters(
        preset, params, difficulty=difficulty, synergy=synergy, samples=samples
    )
    if print_params:
        typer.echo(to_yaml(parameters), nl=False)
        return
    if output is None:
        raise UsageError("no file to write to", expected="genomix simulate cohort OUT.h5mu ...")
    from genomix_cli.cohorts.requests import CohortRequest
    from genomix_cli.cohorts.simulate.cohort import simulate_cohort

    request = CohortRequest(
        output=output,
        parameters=parameters,
        seed=seed,
        preset=preset,
        threads=threads,
        force=force,
    )
    _render_cohort(simulate_cohort(request))


@app.command("fit")
def fit(
    cohort: Annotated[
        Path | None,
        typer.Argument(help="Cohort file (.h5mu) of `genomix prepare cohort`; or give tables."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="YAML of parameters to write.")
    ] = None,
    modalities: Annotated[
        str | None,
        typer.Option("--modalities", help="Names of those to fit, as meth,mrna (all that can be)."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("-n", "--samples", min=1, help="Samples that the YAML asks for (as many)."),
    ] = None,
    methylation: Annotated[
        Path | None, typer.Option("--methylation", help="Instead: a table of beta values.")
    ] = None,
    fragments: Annotated[
        Path | None, typer.Option("--fragments", help="A histogram of fragment lengths.")
    ] = None,
    copy_number: Annotated[
        Path | None, typer.Option("--copy-number", help="A .seg file, or log2 ratios of bins.")
    ] = None,
    clinical: Annotated[
        Path | None, typer.Option("--clinical", help="Table of the samples in those.")
    ] = None,
    label: Annotated[str | None, typer.Option("--label", help="Its column of the classes.")] = None,
    force: Force = False,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Parameters of a cohort from a real one, for `genomix simulate cohort --params`.

    The file says which were estimated and which are defaults. Tables are read as `genomix prepare
    cohort` reads them.
    """
    from genomix_cli.cohorts.fit.cohort import fit_cohort
    from genomix_cli.cohorts.requests import FitRequest

    if output is None:
        raise UsageError("no file to write to", expected="genomix simulate fit ... -o params.yaml")
    tables = {"methylation": methylation, "fragments": fragments, "copy_number": copy_number}
    request = FitRequest(
        output=output,
        cohort=cohort,
        tables={name: path for name, path in tables.items() if path is not None},
        clinical=clinical,
        label=label,
        modalities=tuple(filter(None, (modalities or "").split(","))),
        samples=samples,
        force=force,
    )
    _render_fit(fit_cohort(request))


app.command("sequences")(sequences)


def parse_size(size: str) -> tuple[int, int]:
    """Contigs and contig length of a size's name, or of a total length."""
    from genomix_cli.variants.simulate.genome import SIZES

    if size in SIZES:
        return SIZES[size]
    if not size[:1].isdigit():
        raise UsageError(
            "unknown size", where="--size", expected=f"{', '.join(SIZES)} or 30M", found=size
        )
    total = _bases(size, "--size")
    n = min(max(round(total / 5_000_000), 2), 10)
    return n, total // n


def _bases(text: str, option: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)(?:bp?)?", text)
    if match is None:
        raise UsageError("not a length", where=option, expected="a number with k or M", found=text)
    return round(float(match[1]) * _UNITS[match[2]])


def _render(summary: SimulationSummary) -> None:
    counts = summary.counts
    log.info(
        "%s: %s bases, %s elements (%s open), %s motif sites",
        summary.out_dir,
        *(f"{counts[key]:,}" for key in ("bases", "elements", "open_elements", "motif_sites")),
    )
    log.info(
        "%s variants, %s alleles, %.1f %% positive; Bayes-optimal AUROC %.3f, AUPRC %.3f",
        f"{counts['records']:,}",
        f"{counts['alleles']:,}",
        100 * summary.prevalence,
        summary.auroc,
        summary.auprc,
    )


def _render_cohort(summary: CohortSummary) -> None:
    log.info(
        "%s: %s samples (%s), %s",
        summary.output,
        f"{summary.samples:,}",
        ", ".join(f"{name} {n:,}" for name, n in summary.classes.items()),
        ", ".join(f"{n:,} of {name}" for name, n in summary.features.items()),
    )
    whole = summary.ceilings[-1]
    log.info(
        "Bayes-optimal, with all modalities: accuracy %.4f (95 %% %.4f to %.4f), AUROC %.4f",
        whole.accuracy,
        whole.low,
        whole.high,
        whole.auroc,
    )
    for ceiling in summary.ceilings:
        if len(ceiling.modalities) == 1 < len(whole.modalities):
            log.info("  with %s alone: accuracy %.4f", ceiling.modalities[0], ceiling.accuracy)
    if len(whole.modalities) > 1:
        log.info("  multiplying what each says alone (late fusion): %.4f", whole.late_fusion)


def _render_fit(summary: FitSummary) -> None:
    log.info(
        "%s: %s samples in the classes %s",
        summary.output,
        f"{summary.parameters.samples:,}",
        ", ".join(f"{name} {share:.3g}" for name, share in summary.parameters.classes.items()),
    )
    for name, found in summary.fitted.items():
        log.info("  %s, of %s: %s", name, summary.source[name], ", ".join(found.estimated))
        for note in found.notes:
            log.info("    %s", note)
