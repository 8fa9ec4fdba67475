"""Folds that hold out whole contigs: neighbouring variants share sequence and tracks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.intervals import ContigNames


class Split(NamedTuple):
    """Contigs of each part, in the order of the data."""

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]


def split_contigs(
    contigs: Iterable[str], valid: Iterable[str] = (), test: Iterable[str] = ()
) -> Split:
    """Hold out `valid` and `test`; the rest trains.

    ``chr1`` and ``1`` mean the same contig.

    Parameters
    ----------
    contigs : iterable of str
        The contigs there are.
    valid, test : iterable of str
        Those held out.

    Raises
    ------
    UsageError
        If a contig is unknown or in both parts, or none is left to train on.
    """
    known = tuple(contigs)
    held = {"valid": _find(known, valid, "valid"), "test": _find(known, test, "test")}
    both = [name for name in held["valid"] if name in held["test"]]
    if both:
        raise UsageError(f"{', '.join(both)} cannot be in both valid and test contigs")
    train = tuple(n for n in known if n not in held["valid"] and n not in held["test"])
    if not train:
        raise UsageError(
            "no contig is left to train on",
            found=f"{len(known)} contigs, all held out",
            hint="hold out fewer",
        )
    return Split(train, held["valid"], held["test"])


def check_classes(split: Split, contig: npt.ArrayLike, label: npt.ArrayLike) -> None:
    """Make sure that each part that has contigs has positives and negatives.

    Parameters
    ----------
    split : Split
    contig : array of str [n]
        Contig of each labelled variant.
    label : float array [n]
        Positive where > 0.5; NaN: unlabelled, not counted.

    Raises
    ------
    DataError
        Naming every part that lacks a class.
    """
    contig, label = np.asarray(contig), np.asarray(label, np.float64)
    problems = []
    for part, names in split._asdict().items():
        inside = np.isin(contig, names) & ~np.isnan(label)
        positive = int((label[inside] > 0.5).sum())
        if names and not 0 < positive < inside.sum():
            missing = "no negatives" if positive else "no positives"
            problems.append(f"{part} ({', '.join(names)}) has {missing} of {inside.sum():,} labels")
    if problems:
        raise DataError(
            f"every part needs both classes: {'; '.join(problems)}",
            hint="choose other contigs to hold out",
        )


def contig_folds(n_folds: int, sizes: Mapping[str, int]) -> tuple[tuple[str, ...], ...]:
    """Share contigs out over folds of about equal size, the largest first.

    Parameters
    ----------
    n_folds : int
        At least 2.
    sizes : mapping of str to int
        Contig to its size (bases, or variants).

    Returns
    -------
    tuple of tuple of str
        Contigs of each fold, in the order of `sizes`; each contig is in exactly one.

    Raises
    ------
    UsageError
        If there are fewer contigs than folds.
    """
    if not 2 <= n_folds <= len(sizes):
        raise UsageError(
            "cannot make folds of whole contigs",
            expected=f"2 to {len(sizes)} folds for {len(sizes)} contigs",
            found=str(n_folds),
        )
    load, count = [0] * n_folds, [0] * n_folds
    fold_of: dict[str, int] = {}
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        fold = min(range(n_folds), key=lambda i: (load[i], count[i]))
        fold_of[name] = fold
        load[fold] += sizes[name]
        count[fold] += 1
    return tuple(tuple(n for n in sizes if fold_of[n] == i) for i in range(n_folds))


def _find(known: tuple[str, ...], names: Iterable[str], part: str) -> tuple[str, ...]:
    """The data's own spelling of `names`, in the data's order."""
    own = ContigNames(known, "the data")
    asked = list(names)
    found = {name: own.find(name) for name in asked}
    unknown = [name for name, match in found.items() if match is None]
    if unknown:
        raise UsageError(
            f"unknown {part} contigs: {', '.join(unknown)}",
            expected=f"some of {', '.join(known[:30])}",
        )
    return tuple(name for name in known if name in found.values())
