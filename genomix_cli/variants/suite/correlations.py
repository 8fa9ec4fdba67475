"""Correlations of quantitative labels with scores, under weights as all metrics."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def pearson(
    y: npt.ArrayLike, score: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Pearson's correlation; NaN where one of the two does not vary.

    Parameters
    ----------
    y, score : array [n]
    weights : array [n], optional
        Non-negative weights; default 1.
    """
    a, b = np.asarray(y, np.float64), np.asarray(score, np.float64)
    w = np.ones(len(a)) if weights is None else np.asarray(weights, np.float64)
    if not w.sum() > 0:
        return float("nan")
    a, b = a - w @ a / w.sum(), b - w @ b / w.sum()
    scale = np.sqrt((w @ a**2) * (w @ b**2))
    # Below this all that varies is rounding.
    return float(w @ (a * b) / scale) if scale > 1e-12 else float("nan")


def spearman(
    y: npt.ArrayLike, score: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Spearman's correlation: Pearson's of ranks, ties sharing the middle of theirs.

    Parameters
    ----------
    y, score, weights
        As for :func:`pearson`; an item of weight 2 has the ranks of two.
    """
    a, b = np.asarray(y, np.float64), np.asarray(score, np.float64)
    w = np.ones(len(a)) if weights is None else np.asarray(weights, np.float64)
    return pearson(_ranks(a, w), _ranks(b, w), weights=w)


def _ranks(values: FloatArray, w: FloatArray) -> FloatArray:
    """Weighted middle ranks as shares of the whole weight."""
    index, inverse = np.unique(values, return_inverse=True)
    mass = np.bincount(inverse, w, len(index))
    total = max(float(mass.sum()), 1e-300)
    return ((np.cumsum(mass) - mass / 2) / total)[inverse]
