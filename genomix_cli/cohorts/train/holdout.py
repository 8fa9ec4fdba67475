"""Splits of a cohort by folds, batches or a table, which never divide a patient."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Samples
from genomix_cli.comparison.splits import NO_ROWS, Split, divide, folds_of, parse_share
from genomix_cli.comparison.words import count
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.cohort import BATCH, Cohort
from genomix_cli.genome.tables import is_missing, open_table

log = logging.getLogger("genomix")

TRAIN, FOLDS, BATCHES = "train", "folds", "batch"


def hold_out(
    cohort: Cohort,
    samples: Samples,
    rows: NDArray[np.int64],
    by: str,
    n_folds: int,
    seed: int,
    repeats: int = 1,
) -> tuple[str, list[Split]]:
    """Return the kind of fold in words, and the outer splits, which never divide a patient.

    Parameters
    ----------
    cohort : Cohort
    samples : Samples
        Samples of the cohort that have a label.
    rows : NDArray
        int64 ``[n]``: their rows in the cohort.
    by : str
        ``folds``, ``batch``, a share of the patients such as ``0.3``, or the path of a table.
    n_folds : int
        Number of folds, for ``folds``.
    seed : int
    repeats : int
        Number of partitions into folds, for ``folds``. Repeat r uses `seed` + r.

    Raises
    ------
    UsageError
        If there are no batches, too few patients, or repeats of splits that are not random.
    DataError
        If the table does not match the samples, or a fold leaves nothing to learn from.
    """
    if by == FOLDS:
        title = f"{repeats} times {n_folds} stratified folds" if repeats > 1 else "stratified folds"
        drawn = [_stratified(samples, n_folds, seed + r) for r in range(repeats)]
        return title, drawn[0] if repeats == 1 else _numbered(drawn)
    if repeats > 1:
        raise UsageError(
            "only folds can be repeated",
            where="--repeats",
            expected="--hold-out folds",
            found=f"--hold-out {by}",
        )
    share = parse_share(by)
    if share is not None:
        every = np.arange(len(samples))
        train, test = divide(samples.patient, samples.label, every, share, seed)
        title, splits = f"a stratified share of {share:g}", [Split("test", train, NO_ROWS, test)]
        _check_splits(samples, splits, by)
        return title, splits
    if by == BATCHES:
        title, fold = "batches", _batches(cohort, rows)
    else:
        title, fold = Path(by).name, _fold_table(Path(by), samples)
    splits = _splits(fold, np.unique(fold))
    _check_splits(samples, splits, by)
    return title, splits


def _splits(fold: NDArray[Any], names: NDArray[Any]) -> list[Split]:
    """Return splits from the name of the fold that holds out each sample; empty for none."""
    held_out = ((str(name), fold == name) for name in names if name)
    return [Split(n, np.flatnonzero(~own), NO_ROWS, np.flatnonzero(own)) for n, own in held_out]


def _numbered(drawn: list[list[Split]]) -> list[Split]:
    """Return the splits of all partitions, with names such as ``2.3``: fold 3 of the second."""
    return [
        split._replace(name=f"{r + 1}.{split.name}", repeat=r)
        for r, splits in enumerate(drawn)
        for split in splits
    ]


def _stratified(samples: Samples, n_folds: int, seed: int) -> list[Split]:
    """Return folds stratified by class, named by number."""
    patients = len(np.unique(samples.patient))
    if patients < 2 * n_folds:
        raise UsageError(
            "too many folds",
            where="--folds",
            expected=f"{patients // 2} or fewer for {patients} patients",
            found=str(n_folds),
        )
    counts = np.bincount(samples.label)
    if (least := int(counts.min())) < n_folds:
        name, number = samples.classes[int(counts.argmin())], count(least, "sample")
        log.warning("class %s has %s, so some folds have none of it", name, number)
    names = np.array([str(i + 1) for i in range(n_folds)])
    return _splits(names[folds_of(samples, n_folds, seed)], names)


def _batches(cohort: Cohort, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return the batch of each sample, str ``[n]``."""
    if BATCH not in cohort.obs:
        raise UsageError(
            "has no batches to hold out",
            where=cohort.path,
            hint="prepare it with --batch, or use --hold-out folds",
        )
    column = cohort.obs[BATCH].iloc[rows]
    if column.isna().any():
        raise DataError(
            f"{int(column.isna().sum()):,} labelled samples have no batch",
            where=cohort.path,
            hint="use --hold-out folds or a table",
        )
    return np.asarray(column.astype(str), str)


def _fold_table(path: Path, samples: Samples) -> NDArray[Any]:
    """Return the fold of each sample from a table with a header; empty for ``train``."""
    fold = _read_table(path)
    lacking = [name for name in samples.names if name not in fold]
    if lacking:
        raise DataError(
            f"lacks {count(len(lacking), 'labelled sample')} of the cohort, e.g. {lacking[0]}",
            where=path,
            hint="add a row for each, with the fold 'train' for samples never to hold out",
        )
    others = len(fold) - len(samples)
    if others:
        log.warning("%s: left out %s without a label in the cohort", path, count(others, "sample"))
    names = np.array([fold[name] for name in samples.names])
    return np.where(names == TRAIN, "", names)


def _read_table(path: Path) -> dict[str, str]:
    """Return the fold by sample from the columns of these names, else from the first two."""
    if not path.exists():
        raise UsageError(
            "cannot be read: no such file",
            where=path,
            expected="folds, batch, a fraction such as 0.3, or a table of samples and folds",
        )
    fold: dict[str, str] = {}
    repeated = []
    with open_table(path) as table:
        if len(table.columns) < 2:
            raise DataError(
                "is not a table of samples and folds", where=path, expected="two columns"
            )
        first, second = table.find("sample") or 0, table.find("fold", "split")
        for line, cells in table.rows():
            sample, name = cells[first].strip(), cells[1 if second is None else second].strip()
            for cell, what in ((sample, "sample"), (name, "fold")):
                if is_missing(cell):
                    raise DataError(f"has no {what}", where=f"{path}:{line}", found=cell or None)
            if sample in fold:
                repeated.append(sample)
            fold[sample] = name
    if repeated:
        raise DataError(f"sample {repeated[0]} is repeated", where=path)
    return fold


def _check_splits(samples: Samples, splits: list[Split], by: str) -> None:
    """Refuse a split that divides a patient or leaves fewer than two classes to learn from."""
    if not splits:
        raise DataError("holds out no sample", where=by)
    for split in splits:
        name, (train, _, test) = split.name, split.parts
        shared = np.intersect1d(samples.patient[test], samples.patient[train])
        if len(shared):
            whose = samples.names[test][np.isin(samples.patient[test], shared)][0]
            raise DataError(
                f"fold {name} divides the samples of {count(len(shared), 'patient')}, such as that "
                f"of {whose}",
                where=by,
                hint="keep a patient's samples together",
            )
        left = np.unique(samples.label[train])
        if len(left) < 2:
            raise DataError(f"fold {name} leaves fewer than two classes for training", where=by)
        gone = [name for k, name in enumerate(samples.classes) if k not in left]
        if gone:
            log.warning("fold %s leaves no sample of %s for training", name, ", ".join(gone))
