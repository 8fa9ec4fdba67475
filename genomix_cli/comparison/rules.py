"""Rules by which every classifier of a contest is tuned, calibrated and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from genomix_cli.options import Option

# Panels of the help.
COMPARISON, HELD_OUT = "Comparison", "Held out"

# Temperature and thresholds from predictions out of the inner folds: all items train.
CROSS = "cross"
# From a fifth of the training items that nothing else is learned from, which makes the coverage of
# the sets exact (Vovk 2012, arXiv:1209.2673).
SPLIT = "split"
# From the validation part of the split, which tunes and stops networks too: a little too sure.
VALIDATION = "validation part"


@dataclass(frozen=True)
class Rules:
    """The way every classifier is tuned, calibrated and judged.

    `calibration` is `CROSS`, `SPLIT` or `VALIDATION`; of `seeds`, those of the last fit, tuning
    uses the first.
    """

    trials: Annotated[
        int,
        Option("Configurations tried per model and fold; 1: the default", min=1, panel=COMPARISON),
    ] = 5
    inner_folds: Annotated[
        int, Option("Folds inside a fold, for tuning", min=2, panel=HELD_OUT)
    ] = 3
    level: Annotated[
        float, Option("Coverage of the prediction sets", min=0.5, max=0.999, panel=HELD_OUT)
    ] = 0.9
    calibration: Annotated[
        str,
        Option(
            "From predictions out of the inner folds, or from a fifth set aside",
            choices=(CROSS, SPLIT),
            panel=HELD_OUT,
        ),
    ] = CROSS
    seeds: tuple[int, ...] = (0,)
