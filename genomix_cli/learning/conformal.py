"""Conformal prediction sets with guaranteed coverage of every class.

Letters: n samples, K classes.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def class_thresholds(probability: npt.ArrayLike, label: npt.ArrayLike, level: float) -> FloatArray:
    """Return the smallest probability at which each class enters a sample's prediction set.

    The method is class-conditional (Mondrian) split-conformal prediction with the score 1 - p of
    the true class. If the samples are exchangeable with future ones and the model was not trained
    on them, a set contains the true class with a probability of at least `level`, within every
    class (Vovk 2012, arXiv:1209.2673; Sadinle et al. 2019, doi:10.1080/01621459.2017.1395341).

    Parameters
    ----------
    probability : array
        Predictions ``[n, K]`` of a model not trained on these samples.
    label : array
        int ``[n]``.
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    NDArray
        float64 ``[K]``. A class with fewer than ``level / (1 - level)`` samples gets 0, so it is
        always in the set: no higher threshold could guarantee its coverage.
    """
    p, y = np.asarray(probability, np.float64), np.asarray(label)
    thresholds = np.zeros(p.shape[1])
    for k in range(p.shape[1]):
        own = np.sort(p[y == k, k])
        if has_enough(len(own), level):
            # The smallest score 1 - p that enough samples do not exceed, as a probability.
            thresholds[k] = own[len(own) - int(_rank(len(own), level))]
    return thresholds


def has_enough(count: npt.ArrayLike, level: float) -> npt.NDArray[np.bool_]:
    """Return True where `count` samples of a class suffice for a threshold; bool, elementwise."""
    return np.asarray(_rank(count, level) <= np.asarray(count), bool)


def fewest(level: float) -> int:
    """Return the smallest number of samples of a class that suffices for a threshold."""
    return math.ceil(level / (1 - level) - 1e-9)


def _rank(count: npt.ArrayLike, level: float) -> FloatArray:
    """Return the rank, from 1, of the threshold among `count` ascending scores 1 - p."""
    return np.ceil((np.asarray(count) + 1) * level - 1e-9)


def prediction_sets(probability: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return the prediction set of each sample, bool ``[n, K]``.

    Every set includes the most probable class, which is the prediction: a set that is empty or
    contradicts the prediction would be of no use, and adding a class never lowers coverage.

    Parameters
    ----------
    probability : array
        ``[n, K]``.
    thresholds : array
        ``[K]``, from :func:`class_thresholds`.
    """
    p = np.asarray(probability, np.float64)
    sets = p >= np.asarray(thresholds, np.float64)
    sets[np.arange(len(p)), p.argmax(1)] = True
    return sets
