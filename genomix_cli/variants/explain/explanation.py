"""Explained variants as rows in genomic coordinates and as figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome.alphabet import BASES, decode
from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.variants.explain.attribution import Attribution
from genomix_cli.variants.explain.plots import Logo, Picture, TrackPanel
from genomix_cli.variants.explain.rollout import Rollout
from genomix_cli.variants.records.inputs import MARGIN, Allele, Haplotypes, WindowArrays

# Within this distance of the variant the window's sequence is reported base by base.
BASES_AROUND = 200
LETTERS_AROUND = 30
BINS_AROUND = 100

LOG_ODDS = "log-odds"
QUESTIONS = {
    "ref": "What the variant did: {change:+.2f} {unit}",
    "shuffle": "Why here: {change:+.2f} {unit}, against shuffled sequence{tracks}",
}


class Site(NamedTuple):
    """Allele to explain.

    Attributes
    ----------
    name : str
        ``contig:pos:ref:alt`` as in the VCF.
    contig : str
        Name in the FASTA.
    allele : Allele
    """

    name: str
    contig: str
    allele: Allele


class Mutations(NamedTuple):
    """Change of activity by each base in each place, float32 ``[L, 4]``, on either haplotype."""

    ref: NDArray[np.float32]
    alt: NDArray[np.float32]


@dataclass(frozen=True)
class Explanation:
    """One explained variant.

    Attributes
    ----------
    site : Site
    start : int
        Start of its window.
    probability : float
        Calibrated, as from `score`; NaN without a calibration.
    window : WindowArrays
    haplotypes : Haplotypes
        One row.
    flank : int
        Bases of a haplotype before the allele.
    attributions : tuple of Attribution
        One per baseline.
    rollout : Rollout or None
    unit : str
        Of the attributions.
    mutations : Mutations or None
    """

    site: Site
    start: int
    probability: float
    window: WindowArrays
    haplotypes: Haplotypes
    flank: int
    attributions: tuple[Attribution, ...]
    rollout: Rollout | None = None
    unit: str = LOG_ODDS
    mutations: Mutations | None = None


class Row(NamedTuple):
    """Attribution of an interval of sequence or track; 0-based, half-open.

    Attributes
    ----------
    feature : str
        ``sequence``, ``length`` or the name of a track.
    part : str
        ``window``, ``ref`` or ``alt`` for sequence, else ``.``.
    start, end : int
        Equal for a base that the reference lacks.
    base : str
        ``.`` for bins.
    attribution : float
        In the unit of the explanation.
    """

    feature: str
    part: str
    start: int
    end: int
    base: str
    attribution: float


def rows(
    explanation: Explanation, attribution: Attribution, tracks: Sequence[str]
) -> Iterator[Row]:
    """Yield the non-zero rows of an attribution; they add up to its total."""
    allele = explanation.site.allele
    yield from _window_rows(explanation, attribution.window)
    for part, codes, length, values in (
        ("ref", explanation.haplotypes.ref[0], len(allele.ref), attribution.ref),
        ("alt", explanation.haplotypes.alt[0], len(allele.alt), attribution.alt),
    ):
        coordinates = haplotype_positions(allele, length, explanation.flank, len(codes))
        letters = decode(codes)
        for i in np.flatnonzero(values):
            start, end = int(coordinates.start[i]), int(coordinates.end[i])
            yield Row("sequence", part, start, end, letters[i], float(values[i]))
    if attribution.length:
        end = allele.pos + len(allele.ref)
        yield Row("length", ".", allele.pos, end, ".", attribution.length)
    for name, values in zip(tracks, attribution.tracks, strict=True):
        for i in np.flatnonzero(values):
            start = explanation.start + BIN_SIZE * int(i)
            yield Row(name, ".", start, start + BIN_SIZE, ".", float(values[i]))


def _window_rows(explanation: Explanation, values: NDArray[np.float64]) -> Iterator[Row]:
    """Yield bins, and single bases in the bins around the variant."""
    start, letters = explanation.start, decode(explanation.window.codes)
    n_bins = explanation.window.signal.shape[1]
    bins = np.clip((np.arange(len(values)) - MARGIN) // BIN_SIZE, 0, n_bins - 1)
    sums = np.bincount(bins, values, n_bins)
    middle = explanation.site.allele.pos - start
    near = range((middle - BASES_AROUND) // BIN_SIZE, (middle + BASES_AROUND) // BIN_SIZE + 1)
    for i in np.flatnonzero(sums):
        low = start + BIN_SIZE * int(i)
        if i not in near:
            yield Row("sequence", "window", low, low + BIN_SIZE, ".", float(sums[i]))
            continue
        for j in np.flatnonzero(bins == i):
            base = start - MARGIN + int(j)
            if values[j]:
                yield Row("sequence", "window", base, base + 1, letters[j], float(values[j]))


def mutation_rows(explanation: Explanation) -> Iterator[tuple[str, ...]]:
    """Yield variant, part, contig, start, end, base, other base and change, as text."""
    site, mutations = explanation.site, explanation.mutations
    if mutations is None:
        return
    for part, changes in mutations._asdict().items():
        codes = getattr(explanation.haplotypes, part)[0]
        allele = getattr(site.allele, part)
        places = haplotype_positions(site.allele, len(allele), explanation.flank, len(codes))
        for base, start, end, row in zip(decode(codes), *places, changes, strict=False):
            place = site.name, part, site.contig, str(start), str(end), base
            for other, change in zip(BASES, row.tolist(), strict=True):
                if other != base:
                    yield *place, other, f"{change:.6g}"


class Places(NamedTuple):
    """0-based half-open reference coordinates of haplotype bases, int64 ``[H]`` each."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]


def haplotype_positions(allele: Allele, length: int, flank: int, size: int) -> Places:
    """Return the reference coordinates of the bases of a haplotype.

    Parameters
    ----------
    allele : Allele
    length : int
        Bases of the allele on this haplotype.
    flank : int
        Bases before it.
    size : int
        Bases of the haplotype.
    """
    i = np.arange(size) - flank
    n_ref = len(allele.ref)
    start = np.where(i < length, np.minimum(i, n_ref), i - length + n_ref)
    inserted = (i >= n_ref) & (i < length)
    return Places(allele.pos + start, allele.pos + start + ~inserted)


def picture(explanation: Explanation, tracks: Sequence[str], note: str) -> Picture:
    """Return the drawing of an explanation; `note` names its origin in the corner."""
    site, allele = explanation.site, explanation.site.allele
    columns = _columns(explanation)
    contig, pos, ref, alt = site.name.rsplit(":", 3)
    of_score = explanation.unit == LOG_ODDS
    known = not math.isnan(explanation.probability)
    probability = f"p = {explanation.probability:.3f}" if known else "not calibrated"
    what = probability if of_score else "change of activity"
    return Picture(
        title=f"{contig}:{int(pos):,} {_short(ref)}>{_short(alt)}    {what}",
        subtitle=f"{note}; tracks as z-scores of 50-bp bins" if of_score else note,
        unit=explanation.unit,
        contig=site.contig,
        letters=columns.letters,
        positions=columns.positions,
        lacking=columns.alt_index < 0,
        variant=columns.variant,
        change=f"{_short(decode(allele.ref) or '–')} > {_short(decode(allele.alt) or '–')}",
        logos=tuple(
            Logo(
                QUESTIONS[a.baseline].format(
                    change=a.change,
                    unit=explanation.unit,
                    tracks=" and mean tracks" if of_score else "",
                ),
                columns.heights(a, explanation),
            )
            for a in explanation.attributions
        ),
        pos=allele.pos,
        **_track_panels(explanation, tracks),
    )


def _short(bases: str, most: int = 12) -> str:
    return bases if len(bases) <= most else f"{bases[: most - 1]}…"


class _Columns(NamedTuple):
    """Both haplotypes in one row: bases of the alleles side by side, gaps in the shorter."""

    letters: str
    positions: NDArray[np.int64]
    variant: slice
    ref_index: NDArray[np.int64]
    alt_index: NDArray[np.int64]

    def heights(self, attribution: Attribution, explanation: Explanation) -> NDArray[np.float64]:
        """Return the attribution of each column: window, ref and alt; index -1 is empty."""
        inside = self.positions - explanation.start + MARGIN
        in_ref = self.ref_index >= 0
        height = np.where(in_ref, attribution.window[inside] + attribution.ref[self.ref_index], 0.0)
        return height + np.where(self.alt_index >= 0, attribution.alt[self.alt_index], 0.0)


def _columns(explanation: Explanation) -> _Columns:
    allele, flank = explanation.site.allele, explanation.flank
    around = min(LETTERS_AROUND, flank)
    n_ref, n_alt = len(allele.ref), len(allele.alt)
    width = max(n_ref, n_alt)
    column = np.arange(-around, width + around)

    def index(length: int) -> NDArray[np.int64]:
        beyond = np.where(column >= width, column - width + length, -1 - flank)
        return flank + np.where(column < length, column, beyond)

    ref_index, alt_index = index(n_ref), index(n_alt)
    ref, alt = decode(explanation.haplotypes.ref[0]), decode(explanation.haplotypes.alt[0])
    letters = "".join(
        alt[a] if a >= 0 else ref[r] for r, a in zip(ref_index, alt_index, strict=True)
    )
    inserted = (column >= n_ref) & (column < width)
    offset = np.where(column >= width, column - width + n_ref, np.minimum(column, n_ref - 1))
    positions = allele.pos + np.where(inserted, n_ref - 1, offset)
    return _Columns(letters, positions, slice(around, around + width), ref_index, alt_index)


def _track_panels(explanation: Explanation, tracks: Sequence[str]) -> dict[str, Any]:
    """Return the tracks around the variant, with attributions if a baseline has them."""
    window, n_bins = explanation.window, explanation.window.signal.shape[1]
    middle = (explanation.site.allele.pos - explanation.start) // BIN_SIZE
    shown = slice(max(0, middle - BINS_AROUND), min(n_bins, middle + BINS_AROUND + 1))
    values = np.full(window.signal.shape, np.nan)
    for attribution in explanation.attributions:
        if attribution.baseline == "shuffle":
            values = attribution.tracks
    panels = tuple(
        TrackPanel(name, window.signal[i, shown], window.state[i, shown] > 0, values[i, shown])
        for i, name in enumerate(tracks)
    )
    return {"track_start": explanation.start + BIN_SIZE * shown.start, "tracks": panels}
