"""Linear classifiers fitted by scikit-learn, as plain arrays.

Letters: n sequences, d columns, K classes.
"""

from __future__ import annotations

import warnings
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.study import Floats

MAX_ITERATIONS = 1000
# Logit of a class without training data.
NEVER = -30.0


class Linear(NamedTuple):
    """Coefficients ``[d, K]`` and intercepts ``[K]``, float64."""

    coefficients: Floats
    intercepts: Floats
    converged: bool = True

    def logits(self, x: NDArray[np.floating]) -> Floats:
        """Return logits ``[n, K]`` of features ``[n, d]``."""
        return x.astype(np.float64) @ self.coefficients + self.intercepts


def learn_linear(
    x: Floats,
    label: NDArray[np.int64],
    n_classes: int,
    *,
    kind: Literal["logistic", "svm"],
    c: float,
    seed: int,
) -> Linear:
    """Fit softmax regression, or one-against-rest support vector machines.

    Parameters
    ----------
    x : NDArray
        float64 ``[n, d]``.
    label : NDArray
        int64 ``[n]``.
    n_classes : int
        K; classes that `label` lacks get the logit `NEVER`.
    kind : {"logistic", "svm"}
        Both have an L2 penalty; the support vector machines have a squared hinge loss.
    c : float
        Inverse strength of the penalty, relative to the sum of losses.
    seed : int
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    seen = np.unique(label)
    coefficients = np.zeros((x.shape[1], n_classes))
    intercepts = np.full(n_classes, NEVER)
    if len(seen) == 1:
        intercepts[seen] = 0.0
        return Linear(coefficients, intercepts)
    if kind == "logistic":
        machine = LogisticRegression(C=c, max_iter=MAX_ITERATIONS)
    else:
        machine = LinearSVC(C=c, dual="auto", max_iter=MAX_ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine.fit(x, label)
    weights, bias = machine.coef_.T, machine.intercept_
    if len(seen) == 2:
        weights, bias = np.concatenate([-weights, weights], 1) / 2, np.array([-1, 1]) * bias / 2
    coefficients[:, seen], intercepts[seen] = weights, bias
    converged = int(np.max(machine.n_iter_)) < MAX_ITERATIONS
    return Linear(coefficients, intercepts, converged)


def learn_pairs(
    x: Floats, label: NDArray[np.int64], n_classes: int, *, c: float
) -> tuple[Linear, Floats]:
    """Fit a support vector machine for each pair of classes; return them and their votes.

    Parameters
    ----------
    x : NDArray
        float64 ``[n, d]``.
    label : NDArray
        int64 ``[n]``, with three classes or more.
    n_classes : int
        K.
    c : float
        Inverse penalty strength, as in :func:`learn_linear`; the loss is a hinge.

    Returns
    -------
    Linear
        ``[d, P]`` for P pairs.
    NDArray
        float64 ``[P, K]``: 1 for the class that a positive value of the pair votes for, -1 for
        the other.
    """
    from itertools import combinations

    from sklearn.svm import SVC

    seen = np.unique(label)
    machine = SVC(kernel="linear", C=c, cache_size=500, random_state=0).fit(x, label)
    votes = np.zeros((len(machine.intercept_), n_classes))
    for i, (first, second) in enumerate(combinations(seen, 2)):
        votes[i, first], votes[i, second] = 1, -1
    return Linear(np.asarray(machine.coef_).T, machine.intercept_), votes
