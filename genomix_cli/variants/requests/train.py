"""Requests to train and to pre-train variant models."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from genomix_cli.comparison.rules import HELD_OUT
from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import FitConfig
from genomix_cli.options import RARE, Option, Without, option
from genomix_cli.registry import VARIANT_MODELS
from genomix_cli.shared_options import MODEL, RUNNING, Device, Resume, RunOutput, Seed

# Metric to maximise in the validation of pre-training.
PRETRAIN_MONITOR = "minus_loss"
BATCHES, PRETRAINING = "Batches and limits", "Pre-training"
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
Workers = Annotated[int, Option("Data-loading processes", min=0, panel=RUNNING)]
Checkpointing = Annotated[
    bool,
    Option("Trade speed for memory (gmt)", "--gradient-checkpointing", panel=RUNNING),
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
