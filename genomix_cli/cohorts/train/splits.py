"""Who trains and who is held out: stratified by class, a patient never on both sides."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Samples


def folds_of(samples: Samples, n_folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of each sample ``[n]``, from 0: classes in like shares, patients whole.

    Parameters
    ----------
    samples : Samples
        All with a label; at least `n_folds` patients.
    n_folds : int
        2 or more.
    seed : int
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    grouped = len(np.unique(samples.patient)) < len(samples)
    splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(
        n_folds, shuffle=True, random_state=seed
    )
    groups = samples.patient if grouped else None
    fold = np.empty(len(samples), np.int64)
    with warnings.catch_warnings():
        # A class with fewer members than folds is missing from some; the caller has said so.
        warnings.filterwarnings("ignore", message="The least populated class")
        parts = list(splitter.split(samples.label, samples.label, groups))
    for i, (_, held_out) in enumerate(parts):
        fold[held_out] = i
    return fold
