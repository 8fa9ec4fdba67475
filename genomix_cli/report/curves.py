"""Points of ROC, precision-recall and reliability curves, few enough to draw.

Letters: n samples, K classes, g places of the grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genomix_cli.comparison.intervals import wilson

FloatArray = npt.NDArray[np.float64]

GRID = np.linspace(0, 1, 201)
# Number of bins of a reliability curve, and the smallest number of samples in a bin.
BINS, PER_BIN = 15, 20


class Line(NamedTuple):
    """A curve ``[g]``."""

    x: FloatArray
    y: FloatArray


class Reliability(NamedTuple):
    """Bins of equal mass ``[bins]``: mean probability, frequency, and limits of the frequency."""

    probability: FloatArray
    frequency: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def errors(self) -> FloatArray:
        """Lengths of the error bars ``[2, bins]``."""
        return np.abs(np.stack([self.frequency - self.low, self.high - self.frequency]))


def _counts(own: npt.NDArray[np.bool_], score: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return 0 and the numbers of positives and negatives at or above each distinct score."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)
    hits, misses = np.cumsum(own[order])[last], np.cumsum(~own[order])[last]
    return np.append(0.0, hits), np.append(0.0, misses)


def roc(own: npt.NDArray[np.bool_], score: FloatArray) -> Line:
    """Return the true positive rate at each false positive rate of the grid.

    Parameters
    ----------
    own : NDArray
        bool ``[n]``: True for samples of the class; both values must occur.
    score : NDArray
        float64 ``[n]``.
    """
    hits, misses = _counts(own, score)
    x, y = misses / misses[-1], hits / hits[-1]
    # At a vertical step, interpolate from its upper end, except at x = 0, where curves start.
    last = np.append(np.diff(x) > 0, True)
    return Line(np.append(0.0, GRID), np.append(0.0, np.interp(GRID, x[last], y[last])))


def precision_recall(own: npt.NDArray[np.bool_], score: FloatArray) -> Line:
    """Return the precision at which each recall of the grid is first reached, not interpolated.

    Parameters
    ----------
    own, score
        As for :func:`roc`.
    """
    hits, misses = _counts(own, score)
    recall, precision = hits[1:] / hits[-1], hits[1:] / (hits[1:] + misses[1:])
    first = np.searchsorted(recall, np.maximum(GRID, recall[0]) - 1e-12)
    return Line(GRID, precision[np.minimum(first, len(recall) - 1)])


def defined(label: npt.NDArray[np.int64], k: int) -> list[int]:
    """Return the classes that some samples belong to and some do not."""
    counts = np.bincount(label, minlength=k)
    return [i for i in range(k) if 0 < counts[i] < len(label)]


def macro(lines: list[Line]) -> Line:
    """Return the mean of curves on the same grid."""
    return Line(lines[0].x, np.mean([line.y for line in lines], axis=0))


def reliability(
    right: npt.NDArray[np.bool_], probability: FloatArray, bins: int = BINS
) -> Reliability:
    """Return observed frequencies by predicted probability, with Wilson's intervals.

    Parameters
    ----------
    right : NDArray
        bool ``[n]``: True if the event happened.
    probability : NDArray
        float64 ``[n]``: predicted probability of the event.
    bins : int
        Number of bins, at most n.
    """
    rising = np.argsort(probability, kind="stable")
    parts = np.array_split(rising, max(min(bins, len(probability)), 1))
    frequency = np.array([right[part].mean() for part in parts])
    limits = [wilson(f, len(part)) for f, part in zip(frequency, parts, strict=True)]
    low, high = np.array(limits).T
    return Reliability(np.array([probability[part].mean() for part in parts]), frequency, low, high)
