"""Read the values of a cohort a few rows at a time, so that memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.formats.cohort import Cohort

# Number of values to read at a time: 32 MiB.
PIECE_VALUES = 2**23


class Piece(NamedTuple):
    """Rows of a modality.

    Attributes
    ----------
    rows : NDArray
        intp ``[r]``: indices of the samples in the cohort.
    values : NDArray
        float32 ``[r, d]``; NaN if missing.
    """

    rows: NDArray[np.intp]
    values: NDArray[np.float32]


def pieces(
    cohort: Cohort,
    modality: str,
    keep: NDArray[np.bool_] | None = None,
    *,
    where: str = "X",
    size: int = PIECE_VALUES,
) -> Iterator[Piece]:
    """Yield a modality's samples in file order, piece by piece.

    Parameters
    ----------
    cohort : Cohort
    modality : str
    keep : NDArray, optional
        bool ``[n]``: samples of the cohort to read; by default all that have the modality.
    where : str
        ``"X"`` or ``"layers/NAME"``.
    size : int
        Number of values to read at a time.
    """
    rows, width = cohort.rows(modality), len(cohort.features(modality))
    wanted = np.ones(len(rows), bool) if keep is None else keep[rows]
    step = max(size // max(width, 1), 1)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        if wanted[part].any():
            values = cohort.some(modality, part, where)
            yield Piece(rows[part][wanted[part]], values[wanted[part]])


def read_rows(cohort: Cohort, modality: str, keep: NDArray[np.bool_], *, where: str = "X") -> Piece:
    """Read at once the samples in `keep` (bool ``[n]``) that have the modality."""
    parts = list(pieces(cohort, modality, keep, where=where))
    if not parts:
        return Piece(np.zeros(0, np.intp), np.zeros((0, len(cohort.features(modality))), "f4"))
    return Piece(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def draw_rows(
    rng: np.random.Generator, groups: NDArray[np.int64], present: NDArray[np.bool_], most: int
) -> NDArray[np.bool_]:
    """Draw about `most` of the samples present, stratified by group.

    Groups keep their proportion, but rare ones get up to 25 samples.

    Parameters
    ----------
    rng : Generator
    groups : NDArray
        int64 ``[n]``.
    present : NDArray
        bool ``[n]``.
    most : int

    Returns
    -------
    NDArray
        bool ``[n]``.
    """
    if present.sum() <= most:
        return present.copy()
    share = most / present.sum()
    keep = np.zeros(len(present), bool)
    for group in np.unique(groups[present]):
        members = np.flatnonzero(present & (groups == group))
        count = min(max(round(share * len(members)), 25), len(members))
        keep[rng.choice(members, count, replace=False)] = True
    return keep
