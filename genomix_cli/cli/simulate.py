"""``genomix simulate``: data with a known truth."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from genomix_cli.cli.domains import COHORTS, SEQUENCES, VARIANTS, Verb
from genomix_cli.cli.output import echo
from genomix_cli.cohorts.requests import CohortRequest, FitRequest
from genomix_cli.errors import UsageError
from genomix_cli.options import option
from genomix_cli.sequences.requests.simulate import SimulateRequest
from genomix_cli.shared_options import Force, Seed, Threads
from genomix_cli.variants.requests.simulate import SIZES, SimulationRequest

if TYPE_CHECKING:
    from genomix_cli.cohorts.fit.cohort import FitSummary
    from genomix_cli.cohorts.simulate.cohort import CohortSummary
    from genomix_cli.sequences.generate.simulate import SimulateSummary as SequenceSummary
    from genomix_cli.variants.simulate.genome import SimulationSummary

log = logging.getLogger("genomix")

_UNITS = {"": 1, "k": 1000, "M": 1_000_000}
_PRESETS = Path(__file__).parents[1] / "cohorts" / "simulate" / "presets"


def parse_size(size: str) -> tuple[int, int]:
    """Return the number and length of contigs for a named size or a total length."""
    if size in SIZES:
        return SIZES[size]
    if not size[:1].isdigit():
        raise UsageError(
            "unknown size", where="--size", expected=f"{', '.join(SIZES)} or 30M", found=size
        )
    total = _bases(size, "--size")
    n = min(max(round(total / 5_000_000), 2), 10)
    return n, total // n


def _bases(text: str, option: str = "--contig-length") -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)(?:bp?)?", text)
    if match is None:
        raise UsageError("not a length", where=option, expected="a number with k or M", found=text)
    return round(float(match[1]) * _UNITS[match[2]])


@dataclass(frozen=True)
class Genome:
    """A genome to simulate, its size by name or in bases."""

    request: SimulationRequest
    size: tuple[int, int] = option(
        SIZES["tiny"],
        "tiny, small, medium, large, or a length such as 30M",
        metavar="SIZE",
        commas=True,
        parse=parse_size,
        shown="tiny",
    )
    contigs: int | None = option(None, "Number of contigs", min=1, shown="set by --size")
    contig_length: int | None = option(
        None,
        "Length of each contig, such as 5M",
        metavar="LENGTH",
        parse=_bases,
        shown="set by --size",
    )


@dataclass(frozen=True)
class Cohort:
    """A cohort to simulate, by a preset, by parameters, or both."""

    output: Path | None = option(
        None, "Cohort file to write (.h5mu)", "-o --output", argument=True, writes=True
    )
    preset: str | None = option(
        None, "Preset", choices=sorted(path.stem for path in _PRESETS.glob("*.yaml")), open=True
    )
    difficulty: str = option("medium", "Difficulty", choices=("easy", "medium", "hard"), open=True)
    synergy: bool = option(False, "Plant interactions between modalities")
    params: Path | None = option(
        None, "Parameters that override those of the preset", metavar="YAML"
    )
    samples: int | None = option(None, "Number of samples", "--samples -n", min=1)
    print_params: bool = option(False, "Print all parameters as YAML and exit")
    seed: Seed = 0
    force: Force = False
    threads: Threads = 0


@dataclass(frozen=True)
class Fit:
    """A real cohort, or tables of it, to fit parameters to."""

    request: FitRequest
    methylation: Path | None = option(None, "Table of beta values", metavar="TABLE", panel="Tables")
    fragments: Path | None = option(None, "Histogram of fragment lengths", metavar="TABLE")
    copy_number: Path | None = option(
        None, "A .seg file, or a table of log2 ratios per bin", metavar="TABLE"
    )


def simulate_genome(asked: Genome) -> None:
    """Simulate a genome: FASTA, ATAC, H3K27ac, H3K4me3 and CTCF, contacts, labelled VCF.

    Sizes: tiny 2 x 300 kb, small 4 x 1 Mb, medium 6 x 5 Mb, large 10 x 10 Mb.
    """
    from genomix_cli.variants.simulate.genome import simulate_genome as simulate

    n, length = asked.size
    request = replace(
        asked.request,
        contigs=asked.contigs or n,
        contig_length=length if asked.contig_length is None else asked.contig_length,
    )
    _genome_told(simulate(request))


def simulate_cohort(asked: Cohort) -> None:
    """Simulate a multi-omics cohort, with the Bayes-optimal posterior of every sample.

    Without --preset, --params must set every parameter; start from the --print-params of a preset.
    """
    from genomix_cli.cohorts.simulate.parameters import presets, read_parameters, to_yaml

    if asked.preset is None and asked.params is None:
        raise UsageError(
            "no preset and no parameters given",
            expected=f"--preset {', '.join(presets())} or --params FILE",
        )
    parameters = read_parameters(
        asked.preset,
        asked.params,
        difficulty=asked.difficulty,
        synergy=asked.synergy,
        samples=asked.samples,
    )
    if asked.print_params:
        echo(to_yaml(parameters), end="")
        return
    if asked.output is None:
        raise UsageError("no output file given", expected="genomix simulate cohort -o OUT.h5mu ...")
    from genomix_cli.cohorts.simulate.cohort import simulate_cohort as simulate

    request = CohortRequest(
        output=asked.output,
        parameters=parameters,
        seed=asked.seed,
        preset=asked.preset,
        threads=asked.threads,
        force=asked.force,
    )
    _cohort_told(simulate(request))


def fit_cohort(asked: Fit) -> None:
    """Estimate parameters for `genomix simulate cohort --params` from a real cohort.

    The output tells which parameters were estimated and which are defaults. Tables are read as
    by `genomix prepare cohort`.
    """
    from genomix_cli.cohorts.fit.cohort import fit_cohort as fit

    names = ("methylation", "fragments", "copy_number")
    tables = {name: path for name in names if (path := getattr(asked, name)) is not None}
    _fit_told(fit(replace(asked.request, tables=tables)))


def simulate_sequences(request: SimulateRequest) -> None:
    """Generate DNA under a condition by a diffusion model, or restore damaged bases."""
    if request.error_rate and not request.denoise:
        raise UsageError("nothing to restore", where="--error-rate", expected="--denoise FILE.h5")
    from genomix_cli.sequences.generate.simulate import simulate_sequences as simulate

    _sequences_told(simulate(request), request.denoise)


def _genome_told(summary: SimulationSummary) -> None:
    n = {name: f"{count:,}" for name, count in summary.counts.items()}
    log.info(
        f"{summary.out_dir}: {n['bases']} bases, {n['elements']} elements "
        f"({n['open_elements']} open), {n['motif_sites']} motif sites"
    )
    log.info(
        f"{n['records']} variants, {n['alleles']} alleles, {100 * summary.prevalence:.1f} % "
        f"positive; Bayes-optimal AUROC {summary.auroc:.3f}, AUPRC {summary.auprc:.3f}"
    )


def _cohort_told(summary: CohortSummary) -> None:
    classes = ", ".join(f"{name} {n:,}" for name, n in summary.classes.items())
    features = ", ".join(f"{n:,} of {name}" for name, n in summary.features.items())
    log.info(f"{summary.output}: {summary.samples:,} samples ({classes}), {features}")
    whole = summary.ceilings[-1]
    log.info(
        f"Bayes-optimal, with all modalities: accuracy {whole.accuracy:.4f} "
        f"(95 % {whole.low:.4f} to {whole.high:.4f}), AUROC {whole.auroc:.4f}"
    )
    for ceiling in summary.ceilings:
        if len(ceiling.modalities) == 1 < len(whole.modalities):
            log.info("  with %s alone: accuracy %.4f", ceiling.modalities[0], ceiling.accuracy)
    if len(whole.modalities) > 1:
        log.info(
            "  with the modalities' posteriors multiplied (late fusion): %.4f", whole.late_fusion
        )


def _fit_told(summary: FitSummary) -> None:
    parameters = summary.parameters
    classes = ", ".join(f"{name} {share:.3g}" for name, share in parameters.classes.items())
    log.info(f"{summary.output}: {parameters.samples:,} samples in the classes {classes}")
    for name, found in summary.fitted.items():
        log.info("  %s, of %s: %s", name, summary.source[name], ", ".join(found.estimated))
        for note in found.notes:
            log.info("    %s", note)


def _sequences_told(summary: SequenceSummary, denoise: Path | None) -> None:
    counts = ", ".join(f"{name} {n:,}" for name, n in summary.counts.items())
    kinds = f" ({counts})" if counts else ""
    log.info(f"{summary.output}: {summary.n:,} sequences of {summary.length:,} bases{kinds}")
    if denoise:
        log.info(f"{summary.changed:,} bases filled in or changed")


VERB = Verb(
    "simulate",
    "Simulate data with a known truth.",
    {
        "genome": VARIANTS.runs(
            simulate_genome,
            "genomix simulate genome -o demo --size tiny --seed 1",
            "genomix simulate genome -o two --contigs 2 --contig-length 200k",
        ),
        "cohort": COHORTS.runs(
            simulate_cohort,
            "genomix simulate cohort -o cohort.h5mu --preset stillwell -n 200 --seed 1",
            "genomix simulate cohort --preset subtypes --print-params",
        ),
        "fit": COHORTS.runs(
            fit_cohort, "genomix simulate fit cohort.h5mu -o params.yaml", threads=False
        ),
        "sequences": SEQUENCES.runs(
            simulate_sequences,
            "genomix simulate sequences -m run --condition CTCF -n 50 -o new.h5",
            "genomix simulate sequences -m run --denoise damaged.h5 -o restored.h5",
        ),
    },
    (
        "genomix simulate genome -o demo --size tiny --seed 1",
        "genomix simulate cohort -o cohort.h5mu --preset stillwell -n 200",
    ),
    by_input=False,
)
