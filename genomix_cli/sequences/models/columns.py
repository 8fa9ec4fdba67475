"""Statistics of the columns of aligned sequences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.study import Floats
from genomix_cli.genome.iupac import SETS, composition


def column_statistics(codes: NDArray[np.uint8], rare: float, step: int) -> tuple[Floats, Floats]:
    """Return the mean composition of each column ``[L, 4]``, and the scale of its bases ``[L]``.

    Unknown bases do not count. A column that does not vary carries no information: its scale is 0.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n, L]``: sets of bases; may be memory-mapped.
    rare : float
        Added to the variance of a column, so that rare alleles do not dominate.
    step : int
        Number of sequences to count at once.
    """
    table = composition()
    table[SETS - 1] = 0
    total, square = np.zeros((2, codes.shape[1], 4))
    known = np.zeros(codes.shape[1])
    for start in range(0, len(codes), step):
        p = table[codes[start : start + step]]
        total += p.sum(0)
        square += (p**2).sum(0)
        known += p.any(-1).sum(0)
    mean = total / np.maximum(known, 1)[:, None]
    variance = (square / np.maximum(known, 1)[:, None] - mean**2).sum(-1) / 2
    scale = np.where(variance > 1e-9, (np.maximum(variance, 0) + rare) ** -0.5, 0.0)
    return mean, scale
