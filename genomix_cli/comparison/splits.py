"""Splits into training, validation and test items, stratified by class and keeping units whole.

Letters: n items.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.classifier import Data
from genomix_cli.errors import DataError

Rows = NDArray[np.int64]
NO_ROWS: Rows = np.empty(0, np.int64)


class Split(NamedTuple):
    """One way to divide items, by index.

    Attributes
    ----------
    name : str
        Name of the held-out items.
    train : NDArray
        int64: items to learn from.
    valid : NDArray
        int64: items for early stopping, tuning and calibration; empty if folds of `train` are used
        instead.
    test : NDArray
        int64: held-out items to judge by.
    repeat : int
        0-based number of the partition, if items are divided several times. It is added to the
        seeds of the contest.
    """

    name: str
    train: Rows
    valid: Rows
    test: Rows
    repeat: int = 0

    @property
    def parts(self) -> tuple[Rows, Rows, Rows]:
        """Training, validation and test items."""
        return self.train, self.valid, self.test


def divide(
    group: NDArray[np.int64], label: NDArray[np.int64], rows: Rows, share: float, seed: int
) -> tuple[Rows, Rows]:
    """Divide `rows` into two parts, each ascending; the second has about `share` of each class.

    Groups stay whole; a group counts as the class of most of its items.
    """
    if share >= 1:
        return rows[:0], rows
    rng = np.random.default_rng([seed, len(rows)])
    _, index = np.unique(group[rows], return_inverse=True)
    n_groups = int(index.max(initial=-1)) + 1
    counts = np.zeros((n_groups, int(label.max(initial=0)) + 1), np.int64)
    np.add.at(counts, (index, label[rows]), 1)
    own, size = counts.argmax(1), counts.sum(1)
    chosen = np.zeros(n_groups, bool)
    for k in np.unique(own):
        members = rng.permutation(np.flatnonzero(own == k))
        reached = np.cumsum(size[members])
        want = round(share * reached[-1])
        take = np.flatnonzero(reached - size[members] / 2 <= want)
        # If a class has several groups, each part gets at least one.
        n_taken = min(max(len(take), 1), max(len(members) - 1, 0))
        chosen[members[:n_taken]] = True
    return rows[~chosen[index]], rows[chosen[index]]


def unit_folds(unit: NDArray[np.int64], n_folds: int, seed: int) -> Rows:
    """Return a random 0-based fold of each item ``[n]``: whole units, folds of similar size."""
    _, index = np.unique(unit, return_inverse=True)
    order = np.random.default_rng(seed).permutation(int(index.max(initial=-1)) + 1)
    return order[index] % n_folds


def parse_share(text: str) -> float | None:
    """Return the share of items to hold out from text such as ``0.25``; None for other text."""
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 < share < 1 else None


def held_out_in(splits: Sequence[Split], n: int) -> NDArray[Any]:
    """Return the name of the split that holds out each item, str ``[n]``; empty if none does."""
    names = np.full(n, "", dtype=object)
    for split in splits:
        names[split.test] = split.name
    return names.astype(str)


def check_classes(
    data: Data, where: object, units: str, least: int, uses: str, label: str = ""
) -> None:
    """Refuse data with fewer than two classes of `label`, or with a class of too few units.

    Raises
    ------
    DataError
        If there are fewer than two classes, or a class has fewer than `least` units.
    """
    if len(data.classes) < 2:
        what = f"needs at least two classes of {label}" if label else "needs at least two classes"
        hint = "name another phenotype: --label" if label else None
        found = ", ".join(data.classes) or "none"
        raise DataError(what, where=where, found=found, hint=hint)
    counts = zip(data.classes, _units_of_classes(data), strict=True)
    few = [f"{name} ({n})" for name, n in counts if n < least]
    if few:
        raise DataError(
            f"too few {units} of class {', '.join(few)}",
            where=where,
            expected=f"{least} or more: {uses}",
            hint="leave the class out, or merge it with another",
        )


def _units_of_classes(data: Data) -> list[int]:
    return [len(np.unique(data.unit[data.label == k])) for k in range(len(data.classes))]


def folds_of(data: Data, n_folds: int, seed: int) -> Rows:
    """Return the 0-based fold of each item ``[n]``, stratified by class and keeping units whole.

    Parameters
    ----------
    data : Data
    n_folds : int
        2 or more; reduced if no class has that many units.
    seed : int
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    grouped = len(np.unique(data.unit)) < len(data)
    n_folds = max(2, min(n_folds, max(_units_of_classes(data))))
    splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(
        n_folds, shuffle=True, random_state=seed
    )
    groups = data.unit if grouped else None
    fold = np.empty(len(data), np.int64)
    with warnings.catch_warnings():
        # A class with fewer members than folds is missing from some; the caller has warned.
        warnings.filterwarnings("ignore", message="The least populated class")
        pairs = list(splitter.split(data.label, data.label, groups))
    for i, (_, held_out) in enumerate(pairs):
        fold[held_out] = i
    return fold
