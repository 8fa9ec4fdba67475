"""Nothing but the distance to the nearest peak: learned from nothing, and hard to beat."""

from __future__ import annotations

import numpy as np

from genomix_cli.errors import DataError
from genomix_cli.variants.evaluate.suite.baselines.base import BaselineTask, Prediction

# Beyond any genome, for variants of contigs without peaks.
FAR = 1e12


def predict(task: BaselineTask) -> Prediction:
    """Less the distance to the nearest peak.

    Raises
    ------
    DataError
        If there are neither tracks nor peaks.
    """
    if task.peaks is None:
        raise DataError("has no tracks to call peaks in", where=task.shard.path, hint="--peaks BED")
    distance = task.peaks.distance(task.shard, task.test)
    return Prediction(-np.minimum(distance, FAR), note=task.peaks.source)
