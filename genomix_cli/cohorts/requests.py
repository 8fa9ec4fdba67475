"""Requests of the commands on cohorts: every option once, with its help, limits and default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from genomix_cli.comparison.rules import COMPARISON, HELD_OUT, Rules
from genomix_cli.options import RARE, Option, option, parse_names, parse_pairs, parse_value
from genomix_cli.registry import COHORT_MODELS
from genomix_cli.shared_options import (
    MODEL,
    AllowIncomplete,
    Attributions,
    Device,
    Epochs,
    Force,
    Page,
    Precision,
    Resume,
    RunOutput,
    Seed,
    Stats,
    Table,
    Threads,
    TrainedModel,
)

if TYPE_CHECKING:
    from genomix_cli.cohorts.simulate.parameters import CohortParameters

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
        "Matrix (TSV, CSV, Parquet), MAF, .seg, fragment table or .h5ad; repeatable",
        "--modality -m",
    )
    kinds: Mapping[str, str] = option(
        {},
        "Kind of a modality, if its name does not imply it; repeatable",
        "--kind",
        metavar="NAME=KIND",
    )
    inputs: tuple[Path, ...] = option(
        (), ".h5mu or .h5ad files to check and rewrite", argument=True, metavar="FILE..."
    )
    study: Path | None = option(None, "Folder of a cBioPortal study", metavar="DIR")
    only: tuple[str, ...] = option(
        (), "Read only this modality of the study; repeatable", metavar="NAME"
    )
    panels: tuple[Path, ...] = option(
        (), "Gene panel that is missing from the study folder; repeatable", "--panel", rare=True
    )
    clinical: Path | None = option(
        None, "Table with one row per sample", metavar="TABLE", panel=CLINICAL
    )
    sample_column: str | None = option(
        None, "Column with the sample names", shown="SAMPLE_ID, ..., the first"
    )
    label: str | None = option(None, "Column with the classes to predict")
    batch: str | None = option(None, "Column with the batch: centre, plate or run")
    patient: str | None = option(None, "Column with the patients")
    keep: tuple[str, ...] = option((), "Further column to keep; repeatable", shown="all", rare=True)
    drop_labels: tuple[str, ...] = option(
        (), "Label to treat as unknown; repeatable", "--drop-label", rare=True
    )
    id_column: str | None = option(
        None, "Column with the feature names", shown="the first", panel=MATRICES
    )
    skip_columns: tuple[str, ...] = option(
        (), "Column to leave out; repeatable", "--skip-column", rare=True
    )
    samples: str | None = option(
        None,
        "Samples are rows or columns",
        choices=("rows", "columns"),
        open=True,
        shown="detected",
        rare=True,
    )
    bins: str = option("arms", "Bins of a .seg: arms, or a size such as 5Mb", rare=True)
    assembly: str | None = option(
        None, "Assembly of a .seg: hg38 or hg19", shown="the study's, else hg38", rare=True
    )
    sex_chromosomes: bool = option(False, "Also use segments of X and Y", rare=True)
    ids: str = option(
        "auto", "How to match sample names", choices=("auto", "exact", "tcga"), open=True, rare=True
    )
    duplicates: str = option(
        "error",
        "How to treat samples that occur twice",
        choices=("error", "first"),
        open=True,
        rare=True,
    )
    m_to_beta: tuple[str, ...] = option(
        (), "Modality of M-values to convert to beta values; repeatable"
    )
    log_transform: tuple[str, ...] = option(
        (), "Modality to transform by log2(x + 1); repeatable", rare=True
    )
    mutation_classes: tuple[str, ...] = option(
        PROTEIN_CHANGING,
        "Variant_Classification to count, or all; repeatable",
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
    # `all` leaves out models whose package is missing; naming such a model is an error.
    return COHORT_MODELS.installed()


def parse_variations(values: list[str]) -> dict[str, tuple[Any, ...]]:
    """Parse variations: ``top_k=300,500`` to numbers, ``modalities=a,a+b`` to text."""
    return {
        name: tuple(parse_value(each) for each in parse_names(listed))
        for name, listed in parse_pairs(values, "--vary", "A,B,...").items()
    }


@dataclass(frozen=True)
class Contest:
    """Models to compare, before the cohort is known.

    `epochs` limits every model that learns in epochs. `vary` lists values of fields, or of
    ``modalities``; each combination is an entrant. `control` also trains the first model on
    shuffled labels.
    """

    model: str = option("omics-transformer", "Model", choices=COHORT_MODELS, panel=MODEL)
    preset: str = option("", "Preset of the model", shown="its first", rare=True)
    arch: Mapping[str, Any] = option(
        {}, "Set a field of the model, e.g. focal=2; it is then not tuned; repeatable", "--set"
    )
    epochs: Epochs = None
    vary: Mapping[str, Sequence[Any]] = option(
        {},
        "Values to compare, e.g. top_k=300,500 or modalities=A,A+B; repeatable",
        metavar="FIELD=A,B",
        parse=parse_variations,
        panel=COMPARISON,
    )
    baselines: tuple[str, ...] = option(
        (), "Models to compare with; all or none", commas=True, parse=parse_baselines
    )
    control: bool = option(
        True,
        "Also fit to shuffled labels, as a control",
        "--control/--no-control",
        shown="yes",
        rare=True,
    )


@dataclass(frozen=True)
class TrainRequest:
    """Options for training a model of a cohort and judging it beside baselines.

    Samples are held out by ``folds``, by ``batch``, as a share of the patients, or by a table of
    samples and folds, whose fold ``train`` is never held out.
    """

    cohort: Cohort
    output: RunOutput
    contest: Contest = field(default_factory=lambda: Contest(baselines=BASELINES))
    modalities: tuple[str, ...] = option(
        (), "Modalities to learn from", commas=True, shown="all", panel=MODEL
    )
    hold_out: str = option(
        "folds",
        "folds:N; batch; a fraction such as 0.3; or a table of samples and folds "
        "('train': never held out)",
        metavar="HOW",
        panel=HELD_OUT,
        reads=True,
    )
    folds: int = option(5, "Outer folds", min=2, rare=True)
    repeats: int = option(
        1, "Number of random divisions into folds; metrics are averaged over them", min=1
    )
    batch_check: bool = option(
        True,
        "Where classes follow batches, also evaluate with whole batches held out",
        "--batch-check/--no-batch-check",
        shown="yes",
        rare=True,
    )
    rules: Rules = field(default_factory=Rules)
    device: Device = "auto"
    devices: int = option(
        1, "GPUs, or CPU processes, that share each batch", min=1, panel="Running", rare=True
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
        (), "Sample to explain; repeatable", "--samples", metavar="NAME", panel=SAMPLES
    )
    top: int | None = option(None, "Explain the N most confident predictions", min=1)
    max_samples: int = option(100, "Explain at most this many samples, evenly spread", min=1)
    of_class: str | None = option(
        None, "Explain this class instead of the predicted one", "--class"
    )
    steps: int = option(64, "Integration steps, doubled while too few", min=2, panel="")
    summary: Path | None = option(
        None, "TSV of the mean |attribution| of each feature", metavar="TSV", writes=True
    )
    attention: Path | None = option(
        None, "TSV of the cross-modal attention (descriptive only)", metavar="TSV", writes=True
    )
    plot_dir: Path | None = option(
        None,
        "Folder for a figure of each sample",
        "--plots",
        old="--plot-dir",
        metavar="DIR",
        writes=True,
    )
    report: Page = None
    allow_incomplete: AllowIncomplete = False
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
        "Cohort of `genomix prepare cohort`, unless tables are given",
        argument=True,
        metavar="COHORT.h5mu",
    )
    tables: Mapping[str, Path] = field(default_factory=dict)
    clinical: Path | None = option(
        None, "Clinical table of the samples in these tables", metavar="TABLE", panel="Tables"
    )
    label: str | None = option(None, "Column of the clinical table with the classes")
    modalities: tuple[str, ...] = option(
        (), "Modalities to fit", commas=True, shown="all that are supported", panel=""
    )
    factors: int = option(
        10,
        "Latent factors per modality (methylation, expression, chromatin); 0: independent drivers",
        min=0,
    )
    samples: int | None = option(
        None,
        "Number of samples that the YAML simulates",
        "--samples -n",
        min=1,
        shown="as in the cohort",
    )
    force: Force = False
