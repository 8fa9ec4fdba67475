"""Baseline for activity networks: ridge regression on k-mer counts of both strands.

Letters: n sequences, L bases, W words of a sequence, d k-mers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome.alphabet import canonical_kmers
from genomix_cli.genome.iupac import kmer_numbers

Floats = NDArray[np.float64]

LENGTHS = (5, 6, 7)
# In units of the mean sum of squares of a count. Strongest first: each fit starts from the last.
PENALTIES = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
ITERATIONS, TOLERANCE = 60, 1e-4


@dataclass(frozen=True)
class Ridge:
    """A linear model of k-mer counts.

    Attributes
    ----------
    k : int
    penalty : float
        In units of the mean sum of squares of a count.
    weights : NDArray
        float64 ``[d]``: a k-mer and its reverse complement share a weight.
    intercept : float
    """

    k: int
    penalty: float
    weights: Floats
    intercept: float

    def predict(self, codes: NDArray[np.uint8]) -> Floats:
        """Return predictions float64 ``[n]`` for sequences uint8 ``[n, L]``."""
        return Counts(codes, self.k) @ self.weights + self.intercept


class Counts:
    """Matrix of k-mer counts ``[n, d]``, stored as the k-mers of each sequence to save memory.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n, L]``: sets of bases; k-mers with an ambiguous base do not count.
    k : int
    """

    def __init__(self, codes: NDArray[np.uint8], k: int) -> None:
        column, self.d = canonical_kmers(k)
        # One extra column for k-mers that do not count.
        self._words = np.append(column, self.d)[kmer_numbers(codes, k)].astype(np.int32)
        self.n = len(codes)
        self.mean = self.sums(np.ones(self.n)) / max(self.n, 1)

    def __matmul__(self, weights: Floats) -> Floats:
        """Return the sum ``[n]`` of the weights ``[d]`` over the k-mers of each sequence."""
        total: Floats = np.append(weights, 0.0)[self._words].sum(1)
        return total

    def sums(self, values: Floats) -> Floats:
        """Return the sum of values ``[n]`` over the occurrences of each k-mer, ``[d]``."""
        repeated = np.repeat(values, self._words.shape[1])
        return np.bincount(self._words.ravel(), repeated, self.d + 1)[:-1].astype(np.float64)


def fit_ridge(
    train: NDArray[np.uint8], y: Floats, valid: NDArray[np.uint8], valid_y: Floats
) -> Ridge:
    """Fit a ridge to the training part, with the k and penalty that do best on validation.

    For each k, the search stops at the first penalty that does worse than the stronger one before
    it. Without validation data, the model predicts the mean.

    Parameters
    ----------
    train, valid : NDArray
        uint8 ``[n, L]``.
    y, valid_y : NDArray
        float64 ``[n]``; none may be NaN.
    """
    nothing = np.zeros(Counts(train[:0], LENGTHS[0]).d)
    best, least = Ridge(LENGTHS[0], PENALTIES[0], nothing, float(y.mean())), np.inf
    for k in LENGTHS if len(valid) else ():
        counts, others = Counts(train, k), Counts(valid, k)
        weights, last = np.zeros(counts.d), np.inf
        for penalty in PENALTIES:
            weights = solve(counts, y - y.mean(), penalty, weights)
            intercept = float(y.mean() - counts.mean @ weights)
            error = float(((others @ weights + intercept - valid_y) ** 2).mean())
            if error < least:
                best, least = Ridge(k, penalty, weights, intercept), error
            if error > last:
                break
            last = error
    return best


def solve(counts: Counts, y: Floats, penalty: float, start: Floats) -> Floats:
    """Solve for the weights ``[d]`` of the centred counts by conjugate gradients.

    Parameters
    ----------
    counts : Counts
    y : NDArray
        float64 ``[n]``, with mean 0.
    penalty : float
        In units of the mean sum of squares of a count.
    start : NDArray
        Weights to start from.
    """
    # Few k-mers occur twice in a sequence, so a count nearly equals its square.
    alpha = penalty * counts.n * float(counts.mean.mean())

    def normal(weights: Floats) -> Floats:
        values = counts @ weights
        return counts.sums(values - values.mean()) + alpha * weights

    weights = start.copy()
    goal = counts.sums(y)
    residual = goal - normal(weights)
    direction, size = residual, residual @ residual
    for _ in range(ITERATIONS):
        if size <= TOLERANCE**2 * (goal @ goal):
            break
        towards = normal(direction)
        step = size / (direction @ towards)
        weights += step * direction
        residual = residual - step * towards
        direction, size = residual + (residual @ residual) / size * direction, residual @ residual
    return weights
