"""Explained variants as rows in genomic coordinates and as figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome.alphabet import BASES, decode
from genomix_cli.genome.motifs import Motif
from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.report.letters import MotifBar
from genomix_cli.variants.explain.attribution import Attribution
from genomix_cli.variants.explain.columns import NONE, Columns
from genomix_cli.variants.explain.plots import Logo, Picture, TrackPanel
from genomix_cli.variants.explain.rollout import Rollout
from genomix_cli.variants.records.inputs import MARGIN, Allele, Haplotypes, WindowArrays

# Within this distance of the variant (bp), the window's sequence is reported base by base.
BASES_AROUND = 200
LETTERS_AROUND = 30
# Largest number of motifs in a figure.
BARS = 4
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
    """Change in activity for each base at each position, ``[L, 4]``, on either haplotype."""

    ref: NDArray[np.float32]
    alt: NDArray[np.float32]


class Match(NamedTuple):
    """Best match of a motif on one haplotype.

    Attributes
    ----------
    score : float
        Log-odds (bits); NaN if no match is better than the worst possible.
    p : float
    strand : str
    first, last : int
        First and last column, counted from the first column of the allele.
    """

    score: float
    p: float
    strand: str
    first: int
    last: int


class Instance(NamedTuple):
    """Motif instance that an attribution covers.

    Attributes
    ----------
    motif : Motif
    start, end : int
        Position on the better-matching haplotype, 0-based half-open.
    ref, alt : Match
    change : str
        ``gained``, ``lost``, ``stronger``, ``weaker`` or ``unchanged`` on the alternate haplotype.
    cover : float
        Mean attribution per base, as a multiple of the mean around the allele.
    """

    motif: Motif
    start: int
    end: int
    ref: Match
    alt: Match
    change: str
    cover: float

    @property
    def better(self) -> Match:
        """Match with the smaller p-value."""
        return min(self.ref, self.alt, key=lambda match: match.p)


@dataclass(frozen=True)
class Explanation:
    """One explained variant.

    Attributes
    ----------
    site : Site
    start : int
        Start of its window.
    probability : float
        Calibrated probability, as in `score`; NaN without a calibration.
    window : WindowArrays
    haplotypes : Haplotypes
        One row.
    flank : int
        Bases of a haplotype before the allele.
    attributions : tuple of Attribution
        One per baseline.
    rollout : Rollout or None
    unit : str
        Unit of the attributions.
    mutations : Mutations or None
    motifs : tuple of tuple of Instance
        Motif instances of each attribution, the most important first; empty without a search.
    logit : float
        Log-odds before calibration; NaN for an activity model.
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
    motifs: tuple[tuple[Instance, ...], ...] = ()
    logit: float = math.nan

    @property
    def ranked(self) -> float:
        """Return the ranking score: the logit, or the magnitude of the change in activity."""
        return self.logit if self.unit == LOG_ODDS else abs(self.attributions[0].change)


class Row(NamedTuple):
    """Attribution of an interval of sequence or track; 0-based, half-open.

    Attributes
    ----------
    feature : str
        ``sequence``, ``length`` or the name of a track.
    part : str
        ``window``, ``ref`` or ``alt`` for sequence, otherwise ``.``.
    start, end : int
        Equal for an inserted base.
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
    """Yield the non-zero rows of an attribution, which add up to its total."""
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


def motif_rows(explanation: Explanation) -> Iterator[tuple[str, ...]]:
    """Yield the fields of `MOTIF_COLUMNS`, as text."""
    site = explanation.site
    for attribution, motifs in zip(explanation.attributions, explanation.motifs, strict=False):
        for rank, found in enumerate(motifs, 1):
            place = site.contig, str(found.start), str(found.end), found.better.strand
            matches = (text for match in (found.ref, found.alt) for text in _texts(match))
            name = found.motif.accession or found.motif.name
            yield (
                *(site.name, attribution.baseline, str(rank), name, found.motif.name, *place),
                *(f"{found.cover:.3g}", *matches, found.change),
            )


def _texts(match: Match) -> tuple[str, str]:
    """Return score and p-value as text; ``.`` if the motif has no match."""
    none = math.isnan(match.score)
    return (".", ".") if none else (f"{match.score:.2f}", f"{match.p:.3g}")


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
        Bases of the haplotype before the allele.
    size : int
        Bases of the haplotype.
    """
    i = np.arange(size) - flank
    n_ref = len(allele.ref)
    start = np.where(i < length, np.minimum(i, n_ref), i - length + n_ref)
    inserted = (i >= n_ref) & (i < length)
    return Places(allele.pos + start, allele.pos + start + ~inserted)


def picture(explanation: Explanation, tracks: Sequence[str], note: str) -> Picture:
    """Return the figure contents of an explanation; `note` states its origin."""
    site, allele, flank = explanation.site, explanation.site.allele, explanation.flank
    columns = Columns.of(allele, min(LETTERS_AROUND, flank))
    contig, pos, ref, alt = site.name.rsplit(":", 3)
    of_score = explanation.unit == LOG_ODDS
    known = not math.isnan(explanation.probability)
    probability = f"p = {explanation.probability:.3f}" if known else "not calibrated"
    what = probability if of_score else "change of activity"
    return Picture(
        title=f"{contig}:{int(pos):,} {short(ref)}>{short(alt)}    {what}",
        subtitle=f"{note}; tracks as z-scores of 50-bp bins" if of_score else note,
        unit=explanation.unit,
        contig=site.contig,
        letters=columns.letters(explanation.haplotypes, flank),
        positions=columns.positions,
        lacking=columns.alt == NONE,
        variant=columns.variant,
        change=f"{short(decode(allele.ref) or '–')} > {short(decode(allele.alt) or '–')}",
        logos=tuple(
            Logo(
                QUESTIONS[a.baseline].format(
                    change=a.change,
                    unit=explanation.unit,
                    tracks=" and mean tracks" if of_score else "",
                ),
                columns.heights(a, explanation.start, flank),
            )
            for a in explanation.attributions
        ),
        pos=allele.pos,
        motifs=_motif_bars(explanation, columns),
        **_track_panels(explanation, tracks),
    )


def _motif_bars(explanation: Explanation, columns: Columns) -> tuple[MotifBar, ...]:
    """Return the motifs to draw, each standing for all similar ones at the same place."""
    like: list[list[Instance]] = []
    for found in chain.from_iterable(explanation.motifs):
        group = next((group for group in like if _alike(group[0], found)), None)
        if group is None:
            like.append([found])
        elif all(found.motif != other.motif for other in group):
            group.append(found)
    left, width = columns.variant.start, len(columns.positions)
    bars = []
    for first, *others in like:
        begin, end = left + first.better.first, left + first.better.last
        if end >= 0 and begin < width:
            more = f" and {len(others)} more" if others else ""
            p = " → ".join(dict.fromkeys(f"{match.p:.0e}" for match in (first.ref, first.alt)))
            text = f"{first.motif.name} ({first.better.strand}){more}: {first.change}, p {p}"
            bars.append(MotifBar(text, first.change, begin, end))
    return tuple(bars[:BARS])


def _alike(one: Instance, other: Instance) -> bool:
    """Return True if half of the shorter instance overlaps the other, and both change alike."""
    first = max(one.better.first, other.better.first)
    shared = min(one.better.last, other.better.last) + 1 - first
    shorter = min(m.better.last + 1 - m.better.first for m in (one, other))
    return one.change == other.change and 2 * shared >= shorter


def short(bases: str, most: int = 12) -> str:
    """Return an allele, shortened to at most `most` characters."""
    return bases if len(bases) <= most else f"{bases[: most - 1]}…"


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
