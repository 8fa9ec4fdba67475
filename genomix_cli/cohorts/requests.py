"""Requests of the commands on cohorts: every option once, with its help, limits and default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from genomix_cli.comparison.rules import COMPARISON, HELD_OUT, Rules
from genomix_cli.options import (
    Device,
    Force,
    Option,
    Precision,
    Resume,
    Seed,
    Stats,
    Threads,
    TrainedModel,
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
Table = Annotated[
    Path,
    Option("TSV, TSV.gz or Parquet to write; - is standard output", "-o --output"),
]


@dataclass(frozen=True)
class PrepareRequest:
    """A cohort file to make of tables, a study, or other files of the scverse."""

    output: Annotated[Path, Option("Cohort file to write (.h5mu)", "-o --output")]
    modalities: Annotated[
        Mapping[str, Path],
        Option(
            "Matrix (TSV, CSV, Parquet), MAF, .seg, table of fragments, or .h5ad; repeat",
            "--modality -m",
        ),
    ] = field(default_factory=dict)
    kinds: Annotated[
        Mapping[str, str],
        Option(
            "Kind of a modality whose name does not say it; repeat", "--kind", metavar="NAME=KIND"
        ),
    ] = field(default_factory=dict)
    inputs: Annotated[
        tuple[Path, ...],
        Option(".h5mu or .h5ad files to check and rewrite", argument=True, metavar="[FILE]..."),
    ] = ()
    study: Annotated[Path | None, Option("Folder of a cBioPortal study", metavar="DIR")] = None
    only: Annotated[
        tuple[str, ...], Option("Modality of the study to read; repeat", metavar="NAME")
    ] = ()
    panels: Annotated[
        tuple[Path, ...], Option("Gene panel that the study's folder lacks; repeat", "--panel")
    ] = ()
    clinical: Annotated[
        Path | None, Option("Table with a row per sample", metavar="TABLE", panel=CLINICAL)
    ] = None
    sample_column: Annotated[
        str | None,
        Option("Column of samples", default="SAMPLE_ID, ..., the first", panel=CLINICAL),
    ] = None
    label: Annotated[str | None, Option("Column of the classes to predict", panel=CLINICAL)] = None
    batch: Annotated[str | None, Option("Column of centres, plates or runs", panel=CLINICAL)] = None
    patient: Annotated[str | None, Option("Column of patients", panel=CLINICAL)] = None
    keep: Annotated[
        tuple[str, ...],
        Option("Another column to keep; repeat", default="all", panel=CLINICAL),
    ] = ()
    drop_labels: Annotated[
        tuple[str, ...],
        Option("Label that means it is not known; repeat", "--drop-label", panel=CLINICAL),
    ] = ()
    id_column: Annotated[
        str | None, Option("Column of the names", default="the first", panel=MATRICES)
    ] = None
    skip_columns: Annotated[
        tuple[str, ...], Option("Column to leave out; repeat", "--skip-column", panel=MATRICES)
    ] = ()
    samples: Annotated[
        str | None,
        Option("Place of the samples", choices=("rows", "columns"), open=True,
               default="recognised", panel=MATRICES),
    ] = None  # fmt: skip
    bins: Annotated[str, Option("Bins of a .seg: arms, or a size such as 5Mb", panel=MATRICES)] = (
        "arms"
    )
    assembly: Annotated[
        str | None,
        Option(
            "Assembly of a .seg: hg38 or hg19", default="the study's, else hg38", panel=MATRICES
        ),
    ] = None
    sex_chromosomes: Annotated[bool, Option("Use segments of X and Y too", panel=MATRICES)] = False
    ids: Annotated[
        str,
        Option("Matching of sample names", choices=("auto", "exact", "tcga"), open=True,
               panel=MATRICES),
    ] = "auto"  # fmt: skip
    duplicates: Annotated[
        str,
        Option("Samples that come twice", choices=("error", "first"), open=True, panel=MATRICES),
    ] = "error"
    m_to_beta: Annotated[
        tuple[str, ...],
        Option("Modality of M-values to turn into fractions; repeat", panel=MATRICES),
    ] = ()
    log_transform: Annotated[
        tuple[str, ...], Option("Modality to take log2(x + 1) of; repeat", panel=MATRICES)
    ] = ()
    mutation_classes: Annotated[
        tuple[str, ...],
        Option(
            "Variant_Classification that counts, or all; repeat",
            "--mutation-class",
            default="those that change the protein",
            panel=MATRICES,
        ),
    ] = PROTEIN_CHANGING
    force: Force = False
    stats: Stats = None


def parse_baselines(value: str) -> tuple[str, ...]:
    """Return names between commas, of ``all`` or of ``none``."""
    if value != "all":
        return () if value == "none" else parse_names(value)
    # The one that needs an extra of its own; asked for by name, its absence is an error.
    return tuple(name for name in COHORT_MODELS if name != "lightgbm" or find_spec(name))


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

    model: Annotated[str, Option("Model", choices=COHORT_MODELS, panel=MODEL)] = "omics-transformer"
    preset: Annotated[str, Option("Of the model", default="its first", panel=MODEL)] = ""
    arch: Annotated[
        Mapping[str, Any],
        Option("Field of the model, as focal=2, which is then not tuned; repeat", "--set",
               panel=MODEL),
    ] = field(default_factory=dict)  # fmt: skip
    vary: Annotated[
        Mapping[str, Sequence[Any]],
        Option(
            "Values to compare, as top_k=300,500 or modalities=A,A+B; repeat",
            metavar="FIELD=A,B",
            parse=parse_variations,
            panel=COMPARISON,
        ),
    ] = field(default_factory=dict)
    baselines: Annotated[
        tuple[str, ...],
        Option("Models to compare with, all, or none", commas=True, parse=parse_baselines,
               panel=COMPARISON),
    ] = ()  # fmt: skip
    control: Annotated[
        bool,
        Option("Also fit to shuffled labels", "--control/--no-control", panel=COMPARISON,
               default="yes"),
    ] = True  # fmt: skip


@dataclass(frozen=True)
class TrainRequest:
    """A model of a cohort to train and to judge beside baselines.

    Samples are held out by ``folds``, by ``batch``, or by a table of samples and folds, whose fold
    ``train`` is never held out.
    """

    cohort: Cohort
    output: Annotated[Path, Option("Run folder to write", "-o --output")]
    contest: Contest = field(default_factory=lambda: Contest(baselines=BASELINES))
    modalities: Annotated[
        tuple[str, ...],
        Option("Modalities to learn from", commas=True, default="all", panel=MODEL),
    ] = ()
    hold_out: Annotated[
        str,
        Option(
            "folds:N; batch; or a table of samples and folds ('train': never held out)",
            metavar="HOW",
            panel=HELD_OUT,
        ),
    ] = "folds"
    folds: Annotated[int, Option("Outer folds", min=2, panel=HELD_OUT)] = 5
    rules: Rules = field(default_factory=Rules)
    device: Device = "auto"
    devices: Annotated[
        int,
        Option("GPUs, or processes on a CPU, that share each batch", min=1, panel="Running"),
    ] = 1
    threads: Threads = 0
    precision: Precision = "auto"
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
    output: Annotated[Path, Option("TSV of attributions to write", "-o --output")]
    select: Annotated[
        tuple[str, ...],
        Option("Sample to explain; repeat", "--samples", metavar="NAME", panel=SAMPLES),
    ] = ()
    top: Annotated[
        int | None,
        Option("The N samples that the model is surest of", min=1, panel=SAMPLES),
    ] = None
    max_samples: Annotated[
        int, Option("Samples to explain, at most, evenly", min=1, panel=SAMPLES)
    ] = 100
    of_class: Annotated[
        str | None, Option("Explain this class, not the predicted one", "--class", panel=SAMPLES)
    ] = None
    steps: Annotated[int, Option("Steps of the integral", min=2)] = 64
    summary: Annotated[
        Path | None, Option("TSV of the mean |attribution| of each feature", metavar="TSV")
    ] = None
    attention: Annotated[
        Path | None,
        Option("TSV of the cross-modal attention; descriptive only", metavar="TSV"),
    ] = None
    plot_dir: Annotated[
        Path | None,
        Option("Folder for a picture of each sample", "--plots", old="--plot-dir", metavar="DIR"),
    ] = None
    allow_incomplete: Annotated[bool, Option("Accept completeness errors above 1 %")] = False
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

    output: Annotated[Path, Option("YAML of parameters to write", "-o --output")]
    cohort: Annotated[
        Path | None,
        Option("Cohort of `genomix prepare cohort`; or give tables", argument=True,
               metavar="[COHORT.h5mu]"),
    ] = None  # fmt: skip
    tables: Mapping[str, Path] = field(default_factory=dict)
    clinical: Annotated[
        Path | None, Option("Table of the samples in those", metavar="TABLE", panel="Tables")
    ] = None
    label: Annotated[str | None, Option("Column of the classes in it", panel="Tables")] = None
    modalities: Annotated[
        tuple[str, ...], Option("Modalities to fit", commas=True, default="all that can be")
    ] = ()
    samples: Annotated[
        int | None,
        Option("Samples that the YAML asks for", "--samples -n", min=1, default="as many"),
    ] = None
    force: Force = False
