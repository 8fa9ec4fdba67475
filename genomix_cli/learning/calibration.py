"""Calibration of probabilities: Platt scaling for two classes, temperature scaling for more."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genomix_cli.errors import DataError

FloatArray = npt.NDArray[np.float64]

_MAX_ITERATIONS = 100
_TOLERANCE = 1e-10
_RIDGE = 1e-12


class Platt(NamedTuple):
    """Calibration ``p = sigmoid(slope * logit + intercept)``; the default changes nothing."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, logits: npt.ArrayLike) -> FloatArray:
        """Return calibrated probabilities, float64 in the shape of `logits`."""
        return _sigmoid(self.slope * np.asarray(logits, np.float64) + self.intercept)


def fit_platt(
    logits: npt.ArrayLike, labels: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> Platt:
    """Fit a sigmoid to held-out logits by Newton's method with step halving.

    The targets are (N+ + 1) / (N+ + 2) and 1 / (N- + 2) instead of 1 and 0, as in Platt (1999),
    "Probabilistic outputs for support vector machines", because separable scores would otherwise
    give an infinite slope. The iteration follows Lin, Lin and Weng (2007,
    doi:10.1007/s10994-007-5018-6).

    Parameters
    ----------
    logits : array [n]
    labels : array [n]
        Positive where > 0.5.
    weights : array [n], optional
        Weight of each sample; default: 1.

    Raises
    ------
    DataError
        If either class is missing, or a logit is not finite.
    """
    x = np.asarray(logits, np.float64)
    positive = np.asarray(labels, np.float64) > 0.5
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    n_positive, n_negative = float(w[positive].sum()), float(w[~positive].sum())
    if not (n_positive > 0 and n_negative > 0):
        raise DataError(
            "calibration needs both classes",
            found=f"{positive.sum():,} positives of {len(x):,}",
            hint="hold out a contig that has positives and negatives",
        )
    if not np.isfinite(x).all():
        raise DataError("calibration found logits that are not finite")
    target = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    start = np.array([0.0, np.log((n_positive + 1) / (n_negative + 1))])
    slope, intercept = _newton(np.stack([x, np.ones_like(x)], 1), target, w, start)
    return Platt(float(slope), float(intercept))


def _newton(design: FloatArray, target: FloatArray, w: FloatArray, start: FloatArray) -> FloatArray:
    """Minimise the weighted cross-entropy of ``sigmoid(design @ theta)`` to `target`."""
    theta, loss = start, _cross_entropy(design @ start, target, w)
    for _ in range(_MAX_ITERATIONS):
        p = _sigmoid(design @ theta)
        gradient = design.T @ (w * (p - target))
        curvature = (design.T * (w * p * (1 - p))) @ design + _RIDGE * np.eye(len(theta))
        step = np.linalg.solve(curvature, gradient)
        if np.abs(gradient @ step) < _TOLERANCE * max(1.0, w.sum()):
            break
        size = 1.0
        while size > _TOLERANCE:
            trial = theta - size * step
            trial_loss = _cross_entropy(design @ trial, target, w)
            if trial_loss < loss:
                break
            size /= 2
        else:
            break
        theta, loss = trial, trial_loss
    return theta


def _cross_entropy(z: FloatArray, target: FloatArray, w: FloatArray) -> float:
    return float(w @ (np.logaddexp(0, z) - target * z))


def _sigmoid(z: FloatArray) -> FloatArray:
    return np.exp(-np.logaddexp(0, -z))


def fit_temperature(log_probability: npt.ArrayLike, label: npt.ArrayLike) -> float:
    """Fit the temperature that maximises the likelihood of held-out labels.

    Guo et al. 2017, On calibration of modern neural networks, arXiv:1706.04599. Focal loss needs
    it most: its minimum is not the true probability.

    Parameters
    ----------
    log_probability : array
        Logits or log-probabilities, float ``[n, K]``, of a model not trained on these samples.
    label : array
        int ``[n]``.

    Returns
    -------
    float
        Divisor of the logits, between 0.05 and 20; above 1 if the model was overconfident.
    """
    z, y = np.asarray(log_probability, np.float64), np.asarray(label)
    rows = np.arange(len(y))

    def loss(log_t: float) -> float:
        return float(-log_softmax(z / np.exp(log_t))[rows, y].mean())

    # Convex in 1 / T, so unimodal in log T: golden-section search.
    low, high = np.log(0.05), np.log(20.0)
    shrink = (np.sqrt(5) - 1) / 2
    left, right = high - shrink * (high - low), low + shrink * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-6:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - shrink * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + shrink * (high - low)
            at_right = loss(right)
    return float(np.exp((low + high) / 2))


def cautious_temperature(log_probability: FloatArray, label: npt.NDArray[np.int64]) -> float:
    """Fit a temperature after adding one misclassified copy of the sample with the median margin.

    If all of a few samples are classified correctly, maximum likelihood makes every later
    prediction certain. The added error acts as a rule of succession, as the targets of Platt (1999)
    do for two classes.

    Parameters
    ----------
    log_probability : array
        float64 ``[n, K]``.
    label : array
        int64 ``[n]``.

    Returns
    -------
    float
        As :func:`fit_temperature`.
    """
    order = np.sort(log_probability, axis=1)
    margin = order[:, -1] - order[:, -2]
    middle = int(np.argsort(margin, kind="stable")[len(margin) // 2])
    second = int(np.argsort(log_probability[middle], kind="stable")[-2])
    again = np.concatenate([log_probability, log_probability[[middle]]])
    return fit_temperature(again, np.append(label, second))


def at_temperature(log_probability: npt.ArrayLike, temperature: npt.ArrayLike) -> FloatArray:
    """Return the softmax ``[n, K]`` of logits divided by `temperature`, a scalar or ``[n, 1]``."""
    return np.exp(log_softmax(np.asarray(log_probability, np.float64) / np.asarray(temperature)))


def log_softmax(logits: npt.ArrayLike) -> FloatArray:
    """Return the logarithm of the softmax over the last axis, float64."""
    z = np.asarray(logits, np.float64)
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))
