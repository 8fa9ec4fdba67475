"""Linear discriminants of aligned sequences, in closed form, to start a network from.

Letters: n sequences, L bases, d columns (4 L), c components, K classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.study import Floats
from genomix_cli.sequences.models.base import Labelled
from genomix_cli.sequences.models.components import Standardised, principal
from genomix_cli.sequences.models.linear import Linear


def discriminants(
    train: Labelled, n_classes: int, shrinkage: float, rare: float, seed: int
) -> Linear:
    """Weights of the standardised columns ``[d, K]`` by which classes differ most.

    Fisher's, with all principal components and the covariance within classes drawn towards a
    multiple of the identity (Friedman 1989, doi:10.1080/01621459.1989.10478752): with far fewer
    sequences than columns there is nothing to descend along that this does not know already.

    Parameters
    ----------
    train : Labelled
    n_classes : int
    shrinkage : float
        Share of the identity, above 0.
    rare : float
        As `genomix_cli.sequences.models.components.ComponentsConfig.rare`.
    seed : int
        Of the decomposition, where sequences and columns are many.
    """
    matrix = Standardised.of(train.sequences.codes, rare)
    found = principal(matrix, train.sequences.codes, None, seed)
    inner = _within(found.scores, train.label, n_classes, shrinkage)
    return Linear(found.weights(inner.coefficients), inner.intercepts)


def _within(scores: Floats, label: NDArray[np.int64], n_classes: int, shrinkage: float) -> Linear:
    """Discriminants of components ``[c, K]``; classes count alike, whatever their share."""
    there = np.unique(label)
    mean = np.zeros((n_classes, scores.shape[1]))
    for k in there:
        mean[k] = scores[label == k].mean(0)
    rest = scores - mean[label]
    covariance: Floats = rest.T @ rest / len(scores)
    size = np.trace(covariance) / len(covariance)
    # Of one sequence a class nothing varies within classes: all directions are alike then.
    size = size or float(np.mean(scores**2)) or 1.0
    covariance = (1 - shrinkage) * covariance + shrinkage * size * np.eye(len(covariance))
    coefficients = np.linalg.solve(covariance, mean.T).astype(np.float64)
    return Linear(coefficients, -(coefficients * mean.T).sum(0) / 2)
