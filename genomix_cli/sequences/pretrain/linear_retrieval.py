"""Baseline of retrieval: likelihood of profiles under linear models of each phenotype.

Letters: n sequences, M profiles, P phenotypes, d features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genomix_cli.sequences.models.alignment import PhenotypeSpec
from genomix_cli.sequences.pretrain.probes import ByPart, linear_probe


def linear_scores(
    x: ByPart,
    rows: ByPart,
    values: NDArray[np.float32],
    phenotypes: tuple[PhenotypeSpec, ...],
    profiles: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return the log-probability ``[n, M]`` of each profile given a sequence.

    Phenotypes are treated as independent: logistic regression for a category, and ridge regression
    with normal residuals for a number. An unknown phenotype adds the average of the others, since
    adding nothing would make incomplete profiles the most likely.
    """
    scores = np.zeros((len(rows.test), len(profiles)))
    for p, spec in enumerate(phenotypes):
        column, known = profiles[:, p], ~np.isnan(profiles[:, p])
        own = [np.flatnonzero(~np.isnan(values[part, p])) for part in rows[:2]]
        seen = ByPart(x.train[own[0]], x.valid[own[1]], x.test)
        y = [values[part][i, p] for part, i in zip(rows[:2], own, strict=True)]
        score = _category if spec.categories else _number
        added = score(seen, y[0], y[1], column[known])
        scores += added.mean(1, keepdims=True) if known.any() else 0
        scores[:, known] += added - added.mean(1, keepdims=True)
    return scores


def _category(
    x: ByPart, train: NDArray[np.float32], valid: NDArray[np.float32], asked: NDArray[np.float32]
) -> NDArray[np.float64]:
    classes = np.unique(train)
    if len(classes) < 2:
        return np.zeros((len(x.test), len(asked)))
    seen = np.isin(valid, classes)
    y = ByPart(np.searchsorted(classes, train), np.searchsorted(classes, valid[seen]), np.zeros(0))
    log_p = linear_probe(ByPart(x.train, x.valid[seen], x.test), y, len(classes))
    column = np.searchsorted(classes, asked).clip(max=len(classes) - 1)
    # Categories that were absent in training get the lowest probability.
    return np.where(classes[column] == asked, log_p[:, column], np.log(1e-6))


def _number(
    x: ByPart, train: NDArray[np.float32], valid: NDArray[np.float32], asked: NDArray[np.float32]
) -> NDArray[np.float64]:
    from sklearn.linear_model import RidgeCV

    mean, sd = x.train.mean(0), np.maximum(x.train.std(0), 1e-6)
    model = RidgeCV(np.logspace(-1, 5, 13)).fit((x.train - mean) / sd, train)
    if len(valid) > 1:
        spread = float(np.std(valid - model.predict((x.valid - mean) / sd)))
    else:
        spread = float(np.std(train))
    expected = model.predict((x.test - mean) / sd)[:, None]
    spread = max(spread, 1e-3)
    return -0.5 * ((asked - expected) / spread) ** 2 - np.log(spread)
