"""Detection of classes that follow batches, and splits that hold out whole batches.

A centre, plate or run affects everything that it measures. If classes have different frequencies in
different batches, a model can separate classes by the batch effect alone. It then looks good
wherever samples of one batch are on both sides of a split (Soneson, Gerster and Delorenzi 2014,
doi:10.1371/journal.pone.0100335).

Letters: n samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Samples
from genomix_cli.cohorts.inspect.overview import confounding
from genomix_cli.comparison.splits import NO_ROWS, Split, folds_of
from genomix_cli.formats.cohort import BATCH, LABEL, Cohort

# Classes follow batches if V is at least, and p at most, this. At a V of 0.1, the batch alone
# predicts two classes of equal size with an accuracy of 55 %; the p-value excludes chance.
LEAST_V, MOST_P = 0.1, 0.01
TITLE = "folds of whole batches"


def batch_effect(cohort: Cohort) -> float | None:
    """Return the bias-corrected Cramer's V of classes and batches if it is large; else None."""
    if BATCH not in cohort.obs or LABEL not in cohort.obs:
        return None
    found = confounding(cohort)
    if found is None or found.p > MOST_P or found.v_corrected < LEAST_V:
        return None
    return found.v_corrected


def whole_batches(samples: Samples) -> NDArray[np.int64]:
    """Return the batch of each sample ``[n]``, with batches that share a patient merged."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    batch, patient = (
        np.unique(codes, return_inverse=True)[1] for codes in (samples.batch, samples.patient)
    )
    # Graph of batches and patients: batches are the first nodes, and each sample is an edge.
    n_batches = int(batch.max()) + 1
    size = n_batches + int(patient.max()) + 1
    edges = coo_array((np.ones(len(batch)), (batch, n_batches + patient)), (size, size))
    return connected_components(edges, directed=False)[1][batch].astype(np.int64)


def keeps_batches(samples: Samples, splits: Sequence[Split]) -> bool:
    """Return True if there are several batches and no split divides one."""
    several = len(np.unique(samples.batch)) > 1
    return several and not any(
        np.isin(samples.batch[split.test], samples.batch[split.train]).any() for split in splits
    )


def batch_folds(samples: Samples, n_folds: int, seed: int) -> list[Split]:
    """Return at most `n_folds` folds of whole batches, stratified by class as far as possible.

    Empty if there are fewer than two batches, or if a fold leaves a class without a training
    sample.

    Parameters
    ----------
    samples : Samples
        United by batch; see :func:`whole_batches`.
    n_folds, seed : int
    """
    n_batches = len(np.unique(samples.unit))
    if n_batches < 2:
        return []
    fold = folds_of(samples, min(n_folds, n_batches), seed)
    splits = [
        Split(str(i + 1), np.flatnonzero(fold != f), NO_ROWS, np.flatnonzero(fold == f))
        for i, f in enumerate(np.unique(fold))
    ]
    classes = len(samples.classes)
    whole = all(len(np.unique(samples.label[split.train])) == classes for split in splits)
    return splits if whole else []
