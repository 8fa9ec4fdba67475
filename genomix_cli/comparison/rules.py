"""Rules by which every classifier of a contest is tuned, calibrated and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from genomix_cli.options import option

# Panels of the help.
COMPARISON, HELD_OUT = "Comparison", "Held out"

# Temperature and thresholds from predictions out of the inner folds: all items train.
CROSS = "cross"
# From a fifth of the training items that nothing else is learned from, which makes the coverage of
# the sets exact (Vovk 2012, arXiv:1209.2673).
SPLIT = "split"
# From the validation part of the split, which tunes and stops networks too: a little too sure.
VALIDATION = "validation part"

# Metrics that may rank baselines and come first in a verdict.
VERDICTS = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "auprc", "nll", "brier")

#: Heading of an evaluation of what the model learned from.
TRAINING = "training accuracy"


class TrainingAccuracy(str):
    """A note that the model learned from what it is judged by, which stands above all results."""

    __slots__ = ()

    def __new__(cls, model: str, count: str) -> Self:
        """Return the note; `count` says how many of what."""
        return super().__new__(cls, f"{TRAINING}: {model} learned from {count}")


@dataclass(frozen=True)
class Rules:
    """The way every classifier is tuned, calibrated and judged.

    `calibration` is `CROSS`, `SPLIT` or `VALIDATION`; of `seeds`, those of the last fit, tuning
    uses the first.
    """

    trials: int = option(
        5, "Configurations to try per model and fold; 1: the default only", min=1, panel=COMPARISON
    )
    inner_folds: int = option(
        3, "Folds within each outer fold, for tuning", min=2, panel=HELD_OUT, rare=True
    )
    level: float = option(
        0.9, "Target coverage of the prediction sets", min=0.5, max=0.999, rare=True
    )
    calibration: str = option(
        CROSS,
        "Calibrate on predictions of the inner folds, or on a fifth set aside",
        choices=(CROSS, SPLIT),
        rare=True,
    )
    metric: str = option(
        "accuracy",
        "Metric that ranks the baselines and leads the verdict",
        choices=VERDICTS,
        panel=COMPARISON,
        rare=True,
    )
    seeds: tuple[int, ...] = (0,)
