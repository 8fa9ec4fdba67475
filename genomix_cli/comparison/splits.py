"""Splits into items to learn from and items to judge by: classes in like shares, units whole.

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
        Name of what is held out.
    train : NDArray
        int64: to learn from.
    valid : NDArray
        int64: to stop, tune and calibrate by; empty where folds of `train` serve for that.
    test : NDArray
        int64: held out, to judge by.
    repeat : int
        Number of the partition that it belongs to, from 0, where items are divided several times;
        what is random in a repeat has the seed that many above that of the contest.
    """

    name: str
    train: Rows
    valid: Rows
    test: Rows
    repeat: int = 0

    @property
    def parts(self) -> tuple[Rows, Rows, Rows]:
        """Items to learn from, to stop by, and to judge by."""
        return self.train, self.valid, self.test


def divide(
    group: NDArray[np.int64], label: NDArray[np.int64], rows: Rows, share: float, seed: int
) -> tuple[Rows, Rows]:
    """Return two parts of `rows`, ascending; the second has about `share` of each class.

    Groups stay whole; a group goes by the class that most of its items have.
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
        # Where a class has several groups, each part has one of them.
        n_taken = min(max(len(take), 1), max(len(members) - 1, 0))
        chosen[members[:n_taken]] = True
    return rows[~chosen[index]], rows[chosen[index]]


def unit_folds(unit: NDArray[np.int64], n_folds: int, seed: int) -> Rows:
    """Return the fold of each item ``[n]``, from 0, at random: units whole, folds of like size."""
    _, index = np.unique(unit, return_inverse=True)
    order = np.random.default_rng(seed).permutation(int(index.max(initial=-1)) + 1)
    return order[index] % n_folds


def parse_share(text: str) -> float | None:
    """Return the share of the items to hold out that a text names, as 0.25; None for other text."""
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 < share < 1 else None


def held_out_in(splits: Sequence[Split], n: int) -> NDArray[Any]:
    """Return the name of the split that holds out each item, str ``[n]``; empty where none does."""
    names = np.full(n, "", dtype=object)
    for split in splits:
        names[split.test] = split.name
    return names.astype(str)


def check_classes(
    data: Data, where: object, units: str, least: int, uses: str, label: str = ""
) -> None:
    """Refuse fewer than two classes of `label`, or one of too few units.

    Raises
    ------
    DataError
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
            hint="leave the class out, or join it with another",
        )


def _units_of_classes(data: Data) -> list[int]:
    return [len(np.unique(data.unit[data.label == k])) for k in range(len(data.classes))]


def folds_of(data: Data, n_folds: int, seed: int) -> Rows:
    """Return the fold of each item ``[n]``, from 0: classes in like shares, units whole.

    Parameters
    ----------
    data : Data
    n_folds : int
        2 or more; there are fewer where no class has as many units.
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
        # A class with fewer members than folds is missing from some; the caller has said so.
        warnings.filterwarnings("ignore", message="The least populated class")
        pairs = list(splitter.split(data.label, data.label, groups))
    for i, (_, held_out) in enumerate(pairs):
        fold[held_out] = i
    return fold
