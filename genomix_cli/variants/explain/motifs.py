"""Motifs at attributed bases: which an allele creates or breaks, and which are enriched.

A site is covered if its bases have, on average, at least twice the attribution (in magnitude) of
the 100 bases on either side of the allele. The sites of a motif that touch the allele form one
instance: the best site on the reference haplotype and the best on the alternate one. A site that an
insertion merely moves is therefore not reported as lost. Sites elsewhere are the same on both.

Letters: K motifs, S sites, C columns of both haplotypes, H haplotype bases.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import UsageError, from_extra
from genomix_cli.genome.alphabet import UNKNOWN_BASE
from genomix_cli.genome.motif_sites import (
    CONSENSUS,
    COVERED,
    Cover,
    Sites,
    find_sites,
    motifs_of,
    require_scanner,
    suited_p_value,
)
from genomix_cli.genome.motifs import Motif, check_widths
from genomix_cli.genome.shuffle import dinucleotide_shuffle
from genomix_cli.genome.source import GenomeSource
from genomix_cli.variants.explain.columns import NONE, Columns
from genomix_cli.variants.explain.explanation import Explanation, Instance, Match, Site
from genomix_cli.variants.records.inputs import Haplotypes, haplotypes
from genomix_cli.variants.requests.explain import MotifOptions

# Bases on either side of an allele that are searched for motifs.
AROUND = 100
# Scores that differ by less than this (bits), a factor of two in the odds, count as equal.
SAME = 1.0
N_SHUFFLES = 20


def chosen_motifs(options: MotifOptions) -> tuple[Motif, ...]:
    """Return the motifs to search for; empty without a request for a search.

    Raises
    ------
    UsageError
        If motif output is requested without motifs, or a motif is too wide.
    MissingExtraError
        If the package for the motif search is not installed.
    """
    if options.source is None:
        asked = {"--motif-table": options.table, "--motif-summary": options.summary}
        if given := [flag for flag, path in asked.items() if path is not None]:
            raise UsageError(
                f"{given[0]} needs --motifs", hint=f"--motifs FILE.meme or {CONSENSUS}"
            )
        return ()
    motifs = motifs_of(options.source)
    check_widths(motifs, AROUND, options.source)
    require_scanner()
    return motifs


class Enriched(NamedTuple):
    """Frequency of a motif at attributed bases.

    Attributes
    ----------
    motif : Motif
    baseline : str
    alleles, of : int
        Number of alleles with a covered site of the motif, and number of all alleles.
    expected : float
        Expected number of alleles with a covered site, from shuffles of the surrounding sequence
        under the same attribution.
    p, q : float
        One-sided Fisher's exact test for more sites than in the shuffles; q after Benjamini and
        Hochberg over the motifs found.
    """

    motif: Motif
    baseline: str
    alleles: int
    of: int
    expected: float
    p: float
    q: float


class MotifFinder:
    """Finder and counter of motifs in explained alleles.

    Parameters
    ----------
    motifs : sequence of Motif
        At most `AROUND` wide.
    p_value : float, optional
        Largest p-value of a site; default: :func:`suited_p_value`.
    source : GenomeSource
    seed : int
        Seed of the shuffles.
    """

    def __init__(
        self, motifs: Sequence[Motif], p_value: float | None, source: GenomeSource, seed: int
    ) -> None:
        self.motifs = motifs
        self.p_value = suited_p_value(motifs) if p_value is None else p_value
        self.source, self.seed = source, seed
        self.alleles = 0
        self.found: dict[str, NDArray[np.int64]] = {}
        self.shuffled: dict[str, NDArray[np.int64]] = {}

    def find(self, explanation: Explanation) -> tuple[tuple[Instance, ...], ...]:
        """Return the instances that each attribution covers, the most important first."""
        around = haplotypes(self.source, explanation.site.contig, [explanation.site.allele], AROUND)
        columns = Columns.of(explanation.site.allele, AROUND)
        codes = self._codes(around, explanation.site)
        sites = find_sites(codes, self.motifs, self.p_value)
        spans = _Spans.of(sites, columns)
        pairs = self._pairs(codes[:2], sites, spans, columns, around)
        self.alleles += 1
        instances = []
        for attribution in explanation.attributions:
            heights = columns.heights(attribution, explanation.start, explanation.flank)
            cover = Cover(heights)
            self._count(attribution.baseline, sites, cover.of(*spans) >= COVERED)
            instances.append(tuple(_ranked(pairs, cover)))
        return tuple(instances)

    def enriched(self) -> Iterator[Enriched]:
        """Yield motifs found in more alleles than in shuffles, sorted by baseline and p-value.

        Raises
        ------
        MissingExtraError
            If SciPy is not installed.
        """
        with from_extra("scipy", "motifs"):
            from scipy.stats import false_discovery_control, hypergeom
        for baseline, found in self.found.items():
            seen = np.flatnonzero(found)
            hits, shuffled = found[seen], self.shuffled[baseline][seen]
            every = self.alleles * (1 + N_SHUFFLES)
            p = hypergeom.sf(hits - 1, every, hits + shuffled, self.alleles)
            q = false_discovery_control(p) if len(p) else p
            for i in np.lexsort((-hits, p)):
                counts = int(hits[i]), self.alleles, float(shuffled[i]) / N_SHUFFLES
                yield Enriched(self.motifs[seen[i]], baseline, *counts, float(p[i]), float(q[i]))

    def _codes(self, around: Haplotypes, site: Site) -> NDArray[np.uint8]:
        """Return ref, alt, and pairs of them with shuffled surroundings, ``[n, H]``."""
        ref, alt = (
            np.where(np.arange(rows.shape[1]) < 2 * AROUND + length, rows[0], UNKNOWN_BASE)
            for rows, length in zip(around[:2], (*around.ref_len, *around.alt_len), strict=True)
        )
        seed = [self.seed, zlib.crc32(site.contig.encode()), site.allele.pos]
        rng = np.random.default_rng(seed)
        middle = AROUND + len(site.allele.ref)
        rows = [ref, alt]
        for _ in range(N_SHUFFLES):
            shuffled = dinucleotide_shuffle(ref, rng)
            changed = np.concatenate([shuffled[:AROUND], site.allele.alt, shuffled[middle:]])
            unknown = np.full(len(ref), UNKNOWN_BASE, np.uint8)
            rows += [shuffled, np.concatenate([changed, unknown])[: len(ref)]]
        return np.stack(rows).astype(np.uint8)

    def _pairs(
        self,
        codes: NDArray[np.uint8],
        sites: Sites,
        spans: _Spans,
        columns: Columns,
        around: Haplotypes,
    ) -> list[Instance]:
        """Return an instance for each motif at the allele, and for each site away from it."""
        lengths = np.concatenate([around.ref_len, around.alt_len])

        def at_allele(sites: Sites) -> NDArray[np.bool_]:
            return (sites.start < AROUND + lengths[sites.row % 2]) & (sites.end > AROUND)

        touching, own = at_allele(sites), sites.row < 2
        pairs = []
        for i in np.flatnonzero((sites.row == 0) & ~touching).tolist():
            same = _match(sites, i, spans)
            pairs.append(self._instance(int(sites.motif[i]), same, same, columns))
        there = np.unique(sites.motif[own & touching])
        if not len(there):
            return pairs
        places = find_sites(codes, [self.motifs[k] for k in there])
        places = places.where(at_allele(places))
        spans = _Spans.of(places, columns)
        for n, k in enumerate(there):
            ref, alt = (_best(places, spans, n, row) for row in range(2))
            pairs.append(self._instance(int(k), ref, alt, columns))
        return pairs

    def _instance(self, k: int, ref: Match, alt: Match, columns: Columns) -> Instance:
        found = Instance(self.motifs[k], 0, 0, ref, alt, self._change(ref, alt), math.nan)
        at = columns.positions[AROUND + found.better.first : AROUND + found.better.last + 1]
        return found._replace(start=int(at.min()), end=int(at.max()) + 1)

    def _change(self, ref: Match, alt: Match) -> str:
        if abs(alt.score - ref.score) < SAME:
            return "unchanged"
        if alt.p > self.p_value:
            return "lost"
        if ref.p > self.p_value:
            return "gained"
        return "stronger" if alt.score > ref.score else "weaker"

    def _count(self, baseline: str, sites: Sites, covered: NDArray[np.bool_]) -> None:
        """Count the motifs with a covered site on either haplotype, real and shuffled."""
        seen = np.zeros((1 + N_SHUFFLES, len(self.motifs)), bool)
        seen[sites.row[covered] // 2, sites.motif[covered]] = True
        for counts, more in ((self.found, seen[0]), (self.shuffled, seen[1:].sum(0))):
            counts[baseline] = counts.get(baseline, 0) + more.astype(np.int64)


class _Spans(NamedTuple):
    """First and last column of each site, int64 ``[S]``."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]

    @classmethod
    def of(cls, sites: Sites, columns: Columns) -> _Spans:
        """Place the sites of alternating rows: reference, alternate, reference, ..."""
        of_ref, of_alt = (np.flatnonzero(bases != NONE) for bases in (columns.ref, columns.alt))
        width = max(len(of_ref), len(of_alt))
        column_of = np.stack([np.resize(of_ref, width), np.resize(of_alt, width)])
        haplotype = sites.row % 2
        return cls(column_of[haplotype, sites.start], column_of[haplotype, sites.end - 1])


def _match(sites: Sites, i: int, spans: _Spans) -> Match:
    values = float(sites.score[i]), float(sites.p[i]), "-" if sites.reverse[i] else "+"
    return Match(*values, int(spans.first[i]) - AROUND, int(spans.last[i]) - AROUND)


def _best(sites: Sites, spans: _Spans, motif: int, row: int) -> Match:
    """Return the best site of a motif in a row; ties go to the first, forward strand first."""
    index = np.flatnonzero((sites.motif == motif) & (sites.row == row))
    if not len(index):
        return Match(math.nan, 1.0, ".", 0, 0)
    order = np.lexsort((sites.reverse[index], sites.start[index], -sites.score[index]))
    return _match(sites, int(index[order[0]]), spans)


def _ranked(pairs: Sequence[Instance], cover: Cover) -> Iterator[Instance]:
    """Yield the covered instances: changed ones first, then by p-value."""
    places = np.array([(m.better.first, m.better.last) for m in pairs], np.int64).reshape(-1, 2)
    covers = cover.of(*(AROUND + places.T))

    def order(i: int) -> tuple[object, ...]:
        pair = pairs[i]
        unchanged = pair.change == "unchanged"
        return unchanged, pair.better.p, -covers[i], pair.start, pair.motif.name

    for i in sorted(np.flatnonzero(covers >= COVERED).tolist(), key=order):
        yield pairs[i]._replace(cover=float(covers[i]))
