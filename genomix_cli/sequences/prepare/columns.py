"""Columns of aligned sequences: variant sites, and the reference around them.

Letters in shapes: S sites, L columns.
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.formats.sequences import Columns
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.intervals import merge
from genomix_cli.genome.iupac import encode
from genomix_cli.sequences.prepare.parsed_input import MAX_CONTIGS


class Sites:
    """Variant sites in file order, stored in twelve bytes each.

    Attributes
    ----------
    lengths : dict of str to int
        Length of each contig, if known.
    """

    def __init__(self) -> None:
        self.lengths: dict[str, int] = {}
        self.numbers: dict[str, int] = {}
        self.contig, self.pos = array("h"), array("q")
        self.ref, self.alt = array("B"), array("B")

    def add(self, contig: str, pos: int, ref: int, alt: int) -> None:
        """Add a site: 0-based position, set of REF, set of all ALT.

        Raises
        ------
        DataError
            If there are more contigs than a file can number.
        """
        number = self.numbers.setdefault(contig, len(self.numbers))
        if number > MAX_CONTIGS:
            raise DataError("has too many contigs", expected=f"{MAX_CONTIGS:,} at most")
        self.contig.append(number)
        self.pos.append(pos)
        self.ref.append(ref)
        self.alt.append(alt)


def columns_of(sites: Sites, fasta: Fasta | None, flank: int) -> tuple[dict[str, int], Columns]:
    """Return contig lengths (0 if unknown) and columns: sites with `flank` bases on either side.

    The flanks of close sites merge: each genome position has one column, and a site within another
    site's flank stays a site. Only records at the same position get a column each.

    Raises
    ------
    DataError
        If the reference lacks a contig.
    """
    contig = np.asarray(sites.contig, np.int16)
    pos = np.asarray(sites.pos, np.int64)
    ref, alt = np.asarray(sites.ref, np.uint8), np.asarray(sites.alt, np.uint8)
    contigs = {name: sites.lengths.get(name, 0) for name in sites.numbers}
    if fasta is not None:
        contigs = {name: fasta.lengths[fasta.names.require(name)] for name in contigs}
    if not flank or fasta is None:
        site = np.arange(len(pos), dtype=np.int32)
        return contigs, Columns(contig, pos, site, ref, alt)
    parts = []
    for number, name in enumerate(contigs):
        at = np.flatnonzero(contig == number)
        around, letters = _around(fasta, name, pos[at], flank)
        # Later records at a position get columns right after the first one's.
        again = np.flatnonzero(np.diff(pos[at], prepend=-1) == 0)
        after = np.searchsorted(around, pos[at][again], "right")
        around, letters = np.insert(around, after, pos[at][again]), np.insert(letters, after, 0)
        column = np.searchsorted(around, pos[at])
        column[again] = after + np.arange(len(again))
        site = np.full(len(around), -1, np.int32)
        site[column] = at
        letters[column] = ref[at]
        alternative = np.zeros(len(around), np.uint8)
        alternative[column] = alt[at]
        number_of = np.full(len(around), number, np.int16)
        parts.append(Columns(number_of, around, site, letters, alternative))
    return contigs, Columns(*map(np.concatenate, zip(*parts, strict=True)))


def _around(
    fasta: Fasta, contig: str, pos: NDArray[np.int64], flank: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return sorted positions within `flank` of any site of a contig, and their sets of bases."""
    length = fasta.lengths[fasta.names.require(contig)]
    starts, ends = np.maximum(pos - flank, 0), np.minimum(pos + flank + 1, length)
    spans = merge(starts, ends).tolist()
    positions = np.concatenate([np.arange(start, end) for start, end in spans])
    letters = [
        encode(fasta.letters(contig, start, end), f"{fasta.path}: {contig}:{start}-{end}")
        for start, end in spans
    ]
    return positions, np.concatenate(letters)
