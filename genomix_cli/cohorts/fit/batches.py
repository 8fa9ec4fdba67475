"""Batch effects on values, and confounding of batches with classes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from genomix_cli.cohorts.simulate.shared import Floats, Ints

ROUNDS = 30


def without_batches(values: Floats, label: Ints, batch: Ints) -> Floats:
    """Return the values minus the effect of each batch on a feature, classes being equal.

    Least squares of the additive two-way layout, fitting classes and batches in turn.

    Parameters
    ----------
    values : NDArray
        ``[n, d]``, NaN if missing.
    label, batch : NDArray
        int64 ``[n]``; -1 is a class, and a batch, of its own.
    """
    if len(np.unique(batch)) < 2:
        return values
    of_class, of_batch = np.zeros_like(values), np.zeros_like(values)
    for _ in range(ROUNDS):
        of_class = _means(values - of_batch, label)
        of_batch = _means(values - of_class, batch)
    return values - (of_batch - np.mean(of_batch, 0))


def _means(values: Floats, group: Ints) -> Floats:
    """Return the mean of each sample's group ``[n, d]``, 0 if it has no value."""
    _, member = np.unique(group, return_inverse=True)
    chosen = np.eye(member.max() + 1)[member]
    total, n = chosen.T @ np.nan_to_num(values), chosen.T @ ~np.isnan(values)
    return (total / np.maximum(n, 1))[member]


def batch_spread(values: Floats, label: Ints, batch: Ints) -> float:
    """Return the standard deviation of batch effects at the mean of all features.

    The between-batch component of variance within each class, by the moments of the one-way layout
    with random effects [1]_, so that effects of the class are not taken for batch effects.

    Parameters
    ----------
    values : NDArray
        ``[n, d]``, NaN if missing.
    label, batch : NDArray
        int64 ``[n]``.

    References
    ----------
    .. [1] Searle SR, Casella G, McCulloch CE. Variance Components. Wiley 1992.
       doi:10.1002/9780470316856
    """
    components, weights = [], []
    for k in np.unique(label):
        rows = (label == k) & (batch >= 0)
        groups, counts = np.unique(batch[rows], return_counts=True)
        groups = groups[counts > 1]
        if len(groups) > 1:
            components.append(_component([values[rows & (batch == b)] for b in groups]))
            weights.append(rows.sum() if np.isfinite(components[-1]) else 0)
    if not np.any(weights):
        return 0.0
    return float(np.sqrt(max(np.average(np.nan_to_num(components), weights=weights), 0.0)))


def _component(groups: list[Floats]) -> float:
    """Return the between-group variance, mean over features."""
    counts = np.array([len(group) for group in groups], float)
    n, k = counts.sum(), len(groups)
    means = np.array([np.nanmean(group, 0) for group in groups])
    within = sum(np.nansum((g - m) ** 2, 0) for g, m in zip(groups, means, strict=True)) / (n - k)
    grand = (counts[:, None] * means).sum(0) / n
    between = (counts[:, None] * (means - grand) ** 2).sum(0) / (k - 1)
    each = (n - (counts**2).sum() / n) / (k - 1)
    return float(np.nanmean((between - within) / each))


def confounding(label: Ints, batch: Ints) -> float:
    """Estimate kappa of :func:`genomix_cli.cohorts.simulate.shared.batch_law`.

    There the squared contingency of class and batch is ``kappa^2 (B - 1)``, if classes are shared
    out evenly over batches; it is estimated without its bias [1]_.

    References
    ----------
    .. [1] Bergsma W. A bias-correction for Cramer's V and Tschuprow's T. J Korean Stat Soc 2013.
       doi:10.1016/j.jkss.2012.10.002
    """
    known = (label >= 0) & (batch >= 0)
    table = pd.crosstab(label[known], batch[known]).to_numpy(float)
    n, (k, b) = table.sum(), table.shape
    if min(k, b) < 2:
        return 0.0
    expected = table.sum(1, keepdims=True) * table.sum(0) / n
    squared = ((table - expected) ** 2 / expected).sum() / n - (k - 1) * (b - 1) / (n - 1)
    return float(np.sqrt(np.clip(squared / (b - 1), 0, 1)))
