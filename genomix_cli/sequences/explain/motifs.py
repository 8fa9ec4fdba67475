"""Motifs at the bases that have most of a sequence's attribution.

A site counts if the mean absolute attribution of its bases is at least twice the mean over the
sequence. If a motif matches both strands at one place, the better match counts.

Letters in shapes: n sequences, L bases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.study import Floats
from genomix_cli.genome.iupac import to_bases
from genomix_cli.genome.motif_sites import COVERED, Cover, Sites, find_sites, suited_p_value
from genomix_cli.genome.motifs import Motif


class Covered(NamedTuple):
    """A motif site with high attribution.

    Attributes
    ----------
    motif : Motif
    start, end : int
        Range of bases in the sequence, 0-based, half-open.
    strand : str
        ``+`` or ``-``, relative to the sequence in the file.
    score, p : float
        Log-odds score in bits, and its p-value.
    cover : float
        Mean absolute attribution per base, as a multiple of the mean over the sequence.
    attribution : float
        Sum over the site's bases; a positive sum supports the class.
    """

    motif: Motif
    start: int
    end: int
    strand: str
    score: float
    p: float
    cover: float
    attribution: float


def covered(
    codes: NDArray[np.uint8], values: Floats, motifs: Sequence[Motif]
) -> tuple[tuple[Covered, ...], ...]:
    """Return the covered sites of each sequence, largest sum of attributions first.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n, L]``: sets of bases.
    values : NDArray
        float64 ``[n, L]``: attributions.
    motifs : sequence of Motif
        Motifs, none wider than L.

    Raises
    ------
    MissingExtraError
        If memelite is not installed.
    """
    sites = find_sites(to_bases(codes), motifs, suited_p_value(motifs))
    found = []
    for i, row in enumerate(values):
        own = list(_covered(sites.where(sites.row == i), row, motifs))
        found.append(tuple(sorted(own, key=lambda site: -abs(site.attribution))))
    return tuple(found)


def _covered(sites: Sites, values: Floats, motifs: Sequence[Motif]) -> Iterator[Covered]:
    covers = Cover(values).of(sites.start, sites.end - 1)
    better = np.lexsort((sites.reverse, -sites.score))
    seen: set[tuple[int, int]] = set()
    for j in better[covers[better] >= COVERED].tolist():
        place = int(sites.motif[j]), int(sites.start[j])
        if place in seen:
            continue
        seen.add(place)
        span = int(sites.start[j]), int(sites.end[j])
        yield Covered(
            motifs[place[0]],
            *span,
            "-" if sites.reverse[j] else "+",
            float(sites.score[j]),
            float(sites.p[j]),
            float(covers[j]),
            float(values[slice(*span)].sum()),
        )
