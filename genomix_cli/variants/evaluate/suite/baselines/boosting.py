"""Gradient boosting without the sequence, on positions alone or on tracks alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from genomix_cli.comparison.intervals import FloatArray
from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.variants.evaluate.suite.baselines import base
from genomix_cli.variants.train.dataset import cells_of

# Bins on each side of the variant's own.
AROUND = 3
# Candidate strengths of the squared penalty on leaves.
STRENGTHS = (0.0, 10.0, 100.0, 1000.0)


def position(task: base.BaselineTask) -> base.Prediction:
    """Predict from the position in the contig and the distance to the nearest other site.

    It shows how far labels follow from where variants were ascertained; a good score is an artefact
    of the data.
    """
    return _boosted(task, lambda rows: position_features(task, rows))


def position_features(task: base.BaselineTask, rows: base.Rows) -> FloatArray:
    """Return four features of each position, ``[n, 4]``.

    They are the position in bases and as a fraction of the contig, and the distances to the nearer
    end of the contig and to the nearest other site.
    """
    table = task.shard.variants
    length = np.array(list(task.shard.contigs.values()), np.float64)[table.contig[rows]]
    pos = table.pos[rows].astype(np.float64)
    to_end = np.minimum(pos, length - pos)
    return np.stack([pos, pos / length, to_end, _nearest_site(task)[rows]], 1)


def _nearest_site(task: base.BaselineTask) -> FloatArray:
    """Return bases to the nearest other position with variants, ``[V]``; inf if it is alone."""
    table = task.shard.variants
    # Encode contig and position in one number; no contig has 2^40 bases.
    site = table.contig.astype(np.int64) << 40 | table.pos
    sites, index = np.unique(site, return_inverse=True)
    gap = np.diff(sites).astype(np.float64)
    gap[np.diff(sites >> 40) > 0] = np.inf
    nearest = np.minimum(np.r_[np.inf, gap], np.r_[gap, np.inf])
    return nearest[index]


def tracks(task: base.BaselineTask) -> base.Prediction:
    """Predict from the seven bins around the variant in each modality of its cell type."""
    return _boosted(task, lambda rows: track_features(task, rows))


def track_features(task: base.BaselineTask, rows: base.Rows) -> FloatArray:
    """Return the signal around variants, float64 ``[n, M * 7]``; NaN where missing."""
    shard, table, names = task.shard, task.shard.variants, list(task.shard.contigs)
    cells, cell = cells_of(shard)
    views = [shard.in_cell(name) for name in cells]
    width = len(shard.modalities) * (2 * AROUND + 1)
    features = np.empty((len(rows), width))
    for out, row in zip(features, rows, strict=True):
        own = int(table.pos[row]) // BIN_SIZE
        contig = names[table.contig[row]]
        signal = views[cell[row]].signal(contig, own - AROUND, own + AROUND + 1)
        out[:] = np.where(signal.state > 0, signal.value, np.nan).ravel()
    return features


def _boosted(
    task: base.BaselineTask, features: Callable[[base.Rows], FloatArray]
) -> base.Prediction:
    """Predict by histogram gradient boosting (Ke et al. 2017), tuned on the validation part."""
    base.require_sklearn()

    def fit(x: FloatArray, y: FloatArray, strength: float) -> base.Predict:
        # Drop columns without any measurement, which cannot be binned.
        known = ~np.isnan(x).all(0)
        if not known.any():
            return lambda other: np.full(len(other), y.mean())
        predict = _fit_boosting(task, x[:, known], y, strength)
        return lambda other: predict(other[:, known])

    return base.fit_tuned(task, features, fit, STRENGTHS, "L2 of the leaves")


def _fit_boosting(
    task: base.BaselineTask, x: FloatArray, y: FloatArray, strength: float
) -> base.Predict:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    # Early stopping would hold out single variants whose neighbours are used for training.
    settings = {"l2_regularization": strength, "early_stopping": False}
    if not task.is_label:
        model = HistGradientBoostingRegressor(random_state=task.seed, **settings).fit(x, y)
        return lambda other: model.predict(other)
    chosen = HistGradientBoostingClassifier(random_state=task.seed, **settings)
    chosen.fit(x, y > 0.5)
    return lambda other: chosen.predict_proba(other)[:, 1]


POSITION = base.Baseline(
    position,
    "gradient boosting on the position in the contig and the distances to its end and to the "
    "nearest other site",
)
TRACKS = base.Baseline(
    tracks,
    "gradient boosting on seven bins around the variant of each modality, in its cell type",
    reads_tracks=True,
)
