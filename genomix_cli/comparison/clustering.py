"""Clusters of classes: in what a model was given, and in the vectors that it makes of it.

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
# Row of the table over the classes.
EVERY = "all"

Floats = NDArray[np.float64]


class Encoding(NamedTuple):
    """Items as a model was given them, and as it sees them.

    Attributes
    ----------
    features : NDArray
        float32 ``[c, d]``: values as it reads them, selected and standardised, 0 where missing.
    vectors : NDArray
        float32 ``[c, w]``: what its last layer tells classes by.
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
        In the space of either.
    gain : Interval
        The second less the first, paired.
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
    """Return the silhouettes [1]_ of all items and of each class, by Euclidean distance.

    That of an item is (b - a) / max(a, b), where a is its mean distance to the others of its class
    and b that to the nearest other class: 1 far from all others, 0 between two classes, below 0
    among those of another; 0 for the only item of its class. The bootstrap draws units of these
    values; the distances stay those of all items.

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
        Empty where fewer than two classes have an item, or all items have classes of their own.

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
    """Two principal components ``[c, 2]``, and the share of the variance of each ``[2]``."""

    points: Floats
    shares: Floats


def projected(x: NDArray[Any]) -> Projection:
    """Return the first two principal components of ``[c, d]``; 0 where there are fewer.

    Signs are determined by the data.
    """
    from sklearn.decomposition import PCA

    if min(x.shape) < 2 or not np.ptp(x):
        return Projection(np.zeros((len(x), 2)), np.zeros(2))
    fitted = PCA(2, svd_solver="randomized", random_state=0)
    points = fitted.fit_transform(x.astype(np.float64))
    return Projection(points, fitted.explained_variance_ratio_)
