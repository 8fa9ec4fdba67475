"""Clustering of classes in a model's input features and in its last-layer vectors.

Letters: c items held out, d columns, w width of a vector, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.bootstrap import Bootstrap
from genomix_cli.comparison.intervals import NAN, Interval, interval_of

DRAWS = 1000
# Name of the row for all classes together.
EVERY = "all"

Floats = NDArray[np.float64]


class Encoding(NamedTuple):
    """Input features and last-layer vectors of the same items.

    Attributes
    ----------
    features : NDArray
        float32 ``[c, d]``: input features after selection and standardisation, 0 where missing.
    vectors : NDArray
        float32 ``[c, w]``: input of the model's last layer, which separates the classes.
    """

    features: NDArray[np.float32]
    vectors: NDArray[np.float32]


class Silhouette(NamedTuple):
    """Mean silhouette of the items of a class, with intervals over units.

    Attributes
    ----------
    name : str
        The class, or `EVERY`.
    items : int
    features, vectors : Interval
        Mean silhouette in each of the two spaces.
    gain : Interval
        Paired difference, `vectors` minus `features`.
    """

    name: str
    items: int
    features: Interval
    vectors: Interval
    gain: Interval


def silhouettes(
    encoding: Encoding,
    label: NDArray[np.int64],
    unit: NDArray[np.int64],
    classes: Sequence[str],
    seed: int = 0,
) -> tuple[Silhouette, ...]:
    """Return the mean silhouettes [1]_ of all items and of each class, by Euclidean distance.

    The silhouette of an item is (b - a) / max(a, b), where a is its mean distance to the other
    items of its class and b its mean distance to the nearest other class. It is 1 far from all
    other classes, 0 between two classes, and negative among items of another class. The only item
    of a class has 0. Silhouettes are computed once, on all items; the bootstrap resamples these
    values by unit and does not recompute distances.

    Parameters
    ----------
    encoding : Encoding
    label, unit : NDArray
        int64 ``[c]``.
    classes : sequence of str
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    tuple of Silhouette
        Empty if fewer than two classes have items, or if every item has its own class.

    References
    ----------
    .. [1] Rousseeuw PJ. Silhouettes: a graphical aid to the interpretation and validation of
       cluster analysis. J Comput Appl Math 1987. doi:10.1016/0377-0427(87)90125-7
    """
    from sklearn.metrics import silhouette_samples

    if not 2 <= len(np.unique(label)) < len(label):
        return ()
    before, after = (silhouette_samples(x.astype(np.float64), label) for x in encoding)
    bootstrap = Bootstrap(unit, DRAWS, seed)
    weights = bootstrap.matrix()

    def mean(values: Floats, own: NDArray[np.bool_]) -> Interval:
        count = weights[:, own].sum(1)
        drawn = np.full(len(count), np.nan)
        return interval_of(np.divide(weights[:, own] @ values[own], count, drawn, where=count > 0))

    rows = [(EVERY, np.ones(len(label), bool))]
    rows += [(name, label == k) for k, name in enumerate(classes)]
    return tuple(
        Silhouette(
            name, int(own.sum()), mean(before, own), mean(after, own), mean(after - before, own)
        )
        if own.any()
        else Silhouette(name, 0, NAN, NAN, NAN)
        for name, own in rows
    )


class Projection(NamedTuple):
    """Two principal components ``[c, 2]`` and the share of variance that each explains ``[2]``."""

    points: Floats
    shares: Floats


def projected(x: NDArray[Any]) -> Projection:
    """Return the first two principal components of ``[c, d]``; zeros if there are fewer than two.

    The data determine the signs, so repeated calls agree.
    """
    from sklearn.decomposition import PCA

    if min(x.shape) < 2 or not np.ptp(x):
        return Projection(np.zeros((len(x), 2)), np.zeros(2))
    fitted = PCA(2, svd_solver="randomized", random_state=0)
    points = fitted.fit_transform(x.astype(np.float64))
    return Projection(points, fitted.explained_variance_ratio_)
