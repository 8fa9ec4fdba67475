"""Requests of the sequence commands: every option once, with its help, limits and default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from genomix_cli.comparison.rules import VERDICTS
from genomix_cli.config import Count, Within, from_dict
from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.options import RARE, Option, option, parse_names
from genomix_cli.provenance import Provenance
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.shared_options import (
    AllowIncomplete,
    Attributions,
    Device,
    Draws,
    Epochs,
    Force,
    Motifs,
    Page,
    Resume,
    RunOutput,
    Seed,
    Stats,
    Table,
    TrainedModel,
)

T = TypeVar("T")
MODEL, COMPARISON, HELD_OUT = "Model", "Comparison", "Held out"
TABLE, FASTA, VCF = "Table of phenotypes", "Of a FASTA", "Of a VCF"
SELECTED, MEASURED, TRACKS = "Sequences", "Measurement", "Tracks over a FASTA"
# Settings in which a resumed run may differ from the interrupted one.
IGNORED_ON_RESUME = ("resume", "setting")
File = Annotated[
    Path, Option("Sequence file of `prepare sequences`", argument=True, metavar="SEQUENCES.h5")
]
FIRST_MOTIFS = "Motifs to initialise the first layer with"


def parse_adaptors(text: str) -> tuple[str, str]:
    """Parse ``LEFT,RIGHT`` to the bases on both sides; either may be empty."""
    left, comma, right = text.upper().replace("U", "T").partition(",")
    if not comma or set(left + right) - set("ACGT"):
        raise UsageError(
            "not bases for two sides",
            where="--adaptors",
            expected="LEFT,RIGHT, e.g. AGGACC,CATTGC",
            found=text,
        )
    return left, right


def parse_strands(texts: list[str]) -> tuple[tuple[str, str], ...]:
    """Parse texts ``PLUS,MINUS`` to pairs of names."""
    pairs = tuple(map(parse_names, texts))
    for text, pair in zip(texts, pairs, strict=True):
        if len(set(pair)) != 2 or len(pair) != 2:
            raise UsageError("not two tracks", where="--strands", expected="PLUS,MINUS", found=text)
    return pairs  # type: ignore[return-value]


@dataclass(frozen=True)
class PrepareRequest:
    """Request to prepare a sequence file from FASTA, a table, or genotypes."""

    inputs: Annotated[
        tuple[Path, ...],
        Option(
            "FASTA, VCF, BCF or table of sequences; -: VCF from stdin",
            argument=True,
            metavar="INPUT...",
        ),
    ]
    output: Annotated[Path, Option("File to write (HDF5)", "-o --output", writes=True)]
    table: Path | None = option(
        None,
        "Phenotypes (TSV, CSV), by sequence or person",
        "--table",
        old="--samples",
        metavar="TABLE",
        panel=TABLE,
    )
    id_column: str | None = option(
        None, "Column with the ids", shown="sample, id, ..., else the first", rare=True
    )
    sequence_column: str | None = option(
        None, "Column with the sequences", shown="sequence", panel=""
    )
    make_ids: bool = option(
        False, "Number the sequences, where their ids are not unique", rare=True
    )
    label: str | None = option(None, "Column with the classes to learn by default", panel=TABLE)
    group: str | None = option(
        None,
        "Column with groups that folds keep together, e.g. family; for windows "
        "also contig, or block (1 Mb)",
        shown="each by itself; with --track: block",
    )
    split: str | None = option(None, "Column with the split: train, validation or test")
    keep: tuple[str, ...] = option(
        (), "Column to keep as a phenotype; repeatable", shown="all", rare=True
    )
    categorical: tuple[str, ...] = option(
        (), "Numeric column to treat as categories; repeatable", rare=True
    )
    numeric: tuple[str, ...] = option((), "Column that must be numeric; repeatable", rare=True)
    allow_unmatched: bool = option(
        False, "Keep sequences without a row as unlabelled, and ignore unused rows", rare=True
    )
    window: int | None = option(
        None, "Length of each window or region, in bases", min=1, panel=FASTA
    )
    stride: int | None = option(
        None, "Distance between the starts of windows, in bases", min=1, shown="--window", rare=True
    )
    bed: Path | None = option(None, "Extract these regions, with their names and strands")
    max_n: float = option(0.5, "Skip windows with a larger fraction of N", min=0, max=1, rare=True)
    tracks: Mapping[str, Path] = option(
        {},
        "bigWig to learn, e.g. ATAC@K562=a.bw; repeatable",
        "--track -t",
        metavar="NAME=FILE",
        panel=TRACKS,
    )
    top: float = option(
        0.02,
        "Without --bed: fraction of windows with the most signal to take for each track",
        min=0.0001,
        max=1,
        rare=True,
    )
    background: int = option(
        1, "Background windows of similar GC for each window with signal", min=0, rare=True
    )
    uncovered: Literal["missing", "zero"] = option(
        "missing", "How to read bases without data", rare=True
    )
    profiles: bool = option(False, "Also keep the signal per base (--task profile)")
    strands: tuple[tuple[str, str], ...] = option(
        (),
        "The two strand-specific tracks of one experiment; repeatable",
        metavar="PLUS,MINUS",
        parse=parse_strands,
        shown="tracks are unstranded",
        rare=True,
    )
    haplotypes: str = option(
        "auto",
        "yes: two sequences per person; no: one with IUPAC letters; auto: two if phased",
        choices=("auto", "yes", "no"),
        open=True,
        metavar="HOW",
        panel=VCF,
    )
    flank: int = option(0, "Bases of --fasta to add on each side of a site", min=0)
    fasta: Path | None = option(None, "Reference FASTA", "--fasta -f", env="GENOMIX_FASTA")
    regions: str | None = option(None, "Use sites in chr1:1000-2000,chr2", "--regions -r")
    regions_file: Path | None = option(
        None, "The same from a file: BED, or CHROM POS [END]", "--regions-file -R", rare=True
    )
    max_missing: float = option(
        1.0, "Largest fraction of missing genotypes at a site", min=0, max=1, rare=True
    )
    min_maf: float = option(
        0.0, "Smallest minor allele frequency of a site", min=0, max=0.5, rare=True
    )
    like: Path | None = option(None, "Use the same sites as this file and its models")
    assay: str = option(
        "", "Assay that produced the measurements, e.g. lentiMPRA", panel=MEASURED, rare=True
    )
    unit: str = option("", "Unit of the measurements, e.g. 'log2 RNA/DNA'", rare=True)
    adaptors: tuple[str, str] = option(
        ("", ""),
        "Bases of the construct on the left and right of each sequence",
        metavar="LEFT,RIGHT",
        commas=True,
        parse=parse_adaptors,
        shown="none",
        rare=True,
    )
    valid_contigs: tuple[str, ...] = option(
        (), "Contigs whose windows form the validation split", commas=True, panel=HELD_OUT
    )
    test_contigs: tuple[str, ...] = option(
        (), "Contigs whose windows form the test split", commas=True
    )
    assembly: str = option("", "Name of the assembly, stored with the data", panel="", rare=True)
    seed: Annotated[Seed, RARE] = 0
    force: Force = False
    stats: Annotated[Stats, RARE] = None


@dataclass(frozen=True)
class TrainRequest:
    """Options for training on a file of sequences with one of the tasks.

    `hold_out` is ``auto`` (the file's splits, or else a quarter), a share such as ``0.25``,
    ``splits``, or ``folds:5``. `epochs` limits every network that is trained. `options` holds the
    options of the task alone: the fields of one of the classes below.
    """

    data: File
    output: RunOutput
    task: str = "classify"
    preset: str = option("", "Preset of the model", shown="chosen from the data", panel=MODEL)
    arch: Mapping[str, Any] = option(
        {}, "Set a field of the model, e.g. freeze=true; repeatable", "--set"
    )
    label: str = option("", "Label to learn or condition on", shown="the file's")
    hold_out: str = option(
        "auto",
        "splits (of the file), a fraction, or folds:N; auto: splits, else a quarter",
        metavar="HOW",
        panel=HELD_OUT,
    )
    init: Path | None = option(
        None, "Run folder whose encoder to initialise from", metavar="RUN", panel=MODEL
    )
    epochs: Epochs = None
    setting: FitSettings = field(default_factory=FitSettings)
    resume: Resume = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return the request as JSON data, with file names instead of paths."""
        plain = {n: value for n, value in asdict(self).items() if n not in IGNORED_ON_RESUME}
        text = json.dumps({**plain, "seed": self.setting.seed}, default=lambda path: path.name)
        return json.loads(text)

    def provenance(self) -> Provenance:
        """Return the provenance of everything that the run writes."""
        files = {
            f"{name} {i}" if isinstance(value, tuple) else name: path
            for name, value in self.options.items()
            for i, path in enumerate(value if isinstance(value, tuple) else [value], 1)
            if isinstance(path, Path)
        }
        return Provenance.of(self.plain(), {"sequences": self.data, **files}, self.setting.seed)

    @property
    def changed(self) -> dict[str, Any]:
        """Fields that the user has set, of the model and of its training."""
        return {**self.arch, **({} if self.epochs is None else {"epochs": self.epochs})}

    def parted(self, kind: type) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the fields of `changed` that belong to a configuration class, and the others."""
        own = {each.name for each in fields(kind)}
        return (
            {name: value for name, value in self.changed.items() if name in own},
            {name: value for name, value in self.changed.items() if name not in own},
        )

    def config(
        self,
        kind: type[T],
        presets: Mapping[str, Mapping[str, Any]],
        facts: Mapping[str, Any],
        *,
        defaults: Mapping[str, Any] | None = None,
        learning: type | None = None,
    ) -> T:
        """Return the model's configuration: defaults and the preset, overridden by `arch`.

        Parameters
        ----------
        kind : type
        presets : mapping
        facts : mapping
            Fields that follow from the data, which no one may set.
        defaults : mapping, optional
            Values that replace those of the class.
        learning : type, optional
            Class of the fields of `changed` that are set elsewhere, to be named in messages.

        Raises
        ------
        UsageError
            If the preset or a field does not exist, or a field follows from the data.
        """
        preset = self.preset or next(iter(presets))
        if preset not in presets:
            raise UsageError("no such preset", expected=" or ".join(presets), found=preset)
        if fixed := [name for name in self.arch if name in facts]:
            raise UsageError(f"{', '.join(fixed)} cannot be set: the data decide", where="--set")
        names = [each.name for own in (kind, learning) if own for each in fields(own)]
        if unknown := [name for name in self.arch if name not in names]:
            said = ", ".join(f"unknown key {name!r}" for name in unknown)
            known = ", ".join(dict.fromkeys(name for name in names if name not in facts))
            raise UsageError(said, where="--set", hint=f"known: {known}")
        own = {**(defaults or {}), **facts, **presets[preset], **self.arch}
        return from_dict(kind, own, where="--set")


def parse_baselines(value: str) -> tuple[str, ...] | None:
    """Parse comma-separated names, ``all`` or ``none``; return None for ``auto``."""
    if value == "all":
        return tuple(name for name in SEQUENCE_CLASSIFIERS if name != "transformer")
    return {"auto": None, "none": ()}.get(value, parse_names(value))


def parse_counts(text: str) -> tuple[int, ...]:
    """Parse comma-separated positive integers."""
    try:
        counts = tuple(int(part) for part in parse_names(text))
    except ValueError:
        counts = (0,)
    if any(count < 1 for count in counts):
        raise UsageError(
            "not counts",
            where="--few-shot",
            expected="positive numbers, e.g. 1,5,10,50",
            found=text,
        )
    return counts


class TaskOptions:
    """Options that only one task has.

    Attributes
    ----------
    task : str
        Name of the task in the registry.
    about : str
        Line of help.
    compares_models : bool
        True if the task's results have a row per model.
    """

    task: ClassVar[str]
    about: ClassVar[str]
    compares_models: ClassVar[bool] = False

    def given(self) -> dict[str, Any]:
        """Return the equivalent `TrainRequest.options`, without options that are not set."""
        return {name: value for name, value in asdict(self).items() if value}  # type: ignore[call-overload]


@dataclass(frozen=True)
class ClassifyOptions(TaskOptions):
    """Options of the task classify.

    Models are names in the registry, or ``name:preset``. With `baselines` None, baselines are
    chosen to suit the file. With `augment`, the main model is also trained with generated sequences
    added, as a separate row. Models whose first layer is filters start from `motifs`.
    """

    task = "classify"
    about = "learn classes"
    compares_models = True

    model: str = option(
        "transformer", "Model", choices=SEQUENCE_CLASSIFIERS, open=True, panel=MODEL
    )
    baselines: tuple[str, ...] | None = option(
        None,
        "Models to compare with, e.g. cnn or kmer-logistic:k6; all, none, auto",
        commas=True,
        parse=parse_baselines,
        shown="auto",
        panel=COMPARISON,
    )
    trials: Count = option(1, "Configurations to try for each model; 1: its default", min=1)
    level: Annotated[float, Within(0.5, 0.999)] = option(
        0.9, "Target coverage of the prediction sets", min=0.5, max=0.999, panel=HELD_OUT, rare=True
    )
    control: bool = option(
        False,
        "Also fit networks to shuffled labels, as a control",
        "--control/--no-control",
        panel=COMPARISON,
        rare=True,
    )
    metric: str = option(
        "accuracy",
        "Metric that ranks the baselines and comes first in the verdict",
        choices=VERDICTS,
        rare=True,
    )
    few_shot: tuple[int, ...] = option(
        (),
        "Also train on this many sequences per class, e.g. 1,5,10,50",
        commas=True,
        parse=parse_counts,
    )
    few_shot_repeats: Count = option(
        5, "Random draws for each number of --few-shot", min=2, rare=True
    )
    augment: str | None = option(
        None,
        "Also train with these generated sequences added; reported as a separate row",
        metavar="GENERATED.h5",
        model=True,
        rare=True,
    )
    motifs: Path | None = option(None, FIRST_MOTIFS, metavar="MEME", rare=True)

    def given(self) -> dict[str, Any]:
        """Return the equivalent `TrainRequest.options`."""
        return asdict(self)


@dataclass(frozen=True)
class ContrastOptions(TaskOptions):
    """Options of the task contrast."""

    task = "contrast"
    about = "pre-train"

    probe: tuple[str, ...] = option(
        (),
        "Phenotypes to use",
        "--phenotypes",
        commas=True,
        shown="the label; align, activity: all",
    )
    motifs: Path | None = option(None, FIRST_MOTIFS, metavar="MEME", rare=True)


@dataclass(frozen=True)
class AlignOptions(TaskOptions):
    """Options of the task align."""

    task = "align"
    about = "DNA with phenotypes"

    phenotypes: tuple[str, ...] = option((), "Phenotypes to align", commas=True, shown="all")
    unseen: tuple[str, ...] = option(
        (),
        "Class to leave out of training and evaluate separately (zero-shot); repeatable",
        metavar="NAME",
        rare=True,
    )
    motifs: Path | None = option(None, FIRST_MOTIFS, metavar="MEME", rare=True)


@dataclass(frozen=True)
class DiffuseOptions(TaskOptions):
    """Options of the task diffuse."""

    task = "diffuse"
    about = "learn to generate"

    conditions: tuple[str, ...] = option(
        (), "Phenotypes to condition on", "--phenotypes", commas=True, shown="the label"
    )


@dataclass(frozen=True)
class ActivityOptions(TaskOptions):
    """Options of the task activity."""

    task = "activity"
    about = "predict measurements"

    phenotypes: tuple[str, ...] = option((), "Phenotypes to learn", commas=True, shown="all")
    also: tuple[Path, ...] = option(
        (),
        "Another file to learn from, with outputs of its own; repeatable",
        metavar="FILE.h5",
        rare=True,
    )
    pairs: tuple[Path, ...] = option(
        (),
        "File whose groups are pairs of alleles, to learn their differences; repeatable",
        metavar="FILE.h5",
        rare=True,
    )
    motifs: Path | None = option(None, FIRST_MOTIFS, metavar="MEME", rare=True)


@dataclass(frozen=True)
class ProfileOptions(TaskOptions):
    """Options of the task profile."""

    task = "profile"
    about = "predict the signal of each base"

    tracks: tuple[str, ...] = option(
        (), "Tracks to learn", "--phenotypes", commas=True, shown="all"
    )
    controls: tuple[str, ...] = option(
        (),
        "Control tracks, such as the input, given to the heads",
        "--control-tracks",
        commas=True,
        rare=True,
    )


TASKS: tuple[type[TaskOptions], ...] = (
    ClassifyOptions,
    ContrastOptions,
    DiffuseOptions,
    AlignOptions,
    ActivityOptions,
    ProfileOptions,
)


@dataclass(frozen=True)
class ScoreRequest:
    """Request to classify sequences, embed them, or retrieve phenotypes for them."""

    sequences: File
    model: TrainedModel
    output: Table = Path("-")
    embeddings: Path | None = option(
        None, "TSV or Parquet of embeddings: sample, e0, e1, ...", metavar="TABLE", writes=True
    )
    bigwig: Path | None = option(
        None,
        "Folder for a bigWig of predicted base counts per track (runs of --task profile)",
        metavar="DIR",
        writes=True,
    )
    stats: Stats = None
    device: Device = "auto"


@dataclass(frozen=True)
class ExplainRequest:
    """Request to explain the classes of sequences."""

    sequences: File
    model: TrainedModel
    output: Attributions
    select: tuple[str, ...] = option(
        (), "Sequence to explain; repeatable", "--names", metavar="NAME", panel=SELECTED
    )
    most: int = option(
        20, "Explain at most this many sequences, evenly spread", "--max-sequences", min=1
    )
    of_class: str | None = option(
        None, "Explain this class instead of the predicted one", "--class"
    )
    steps: int = option(64, "Integration steps, doubled while too few", min=2, panel="")
    baseline: str = option(
        "auto",
        "Baseline: uniform, mean (of each column) or shuffle (of dinucleotides)",
        choices=("auto", "uniform", "mean", "shuffle"),
        open=True,
    )
    summary: Path | None = option(
        None, "TSV of the mean |attribution| of each column", metavar="TSV", writes=True
    )
    report: Page = None
    motifs: Motifs = None
    allow_incomplete: Annotated[AllowIncomplete, RARE] = False
    device: Device = "auto"
    seed: Seed = 0
    force: Force = False


@dataclass(frozen=True)
class SimulateRequest:
    """Request to generate or restore sequences."""

    model: Annotated[Path, Option("Run folder of a diffusion model", "--model -m", metavar="RUN")]
    output: Annotated[Path, Option("Sequence file to write (.h5)", "-o --output", writes=True)]
    n: int = option(1000, "Number of sequences to generate", "-n --number", min=1)
    conditions: tuple[str, ...] = option(
        (),
        "Condition: NAME=VALUE, or a category such as K562; repeatable",
        "--condition",
        metavar="VALUE",
        shown="drawn as in training",
    )
    denoise: Path | None = option(
        None,
        "Instead, fill in the hidden and ambiguous bases of this file",
        metavar="FILE.h5",
        panel="Restoring",
    )
    error_rate: float = option(0.0, "Fraction of its bases that are wrong", min=0, max=0.75)
    fasta: Path | None = option(
        None, "Also write the sequences as FASTA", "--fasta-output", panel="", writes=True
    )
    guidance: float = option(
        1.0, "Guidance scale; 1: as learned; above 1: more typical of the condition", min=0
    )
    steps: int = option(0, "Sampling steps; 0: one base at a time, which is exact", min=0)
    seed: Seed = 0
    device: Device = "auto"
    force: Force = False


@dataclass(frozen=True)
class GeneratedRequest:
    """Request to compare generated sequences with real ones."""

    generated: Annotated[Path, Option("Generated sequences", argument=True, metavar="GENERATED.h5")]
    real: Annotated[
        Path, Option("Real sequences, including those of training", metavar="SEQUENCES.h5")
    ]
    label: str = option("", "Phenotype used as the condition", shown="the real file's")
    hold_out: str = option(
        "auto", "As in training: auto, splits, or a fraction such as 0.25", metavar="HOW"
    )
    motifs: Path | None = option(None, "Also compare these motifs", metavar="MEME")
    classifier: Path | None = option(
        None, "Run folder of a classifier", metavar="RUN", shown="5-mers and logistic regression"
    )
    tsv: Path | None = option(None, "TSV of the metrics", "-o --output", writes=True)
    json: Path | None = option(None, "JSON of all results, with provenance", writes=True)
    report: Path | None = option(None, "HTML page", metavar="HTML", writes=True)
    draws: Draws = 200
    seed: Seed = 0
    force: Force = False
