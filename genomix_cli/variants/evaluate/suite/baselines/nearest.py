"""Baseline from the distance to the nearest peak, which needs no training and is hard to beat."""

from __future__ import annotations

import numpy as np

from genomix_cli.variants.evaluate.suite.baselines.base import Baseline, BaselineTask, Prediction

# Distance (bases) for variants on contigs without peaks, larger than any genome.
FAR = 1e12


def predict(task: BaselineTask) -> Prediction:
    """Return minus the distance to the nearest peak as the score."""
    assert task.peaks is not None
    distance = task.peaks.distance(task.shard, task.test)
    return Prediction(-np.minimum(distance, FAR), note=task.peaks.source)


NEAREST_PEAK = Baseline(
    predict, "distance to the nearest peak; learns nothing", learns=False, reads_peaks=True
)
