"""Requests of the commands on variants: every option once, with its help, limits and default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from genomix_cli.errors import UsageError
from genomix_cli.genome.tracks import of_one_cell
from genomix_cli.learning.fit_settings import FitConfig
from genomix_cli.options import (
    Contacts,
    Device,
    Fasta,
    Force,
    Option,
    Resume,
    Seed,
    Stats,
    Threads,
    Tracks,
    TrainedModel,
    Without,
    parse_names,
    parse_pairs,
)
from genomix_cli.registry import SHARD_LAYOUTS, VARIANT_BASELINES, VARIANT_MODELS
from genomix_cli.variants.score.tags import PROBABILITY

DEFAULT_MODEL = "gmt-mini-sim"
# What the validation of pre-training maximises.
PRETRAIN_MONITOR = "minus_loss"
HELD_OUT, MODEL, BATCHES = "Held out", "Model", "Batches and limits"
PRETRAINING = "Pre-training"
GENOME, RECORDS, MODE = "Genome and tracks", "Records", "How to score"


class Part(NamedTuple):
    """One of `total` parts of the input, `number` counted from 1."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read ``i/n``.

        Raises
        ------
        UsageError
            If it is something else, or `i` is not in ``1..n``.
        """
        number, slash, total = text.partition("/")
        if slash and number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total):
            return cls(int(number), int(total))
        raise UsageError("not a part", where="--shard", expected="I/N, as in 1/8", found=text)


def tracks_of_one_cell(values: list[str]) -> dict[str, Path]:
    """``NAME=FILE`` pairs of the tracks of one cell type, by modality."""
    pairs = parse_pairs(values, "--track")
    return of_one_cell({name: Path(path) for name, path in pairs.items()})


TracksOfOneCell = Annotated[
    Mapping[str, Path],
    Option(
        "bigWig of a track, as H3K27ac=k.bw; those of one cell type; repeat",
        "--track -t",
        metavar="NAME=FILE",
        env="GENOMIX_TRACKS",
        parse=tracks_of_one_cell,
        panel=GENOME,
    ),
]
Uncovered = Annotated[
    Literal["missing", "zero"] | None,
    Option("Meaning of bases without signal", default="as in training", panel=GENOME),
]
NormaliseLike = Annotated[
    str | None,
    Option("Shard or model whose track scale to conform to", metavar="MODEL", panel=GENOME),
]
Meaning = Annotated[
    Literal["missing", "zero"] | None,
    Option("Meaning of bins without data", default="missing", panel=GENOME),
]
MaxGap = Annotated[
    int | None,
    Option("Interpolate gaps of up to so many bp", min=0, default="500", panel=GENOME),
]
Assembly = Annotated[str, Option("Name of the assembly, for the record", panel=GENOME)]
Output = Annotated[Path, Option("Run folder to write", "-o --output")]
Shard = Annotated[Path, Option("Genome shard", argument=True, metavar="SHARD.h5")]
Arch = Annotated[
    dict[str, Any],
    Option("Field of the architecture, as n_bins=400; repeat", "--set", panel=MODEL),
]
Initial = Annotated[
    str | None, Option("Model to start from", "--init", metavar="MODEL", model=True, panel=MODEL)
]
Preset = Annotated[str, Option("Size of the model, such as mini, base or paper", panel=MODEL)]
Workers = Annotated[int, Option("Processes that read data", min=0, panel="Running")]
Checkpointing = Annotated[
    bool,
    Option("Save memory at the cost of time", "--gradient-checkpointing", panel="Running"),
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
    """A genome shard to make of variants."""

    vcf: Annotated[Path, Option("VCF, VCF.gz, or - for standard input")]
    fasta: Fasta
    output: Annotated[Path, Option("Shard to write (HDF5)", "-o --output")]
    tracks: Tracks = field(default_factory=dict)
    contacts: Contacts = None
    label_info: Annotated[
        str | None, Option("INFO key of the label, one value per ALT", panel="Labels")
    ] = None
    effect_info: Annotated[
        str | None, Option("INFO key of a quantitative label, one per ALT", panel="Labels")
    ] = None
    probability_info: Annotated[
        str | None, Option("INFO key of the label's true probability", panel="Labels")
    ] = None
    labels: Annotated[
        Path | None,
        Option(
            "Table with contig, pos (1-based), ref, alt, label and/or effect, and optionally "
            "weight, group, tissue",
            metavar="TSV",
            panel="Labels",
        ),
    ] = None
    normalise_like: NormaliseLike = None
    uncovered: Meaning = None
    max_gap: MaxGap = None
    flank: Annotated[
        int, Option("Bases to keep on each side of a variant", min=1000, panel=GENOME)
    ] = 100_000
    layout: Annotated[
        str,
        Option(
            "Each stretch of genome once, or a row per variant",
            choices=SHARD_LAYOUTS,
            panel=GENOME,
        ),
    ] = "genome"
    k: Annotated[int, Option("k-mer length of the windows layout", min=3, max=7, panel=GENOME)] = 6
    assembly: Assembly = ""
    force: Force = False
    stats: Stats = None


@dataclass(frozen=True)
class PrepareGenomeRequest:
    """A genome shard to make of whole contigs, without variants."""

    fasta: Fasta
    output: Annotated[Path, Option("Shard to write (HDF5)", "-o --output")]
    tracks: Tracks = field(default_factory=dict)
    contacts: Contacts = None
    contigs: Annotated[tuple[str, ...], Option("Only these contigs", commas=True)] = ()
    normalise_like: NormaliseLike = None
    uncovered: Meaning = None
    max_gap: MaxGap = None
    assembly: Assembly = ""
    force: Force = False


@dataclass(frozen=True)
class HoldOut:
    """The parts of the genome held out to validate and to test on, as the user names them."""

    valid_contigs: ValidContigs = ()
    test_contigs: Annotated[
        tuple[str, ...], Option("Contigs for the final metrics", commas=True, panel=HELD_OUT)
    ] = ()
    valid_regions: ValidRegions = None
    test_regions: Annotated[
        Path | None, Option("Regions for the final metrics", metavar="BED", panel=HELD_OUT)
    ] = None


@dataclass(frozen=True)
class TrainRequest:
    """A model of variants to train on the labels of a shard."""

    shard: Shard
    output: Output
    model: Annotated[str, Option("Model", choices=VARIANT_MODELS, panel=MODEL)] = "gmt"
    preset: Preset = "mini"
    arch: Arch = field(default_factory=dict)
    held_out: HoldOut = field(default_factory=HoldOut)
    initial: Initial = None
    tune: Annotated[
        Literal["full", "head", "lora"],
        Option("Weights that learn: all, the head, or the head and low-rank adapters", panel=MODEL),
    ] = "full"
    lora_rank: Annotated[int, Option("Rank of the adapters", min=1, panel=MODEL)] = 8
    resume: Resume = False
    windows_per_batch: WindowsPerBatch = 1
    variants_per_window: Annotated[
        int, Option("Variants of a window per batch, at most", min=1, panel=BATCHES)
    ] = 128
    rank_weight: Annotated[float, Option("Weight of RankNet", min=0, panel="Training")] = 0.3
    rank_margin: Annotated[
        float, Option("Effects that differ by no more are not ranked", min=0, panel="Training")
    ] = 0.0
    negatives: Annotated[
        float,
        Option("Share of the negatives drawn in each epoch", min=0, max=1, panel=BATCHES),
    ] = 1.0
    valid_variants: Annotated[
        int, Option("Validation variants at most; 0: all", min=0, panel=BATCHES)
    ] = 0
    test_variants: Annotated[int, Option("Test variants at most; 0: all", min=0, panel=BATCHES)] = 0
    train_variants: Annotated[
        int, Option("Training variants at most, at random; 0: all", min=0, panel=BATCHES)
    ] = 0
    fit: FitConfig = field(default_factory=FitConfig)
    device: Device = "auto"
    workers: Workers = 0
    seed: Seed = 0
    demonstration: Annotated[
        bool, Option("Mark the weights as not for real conclusions", panel=MODEL)
    ] = False
    checkpointing: Checkpointing = False


@dataclass(frozen=True)
class Masking:
    """The part of a window that pre-training hides; spans of tracks in bins."""

    share: Annotated[
        float,
        Option(
            "Share of the bases hidden; 0: none", "--mask-share", min=0, max=0.5, panel=PRETRAINING
        ),
    ] = 0.15
    span: Annotated[int, Option("Bases of a hidden span, at least k", min=1, panel=PRETRAINING)] = (
        12
    )
    track_share: Annotated[
        float,
        Option(
            "Share of a track's bins hidden; 0: none",
            "--track-mask",
            min=0,
            max=0.8,
            panel=PRETRAINING,
        ),
    ] = 0.15
    shortest: int = 4
    longest: int = 20

    def check(self, k: int) -> None:
        """Refuse what leaks or hides too much.

        Raises
        ------
        UsageError
            Naming everything that is wrong.
        """
        wrong = []
        if self.span < k:
            wrong.append(f"spans of {self.span} bases hold no {k}-mer: at least {k} are needed")
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
    """A model to pre-train on a genome, without labels."""

    shard: Shard
    output: Output
    preset: Preset = "mini"
    arch: Arch = field(default_factory=dict)
    valid_contigs: ValidContigs = ()
    valid_regions: ValidRegions = None
    initial: Initial = None
    resume: Resume = False
    masking: Masking = field(default_factory=Masking)
    track_weight: Annotated[
        float,
        Option("Weight of the tracks' error beside the k-mers'", min=0, panel=PRETRAINING),
    ] = 1.0
    spans_per_window: Annotated[
        int, Option("Hidden spans that are asked for", min=1, panel=PRETRAINING)
    ] = 16
    places_per_window: Annotated[
        int, Option("Hidden bins whose tracks are asked for", min=1, panel=PRETRAINING)
    ] = 16
    windows_per_epoch: Annotated[
        int, Option("Windows drawn in each epoch", min=1, panel=PRETRAINING)
    ] = 1000
    windows_per_batch: WindowsPerBatch = 1
    valid_windows: Annotated[
        int, Option("Windows to validate on, at most", min=1, panel=PRETRAINING)
    ] = 32
    max_n: Annotated[
        float,
        Option("Share of unknown bases a window may have", min=0, max=1, panel=PRETRAINING),
    ] = 0.1
    fit: Annotated[FitConfig, Without(("monitor", "validations_per_epoch"))] = field(
        default_factory=lambda: FitConfig(monitor=PRETRAIN_MONITOR)
    )
    device: Device = "auto"
    workers: Workers = 0
    seed: Seed = 0
    checkpointing: Checkpointing = False


@dataclass(frozen=True)
class GenomeFiles:
    """Files of sequence, tracks and contacts: raw ones, or a shard."""

    fasta: Annotated[
        Path | None,
        Option("Reference FASTA", "--fasta -f", env="GENOMIX_FASTA", panel=GENOME, unless="genome"),
    ] = None
    tracks: Annotated[
        Mapping[str, Path],
        Option(
            "bigWig of a track, as H3K27ac=k.bw; those of one cell type; repeat",
            "--track -t",
            metavar="NAME=FILE",
            env="GENOMIX_TRACKS",
            parse=tracks_of_one_cell,
            panel=GENOME,
            unless="genome",
        ),
    ] = field(default_factory=dict)
    contacts: Annotated[
        Path | None,
        Option(
            "Hi-C: .cool, or .mcool[::/resolutions/N]",
            env="GENOMIX_CONTACTS",
            panel=GENOME,
            unless="genome",
        ),
    ] = None
    uncovered: Annotated[
        Literal["missing", "zero"] | None,
        Option(
            "Meaning of bases without signal",
            default="as in training",
            panel=GENOME,
            unless="genome",
        ),
    ] = None
    shard: Annotated[
        Path | None,
        Option(
            "Shard of `prepare variants`, instead of --fasta, --track and --contacts",
            "--genome -g",
            metavar="SHARD.h5",
            panel=GENOME,
        ),
    ] = None
    cell: Annotated[
        str, Option("Cell type to read of a shard that holds several", panel=GENOME)
    ] = ""


@dataclass(frozen=True)
class ScoreRequest:
    """Variants to score."""

    vcf: Annotated[
        Path, Option("VCF, VCF.gz or BCF; - is standard input", argument=True, metavar="VCF")
    ]
    genome: GenomeFiles
    output: Annotated[
        Path,
        Option(
            "VCF, VCF.gz, BCF, TSV, TSV.gz or Parquet by its name; -: standard output",
            "-o --output",
        ),
    ] = Path("-")
    output_type: Annotated[
        str | None,
        Option(
            "v VCF, z VCF.gz, u BCF uncompressed, b BCF, t TSV",
            "-O --output-type",
            default="by the name",
            metavar="v|z|u|b|t",
        ),
    ] = None
    write_index: Annotated[bool, Option("Index the output too", "-W --write-index")] = False
    model: TrainedModel = DEFAULT_MODEL
    check_ref: Annotated[
        Literal["w", "e", "x"],
        Option(
            "REF that differs from the FASTA: warning, error, or leave the record out",
            panel=RECORDS,
        ),
    ] = "w"
    regions: Annotated[
        str | None,
        Option("Records with POS in chr1:1000-2000,chr2", "--regions -r", panel=RECORDS),
    ] = None
    regions_file: Annotated[
        Path | None,
        Option("The same, as BED, or as CHROM POS [END]", "--regions-file -R", panel=RECORDS),
    ] = None
    shard: Annotated[
        Part | None,
        Option(
            "Score part I of N; `bcftools concat` joins them",
            metavar="I/N",
            parse=Part.parse,
            panel=RECORDS,
        ),
    ] = None
    resume: Annotated[
        bool, Option("Continue where an interrupted run to -o stopped", panel=RECORDS)
    ] = False
    mode: Annotated[
        Literal["auto", "shared", "centred"],
        Option("Windows: shared (many variants), centred (few), or by density", panel=MODE),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        Option("Arithmetic; auto: bf16 on a GPU, fp32 on a CPU", panel=MODE),
    ] = "auto"
    both_strands: Annotated[bool, Option("Average both strands, at twice the cost", panel=MODE)] = (
        False
    )
    save_background: Annotated[
        bool,
        Option(
            "Keep these scores with the model -m, for GENOMIX_PCT and GENOMIX_PHRED", panel=MODE
        ),
    ] = False
    device: Device = "auto"
    devices: Annotated[
        str, Option("GPUs that share the work: how many, or which, as in 0,2", panel="Running")
    ] = ""
    threads: Threads = 0
    stats: Stats = None

    @property
    def is_read_once(self) -> bool:
        """Return True for a pipe: standard input, or a shell's ``<(...)``."""
        if str(self.vcf) == "-":
            return True
        return self.vcf.exists() and not self.vcf.is_file()


BASELINES = {"ref": ("ref",), "shuffle": ("shuffle",), "both": ("ref", "shuffle")}


def parse_baselines(text: str) -> tuple[str, ...]:
    """Return the baselines of `--baseline`."""
    if text not in BASELINES:
        expected = " or ".join(BASELINES)
        raise UsageError("unknown baseline", where="--baseline", expected=expected, found=text)
    return BASELINES[text]


@dataclass(frozen=True)
class ExplainRequest:
    """Variants whose scores to explain."""

    variants: Annotated[Path, Option("VCF", argument=True, metavar="VCF")]
    fasta: Fasta
    output: Annotated[Path, Option("TSV of attributions to write", "-o --output")]
    model: TrainedModel = DEFAULT_MODEL
    tracks: TracksOfOneCell = field(default_factory=dict)
    contacts: Contacts = None
    uncovered: Uncovered = None
    attention: Annotated[
        Path | None, Option("TSV of the attention rollout; descriptive only", metavar="TSV")
    ] = None
    plot_dir: Annotated[
        Path | None,
        Option("Folder for a picture of each variant", "--plots", old="--plot-dir", metavar="DIR"),
    ] = None
    select: Annotated[
        tuple[str, ...],
        Option(
            "Allele to explain, as contig:pos:ref:alt; repeat",
            "--variants",
            metavar="ALLELE",
            panel=RECORDS,
        ),
    ] = ()
    top: Annotated[
        int | None, Option("The N alleles with the highest GENOMIX_P", min=1, panel=RECORDS)
    ] = None
    max_variants: Annotated[int, Option("Variants to explain, at most", min=1, panel=RECORDS)] = 20
    baselines: Annotated[
        tuple[str, ...],
        Option(
            "ref (effect of the variant), shuffle (effect of the place), or both",
            "--baseline",
            commas=True,
            metavar="ref|shuffle|both",
            parse=parse_baselines,
        ),
    ] = ("ref",)
    steps: Annotated[int, Option("Steps of the integral; ref takes four times as many", min=2)] = 64
    allow_incomplete: Annotated[bool, Option("Accept completeness errors above 1 %")] = False
    device: Device = "auto"
    seed: Seed = 0
    force: Force = False


def names_or_spaces(text: str) -> tuple[str, ...]:
    """Names between commas or spaces."""
    return tuple(text.replace(",", " ").split())


@dataclass(frozen=True)
class EvaluateRequest:
    """Scored variants to compare with their labels."""

    scored: Annotated[Path, Option("Scored VCF", argument=True, metavar="VCF")]
    score_info: Annotated[str, Option("INFO key of the scores, one per ALT")] = PROBABILITY
    label_info: Annotated[str, Option("INFO key of the labels, 0 or 1")] = "LABEL"
    labels: Annotated[
        Path | None,
        Option("Labels from a table instead: contig, pos, ref, alt, label", metavar="TSV"),
    ] = None
    probability_info: Annotated[
        str | None,
        Option("INFO key of the labels' true probability, for the Bayes ceiling"),
    ] = None
    contigs: Annotated[
        tuple[str, ...], Option("Only these contigs", commas=True, parse=names_or_spaces)
    ] = ()
    threshold: Annotated[float | None, Option("Labels are quantities, positive above this")] = None
    versus: Annotated[
        Path | None,
        Option("Another scored VCF, for paired differences", "--vs", metavar="VCF"),
    ] = None
    draws: Annotated[
        int, Option("Bootstrap draws for the intervals; 0: none", "--bootstrap", min=0)
    ] = 1000
    seed: Seed = 0


def parse_suite_baselines(text: str) -> tuple[str, ...]:
    """Return names between commas, of ``all`` or of ``none``."""
    chosen = {"all": tuple(VARIANT_BASELINES), "none": ()}
    return chosen.get(text, parse_names(text))


@dataclass(frozen=True)
class SuiteRequest:
    """Models of variants to evaluate on a shard, beside baselines."""

    shard: Shard
    output: Annotated[Path, Option("Folder of the report", "-o --output")]
    models: Annotated[
        tuple[str, ...],
        Option(
            "Run folder, or the name of a model that ships; repeat",
            "--model -m",
            metavar="MODEL",
            model=True,
        ),
    ] = ()
    test_contigs: Annotated[
        tuple[str, ...],
        Option("Contigs to test on", commas=True, default="as in the first run", panel=HELD_OUT),
    ] = ()
    test_regions: Annotated[
        Path | None, Option("Regions to test on", metavar="BED", panel=HELD_OUT)
    ] = None
    variants: Annotated[
        int,
        Option("Test variants at most, in whole stretches; 0: all", min=0, panel=HELD_OUT),
    ] = 0
    trust_runs: Annotated[bool, Option("Skip the train/test leakage check", panel=HELD_OUT)] = False
    baselines: Annotated[
        tuple[str, ...],
        Option(
            "Baselines, all, or none",
            commas=True,
            choices=VARIANT_BASELINES,
            open=True,
            parse=parse_suite_baselines,
            default="all",
            panel="Comparison",
        ),
    ] = tuple(VARIANT_BASELINES)
    train_variants: Annotated[
        int,
        Option("Variants that the baselines learn from, at most", min=100, panel="Comparison"),
    ] = 60_000
    peaks: Annotated[
        Path | None,
        Option(
            "Peaks of the nearest-peak baseline",
            metavar="BED",
            default="the strongest bins of a track",
            panel="Comparison",
        ),
    ] = None
    vcf: Annotated[
        Path | None, Option("VCF with other scores of the variants in INFO", panel="Comparison")
    ] = None
    info: Annotated[
        tuple[str, ...],
        Option("Key of one, as CADD_PHRED; repeat", metavar="KEY", panel="Comparison"),
    ] = ()
    effect: Annotated[
        Literal["absolute", "signed"],
        Option("Aspect of quantitative labels that scores should follow", panel="Comparison"),
    ] = "absolute"
    draws: Annotated[
        int,
        Option(
            "Bootstrap draws for the intervals; 0: none", "--bootstrap", min=0, panel="Comparison"
        ),
    ] = 1000
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
            raise UsageError("the same model twice", where="--model")
        if self.test_contigs and self.test_regions:
            raise UsageError("--test-contigs and --test-regions: give one of them")
        if bool(self.vcf) != bool(self.info):
            raise UsageError("--vcf and --info need each other")
        if self.effect not in ("absolute", "signed"):
            raise UsageError("no such effect", where="--effect", expected="absolute or signed")
        for name in self.baselines:
            if name not in VARIANT_BASELINES:
                expected = " or ".join(VARIANT_BASELINES)
                raise UsageError(f"unknown variant baseline {name!r}", expected=expected)

    def settings(self) -> dict[str, Any]:
        """Plain data, names of files without their folders."""
        plain = asdict(self)
        for name in ("shard", "output", "test_regions", "peaks", "vcf"):
            plain[name] = plain[name] and Path(plain[name]).name
        plain["models"] = [Path(name).name for name in self.models]
        return plain

    def inputs(self) -> dict[str, Path]:
        """The files that are read, by role."""
        files = {
            "shard": self.shard,
            "test regions": self.test_regions,
            "peaks": self.peaks,
            "vcf": self.vcf,
        }
        return {role: path for role, path in files.items() if path is not None}


# Contigs, and the length of each.
SIZES = {
    "tiny": (2, 300_000),
    "small": (4, 1_000_000),
    "medium": (6, 5_000_000),
    "large": (10, 10_000_000),
}


@dataclass(frozen=True)
class SimulationRequest:
    """A genome to simulate, with contigs called chr1, chr2, ..."""

    out_dir: Annotated[Path, Option("Folder to create", "-o --output", argument=True)]
    contigs: int = 2
    contig_length: int = 300_000
    variants_per_kb: Annotated[float, Option("Variants per 1000 bp")] = 4.0
    motifs: Annotated[
        Path | None, Option("Motifs in MEME format", metavar="MEME", default="12 families")
    ] = None
    rule: Annotated[
        str,
        Option(
            "Rule of the labels: full, or contact (open, and an active promoter in reach)",
            choices=("full", "contact"),
        ),
    ] = "full"
    seed: Seed = 0
    force: Force = False

    @property
    def lengths(self) -> dict[str, int]:
        """Contig name to length (bp)."""
        return {f"chr{i + 1}": self.contig_length for i in range(self.contigs)}
