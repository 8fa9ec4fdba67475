"""Motif sites with p-values, found by memelite's FIMO.

The p-value of a score is the probability that a random sequence with equal base frequencies reaches
it, computed exactly (Grant, Bailey and Noble 2011, doi:10.1093/bioinformatics/btr064).

Letters: K motifs, n sequences, H bases of each, S sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import from_extra
from genomix_cli.genome.alphabet import UNKNOWN_BASE
from genomix_cli.genome.motifs import Motif, default_motifs, read_meme

#: FIMO's default p-value threshold.
P_VALUE = 1e-4
#: Attribution per base above which a site counts, as a multiple of the mean over all bases.
COVERED = 2.0
#: Name of the built-in motifs, which need no file.
CONSENSUS = "consensus"
# Above every p-value, also in log2, so FIMO returns all sites except those of the lowest scores.
_ANY_P_VALUE = 2.0
_COLUMNS = {"sequence_name": "row", "motif_idx": "motif", "p-value": "p"}


class Sites(NamedTuple):
    """Sites of motifs in sequences.

    Attributes
    ----------
    row : NDArray
        int64 ``[S]``: index of the sequence.
    motif : NDArray
        int64 ``[S]``: index of the motif.
    start, end : NDArray
        int64 ``[S]``: position in the sequence, 0-based, half-open, on the given strand.
    reverse : NDArray
        bool ``[S]``: True if the motif matches the reverse strand.
    score : NDArray
        float64 ``[S]``: log-odds in bits, against equal base frequencies.
    p : NDArray
        float64 ``[S]``: p-value of the score.
    """

    row: NDArray[np.int64]
    motif: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    reverse: NDArray[np.bool_]
    score: NDArray[np.float64]
    p: NDArray[np.float64]

    def where(self, mask: NDArray[np.bool_]) -> Sites:
        """Return the sites selected by a mask, bool ``[S]``."""
        columns: list[Any] = [column[mask] for column in self]
        return Sites(*columns)


class Cover:
    """Mean attribution of spans of columns, as a multiple of the mean over all columns.

    Parameters
    ----------
    heights : NDArray
        float64 ``[C]``: attribution of each column; signs are ignored.
    """

    def __init__(self, heights: NDArray[np.float64]) -> None:
        self._sums = np.concatenate([[0.0], np.abs(heights).cumsum()])
        self._mean = self._sums[-1] / len(heights) or 1.0

    def of(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the multiple for each span; 0 if nothing is attributed.

        Parameters
        ----------
        first, last : NDArray
            int64 ``[S]``: first and last column of each span, both included.
        """
        found: NDArray[np.float64] = self._sums[last + 1] - self._sums[first]
        return found / (last + 1 - first) / self._mean


def motifs_of(source: str) -> tuple[Motif, ...]:
    """Read a file in MEME format, or return the built-in motifs for ``consensus``.

    Raises
    ------
    DataError
        If the file cannot be read, or does not hold DNA motifs in MEME format.
    """
    return default_motifs() if source == CONSENSUS else read_meme(Path(source))


def require_scanner() -> Any:
    """Import and return memelite's ``fimo`` function.

    Raises
    ------
    MissingExtraError
        If memelite is not installed.
    """
    with from_extra("memelite", "motifs"):
        from memelite import fimo
    return fimo


def suited_p_value(motifs: Sequence[Motif]) -> float:
    """Return a p-value threshold for sites: 1e-4, or larger for few motifs.

    With few motifs, fewer sites overlap a base by chance. A larger p-value then still keeps weak
    sites from being drowned out: the expected number of chance sites over any base is about 1.
    """
    return max(P_VALUE, 1 / (2 * sum(motif.width for motif in motifs)))


def find_sites(
    codes: NDArray[np.uint8], motifs: Sequence[Motif], p_value: float | None = None
) -> Sites:
    """Find motif sites on both strands of sequences; sites with an unknown base are left out.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n, H]``: A0 C1 G2 T3, anything else 4.
    motifs : sequence of Motif
    p_value : float, optional
        Largest p-value; by default, all positions are sites except those of the lowest scores.

    Raises
    ------
    MissingExtraError
        If memelite is not installed.
    """
    import pandas as pd

    fimo = require_scanner()
    one_hot = np.eye(UNKNOWN_BASE + 1, UNKNOWN_BASE, dtype=np.int8)[codes].transpose(0, 2, 1)
    matrices = {str(i): motif.probabilities.T.copy() for i, motif in enumerate(motifs)}
    threshold = _ANY_P_VALUE if p_value is None else p_value
    tables = fimo(matrices, np.ascontiguousarray(one_hot), threshold=threshold)
    found = [table for table in tables if len(table)]
    table = pd.concat(found or tables[:1]).rename(columns=_COLUMNS)
    unknown = np.pad((codes == UNKNOWN_BASE).cumsum(1), ((0, 0), (1, 0)))
    row, motif, start, end = (
        table[name].to_numpy(np.int64) for name in ("row", "motif", "start", "end")
    )
    score, p = (table[name].to_numpy(np.float64) for name in ("score", "p"))
    reverse = (table["strand"] == "-").to_numpy(bool)
    known = unknown[row, end] == unknown[row, start]
    # FIMO rounds scores, which can put the best sites beyond its table, at a p-value of 0.
    least = np.array([motif.least_p for motif in motifs])
    p = np.maximum(p, least[motif])
    return Sites(row, motif, start, end, reverse, score, p).where(known)
