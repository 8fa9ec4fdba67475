"""The samples that judge: folds, batches, or as a table says; never a patient on both sides."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Samples
from genomix_cli.cohorts.train.splits import folds_of
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.cohort import BATCH, Cohort
from genomix_cli.genome.tables import open_table

log = logging.getLogger("genomix")

TRAIN, FOLDS, BATCHES = "train", "folds", "batch"


class HeldOut(NamedTuple):
    """Outer folds.

    Attributes
    ----------
    fold : NDArray
        str ``[n]``: in which a sample is held out; empty: in none.
    names : tuple of str
        In order.
    by : str
        What a fold is.
    """

    fold: NDArray[Any]
    names: tuple[str, ...]
    by: str


def hold_out(
    cohort: Cohort,
    samples: Samples,
    kept: NDArray[np.int64],
    by: str,
    n_folds: int,
    seed: int,
) -> HeldOut:
    """Outer folds, none of which leaves a patient on both sides.

    Parameters
    ----------
    cohort : Cohort
    samples : Samples
        Those of it that have a label.
    kept : NDArray
        int64 ``[n]``: which of the cohort they are.
    by : str
        ``folds``, ``batch``, or the path of a table.
    n_folds : int
        For ``folds``.
    seed : int

    Raises
    ------
    UsageError
        If there are no batches, or not enough patients.
    DataError
        If the table does not fit, or a fold leaves nothing to learn from.
    """
    if by == FOLDS:
        return _stratified(samples, n_folds, seed)
    held_out = _by_batch(cohort, kept) if by == BATCHES else _by_table(Path(by), samples)
    _check_folds(samples, held_out, by)
    return held_out


def _stratified(samples: Samples, n_folds: int, seed: int) -> HeldOut:
    patients = len(np.unique(samples.patient))
    if patients < 2 * n_folds:
        raise UsageError(
            "too many folds",
            where="--folds",
            expected=f"{patients // 2} or fewer for {patients} patients",
            found=str(n_folds),
        )
    count = np.bincount(samples.label)
    if count.min() < n_folds:
        name = samples.classes[int(count.argmin())]
        log.warning("%s has %d samples: some folds have none of it", name, count.min())
    names = np.array([str(i + 1) for i in range(n_folds)])
    fold = folds_of(samples, n_folds, seed)
    return HeldOut(names[fold], tuple(map(str, names)), "stratified folds")


def _by_batch(cohort: Cohort, kept: NDArray[np.int64]) -> HeldOut:
    if BATCH not in cohort.obs:
        raise UsageError(
            "has no batches to hold out",
            where=cohort.path,
            hint="prepare it with --batch, or use --hold-out folds",
        )
    column = cohort.obs[BATCH].iloc[kept]
    if column.isna().any():
        raise DataError(
            f"{int(column.isna().sum()):,} labelled samples have no batch",
            where=cohort.path,
            hint="use --hold-out folds or a table",
        )
    fold = np.asarray(column.astype(str), str)
    return HeldOut(fold, tuple(map(str, np.unique(fold))), "batches")


def _by_table(path: Path, samples: Samples) -> HeldOut:
    fold = _fold_table(path, samples)
    return HeldOut(fold, tuple(str(name) for name in np.unique(fold) if name), path.name)


def _fold_table(path: Path, samples: Samples) -> NDArray[Any]:
    """Fold of each sample, empty for ``train``, from a table with a header."""
    rows = _read_table(path)
    fold = dict(rows)
    if len(fold) < len(rows):
        twice = next(name for i, (name, _) in enumerate(rows) if name in dict(rows[:i]))
        raise DataError(f"sample {twice} comes twice", where=path)
    lacking = [name for name in samples.names if name not in fold]
    if lacking:
        raise DataError(
            f"{len(lacking):,} labelled samples of the cohort are not in it, such as {lacking[0]}",
            where=path,
            hint="name each of them, with the fold 'train' for those never held out",
        )
    others = len(fold) - len(samples)
    if others:
        log.warning("%s: %s samples are not labelled samples of the cohort", path, f"{others:,}")
    found = np.array([fold[name] for name in samples.names])
    return np.where(found == TRAIN, "", found)


def _read_table(path: Path) -> list[tuple[str, str]]:
    """Sample and fold of each line: the columns of these names, else the first two."""
    if not path.exists():
        raise UsageError(
            "cannot be read: no such file",
            where=path,
            expected="folds, batch, or a table of samples and folds",
        )
    rows = []
    with open_table(path) as table:
        if len(table.columns) < 2:
            raise DataError("is no table of samples and folds", where=path, expected="two columns")
        first, second = table.find("sample") or 0, table.find("fold", "split")
        for line, cells in table.rows():
            sample, fold = cells[first].strip(), cells[1 if second is None else second].strip()
            if not fold:
                raise DataError("has no fold", where=f"{path}, line {line}")
            rows.append((sample, fold))
    return rows


def _check_folds(samples: Samples, held_out: HeldOut, by: str) -> None:
    """Each fold leaves two classes to learn from, and takes no patient from them."""
    if not held_out.names:
        raise DataError("holds no sample out", where=by)
    for name in held_out.names:
        inside = held_out.fold == name
        shared = np.intersect1d(samples.patient[inside], samples.patient[~inside])
        if len(shared):
            whose = samples.names[inside & np.isin(samples.patient, shared)][0]
            raise DataError(
                f"{len(shared):,} patients have samples in fold {name} and outside of it, such as "
                f"that of {whose}",
                where=by,
                hint="keep a patient's samples together",
            )
        left = np.unique(samples.label[~inside])
        if len(left) < 2:
            raise DataError(f"fold {name} leaves fewer than two classes to learn from", where=by)
        gone = [name for k, name in enumerate(samples.classes) if k not in left]
        if gone:
            log.warning("fold %s leaves no %s to learn from", name, ", ".join(gone))
