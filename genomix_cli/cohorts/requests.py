"""Requests of the commands on cohorts: every option once, with its help, limits and default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from genomix_cli.comparison.rules import COMPARISON, HELD_OUT, Rules
from genomix_cli.options import (
    RARE,
    Attributions,
    Device,
    Force,
    Option,
    Page,
    Precision,
    Resume,
    RunOutput,
    Seed,
    Stats,
    Table,
    Threads,
    TrainedModel,
    option,
    parse_names,
    parse_pairs,
    parse_value,
)
from genomix_cli.registry import COHORT_MODELS

if TYPE_CHECKING:
    from genomix_cli.cohorts.simulate.parameters import CohortParameters

MODEL = "Model"
CLINICAL, MATRICES = "Clinical table", "Matrices"
SAMPLES = "Samples"
BASELINES = ("logistic", "late-fusion", "best-single")
#: Classes that change the protein: those that maftools counts by default (Mayakonda et al. 2018,
#: doi:10.1101/gr.239244.118).
PROTEIN_CHANGING = (
    "Frame_Shift_Del",
    "Frame_Shift_Ins",
    "In_Frame_Del",
    "In_Frame_Ins",
    "Missense_Mutation",
    "Nonsense_Mutation",
    "Nonstop_Mutation",
    "Splice_Site",
    "Translation_Start_Site",
)
Cohort = Annotated[Path, Option("Cohort", argument=True, metavar="COHORT.h5mu")]


@dataclass(frozen=True)
class PrepareRequest:
    """A cohort file to make of tables, a study, or other files of the scverse."""

    output: Annotated[Path, Option("Cohort file to write (.h5mu)", "-o --output", writes=True)]
    modalities: Mapping[str, Path] = option(
        {},
        "Matrix (TSV, CSV, Parquet), MAF, .seg, table of fragments, or .h5ad; repeat",
        "--modality -m",
    )
    kinds: Mapping[str, str] = option(
        {}, "Kind of a modality whose name does not say it; repeat", "--kind", metavar="NAME=KIND"
    )
    inputs: tuple[Path, ...] = option(
        (), ".h5mu or .h5ad files to check and rewrite", argument=True, metavar="FILE..."
    )
    study: Path | None = option(None, "Folder of a cBioPortal study", metavar="DIR")
    only: tuple[str, ...] = option((), "Modality of the study to read; repeat", metavar="NAME")
    panels: tuple[Path, ...] = option(
        (), "Gene panel that the study's folder lacks; repeat", "--panel", rare=True
    )
    clinical: Path | None = option(
        None, "Table with a row per sample", metavar="TABLE", panel=CLINICAL
    )
    sample_column: str | None = option(None, "Column of samples", shown="SAMPLE_ID, ..., the first")
    label: str | None = option(None, "Column of the classes to predict")
    batch: str | None = option(None, "Column of centres, plates or runs")
    patient: str | None = option(None, "Column of patients")
    keep: tuple[str, ...] = option((), "Another column to keep; repeat", shown="all", rare=True)
    drop_labels: tuple[str, ...] = option(
        (), "Label that stands for an unknown class; repeat", "--drop-label", rare=True
    )
    id_column: str | None = option(
        None, "Column of the feature names", shown="the first", panel=MATRICES
    )
    skip_columns: tuple[str, ...] = option(
        (), "Column to leave out; repeat", "--skip-column", rare=True
    )
    samples: str | None = option(
        None,
        "Samples are rows or columns",
        choices=("rows", "columns"),
        open=True,
        shown="recognised",
        rare=True,
    )
    bins: str = option("arms", "Bins of a .seg: arms, or a size such as 5Mb", rare=True)
    assembly: str | None = option(
        None, "Assembly of a .seg: hg38 or hg19", shown="the study's, else hg38", rare=True
    )
    sex_chromosomes: bool = option(False, "Use segments of X and Y too", rare=True)
    ids: str = option(
        "auto", "Matching of sample names", choices=("auto", "exact", "tcga"), open=True, rare=True
    )
    duplicates: str = option(
        "error",
        "What to do with samples that occur twice",
        choices=("error", "first"),
        open=True,
        rare=True,
    )
    m_to_beta: tuple[str, ...] = option((), "Modality of M-values to turn into fractions; repeat")
    log_transform: tuple[str, ...] = option(
        (), "Modality to take log2(x + 1) of; repeat", rare=True
    )
    mutation_classes: tuple[str, ...] = option(
        PROTEIN_CHANGING,
        "Variant_Classification that counts, or all; repeat",
        "--mutation-class",
        shown="those that change the protein",
        rare=True,
    )
    force: Force = False
    stats: Annotated[Stats, RARE] = None


def parse_baselines(value: str) -> tuple[str, ...]:
    """Return names between commas, of ``all`` or of ``none``."""
    if value != "all":
        return () if value == "none" else parse_names(value)
    # A model whose package is missing is left out; asked for by name, that is an error.
    return COHORT_MODELS.installed()


def parse_variations(values: list[str]) -> dict[str, tuple[Any, ...]]:
    """``top_k=300,500`` as numbers, ``modalities=a,a+b`` as text."""
    return {
        name: tuple(parse_value(each) for each in parse_names(listed))
        for name, listed in parse_pairs(values, "--vary", "A,B,...").items()
    }


@dataclass(frozen=True)
class Contest:
    """The models to compare, before the cohort is known.

    `vary` gives fields, or ``modalities``, the values they take: an entrant for each combination.
    `control` trains the first on shuffled labels too.
    """

    model: str = option("omics-transformer", "Model", choices=COHORT_MODELS, panel=MODEL)
    preset: str = option("", "Preset of the model", shown="its first", rare=True)
    arch: Mapping[str, Any] = option(
        {}, "Field of the model, as focal=2, which is then not tuned; repeat", "--set"
    )
    vary: Mapping[str, Sequence[Any]] = option(
        {},
        "Values to compare, as top_k=300,500 or modalities=A,A+B; repeat",
        metavar="FIELD=A,B",
        parse=parse_variations,
        panel=COMPARISON,
    )
    baselines: tuple[str, ...] = option(
        (), "Models to compare with, all, or none", commas=True, parse=parse_baselines
    )
    control: bool = option(
        True, "Also fit to shuffled labels", "--control/--no-control", shown="yes", rare=True
    )


@dataclass(frozen=True)
class TrainRequest:
    """A model of a cohort to train and to judge beside baselines.

    Samples are held out by ``folds``, by ``batch``, a share of them, or by a table of samples and
    folds, whose fold ``train`` is never held out.
    """

    cohort: Cohort
    output: RunOutput
    contest: Contest = field(default_factory=lambda: Contest(baselines=BASELINES))
    modalities: tuple[str, ...] = option(
        (), "Modalities to learn from", commas=True, shown="all", panel=MODEL
    )
    hold_out: str = option(
        "folds",
        "folds:N; batch; a share as 0.3; or a table of samples and folds ('train': never held out)",
        metavar="HOW",
        panel=HELD_OUT,
        reads=True,
    )
    folds: int = option(5, "Outer folds", min=2, rare=True)
    repeats: int = option(
        1, "Times that samples are divided into folds; metrics are means over them", min=1
    )
    batch_check: bool = option(
        True,
        "Where classes follow batches, also judge on whole batches held out",
        "--batch-check/--no-batch-check",
        shown="yes",
        rare=True,
    )
    rules: Rules = field(default_factory=Rules)
    device: Device = "auto"
    devices: int = option(
        1, "GPUs, or processes on a CPU, that share each batch", min=1, panel="Running", rare=True
    )
    threads: Threads = 0
    precision: Annotated[Precision, RARE] = "auto"
    seed: Seed = 0
    resume: Resume = False


@dataclass(frozen=True)
class ScoreRequest:
    """Samples of a cohort to classify."""

    cohort: Cohort
    model: TrainedModel
    output: Table = Path("-")
    stats: Stats = None
    device: Device = "auto"


@dataclass(frozen=True)
class ExplainRequest:
    """Samples of a cohort whose classes to explain."""

    cohort: Cohort
    model: TrainedModel
    output: Attributions
    select: tuple[str, ...] = option(
        (), "Sample to explain; repeat", "--samples", metavar="NAME", panel=SAMPLES
    )
    top: int | None = option(None, "Explain the N samples that the model is surest of", min=1)
    max_samples: int = option(100, "Explain at most this many samples, evenly spread", min=1)
    of_class: str | None = option(None, "Explain this class, not the predicted one", "--class")
    steps: int = option(64, "Steps of the integral, doubled while too few", min=2, panel="")
    summary: Path | None = option(
        None, "TSV of the mean |attribution| of each feature", metavar="TSV", writes=True
    )
    attention: Path | None = option(
        None, "TSV of the cross-modal attention; descriptive only", metavar="TSV", writes=True
    )
    plot_dir: Path | None = option(
        None,
        "Folder for a picture of each sample",
        "--plots",
        old="--plot-dir",
        metavar="DIR",
        writes=True,
    )
    report: Page = None
    allow_incomplete: bool = option(False, "Accept completeness errors above 1 %")
    device: Device = "auto"
    force: Force = False


@dataclass(frozen=True)
class CohortRequest:
    """A cohort to simulate."""

    output: Path
    parameters: CohortParameters
    seed: int = 0
    preset: str | None = None
    threads: int = 0
    force: bool = False


@dataclass(frozen=True)
class FitRequest:
    """A real cohort, or tables of it, to fit a simulator to."""

    output: Annotated[Path, Option("YAML of parameters to write", "-o --output", writes=True)]
    cohort: Path | None = option(
        None,
        "Cohort of `genomix prepare cohort`; or give tables",
        argument=True,
        metavar="COHORT.h5mu",
    )
    tables: Mapping[str, Path] = field(default_factory=dict)
    clinical: Path | None = option(
        None, "Clinical table of the samples in these tables", metavar="TABLE", panel="Tables"
    )
    label: str | None = option(None, "Column of the classes in the clinical table")
    modalities: tuple[str, ...] = option(
        (), "Modalities to fit", commas=True, shown="all that can be", panel=""
    )
    factors: int = option(
        10,
        "Latent factors of each of methylation, expression, chromatin; 0: independent drivers",
        min=0,
    )
    samples: int | None = option(
        None, "Samples that the YAML says to simulate", "--samples -n", min=1, shown="as many"
    )
    force: Force = False
