"""Variants of a simulated genome, and the rule that labels them.

The rule is stated in :mod:`genomix_cli.variants.simulate.generative`, with the rest of the model.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome.motifs import Motif, best_scores
from genomix_cli.variants.simulate.generative import RULES, Contig, Rule

MAX_INDEL = 10

_MARGIN = 100
# Shift (bp) out of a motif site but mostly within its element, and by half a slot of elements.
_WITHIN, _BESIDE = 40, 2500
_EMPTY = 4


class Alleles(NamedTuple):
    """Alternate alleles, one per row; alleles of one record are adjacent.

    Attributes
    ----------
    position : int64[n]
        POS (0-based) of the record.
    start, end : int64[n]
        Bases replaced, without the anchor base of an indel.
    inserted : uint8[n, 10]
        Replacement bases, padded with 4.
    n_inserted : int64[n]
    """

    position: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    inserted: NDArray[np.uint8]
    n_inserted: NDArray[np.int64]


class MotifBreak(NamedTuple):
    """Effect of each allele on the best motif site of the reference.

    Attributes
    ----------
    delta : float32[n]
        Bits lost, at least 0.
    motif : int64[n]
        Index of the motif; -1 if REF has no hit.
    probability : float64[n]
        Term brk of the label rule.
    """

    delta: NDArray[np.float32]
    motif: NDArray[np.int64]
    probability: NDArray[np.float64]


class LabelledAlleles(NamedTuple):
    """Alleles with their latent state, true probability and label.

    Attributes
    ----------
    alleles : Alleles
    broken : MotifBreak
    open, contact : bool[n]
    probability : float64[n]
    label : bool[n]
    """

    alleles: Alleles
    broken: MotifBreak
    open: NDArray[np.bool_]
    contact: NDArray[np.bool_]
    probability: NDArray[np.float64]
    label: NDArray[np.bool_]


def draw_alleles(
    rng: np.random.Generator, contig: Contig, per_kb: float, placement: str = "balanced"
) -> Alleles:
    """Draw variants, sorted by position, one record per position.

    `placement` is one of `PLACEMENTS`; both are described in
    :mod:`genomix_cli.variants.simulate.generative`.
    """
    codes = contig.codes
    drawn = PLACEMENTS[placement](rng, contig, round(len(codes) / 1000 * per_kb))
    position = np.unique(drawn)
    position = position[(position >= _MARGIN) & (position < len(codes) - _MARGIN)]
    n = len(position)
    kind = rng.choice(len(_KIND_SHARES), n, p=_KIND_SHARES)
    size = rng.integers(1, MAX_INDEL + 1, n)
    # A deletion that can be shifted to the left is not left-aligned, as VCF normalisation requires.
    shiftable = codes[position] == codes[position + size]
    kind[(kind == _Kind.DELETION) & shiftable] = _Kind.SNV
    first = _first_allele(rng, codes, position, kind, size)
    second = _second_allele(rng, codes, position, kind, size, first)
    order = np.argsort(np.concatenate([first.position, second.position]), kind="stable")
    columns: Any = zip(first, second, strict=True)
    return Alleles(*(np.concatenate(pair)[order] for pair in columns))


class _Kind(IntEnum):
    SNV = 0
    DELETION = 1
    INSERTION = 2
    TWO_SNVS = 3
    SNV_AND_INSERTION = 4


_KIND_SHARES = (0.84, 0.07, 0.05, 0.02, 0.02)


def _balanced(rng: np.random.Generator, contig: Contig, n: int) -> NDArray[np.int64]:
    sites, elements = contig.sites, contig.elements
    # Shift all variants of a site to the same side, so that their pattern moves with them.
    within = rng.choice([-_WITHIN, _WITHIN], len(sites.start))
    beside = rng.choice([-_BESIDE, _BESIDE], len(elements.start))
    site = rng.choice(np.flatnonzero(sites.element >= 0), n)
    position = _uniform(rng, sites.start[site], sites.end[site])
    position += np.where(rng.random(n) < 0.5, within[site], 0)
    return position + np.where(rng.random(n) < 0.5, beside[sites.element[site]], 0)


def _at_sites(rng: np.random.Generator, contig: Contig, n: int) -> NDArray[np.int64]:
    sites, elements = contig.sites, contig.elements
    in_site, in_element = round(0.45 * n), round(0.25 * n)
    planted = np.flatnonzero(sites.element >= 0)
    decoys = np.flatnonzero(sites.element < 0)
    n_planted = round(0.8 * in_site)
    chosen = np.concatenate(
        [rng.choice(planted, n_planted), rng.choice(decoys, in_site - n_planted)]
    )
    element = rng.integers(0, len(elements.start), in_element)
    parts = [
        _uniform(rng, sites.start[chosen], sites.end[chosen]),
        _uniform(rng, elements.start[element], elements.end[element]),
        rng.integers(0, len(contig.codes), n - in_site - in_element),
    ]
    return np.concatenate(parts)


#: Functions that draw positions of about n variants, by the value of ``--placement``.
PLACEMENTS: dict[str, Callable[[np.random.Generator, Contig, int], NDArray[np.int64]]] = {
    "balanced": _balanced,
    "sites": _at_sites,
}


def _uniform(
    rng: np.random.Generator, start: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.int64]:
    return start + (rng.random(len(start)) * (end - start)).astype(np.int64)


def _first_allele(
    rng: np.random.Generator,
    codes: NDArray[np.uint8],
    position: NDArray[np.int64],
    kind: NDArray[np.int64],
    size: NDArray[np.int64],
) -> Alleles:
    substitution = (codes[position] + rng.integers(1, 4, len(position), np.uint8)) % 4
    inserted = _draw_insertions(rng, codes[position], size)
    deletion, insertion = kind == _Kind.DELETION, kind == _Kind.INSERTION
    snv = ~(deletion | insertion)
    inserted[deletion] = _EMPTY
    inserted[snv] = _EMPTY
    inserted[snv, 0] = substitution[snv]
    start = np.where(snv, position, position + 1)
    end = start + np.select([snv, deletion], [1, size], 0)
    return Alleles(position, start, end, inserted, np.select([snv, deletion], [1, 0], size))


def _second_allele(
    rng: np.random.Generator,
    codes: NDArray[np.uint8],
    position: NDArray[np.int64],
    kind: NDArray[np.int64],
    size: NDArray[np.int64],
    first: Alleles,
) -> Alleles:
    """Return the second ALT of records with two ALTs: another base, or an insertion."""
    reference = codes[position]
    # Choose one of the two bases that are neither REF nor the first ALT.
    step = (first.inserted[:, 0] - reference) % 4
    other = (reference + (step + rng.integers(0, 2, len(step), np.uint8)) % 3 + 1) % 4
    snv, insertion = kind == _Kind.TWO_SNVS, kind == _Kind.SNV_AND_INSERTION
    inserted = _draw_insertions(rng, reference, size)
    inserted[snv] = _EMPTY
    inserted[snv, 0] = other[snv]
    start = np.where(snv, position, position + 1)
    columns: Any = (position, start, start + snv, inserted, np.where(snv, 1, size))
    return Alleles(*(column[snv | insertion] for column in columns))


def _draw_insertions(
    rng: np.random.Generator, anchor: NDArray[np.uint8], size: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Draw left-aligned insertions, uint8[n, 10]; the last base differs from the anchor."""
    n = len(anchor)
    bases = rng.integers(0, 4, (n, MAX_INDEL), np.uint8)
    bases[np.arange(n), size - 1] = (anchor + rng.integers(1, 4, n, np.uint8)) % 4
    bases[np.arange(MAX_INDEL) >= size[:, None]] = _EMPTY
    return bases


def draw_labelled(
    rng: np.random.Generator,
    contig: Contig,
    per_kb: float,
    motifs: tuple[Motif, ...],
    rule: Rule = RULES["full"],
    placement: str = "balanced",
) -> LabelledAlleles:
    """Draw variants of a contig, `per_kb` sites per 1000 bp, and label them by the rule."""
    alleles = draw_alleles(rng, contig, per_kb, placement)
    broken = motif_break(contig.codes, alleles, motifs)
    element = contig.elements.at(alleles.position)
    is_open = (element >= 0) & contig.elements.open[element]
    contact = contig.domains.contact[contig.domains.at(alleles.position)]
    p = probability(broken.probability, is_open, contact, rule)
    return LabelledAlleles(alleles, broken, is_open, contact, p, rng.random(len(p)) < p)


def probability(
    broken: NDArray[np.float64],
    is_open: NDArray[np.bool_],
    contact: NDArray[np.bool_],
    rule: Rule = RULES["full"],
) -> NDArray[np.float64]:
    """Return 0.02 + 0.94 brk open (1 if contact else 0.25), rounded to six decimals as in the VCF.

    `rule` may leave out brk, and sets the factor without contact.
    """
    cause = broken * is_open if rule.motif else is_open.astype(np.float64)
    return np.round(0.02 + 0.94 * cause * np.where(contact, 1.0, rule.without_contact), 6)


def motif_break(
    codes: NDArray[np.uint8], alleles: Alleles, motifs: tuple[Motif, ...]
) -> MotifBreak:
    """Scan both haplotypes around each allele; alleles lie at least 100 bp from contig ends."""
    flank = max(motif.width for motif in motifs) - 1
    replaced = alleles.start[:, None] + np.arange(MAX_INDEL)
    n_replaced = alleles.end - alleles.start
    reference = _haplotypes(codes, alleles, codes[replaced], n_replaced, flank)
    alternate = _haplotypes(codes, alleles, alleles.inserted, alleles.n_inserted, flank)
    before = best_scores(reference, n_replaced, flank, motifs)
    after = best_scores(alternate, alleles.n_inserted, flank, motifs)

    rows = np.arange(len(before))
    margin = before - np.array([motif.threshold for motif in motifs], np.float32)
    best = margin.argmax(axis=1)
    hit = margin[rows, best] >= 0
    with np.errstate(invalid="ignore"):
        delta = np.maximum(before[rows, best] - after[rows, best], 0)
    delta = np.where(hit, delta, 0).astype(np.float32)
    brk = np.where(hit, 1 / (1 + np.exp(-(delta.astype(np.float64) - 3) / 0.6)), 0.0)
    return MotifBreak(delta, np.where(hit, best, -1), brk)


def _haplotypes(
    codes: NDArray[np.uint8],
    alleles: Alleles,
    middle: NDArray[np.uint8],
    n_middle: NDArray[np.int64],
    flank: int,
) -> NDArray[np.uint8]:
    """Return uint8[n, 2 flank + 10]: flank, `n_middle` of `middle`, flank, padded with 4."""
    column = np.arange(2 * flank + MAX_INDEL)
    after = column - flank - n_middle[:, None]
    left = alleles.start[:, None] - flank + column
    index = np.where(after < 0, left, alleles.end[:, None] + after)
    haplotypes = codes[index.clip(0, len(codes) - 1)]
    haplotypes[after >= flank] = _EMPTY
    inside = (column >= flank) & (after < 0)
    rows, columns = np.nonzero(inside)
    haplotypes[rows, columns] = middle[rows, columns - flank]
    return haplotypes
