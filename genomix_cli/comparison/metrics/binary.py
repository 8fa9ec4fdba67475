"""Metrics of scores against labels or quantities: discrimination, calibration, ranking.

Each metric takes optional weights, so a bootstrap draw can be given as the number of times that
each item was drawn; see `genomix_cli.comparison.bootstrap`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genomix_cli.comparison.bootstrap import to_codes

FloatArray = npt.NDArray[np.float64]


def auroc(y: npt.ArrayLike, score: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> float:
    """Return the area under the ROC curve.

    It is the probability that a positive item scores above a negative one; ties count 1/2.

    Parameters
    ----------
    y : array [n]
        Labels, positive where > 0.5.
    score : array [n]
    weights : array [n], optional
        Non-negative weights; default 1.

    Returns
    -------
    float
        NaN unless both classes are present.
    """
    positive, negative = _steps(y, score, weights)
    below = negative.sum() - np.cumsum(negative) + negative / 2
    return _ratio(float(positive @ below), float(positive.sum() * negative.sum()))


def auprc(y: npt.ArrayLike, score: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> float:
    """Return average precision: the mean over positives of the precision at their score.

    Items with equal scores are added together, so their order does not matter. There is no
    interpolation (Davis and Goadrich 2006, doi:10.1145/1143844.1143874).

    Parameters
    ----------
    y, score, weights
        As for :func:`auroc`.

    Returns
    -------
    float
        NaN without a positive item. Random scores reach the prevalence.
    """
    positive, negative = _steps(y, score, weights)
    hits = np.cumsum(positive)
    called = hits + np.cumsum(negative)
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    return _ratio(float(precision @ positive), float(positive.sum()))


def brier(y: npt.ArrayLike, score: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> float:
    """Return the mean squared difference between probability and outcome (Brier 1950).

    Parameters
    ----------
    y, weights
        As for :func:`auroc`.
    score : array [n]
        Probabilities.
    """
    positive, p, w = _clean(y, score, weights)
    return _ratio(float(w @ (p - positive) ** 2), float(w.sum()))


def calibration_error(
    y: npt.ArrayLike,
    score: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    n_bins: int = 15,
) -> float:
    """Return the expected calibration error over bins of equal mass.

    This is the mean over bins of the distance between mean probability and frequency of positives
    (Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602). Bins have equal mass instead of equal width,
    so that rare high probabilities do not get bins of their own.

    Parameters
    ----------
    y, weights
        As for :func:`auroc`.
    score : array [n]
        Probabilities.
    n_bins : int
        Number of bins; equal probabilities share a bin.
    """
    positive, p, w = _clean(y, score, weights)
    if not w.sum() > 0:
        return float("nan")
    order = np.argsort(p, kind="stable")
    positive, p, w = positive[order], p[order], w[order]
    middle = (np.cumsum(w) - w / 2) / w.sum()
    bins = np.minimum((middle * n_bins).astype(np.int64), n_bins - 1)
    starts = np.concatenate(([True], p[1:] != p[:-1]))
    bins = bins[np.flatnonzero(starts)][np.cumsum(starts) - 1]
    gap = np.bincount(bins, w * (p - positive), n_bins)
    return float(np.abs(gap).sum() / w.sum())


def ranking_accuracy(
    y: npt.ArrayLike,
    score: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    weights: npt.ArrayLike | None = None,
    min_difference: float = 0.0,
) -> float:
    """Return the share of pairs within groups whose scores are in the order of their labels.

    Parameters
    ----------
    y : array [n]
        Labels, binary or quantitative.
    score : array [n]
    groups : array [n], optional
        Group of each item; default one group, which with binary labels gives the AUROC.
    weights : array [n], optional
        Non-negative weights; default 1. The weight of a pair is the geometric mean of the weights
        of its items, so a group drawn twice counts twice.
    min_difference : float
        Pairs count only if their labels differ by more than this. Equal scores count 1/2.

    Returns
    -------
    float
        NaN if no pair counts.
    """
    label, value = np.asarray(y, np.float64), np.asarray(score, np.float64)
    w = _weights(y, weights)
    group = np.zeros(len(label), np.int64) if groups is None else to_codes(groups)
    keep = w > 0
    label, value, group, w = label[keep], value[keep], group[keep], np.sqrt(w[keep])
    levels = np.unique(label)
    if len(levels) <= 2 and (len(levels) < 2 or levels[1] - levels[0] > min_difference):
        return _binary_ranking(label == levels[-1:], value, group, w, len(levels))
    return _paired_ranking(label, value, group, w, min_difference)


def pearson(
    y: npt.ArrayLike, score: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Return Pearson's correlation; NaN if either variable is constant.

    Parameters
    ----------
    y, score : array [n]
    weights : array [n], optional
        Non-negative weights; default 1.
    """
    a, b = np.asarray(y, np.float64), np.asarray(score, np.float64)
    w = _weights(y, weights)
    if not w.sum() > 0:
        return float("nan")
    a, b = a - w @ a / w.sum(), b - w @ b / w.sum()
    scale = np.sqrt((w @ a**2) * (w @ b**2))
    # Variation below this is rounding error.
    return float(w @ (a * b) / scale) if scale > 1e-12 else float("nan")


def grouped_pearson(
    y: npt.ArrayLike,
    score: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    min_items: int = 10,
) -> float:
    """Return the mean over groups of Pearson's correlation within each group.

    Saturation mutagenesis is evaluated this way: experiments differ in scale, so their items are
    not pooled.

    Parameters
    ----------
    y, score : array [n]
    groups : array [n]
        Group of each item.
    weights : array [n], optional
        Non-negative weights; default 1. The weight of a group is the mean weight of its items, so
        a group drawn twice counts twice.
    min_items : int
        Groups with fewer items are left out.

    Returns
    -------
    float
        NaN if `y` varies in no group. A score that is constant within a group counts 0 there, so a
        constant score gains nothing.
    """
    a, b = np.asarray(y, np.float64), np.asarray(score, np.float64)
    w, group = _weights(y, weights), to_codes(groups)
    size = np.bincount(group)

    def total(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(group, values, len(size)), np.float64)

    mass = total(w)
    per_item = np.divide(1, mass, out=np.zeros_like(mass), where=mass > 0)
    a, b = a - (total(w * a) * per_item)[group], b - (total(w * b) * per_item)[group]
    varies, scale = total(w * a**2), np.sqrt(total(w * a**2) * total(w * b**2))
    # Variation below these limits is rounding error.
    r = np.divide(total(w * a * b), scale, out=np.zeros_like(scale), where=scale > 1e-12)
    weight = np.where((size >= min_items) & (varies > 1e-12), mass / np.maximum(size, 1), 0)
    return _ratio(float(weight @ r), float(weight.sum()))


def explained(
    y: npt.ArrayLike, score: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Return the share of variance explained, R²: 1 minus squared error over variance.

    It is negative where the mean of `y` would predict better, and NaN if `y` is constant.

    Parameters
    ----------
    y, score, weights
        As for :func:`pearson`; scores are predictions of `y`.
    """
    a, b = np.asarray(y, np.float64), np.asarray(score, np.float64)
    w = _weights(y, weights)
    if not w.sum() > 0:
        return float("nan")
    variance = float(w @ (a - w @ a / w.sum()) ** 2)
    return 1 - float(w @ (a - b) ** 2) / variance if variance > 1e-12 else float("nan")


def spearman(
    y: npt.ArrayLike, score: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Return Spearman's correlation: Pearson's correlation of ranks, with mid-ranks for ties.

    Parameters
    ----------
    y, score, weights
        As for :func:`pearson`; an item of weight 2 counts as two tied items.
    """
    w = _weights(y, weights)
    return pearson(_middle_ranks(y, w), _middle_ranks(score, w), weights=w)


def _middle_ranks(values: npt.ArrayLike, w: FloatArray) -> FloatArray:
    """Return weighted mid-ranks as shares of the total weight, float64 ``[n]``."""
    codes = to_codes(values)
    mass = np.bincount(codes, w)
    return ((np.cumsum(mass) - mass / 2) / max(float(mass.sum()), 1e-300))[codes]


def without_ties(score: npt.ArrayLike, rng: np.random.Generator) -> FloatArray:
    """Return ranks of scores, float64 ``[n]``, with ties in random order."""
    value = np.asarray(score, np.float64)
    rank = np.empty(len(value))
    rank[np.lexsort((rng.random(len(value)), value))] = np.arange(len(value))
    return rank


def _steps(
    y: npt.ArrayLike, score: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray]:
    """Return the weights of positives and negatives at each distinct score, descending."""
    positive, value, w = _clean(y, score, weights)
    order = np.argsort(-value, kind="stable")  # linear time on sorted scores
    value, hit, miss = value[order], (positive * w)[order], ((1 - positive) * w)[order]
    if not len(value):
        return hit, miss
    starts = np.flatnonzero(np.concatenate(([True], value[1:] != value[:-1])))
    return np.add.reduceat(hit, starts), np.add.reduceat(miss, starts)


def _binary_ranking(
    positive: npt.NDArray[np.bool_],
    value: FloatArray,
    group: npt.NDArray[np.int64],
    w: FloatArray,
    n_levels: int,
) -> float:
    """Return the weighted Mann-Whitney statistic within groups, with one sort over all items."""
    if n_levels < 2:
        return float("nan")
    order = np.lexsort((value, group))
    positive, value, group, w = positive[order], value[order], group[order], w[order]
    new_group = np.concatenate(([True], group[1:] != group[:-1]))
    new_step = new_group | np.concatenate(([True], value[1:] != value[:-1]))
    miss = np.concatenate(([0.0], np.cumsum(np.where(positive, 0, w))))
    step_start = np.flatnonzero(new_step)[np.cumsum(new_step) - 1]
    step_end = np.append(np.flatnonzero(new_step)[1:], len(w))[np.cumsum(new_step) - 1]
    group_start = np.flatnonzero(new_group)[np.cumsum(new_group) - 1]
    group_end = np.append(np.flatnonzero(new_group)[1:], len(w))[np.cumsum(new_group) - 1]
    below = (miss[step_start] + miss[step_end]) / 2 - miss[group_start]
    hit = np.where(positive, w, 0)
    return _ratio(float(hit @ below), float(hit @ (miss[group_end] - miss[group_start])))


def _paired_ranking(
    label: FloatArray,
    value: FloatArray,
    group: npt.NDArray[np.int64],
    w: FloatArray,
    min_difference: float,
) -> float:
    """Compare every pair within a group: sort items by group, then compare at each distance."""
    order = np.argsort(group, kind="stable")
    label, value, group, w = label[order], value[order], group[order], w[order]
    right = total = 0.0
    for step in range(1, int(np.bincount(group).max(initial=0))):
        difference = label[step:] - label[:-step]
        counts = (group[step:] == group[:-step]) & (np.abs(difference) > min_difference)
        weight = (w[step:] * w[:-step])[counts]
        agreement = np.sign(difference[counts]) * np.sign((value[step:] - value[:-step])[counts])
        right += float(weight @ (1 + agreement)) / 2
        total += float(weight.sum())
    return _ratio(right, total)


def _clean(
    y: npt.ArrayLike, score: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    positive = (np.asarray(y, np.float64) > 0.5).astype(np.float64)
    return positive, np.asarray(score, np.float64), _weights(y, weights)


def _weights(y: npt.ArrayLike, weights: npt.ArrayLike | None) -> FloatArray:
    return np.ones(np.shape(y)) if weights is None else np.asarray(weights, np.float64)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else float("nan")
