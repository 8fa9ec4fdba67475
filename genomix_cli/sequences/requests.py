"""Requests of the commands on sequences: every option once, with its help, limits and default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from genomix_cli.config import Count, Within, from_dict
from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.options import (
    Device,
    Force,
    Option,
    Resume,
    Seed,
    Stats,
    TrainedModel,
    parse_names,
)
from genomix_cli.provenance import Provenance
from genomix_cli.registry import SEQUENCE_CLASSIFIERS

T = TypeVar("T")
MODEL, COMPARISON, HELD_OUT = "Model", "Comparison", "Held out"
TABLE, FASTA, VCF = "Table of phenotypes", "Of a FASTA", "Of a VCF"
SELECTED = "Sequences"
# What a run may differ in and still be the same.
IGNORED_ON_RESUME = ("resume", "setting")
File = Annotated[Path, Option("File of sequences", argument=True, metavar="SEQUENCES.h5")]
Table = Annotated[
    Path,
    Option("TSV, TSV.gz or Parquet to write; - is standard output", "-o --output"),
]


@dataclass(frozen=True)
class PrepareRequest:
    """A file of sequences to make of FASTA, a table, or genotypes."""

    inputs: Annotated[
        tuple[Path, ...],
        Option(
            "FASTA, VCF or BCF, or a table with a column of sequences, told by content; - and "
            "pipes: a VCF",
            argument=True,
            metavar="INPUT...",
        ),
    ]
    output: Annotated[Path, Option("File to write (HDF5)", "-o --output")]
    table: Annotated[
        Path | None,
        Option(
            "TSV or CSV of phenotypes, a row per sequence or person",
            "--table",
            old="--samples",
            metavar="TABLE",
            panel=TABLE,
        ),
    ] = None
    id_column: Annotated[
        str | None, Option("Column of ids", default="sample, id, ..., else the first", panel=TABLE)
    ] = None
    sequence_column: Annotated[
        str | None, Option("Column of the sequences of a table", default="sequence")
    ] = None
    make_ids: Annotated[bool, Option("Number the sequences: their ids are not unique")] = False
    label: Annotated[
        str | None, Option("Column of the classes to learn by default", panel=TABLE)
    ] = None
    group: Annotated[
        str | None,
        Option(
            "Column of what folds keep together, as family; of windows also: contig", panel=TABLE
        ),
    ] = None
    split: Annotated[
        str | None, Option("Column that says train, validation or test", panel=TABLE)
    ] = None
    keep: Annotated[
        tuple[str, ...],
        Option("Column to keep as a phenotype; repeat", default="all", panel=TABLE),
    ] = ()
    categorical: Annotated[
        tuple[str, ...], Option("Column of numbers that are categories; repeat", panel=TABLE)
    ] = ()
    numeric: Annotated[
        tuple[str, ...], Option("Column that must be of numbers; repeat", panel=TABLE)
    ] = ()
    allow_unmatched: Annotated[
        bool,
        Option("Keep sequences without a row, unlabelled, and pass over unused rows", panel=TABLE),
    ] = False
    window: Annotated[
        int | None, Option("Bases of a window, or of each region", min=1, panel=FASTA)
    ] = None
    stride: Annotated[
        int | None,
        Option("Bases from a window to the next", min=1, default="--window", panel=FASTA),
    ] = None
    bed: Annotated[Path | None, Option("Regions; names and strands are used", panel=FASTA)] = None
    max_n: Annotated[
        float,
        Option("Leave out windows with a greater share of N", min=0, max=1, panel=FASTA),
    ] = 0.5
    haplotypes: Annotated[
        str,
        Option(
            "Two sequences per person, or one with IUPAC letters; auto: two if phased",
            choices=("auto", "yes", "no"),
            open=True,
            panel=VCF,
        ),
    ] = "auto"
    flank: Annotated[
        int, Option("Bases of --fasta on both sides of each site", min=0, panel=VCF)
    ] = 0
    fasta: Annotated[
        Path | None,
        Option("Reference FASTA", "--fasta -f", env="GENOMIX_FASTA", panel=VCF),
    ] = None
    regions: Annotated[
        str | None, Option("Sites in chr1:1000-2000,chr2", "--regions -r", panel=VCF)
    ] = None
    regions_file: Annotated[
        Path | None,
        Option("The same, as BED, or as CHROM POS [END]", "--regions-file -R", panel=VCF),
    ] = None
    max_missing: Annotated[
        float,
        Option("Greatest share of missing genotypes of a site", min=0, max=1, panel=VCF),
    ] = 1.0
    min_maf: Annotated[
        float, Option("Least minor allele frequency of a site", min=0, max=0.5, panel=VCF)
    ] = 0.0
    like: Annotated[
        Path | None,
        Option("Use the sites of this file, to score people with its models", panel=VCF),
    ] = None
    assembly: Annotated[str, Option("Name of the assembly, for the record")] = ""
    force: Force = False
    stats: Stats = None


@dataclass(frozen=True)
class TrainRequest:
    """A file of sequences to learn from, by one of the tasks.

    `hold_out` is ``auto`` (the file's splits, or else a quarter), a share as ``0.25``, ``splits``,
    or ``folds:5``. `options` has what only the task takes: the fields of one of the classes below.
    """

    data: File
    output: Annotated[Path, Option("Run folder to write", "-o --output")]
    task: str = "classify"
    preset: Annotated[str, Option("Of the model", default="suits the data", panel=MODEL)] = ""
    arch: Annotated[
        Mapping[str, Any],
        Option("Field of the model, as epochs=20 or freeze=true; repeat", "--set", panel=MODEL),
    ] = field(default_factory=dict)
    label: Annotated[
        str,
        Option("Phenotype to learn or to condition on", default="the file's", panel=MODEL),
    ] = ""
    hold_out: Annotated[
        str,
        Option(
            "splits (the file's), a share, or folds:N; auto: splits, else a quarter",
            metavar="HOW",
            panel=HELD_OUT,
        ),
    ] = "auto"
    init: Annotated[
        Path | None, Option("Run folder whose encoder to start from", metavar="RUN", panel=MODEL)
    ] = None
    setting: FitSettings = field(default_factory=FitSettings)
    resume: Resume = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """The request as JSON has it, names of files without their folders."""
        plain = {n: value for n, value in asdict(self).items() if n not in IGNORED_ON_RESUME}
        for name in ("data", "output", "init"):
            plain[name] = plain[name] and Path(plain[name]).name
        return json.loads(json.dumps({**plain, "seed": self.setting.seed}))

    def provenance(self) -> Provenance:
        """Provenance of everything the run writes."""
        return Provenance.of(self.plain(), {"sequences": self.data}, self.setting.seed)

    def config(self, kind: type[T], presets: Mapping[str, Mapping[str, Any]], **known: Any) -> T:
        """The model's configuration: what is `known` of the data, the preset, and `arch` over it.

        Raises
        ------
        UsageError
            If preset or fields do not exist.
        """
        preset = self.preset or next(iter(presets))
        if preset not in presets:
            raise UsageError("no such preset", expected=" or ".join(presets), found=preset)
        return from_dict(kind, {**known, **presets[preset], **self.arch}, where="--set")


def parse_baselines(value: str) -> tuple[str, ...] | None:
    """Return names between commas, of ``all`` or of ``none``; None for ``auto``."""
    if value == "all":
        return tuple(name for name in SEQUENCE_CLASSIFIERS if name != "transformer")
    return {"auto": None, "none": ()}.get(value, parse_names(value))


def parse_counts(text: str) -> tuple[int, ...]:
    """Return positive whole numbers between commas."""
    try:
        counts = tuple(int(part) for part in parse_names(text))
    except ValueError:
        counts = (0,)
    if any(count < 1 for count in counts):
        raise UsageError("no counts", where="--few-shot", expected="as 1,5,10,50", found=text)
    return counts


class TaskOptions:
    """Options of one task alone."""

    def given(self) -> dict[str, Any]:
        """`TrainRequest.options` that say the same; what is not asked for is left out."""
        return {name: value for name, value in asdict(self).items() if value}  # type: ignore[call-overload]


@dataclass(frozen=True)
class ClassifyOptions(TaskOptions):
    """Options of the task classify alone.

    Models are names of the registry, or ``name:preset``; `baselines` None are those that suit the
    file. With `augment` the main model also learns from generated sequences, as a row of its own.
    """

    model: Annotated[str, Option("Model", choices=SEQUENCE_CLASSIFIERS, open=True, panel=MODEL)] = (
        "transformer"
    )
    baselines: Annotated[
        tuple[str, ...] | None,
        Option(
            "Models to compare with, as cnn or kmer-logistic:k6; all, none, auto",
            commas=True,
            parse=parse_baselines,
            default="auto",
            panel=COMPARISON,
        ),
    ] = None
    trials: Annotated[
        Count,
        Option("Configurations tried for each model; 1: its default", min=1, panel=COMPARISON),
    ] = 1
    level: Annotated[
        float,
        Within(0.5, 0.999),
        Option("Coverage of the prediction sets", min=0.5, max=0.999, panel=HELD_OUT),
    ] = 0.9
    control: Annotated[
        bool,
        Option("Also fit networks to shuffled labels", "--control/--no-control", panel=COMPARISON),
    ] = False
    few_shot: Annotated[
        tuple[int, ...],
        Option(
            "Also learn from so many of each class, as 1,5,10,50",
            commas=True,
            parse=parse_counts,
            panel=COMPARISON,
        ),
    ] = ()
    few_shot_repeats: Annotated[Count, Option("Draws of each number", min=2, panel=COMPARISON)] = 5
    augment: Annotated[
        str | None,
        Option(
            "Generated sequences that join the training part, as a row of its own",
            metavar="GENERATED.h5",
            model=True,
            panel=COMPARISON,
        ),
    ] = None

    def given(self) -> dict[str, Any]:
        """`TrainRequest.options` that say the same."""
        return asdict(self)


@dataclass(frozen=True)
class ContrastOptions(TaskOptions):
    """Options of the task contrast alone."""

    probe: Annotated[
        tuple[str, ...],
        Option("Phenotypes to probe", "--phenotypes", commas=True, default="the label"),
    ] = ()


@dataclass(frozen=True)
class AlignOptions(TaskOptions):
    """Options of the task align alone."""

    phenotypes: Annotated[
        tuple[str, ...], Option("Phenotypes to align", commas=True, default="all")
    ] = ()


@dataclass(frozen=True)
class DiffuseOptions(TaskOptions):
    """Options of the task diffuse alone."""

    conditions: Annotated[
        tuple[str, ...],
        Option("Phenotypes to condition on", "--phenotypes", commas=True, default="the label"),
    ] = ()


@dataclass(frozen=True)
class ScoreRequest:
    """Sequences to classify, to embed, or to retrieve phenotypes for."""

    sequences: File
    model: TrainedModel
    output: Table = Path("-")
    embeddings: Annotated[
        Path | None,
        Option("TSV or Parquet of embeddings: sample, e0, e1, ...", metavar="TABLE"),
    ] = None
    stats: Stats = None
    device: Device = "auto"


@dataclass(frozen=True)
class ExplainRequest:
    """Sequences whose classes to explain."""

    sequences: File
    model: TrainedModel
    output: Annotated[Path, Option("TSV of attributions to write", "-o --output")]
    select: Annotated[
        tuple[str, ...],
        Option("Sequence to explain; repeat", "--names", metavar="NAME", panel=SELECTED),
    ] = ()
    most: Annotated[
        int,
        Option("Sequences to explain, at most, evenly", "--max-sequences", min=1, panel=SELECTED),
    ] = 20
    of_class: Annotated[
        str | None, Option("Explain this class, not the predicted one", "--class", panel=SELECTED)
    ] = None
    steps: Annotated[int, Option("Steps of the integral", min=2)] = 64
    baseline: Annotated[
        str,
        Option(
            "uniform, mean (of a column) or shuffle (of dinucleotides)",
            choices=("auto", "uniform", "mean", "shuffle"),
            open=True,
        ),
    ] = "auto"
    summary: Annotated[
        Path | None, Option("TSV of the mean |attribution| of each column", metavar="TSV")
    ] = None
    allow_incomplete: Annotated[bool, Option("Accept completeness errors above 1 %")] = False
    device: Device = "auto"
    seed: Seed = 0
    force: Force = False


@dataclass(frozen=True)
class SimulateRequest:
    """Sequences to generate, or to restore."""

    model: Annotated[Path, Option("Run folder of a diffusion model", "--model -m", metavar="RUN")]
    output: Annotated[Path, Option("File of sequences to write (.h5)", "-o --output")]
    n: Annotated[int, Option("Sequences to generate", "-n --number", min=1)] = 1000
    conditions: Annotated[
        tuple[str, ...],
        Option(
            "NAME=VALUE, or a category as K562; repeat",
            "--condition",
            metavar="VALUE",
            default="as often as in training",
        ),
    ] = ()
    denoise: Annotated[
        Path | None,
        Option(
            "Fill in hidden and ambiguous bases of this file instead",
            metavar="FILE.h5",
            panel="Restoring",
        ),
    ] = None
    error_rate: Annotated[
        float,
        Option("Share of its bases that are wrong", min=0, max=0.75, panel="Restoring"),
    ] = 0.0
    fasta: Annotated[Path | None, Option("Write them as FASTA too", "--fasta-output")] = None
    guidance: Annotated[
        float, Option("1: as the model learned; above: more typical of the condition", min=0)
    ] = 1.0
    steps: Annotated[
        int, Option("Sampling steps; 0: one base at a time, which is exact", min=0)
    ] = 0
    seed: Seed = 0
    device: Device = "auto"
    force: Force = False


@dataclass(frozen=True)
class GeneratedRequest:
    """Generated sequences to compare with real ones."""

    generated: Annotated[Path, Option("Generated sequences", argument=True, metavar="GENERATED.h5")]
    real: Annotated[Path, Option("Real sequences, with those of training", metavar="SEQUENCES.h5")]
    label: Annotated[str, Option("Phenotype that was the condition", default="the real file's")] = (
        ""
    )
    hold_out: Annotated[
        str, Option("As in training: auto, splits, or a share as 0.25", metavar="HOW")
    ] = "auto"
    motifs: Annotated[Path | None, Option("Motifs to compare too", metavar="MEME")] = None
    classifier: Annotated[
        Path | None,
        Option(
            "Run folder of a classifier",
            metavar="RUN",
            default="5-mers and logistic regression",
        ),
    ] = None
    tsv: Annotated[Path | None, Option("TSV of the metrics", "-o --output")] = None
    json: Annotated[Path | None, Option("JSON of everything, with provenance")] = None
    report: Annotated[Path | None, Option("HTML page", metavar="HTML")] = None
    draws: Annotated[
        int, Option("Bootstrap draws for the intervals; 0: none", "--bootstrap", min=0)
    ] = 200
    seed: Seed = 0
    force: Force = False
