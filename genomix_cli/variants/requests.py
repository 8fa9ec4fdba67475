"""Requests of the variant commands: every option with its help, limits and default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from genomix_cli.errors import UsageError
from genomix_cli.genome.tracks import cells, of_one_cell
from genomix_cli.learning.fit_settings import FitConfig
from genomix_cli.options import (
    RARE,
    Option,
    Without,
    check_options,
    option,
    parse_names,
    parse_pairs,
    parse_words,
)
from genomix_cli.registry import SHARD_LAYOUTS, VARIANT_BASELINES, VARIANT_MODELS
from genomix_cli.shared_options import (
    NAME_MOTIFS,
    TRACK,
    AllowIncomplete,
    Contacts,
    Device,
    Draws,
    Fasta,
    Force,
    MultiQC,
    Page,
    Resume,
    RunOutput,
    Seed,
    Stats,
    Threads,
    Tracks,
    TrainedModel,
    WhatIsSeen,
)
from genomix_cli.variants.score.tags import PROBABILITY

#: Value of ``--cell`` that scores in each of several cell types.
ALL_CELLS = "all"
DEFAULT_MODEL = "gmt-mini"
#: Model trained on simulated genomes, with their motifs and chromatin.
SIMULATED_MODEL = "gmt-mini-sim"
# Metric to maximise in the validation of pre-training.
PRETRAIN_MONITOR = "minus_loss"
HELD_OUT, MODEL, BATCHES = "Held out", "Model", "Batches and limits"
PRETRAINING = "Pre-training"
GENOME, RECORDS, MODE = "Genome and tracks", "Records", "How to score"
MOTIFS, SATURATION = "Motifs", "Saturation mutagenesis"


class Part(NamedTuple):
    """One of `total` parts of the input; `number` counts from 1."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Parse ``i/n``.

        Raises
        ------
        UsageError
            If the text has another form, or `i` is not in ``1..n``.
        """
        number, slash, total = text.partition("/")
        if slash and number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total):
            return cls(int(number), int(total))
        raise UsageError("not a part", where="--shard", expected="I/N, e.g. 1/8", found=text)


def tracks_of_one_cell(values: list[str]) -> dict[str, Path]:
    """Parse ``NAME=FILE`` pairs of tracks of a single cell type; return files by modality."""
    pairs = parse_pairs(values, "--track")
    return of_one_cell({name: Path(path) for name, path in pairs.items()})


def tracks_by_cell(values: list[str]) -> dict[str, Path]:
    """Parse ``NAME=FILE`` pairs; return files by modality, or by full name if cells differ."""
    pairs = {name: Path(path) for name, path in parse_pairs(values, "--track").items()}
    return pairs if len(cells(pairs)) > 1 else of_one_cell(pairs)


TracksByCell = Annotated[Mapping[str, Path], replace(TRACK, parse=tracks_by_cell, unless="genome")]
TracksOfOneCell = Annotated[
    Mapping[str, Path],
    replace(
        TRACK,
        help="bigWig of one cell type, e.g. H3K27ac=k.bw; repeatable",
        parse=tracks_of_one_cell,
        unless="genome",
    ),
]
Uncovered = Annotated[
    Literal["missing", "zero"] | None,
    Option(
        "How to read bases without signal", shown="as in training", panel=GENOME, unless="genome"
    ),
]
NormaliseLike = Annotated[
    str | None,
    Option(
        "Shard or model whose track scaling to reuse", metavar="MODEL", model=True, panel=GENOME
    ),
]
Meaning = Annotated[
    Literal["missing", "zero"] | None,
    Option("How to read bins without data", shown="missing", panel=GENOME),
]
MaxGap = Annotated[
    int | None,
    Option("Interpolate gaps of up to this many bp", min=0, shown="500", panel=GENOME),
]
Assembly = Annotated[str, Option("Name of the assembly, stored with the data", panel=GENOME)]
Shard = Annotated[Path, Option("Genome shard", argument=True, metavar="SHARD.h5")]
Arch = Annotated[
    dict[str, Any],
    Option("Set a field of the architecture, e.g. n_bins=400; repeatable", "--set", panel=MODEL),
]
Initial = Annotated[
    str | None,
    Option(
        "Model to initialise the weights from", "--init", metavar="MODEL", model=True, panel=MODEL
    ),
]
Preset = Annotated[str, Option("Size, such as mini, base or paper", panel=MODEL)]
Architecture = Annotated[str, Option("Model", choices=VARIANT_MODELS, panel=MODEL)]
Workers = Annotated[int, Option("Data-loading processes", min=0, panel="Running")]
Checkpointing = Annotated[
    bool,
    Option("Trade speed for memory (gmt)", "--gradient-checkpointing", panel="Running"),
]
WindowsPerBatch = Annotated[int, Option("Reference windows per batch", min=1, panel=BATCHES)]
ValidContigs = Annotated[
    tuple[str, ...],
    Option("Contigs for early stopping and calibration", commas=True, panel=HELD_OUT),
]
ValidRegions = Annotated[
    Path | None,
    Option("Regions for early stopping and calibration", metavar="BED", panel=HELD_OUT),
]


@dataclass(frozen=True)
class PrepareRequest:
    """Request to make a genome shard from variants."""

    vcf: Annotated[Path, Option("VCF or VCF.gz; -: standard input")]
    fasta: Fasta
    output: Annotated[Path, Option("Shard to write (HDF5)", "-o --output", writes=True)]
    tracks: Tracks = field(default_factory=dict)
    contacts: Contacts = None
    label_info: str | None = option(
        None, "INFO key of the labels, one value per ALT", panel="Labels"
    )
    effect_info: str | None = option(None, "INFO key of quantitative labels, one value per ALT")
    probability_info: str | None = option(
        None, "INFO key of the true probability of each label", rare=True
    )
    labels: Path | None = option(
        None,
        "Table of labels: contig, pos (1-based), ref, alt, label and/or effect; "
        "optionally weight, group, tissue",
        metavar="TSV",
    )
    normalise_like: Annotated[NormaliseLike, RARE] = None
    uncovered: Meaning = None
    max_gap: Annotated[MaxGap, RARE] = None
    flank: int = option(
        100_000, "Bases to keep on each side of each variant", min=1000, panel=GENOME
    )
    layout: str = option(
        "genome",
        "Store each stretch of the genome once, or one window per variant",
        choices=SHARD_LAYOUTS,
        rare=True,
    )
    # The ids of longer k-mers do not fit into uint16.
    k: int = option(6, "k-mer length for --layout windows", min=3, max=7, rare=True)
    assembly: Assembly = ""
    force: Force = False
    stats: Annotated[Stats, RARE] = None
    multiqc: Annotated[MultiQC, RARE] = None


@dataclass(frozen=True)
class PrepareGenomeRequest:
    """Request to make a genome shard of whole contigs, without variants."""

    fasta: Fasta
    output: Annotated[Path, Option("Shard to write (HDF5)", "-o --output", writes=True)]
    tracks: Tracks = field(default_factory=dict)
    contacts: Contacts = None
    contigs: tuple[str, ...] = option((), "Use only these contigs", commas=True)
    normalise_like: NormaliseLike = None
    uncovered: Meaning = None
    max_gap: MaxGap = None
    assembly: Assembly = ""
    force: Force = False


@dataclass(frozen=True)
class HoldOut:
    """Parts of the genome to hold out for validation and test."""

    valid_contigs: ValidContigs = ()
    test_contigs: tuple[str, ...] = option(
        (), "Contigs held out for the final metrics", commas=True, panel=HELD_OUT
    )
    valid_regions: Annotated[ValidRegions, RARE] = None
    test_regions: Path | None = option(
        None, "Regions held out for the final metrics", metavar="BED", rare=True
    )


@dataclass(frozen=True)
class TrainRequest:
    """Request to train a variant model on the labels of a shard."""

    shard: Shard
    output: RunOutput
    model: Architecture = "gmt"
    preset: Preset = "mini"
    arch: Arch = field(default_factory=dict)
    held_out: HoldOut = field(default_factory=HoldOut)
    initial: Initial = None
    tune: Literal["full", "head", "lora"] = option(
        "full", "Weights to train: all, the head, or the head and low-rank adapters"
    )
    lora_rank: int = option(8, "Rank of the low-rank adapters", min=1, rare=True)
    resume: Resume = False
    windows_per_batch: Annotated[WindowsPerBatch, RARE] = 1
    variants_per_window: int = option(
        128, "Maximum number of variants per window and batch", min=1, panel=BATCHES, rare=True
    )
    bce_weight: float = option(
        1.0,
        "Weight of the cross-entropy loss (lambda 1)",
        min=0,
        panel="Training",
        rare=True,
    )
    rank_weight: float = option(0.3, "Weight of the RankNet loss (lambda 2)", min=0, rare=True)
    penalty_weight: float = option(
        0.0,
        "Weight of the L2 penalty (lambda 3), in addition to AdamW's weight decay",
        min=0,
        rare=True,
    )
    rank_margin: float = option(
        0.0, "Do not rank effects that differ by this much or less", min=0, rare=True
    )
    negatives: float = option(
        1.0, "Fraction of the negatives drawn in each epoch", min=0, max=1, panel=BATCHES, rare=True
    )
    equal_cells: bool = option(
        False,
        "In each epoch, draw equally many variants of each cell type, as many as the rarest has",
        rare=True,
    )
    valid_variants: int = option(
        0, "Maximum number of validation variants; 0: all", min=0, rare=True
    )
    test_variants: int = option(0, "Maximum number of test variants; 0: all", min=0, rare=True)
    train_variants: int = option(
        0, "Maximum number of training variants, chosen at random; 0: all", min=0, rare=True
    )
    fit: FitConfig = field(default_factory=FitConfig)
    device: Device = "auto"
    workers: Annotated[Workers, RARE] = 0
    seed: Seed = 0
    demonstration: bool = option(
        False, "Mark the model as a demonstration, not for real conclusions", panel=MODEL, rare=True
    )
    checkpointing: Annotated[Checkpointing, RARE] = False


@dataclass(frozen=True)
class Masking:
    """Part of a window that pre-training hides; spans of tracks are in bins.

    For a k-mer transformer, `share` is the fraction of hidden k-mers, and a `span` of None means
    the model's default.
    """

    share: float = option(
        0.15,
        "Fraction of bases (dnabert, nucleotide-transformer: k-mers) to hide; 0: none",
        "--mask-share",
        min=0,
        max=0.5,
        panel=PRETRAINING,
    )
    span: int | None = option(
        None,
        "Length of each hidden span in bases",
        min=1,
        shown="gmt: 12, at least k; dnabert: 1; nucleotide-transformer: k",
    )
    track_share: float = option(
        0.15, "Fraction of each track's bins to hide (gmt); 0: none", "--track-mask", min=0, max=0.8
    )
    shortest: int = 4
    longest: int = 20

    def check(self, k: int) -> None:
        """Refuse masking that leaks or hides too much.

        Raises
        ------
        UsageError
            If the masking is invalid; the message names every problem.
        """
        wrong = []
        if self.span is not None and self.span < k:
            wrong.append(f"spans of {self.span} bases are shorter than a {k}-mer")
        if not 0 <= self.share <= 0.5:
            wrong.append(f"{self.share:g} of the bases is not between 0 and 0.5")
        if not 0 <= self.track_share <= 0.8:
            wrong.append(f"{self.track_share:g} of the bins is not between 0 and 0.8")
        if not 0 < self.shortest <= self.longest:
            wrong.append(f"no spans of {self.shortest} to {self.longest} bins")
        if not self.share and not self.track_share:
            wrong.append("nothing is hidden")
        if wrong:
            raise UsageError(f"cannot hide: {'; '.join(wrong)}")


@dataclass(frozen=True)
class PretrainRequest:
    """Request to pre-train a model on a genome, without labels."""

    shard: Shard
    output: RunOutput
    model: Architecture = "gmt"
    preset: Preset = "mini"
    arch: Arch = field(default_factory=dict)
    valid_contigs: ValidContigs = ()
    valid_regions: ValidRegions = None
    initial: Initial = None
    resume: Resume = False
    masking: Annotated[Masking, RARE] = field(default_factory=Masking)
    track_weight: float = option(
        1.0,
        "Weight of the track loss relative to the k-mer loss (gmt)",
        min=0,
        panel=PRETRAINING,
        rare=True,
    )
    spans_per_window: int = option(
        16,
        "Hidden spans to predict in each window (gmt), or sequences to read from it",
        min=1,
        rare=True,
    )
    places_per_window: int = option(
        16, "Hidden bins to predict in each window (gmt)", min=1, rare=True
    )
    windows_per_epoch: int = option(1000, "Windows drawn in each epoch", min=1, rare=True)
    windows_per_batch: WindowsPerBatch = 1
    valid_windows: int = option(32, "Maximum number of validation windows", min=1, rare=True)
    max_n: float = option(
        0.1, "Largest fraction of unknown bases in a window", min=0, max=1, rare=True
    )
    fit: Annotated[FitConfig, Without(("monitor", "validations_per_epoch"))] = field(
        default_factory=lambda: FitConfig(monitor=PRETRAIN_MONITOR)
    )
    device: Device = "auto"
    workers: Workers = 0
    seed: Seed = 0
    checkpointing: Checkpointing = False


@dataclass(frozen=True)
class GenomeFiles:
    """Files of sequence, tracks and contacts, either raw or as a shard."""

    fasta: Path | None = option(
        None, "Reference FASTA", "--fasta -f", env="GENOMIX_FASTA", panel=GENOME, unless="genome"
    )
    tracks: TracksByCell = field(default_factory=dict)
    contacts: Contacts = None
    uncovered: Annotated[Uncovered, RARE] = None
    shard: Path | None = option(
        None,
        "Shard instead of --fasta, --track and --contacts",
        "--genome -g",
        metavar="SHARD.h5",
    )
    cell: str = option(
        "",
        "Cell type to predict (activity models) or to use of a shard; or all",
    )

    def check(self) -> None:
        """Refuse files without a reference.

        Raises
        ------
        UsageError
        """
        if self.fasta is None and self.shard is None:
            raise UsageError(
                "no reference",
                hint="give --fasta, set GENOMIX_FASTA, or put `fasta` under [score] "
                "in the file of --config or GENOMIX_CONFIG",
            )


@dataclass(frozen=True)
class ScoreRequest:
    """Request to score variants."""

    vcf: Path | None = option(
        None, "VCF, VCF.gz or BCF; -: standard input", argument=True, metavar="VCF"
    )
    genome: GenomeFiles = field(default_factory=GenomeFiles)
    output: Path = option(
        Path("-"),
        "VCF, VCF.gz, BCF, TSV, TSV.gz or Parquet, by extension; -: standard output",
        "-o --output",
        writes=True,
    )
    output_type: str | None = option(
        None,
        "v: VCF, z: VCF.gz, u: uncompressed BCF, b: BCF, t: TSV",
        "-O --output-type",
        shown="from the extension",
        metavar="v|z|u|b|t",
        rare=True,
    )
    write_index: bool = option(False, "Also index the output", "-W --write-index")
    model: TrainedModel = DEFAULT_MODEL
    check_ref: Literal["w", "e", "x"] = option(
        "w",
        "If REF is wrong: warn, error or exclude",
        panel=RECORDS,
    )
    regions: str | None = option(None, "Records with POS in chr1:1000-2000,chr2", "--regions -r")
    regions_file: Path | None = option(
        None, "The same from a file: BED, or CHROM POS [END]", "--regions-file -R", rare=True
    )
    all_snvs: bool = option(
        False,
        "Score all SNVs of --regions or the FASTA, not a VCF",
        panel=RECORDS,
    )
    shard: Part | None = option(
        None,
        "Score part I of N; records near each other share a part; `bcftools concat` joins them",
        metavar="I/N",
        parse=Part.parse,
        rare=True,
    )
    resume: bool = option(False, "Resume an interrupted run with the same -o")
    mode: Literal["auto", "shared", "centred"] = option(
        "auto",
        "Windows: shared (many variants), centred (few), or auto: by density",
        panel=MODE,
        rare=True,
    )
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto", "Numerical precision; auto: bf16 on a GPU, fp32 on a CPU", rare=True
    )
    both_strands: bool = option(
        False, "Average the scores of both strands, at twice the cost", rare=True
    )
    save_background: bool = option(
        False,
        "Store these scores in the model -m as the background of GENOMIX_PCT and GENOMIX_PHRED",
        writes="background.safetensors",
    )
    background: str = option(
        "",
        "Rank among the stored background whose name contains this, e.g. common",
        shown="the one stored last",
        rare=True,
    )
    lookup: tuple[Path, ...] = option(
        (),
        "Reuse scores of this Parquet or indexed VCF.gz, BCF or TSV.gz; repeatable",
        metavar="FILE",
    )
    genes: Path | None = option(
        None,
        "Annotate the nearest gene start, part of a transcript, and promoter in contact",
        metavar="GTF",
        panel="Columns beside the score",
    )
    known: tuple[Path, ...] = option(
        (),
        "Annotate ID, CLNSIG and AF from this indexed VCF.gz or BCF; repeatable",
        metavar="FILE",
    )
    fields: str = option(
        "",
        "Outputs of an activity model to write beside GENOMIX_DA: comma-separated names, or all",
        metavar="NAMES",
        rare=True,
    )
    quantiles: bool = option(
        False,
        "Also write how each score of an allele ranks among its cell types or outputs",
        rare=True,
    )
    bigwig: Path | None = option(
        None,
        "Folder for a bedGraph and a bigWig of each score, strongest per "
        "position; needs a sorted VCF",
        metavar="DIR",
        writes=True,
        rare=True,
        panel="Genome browser",
    )
    device: Device = "auto"
    devices: str = option(
        "", "GPUs that share the work: a number, or indices such as 0,2", panel="Running", rare=True
    )
    threads: Threads = 0
    stats: Annotated[Stats, RARE] = None
    multiqc: Annotated[MultiQC, RARE] = None

    @property
    def is_read_once(self) -> bool:
        """True for a pipe: standard input, or a shell's ``<(...)``."""
        if self.vcf is None:
            return False
        return str(self.vcf) == "-" or (self.vcf.exists() and not self.vcf.is_file())


BASELINES = {"ref": ("ref",), "shuffle": ("shuffle",), "both": ("ref", "shuffle")}


def parse_baselines(text: str) -> tuple[str, ...]:
    """Return the baselines of `--baseline`."""
    if text not in BASELINES:
        expected = " or ".join(BASELINES)
        raise UsageError("unknown baseline", where="--baseline", expected=expected, found=text)
    return BASELINES[text]


@dataclass(frozen=True)
class MotifOptions:
    """Motifs to find in explained variants, and the outputs on them."""

    source: Annotated[str | None, replace(NAME_MOTIFS, panel=MOTIFS)] = None
    p_value: float | None = option(
        None,
        "Largest p-value of a motif site",
        "--motif-p",
        min=1e-12,
        max=0.05,
        shown="1e-4, or more for few motifs",
        rare=True,
        panel=MOTIFS,
    )
    table: Path | None = option(
        None,
        "TSV of the motifs at each allele",
        "--motif-table",
        metavar="TSV",
        writes=True,
        rare=True,
    )
    summary: Path | None = option(
        None,
        "TSV of the motifs enriched where attributions are large",
        "--motif-summary",
        metavar="TSV",
        writes=True,
        rare=True,
    )


@dataclass(frozen=True)
class SaturationOptions:
    """Region or alleles in which to score every substitution, and measured effects."""

    wanted: bool = option(
        False,
        "Score every SNV around each allele, or in --region",
        "--ism",
        panel=SATURATION,
    )
    region: str | None = option(
        None,
        "Instead of a VCF, score every SNV in this region",
        metavar="CHR:FROM-TO",
    )
    around: int = option(
        40, "Bases that --ism mutates on each side of an allele", "--ism-around", min=0, rare=True
    )
    measured: Path | None = option(
        None,
        "Measured effects to compare with: contig, pos, ref, alt, effect",
        metavar="TSV",
        rare=True,
    )

    @property
    def asked(self) -> bool:
        """True if substitutions are to be scored, rather than alleles explained."""
        return self.wanted or self.region is not None


@dataclass(frozen=True)
class ExplainRequest:
    """Request to explain the scores of variants, or to mutate a region."""

    fasta: Fasta
    output: Annotated[
        Path,
        Option(
            "TSV; with --ism also VCF, BCF, Parquet",
            "-o --output",
            writes=True,
        ),
    ]
    variants: Path | None = option(
        None, "VCF, unless --region is given", argument=True, metavar="VCF"
    )
    model: TrainedModel = DEFAULT_MODEL
    tracks: TracksOfOneCell = field(default_factory=dict)
    contacts: Contacts = None
    uncovered: Annotated[Uncovered, RARE] = None
    cell: str = option(
        "",
        "Cell type to explain, for activity models",
        shown="as scored in the VCF, else the mean of all",
        rare=True,
    )
    attention: Path | None = option(
        None,
        "TSV of the attention rollout (descriptive only)",
        metavar="TSV",
        writes=True,
        rare=True,
    )
    mutagenesis: Path | None = option(
        None,
        "TSV of the change caused by each substitution, for activity models",
        metavar="TSV",
        writes=True,
        rare=True,
    )
    plot_dir: Path | None = option(
        None,
        "Folder for a figure of each variant or region",
        "--plots",
        old="--plot-dir",
        metavar="DIR",
        writes=True,
    )
    browser: Path | None = option(
        None,
        "Folder for genome browser files and an IGV session",
        metavar="DIR",
        writes=True,
    )
    report: Page = None
    motifs: MotifOptions = field(default_factory=MotifOptions)
    saturation: SaturationOptions = field(default_factory=SaturationOptions)
    select: tuple[str, ...] = option(
        (),
        "Allele to explain, as contig:pos:ref:alt; repeatable",
        "--variants",
        metavar="ALLELE",
        panel=RECORDS,
    )
    top: int | None = option(None, "Explain the N highest-scoring alleles", min=1)
    max_variants: int = option(20, "Explain at most this many variants", min=1, rare=True)
    baselines: tuple[str, ...] = option(
        ("ref",),
        "ref (effect of the variant), shuffle (effect of the locus), or both",
        "--baseline",
        commas=True,
        metavar="HOW",
        parse=parse_baselines,
        panel="",
    )
    steps: int = option(
        64,
        "Integration steps, doubled while too few; ref takes four times as many "
        "where they are cheap",
        min=2,
        rare=True,
    )
    allow_incomplete: Annotated[AllowIncomplete, RARE] = False
    device: Device = "auto"
    seed: Annotated[Seed, RARE] = 0
    force: Force = False


@dataclass(frozen=True)
class EvaluateRequest:
    """Request to evaluate scored variants against their labels."""

    scored: Annotated[Path, Option("Scored VCF", argument=True, metavar="VCF")]
    score_info: str = option(PROBABILITY, "INFO key of the scores, one per ALT")
    label_info: str = option("LABEL", "INFO key of the labels: 0 or 1, or quantities")
    labels: Path | None = option(
        None, "Take labels from a table: contig, pos, ref, alt, label or effect", metavar="TSV"
    )
    probability_info: str | None = option(
        None, "INFO key of the true probability of each label, for the Bayes ceiling"
    )
    contigs: tuple[str, ...] = option((), "Use only these contigs", commas=True, parse=parse_words)
    threshold: float | None = option(
        None, "Labels are quantities; those above X count as positive", rare=True
    )
    versus: Path | None = option(
        None, "Another scored VCF, for paired differences", "--vs", metavar="VCF"
    )
    seen: WhatIsSeen = "refuse"
    draws: Annotated[Draws, RARE] = 1000
    seed: Seed = 0


def parse_suite_baselines(text: str) -> tuple[str, ...]:
    """Return comma-separated baselines, or those of ``all`` or ``none``."""
    chosen = {"all": tuple(VARIANT_BASELINES), "none": ()}
    return chosen.get(text, parse_names(text))


@dataclass(frozen=True)
class SuiteRequest:
    """Request to evaluate variant models and baselines on a shard."""

    shard: Shard
    output: Annotated[Path, Option("Folder of the report", "-o --output", writes=True)]
    models: tuple[str, ...] = option(
        (),
        "Run folder, or name of a bundled model; repeatable",
        "--model -m",
        metavar="MODEL",
        model=True,
    )
    test_contigs: tuple[str, ...] = option(
        (), "Contigs to test on", commas=True, shown="as in the first run", panel=HELD_OUT
    )
    test_regions: Path | None = option(None, "Regions to test on", metavar="BED")
    variants: int = option(
        0, "Maximum number of test variants, in whole stretches; 0: all", min=0, rare=True
    )
    seen: WhatIsSeen = "refuse"
    trust_runs: bool = option(
        False, "Do not assume that contigs of the same name are the same contig", rare=True
    )
    baselines: tuple[str, ...] = option(
        tuple(VARIANT_BASELINES),
        "Baselines to include; all or none",
        commas=True,
        choices=VARIANT_BASELINES,
        parse=parse_suite_baselines,
        shown="all",
        panel="Comparison",
    )
    train_variants: int = option(
        60_000, "Maximum number of variants to train the baselines on", min=100, rare=True
    )
    peaks: Path | None = option(
        None,
        "Peaks for the nearest-peak baseline",
        metavar="BED",
        shown="the strongest bins of a track",
        rare=True,
    )
    vcf: Path | None = option(None, "VCF with other tools' scores of these variants in INFO")
    info: tuple[str, ...] = option(
        (),
        "INFO key of such a score, e.g. CADD_PHRED, SpliceAI:DS_AG,DS_AL or SIFT=down; repeatable",
        metavar="KEY",
    )
    table: Path | None = option(
        None,
        "Table (TSV, CSV or Parquet) of other tools' scores: contig, pos (1-based), ref, alt, ...",
        metavar="FILE",
    )
    columns: tuple[str, ...] = option(
        (),
        "Column of such a score, e.g. phyloP, SIFT=down or EVE=learn; repeatable",
        "--column",
        metavar="NAME",
    )
    stack: bool = option(
        False,
        "Add an entrant that combines the first model with these scores, fitted "
        "on the validation part",
        rare=True,
    )
    effect: Literal["absolute", "signed"] = option(
        "absolute",
        "Compare scores with the magnitude of quantitative labels, or with their signed values",
        rare=True,
    )
    draws: int = option(
        1000, "Bootstrap draws for the intervals; 0: none", "--bootstrap", min=0, rare=True
    )
    device: Device = "auto"
    seed: Seed = 0
    force: Force = False

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises
        ------
        UsageError
        """
        if not self.models:
            raise UsageError("no model", where="--model", expected="a run folder or a name")
        if len(set(self.models)) < len(self.models):
            raise UsageError("the same model is given twice", where="--model")
        if self.test_contigs and self.test_regions:
            raise UsageError("--test-contigs and --test-regions: give one of them")
        if bool(self.vcf) != bool(self.info):
            raise UsageError("--vcf and --info must be given together")
        if bool(self.table) != bool(self.columns):
            raise UsageError("--table and --column must be given together")
        names = [name.partition("=")[0] for name in (*self.info, *self.columns)]
        if len(set(names)) < len(names):
            raise UsageError("the same score is given twice", where="--info, --column")
        others = {"stack", *self.baselines, *(Path(name).name for name in self.models)}
        taken = [name for name in names if name in others]
        if taken:
            raise UsageError(f"a score and an entrant are both called {taken[0]}", where="--column")
        if self.stack and not names:
            raise UsageError("--stack needs scores of other tools: --info or --column")
        check_options(self)

    def settings(self) -> dict[str, Any]:
        """Return plain data, with file names instead of paths."""
        plain = asdict(self)
        for name in ("shard", "output", "test_regions", "peaks", "vcf", "table"):
            plain[name] = plain[name] and Path(plain[name]).name
        plain["models"] = [Path(name).name for name in self.models]
        return plain

    def inputs(self) -> dict[str, Path]:
        """Return the input files by role."""
        files = {
            "shard": self.shard,
            "test regions": self.test_regions,
            "peaks": self.peaks,
            "vcf": self.vcf,
            "table": self.table,
        }
        return {role: path for role, path in files.items() if path is not None}


@dataclass(frozen=True)
class LeaderboardRequest:
    """Request to join evaluations of the same variants in one table per shard."""

    reports: Annotated[
        tuple[Path, ...],
        Option("Reports of `genomix evaluate` on shards", argument=True, metavar="REPORT..."),
    ]
    output: Annotated[Path, Option("Folder of the leaderboard", "-o --output", writes=True)]
    reference: str = option(
        "",
        "Entrant to compare the others with",
        metavar="NAME",
        shown="the leader of each table",
    )
    draws: Draws = 1000
    seed: Seed = 0
    force: Force = False

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises
        ------
        UsageError
        """
        if len({path.resolve() for path in self.reports}) < len(self.reports):
            raise UsageError("the same evaluation is given twice", where="REPORT")
        check_options(self)


# Contigs, and the length of each.
SIZES = {
    "tiny": (2, 300_000),
    "small": (4, 1_000_000),
    "medium": (6, 5_000_000),
    "large": (10, 10_000_000),
}


@dataclass(frozen=True)
class SimulationRequest:
    """Request to simulate a genome with contigs named chr1, chr2, ..."""

    out_dir: Annotated[Path, Option("Folder to create", "-o --output", argument=True, writes=True)]
    contigs: int = 2
    contig_length: int = 300_000
    variants_per_kb: float = option(4.0, "Variants per 1000 bp")
    motifs: Path | None = option(
        None, "Motifs to plant, in MEME format", metavar="MEME", shown="12 built-in families"
    )
    rule: str = option(
        "full",
        "Rule that sets the labels: full, or contact (open chromatin in contact "
        "with an active promoter)",
        choices=("full", "contact"),
    )
    placement: str = option(
        "balanced",
        "Where variants are dense: balanced (equally in and beside elements), or sites",
        choices=("balanced", "sites"),
    )
    seed: Seed = 0
    force: Force = False

    @property
    def lengths(self) -> dict[str, int]:
        """Length (bp) of each contig by name."""
        return {f"chr{i + 1}": self.contig_length for i in range(self.contigs)}
