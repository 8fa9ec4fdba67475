"""Selection of informative features of a modality, from training samples only.

Letters: n samples, d features, k of them kept, K classes.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

# Share of the penalty on absolute rather than squared coefficients.
L1_RATIO = 0.5
# Number of penalties in the path, and the smallest as a share of the largest, at which no feature
# has entered.
STEPS, LEAST = 40, 0.01
# Only the order matters, so the path need not be exact.
TOLERANCE, ROUNDS = 1e-3, 200


def elastic_net(
    values: NDArray[np.float32], label: NDArray[np.int64], k: int, seed: int
) -> NDArray[np.int64]:
    """Return the first `k` features to enter the elastic-net path of the classes.

    The penalty decreases until `k` features have had a non-zero coefficient. Features that enter at
    the same penalty are ranked by the size of their coefficients. If fewer than `k` enter, the
    analysis of variance of single features ranks the rest. The result is deterministic.

    Zou and Hastie 2005, Regularization and variable selection via the elastic net.
    doi:10.1111/j.1467-9868.2005.00503.x
    The indicators of several classes are regressed jointly, each scaled to variance 1 so that rare
    classes count the same. A feature has a coefficient for all classes or for none (Obozinski et
    al. 2010, doi:10.1007/s11222-008-9111-x).

    Parameters
    ----------
    values : NDArray
        float32 ``[n, d]``, mean 0 and SD 1, 0 where missing.
    label : NDArray
        int64 ``[n]``.
    k : int
        Number of features, at most d.
    seed : int
        Unused; part of the interface of a selector.

    Returns
    -------
    NDArray
        int64 ``[k]``, ascending.
    """
    entered, size = _path(np.asfortranarray(values, np.float64), _indicators(label), k)
    # lexsort orders by its last key first; of exact ties, the first column wins.
    order = np.lexsort((-_variance_ratio(values, label), -size, entered))
    return np.sort(order[:k]).astype(np.int64)


def _path(
    x: NDArray[np.float64], y: NDArray[np.float64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the step at which each feature enters (`STEPS` if never) and its norm there."""
    from sklearn.linear_model import enet_path

    entered, size = np.full(x.shape[1], STEPS), np.zeros(x.shape[1])
    if y.shape[1] == 0:
        return entered, size
    first = np.linalg.norm(x.T @ y, axis=1).max() / (len(x) * L1_RATIO)
    coefficients = None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Objective did not converge")
        for step, penalty in enumerate(first * np.geomspace(1, LEAST, STEPS)):
            found = enet_path(
                x,
                y,
                l1_ratio=L1_RATIO,
                alphas=[penalty],
                coef_init=coefficients,
                tol=TOLERANCE,
                max_iter=ROUNDS,
            )[1][..., 0]
            norm = np.linalg.norm(found, axis=0)
            new = (norm > 0) & (entered == STEPS)
            entered[new], size[new] = step, norm[new]
            if (entered < STEPS).sum() >= k:
                break
            coefficients = np.asfortranarray(found)
    return entered, size


def _indicators(label: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return indicators of the occurring classes ``[n, K]``, mean 0, SD 1; empty for one class."""
    of_class = (label[:, None] == np.unique(label)).astype(np.float64)
    spread = of_class.std(0)
    return np.asfortranarray((of_class - of_class.mean(0))[:, spread > 0] / spread[spread > 0])


def _variance_ratio(values: NDArray[np.float32], label: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of variance between classes ``[d]``; values must have mean 0."""
    z = values.astype(np.float64)
    between = np.zeros(z.shape[1])
    for c in np.unique(label):
        rows = label == c
        between += rows.mean() * z[rows].mean(0) ** 2
    return np.asarray(between / np.maximum((z**2).mean(0), np.finfo(float).tiny))
