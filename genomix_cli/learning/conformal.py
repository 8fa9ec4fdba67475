"""Sets of classes that hold the right one as often as promised, for every class.

Letters: n samples, K classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def class_thresholds(probability: npt.ArrayLike, label: npt.ArrayLike, level: float) -> FloatArray:
    """Least probability at which a class enters a sample's prediction set, for each class.

    Class-conditional (Mondrian) split-conformal prediction with the score 1 - p of the true class:
    if the samples are exchangeable with those that come, and the model did not learn from them, a
    set holds the true class with a probability of at least `level`, within every class (Vovk 2012,
    arXiv:1209.2673; Sadinle et al. 2019, doi:10.1080/01621459.2017.1395341).

    Parameters
    ----------
    probability : array
        ``[n, K]``, by a model that has not seen these samples.
    label : array
        int ``[n]``.
    level : float
        Between 0 and 1.

    Returns
    -------
    NDArray
        float64 ``[K]``; 0 (always in the set) for a class with fewer than ``level / (1 - level)``
        samples: no threshold can promise anything for it.
    """
    p, y = np.asarray(probability, np.float64), np.asarray(label)
    thresholds = np.zeros(p.shape[1])
    for k in range(p.shape[1]):
        own = np.sort(p[y == k, k])
        if has_enough(len(own), level):
            # The rank from below of the smallest score 1 - p that enough are at or below.
            thresholds[k] = own[len(own) - int(_rank(len(own), level))]
    return thresholds


def has_enough(count: npt.ArrayLike, level: float) -> npt.NDArray[np.bool_]:
    """Return True where so many samples of a class are enough for a threshold."""
    return np.asarray(_rank(count, level) <= np.asarray(count), bool)


def _rank(count: npt.ArrayLike, level: float) -> FloatArray:
    """Rank from below of the score 1 - p, of so many, that is the threshold."""
    return np.ceil((np.asarray(count) + 1) * level - 1e-9)


def prediction_sets(probability: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return the prediction set of each sample, bool ``[n, K]``.

    The most probable class, which is the prediction, is always in it: a set that contradicts the
    prediction, or is empty, helps nobody, and a larger set covers no less.

    Parameters
    ----------
    probability : array
        ``[n, K]``.
    thresholds : array
        ``[K]`` of :func:`class_thresholds`.
    """
    p = np.asarray(probability, np.float64)
    sets = p >= np.asarray(thresholds, np.float64)
    sets[np.arange(len(p)), p.argmax(1)] = True
    return sets
