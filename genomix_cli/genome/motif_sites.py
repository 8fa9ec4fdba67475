"""Sites of motifs with p-values, found by memelite's FIMO.

Grant, Bailey and Noble 2011 (doi:10.1093/bioinformatics/btr064): the p-value of a score is the
probability that a random sequence of equal base frequencies reaches it, computed exactly.

Letters: K motifs, n sequences, H bases of each, S sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import MissingExtraError
from genomix_cli.genome.alphabet import UNKNOWN_BASE
from genomix_cli.genome.motifs import Motif, default_motifs, read_meme

#: What FIMO takes by default.
P_VALUE = 1e-4
#: Attribution per base of a site that counts, as a multiple of the mean of the bases looked at.
COVERED = 2.0
#: Word for the motifs that need no file.
CONSENSUS = "consensus"
# log2 of it is above that of every p-value, so that FIMO returns all but the lowest scores.
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
        int64 ``[S]``: bases of the sequence, 0-based, half-open, on the strand that is given.
    reverse : NDArray
        bool ``[S]``: whether the motif reads on the reverse strand.
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
        """Return some of the sites."""
        columns: list[Any] = [column[mask] for column in self]
        return Sites(*columns)


class Cover:
    """Attribution per base of spans, as a multiple of the mean.

    Parameters
    ----------
    heights : NDArray
        float64 ``[C]``: attribution of each column.
    """

    def __init__(self, heights: NDArray[np.float64]) -> None:
        self._sums = np.concatenate([[0.0], np.abs(heights).cumsum()])
        self._mean = self._sums[-1] / len(heights) or 1.0

    def of(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the multiple of each span of columns, 0 where nothing is attributed."""
        found: NDArray[np.float64] = self._sums[last + 1] - self._sums[first]
        return found / (last + 1 - first) / self._mean


def motifs_of(source: str) -> tuple[Motif, ...]:
    """Read a file in MEME format, or return the motifs that ``consensus`` stands for.

    Raises
    ------
    DataError
        If the file cannot be read, or is not MEME of DNA motifs.
    """
    return default_motifs() if source == CONSENSUS else read_meme(Path(source))


def require_scanner() -> Any:
    """Return FIMO.

    Raises
    ------
    MissingExtraError
        If memelite is not installed.
    """
    try:
        from memelite import fimo
    except ImportError as error:
        raise MissingExtraError("memelite", "motifs") from error
    return fimo


def suited_p_value(motifs: Sequence[Motif]) -> float:
    """Return the largest p-value of a site: 1e-4, or more for few motifs.

    Chance alone gives a base about one site of any motif in it: of a dozen motifs fewer are
    expected, and sites can be weaker without drowning in others.
    """
    return max(P_VALUE, 1 / (2 * sum(motif.width for motif in motifs)))


def find_sites(
    codes: NDArray[np.uint8], motifs: Sequence[Motif], p_value: float | None = None
) -> Sites:
    """Find the sites of motifs on both strands of sequences; none holds an unknown base.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n, H]``: A0 C1 G2 T3, anything else 4.
    motifs : sequence of Motif
    p_value : float, optional
        Largest p-value; by default all places are sites, but those of the lowest scores.

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
    return Sites(row, motif, start, end, reverse, score, p).where(known)
