"""Common columns for both haplotypes around an allele, used by figures and by the motif search.

The bases of the two alleles share columns, with gaps in the shorter one.

Letters: C columns, H haplotype bases.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome.alphabet import decode
from genomix_cli.variants.explain.attribution import Attribution
from genomix_cli.variants.records.inputs import MARGIN, Allele, Haplotypes

# Index of a column in which a haplotype has no base; out of range for any haplotype.
NONE = -(2**31)


class Columns(NamedTuple):
    """Columns around an allele.

    Attributes
    ----------
    positions : NDArray
        int64 ``[C]``: 0-based position; an inserted base has the position of its neighbour.
    ref, alt : NDArray
        int64 ``[C]``: index of the base in the haplotype, 0 at the allele's start, or `NONE`.
    variant : slice
        Columns of the alleles.
    """

    positions: NDArray[np.int64]
    ref: NDArray[np.int64]
    alt: NDArray[np.int64]
    variant: slice

    @classmethod
    def of(cls, allele: Allele, around: int) -> Columns:
        """Return the columns of an allele and `around` bases on either side."""
        n_ref, n_alt = len(allele.ref), len(allele.alt)
        width = max(n_ref, n_alt)
        column = np.arange(-around, width + around)

        def index(length: int) -> NDArray[np.int64]:
            beyond = np.where(column >= width, column - width + length, NONE)
            return np.where(column < length, column, beyond)

        inserted = (column >= n_ref) & (column < width)
        offset = np.where(column >= width, column - width + n_ref, np.minimum(column, n_ref - 1))
        positions = allele.pos + np.where(inserted, n_ref - 1, offset)
        return cls(positions, index(n_ref), index(n_alt), slice(around, around + width))

    def letters(self, haplotypes: Haplotypes, flank: int) -> str:
        """Return the letter of each column: the alternate haplotype and the bases deleted from it.

        Parameters
        ----------
        haplotypes : Haplotypes
            One row.
        flank : int
            Bases before the allele.
        """
        codes = np.where(
            self.alt != NONE,
            _taken(haplotypes.alt[0], self.alt + flank),
            _taken(haplotypes.ref[0], self.ref + flank),
        )
        return decode(codes)

    def heights(self, attribution: Attribution, start: int, flank: int) -> NDArray[np.float64]:
        """Return the attribution of each column, summed over window, ref and alt.

        Parameters
        ----------
        attribution : Attribution
        start : int
            Start of the window; its margin lies before this position.
        flank : int
            Bases before the allele in the attribution of a haplotype.
        """
        window = np.where(self.ref == NONE, -1, self.positions - start + MARGIN)
        heights: NDArray[np.float64] = (
            _taken(attribution.window, window)
            + _taken(attribution.ref, self.ref + flank)
            + _taken(attribution.alt, self.alt + flank)
        )
        return heights


def _taken(values: NDArray[Any], index: NDArray[np.int64]) -> NDArray[Any]:
    """Return `values` at each index, 0 for an index out of range."""
    inside = (index >= 0) & (index < len(values))
    return np.where(inside, values[np.where(inside, index, 0)], values.dtype.type(0))
