"""Rules by which every classifier of a contest is tuned, calibrated and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from genomix_cli.options import option

# Panels of the help.
COMPARISON, HELD_OUT = "Comparison", "Held out"

# Calibrate on out-of-fold predictions of the inner folds, so that all items train.
CROSS = "cross"
# Calibrate on a fifth of the training items that is used for nothing else, which makes the coverage
# of the sets exact (Vovk 2012, arXiv:1209.2673).
SPLIT = "split"
# Calibrate on the validation part of the split. It also tunes and stops networks, so probabilities
# are slightly overconfident.
VALIDATION = "validation part"

# Metrics that may rank baselines and come first in a verdict.
VERDICTS = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "auprc", "nll", "brier")

#: Heading of an evaluation on items that the model learned from.
TRAINING = "training accuracy"


class TrainingAccuracy(str):
    """A note that the model is judged on items it learned from; shown above all results."""

    __slots__ = ()

    def __new__(cls, model: str, count: str) -> Self:
        """Return the note; `count` is the number of items with their noun."""
        return super().__new__(cls, f"{TRAINING}: {model} learned from {count}")


@dataclass(frozen=True)
class Rules:
    """Rules by which every classifier is tuned, calibrated and judged.

    `calibration` is `CROSS`, `SPLIT` or `VALIDATION`. `seeds` are the seeds of the final fits;
    tuning uses the first.
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
        "Metric that ranks the baselines and comes first in the verdict",
        choices=VERDICTS,
        panel=COMPARISON,
        rare=True,
    )
    seeds: tuple[int, ...] = (0,)
