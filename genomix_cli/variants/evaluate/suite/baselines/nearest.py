"""Baseline of the distance to the nearest peak: learns nothing, and is hard to beat."""

from __future__ import annotations

import numpy as np

from genomix_cli.variants.evaluate.suite.baselines.base import Baseline, BaselineTask, Prediction

# Distance in bases beyond any genome, for variants of contigs without peaks.
FAR = 1e12


def predict(task: BaselineTask) -> Prediction:
    """Return minus the distance to the nearest peak as the score."""
    assert task.peaks is not None
    distance = task.peaks.distance(task.shard, task.test)
    return Prediction(-np.minimum(distance, FAR), note=task.peaks.source)


NEAREST_PEAK = Baseline(
    predict, "distance to the nearest peak; learns nothing", learns=False, reads_peaks=True
)
