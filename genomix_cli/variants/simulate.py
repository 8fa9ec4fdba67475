"""A genome with a ground truth: sequence, tracks, contacts, and variants of known probability.

Everything is drawn, contig by contig, from this model (lengths in bp unless said otherwise;
U uniform, LN lognormal).

Domains
    The contig is cut into domains whose boundaries lie on the 5-kb grid; length = 5000 round(x / 5000),
    x ~ LN(ln 45000, 0.3) within [20000, 90000]. A domain is active with probability 1/2.
Elements
    One in 90 % of the 5-kb slots, at a uniform place at least 200 from the slot's ends. 1 or 2 per
    domain are promoters, width U(300, 500); the others are enhancers, width U(300, 600). An
    element is open with probability 0.85 in an active domain and 0.25 elsewhere; an open promoter
    is active. Its strength is A ~ LN(0, 0.35).
Sequence
    Random bases; GC ~ U(0.36, 0.54), drawn anew about every 10 kb. Every element, open or closed,
    holds 3 to 5 motif sites (either strand, uniform over the motifs, drawn from their matrices),
    and every 500 bp of background one decoy site: motifs alone do not tell what is open.
Tracks (50-bp bins with centre x; element with centre m, half-width h, d = |x - m|)
    core(x) = 1 / (1 + exp((d - h) / 30)),  flank(x) = exp(-((d - h - 120) / 120)^2 / 2)
    ATAC     = sum over open elements 12 A core
    H3K27ac  = sum over open enhancers 8 A (flank + 0.3 core) + over active promoters 5 A (...)
    H3K4me3  = sum over active promoters 12 A (flank + core / 2) + over open enhancers 0.8 A flank
    TF       = sum over that TF's sites in open elements 8 exp(-(x - site)^2 / (2 60^2))
    To each track come spurious peaks (1 per 8 kb, height U(1, 4), Gaussian of sd 150).
    Signal = Poisson((1 + mean) g), g ~ Gamma(shape 5, mean 1), independent per bin.
    Unmeasured: about 2 stretches per Mb of 100 to 3000 (log-uniform) and one of 5000 to 10000 per
    contig and track.
Contacts (5-kb bins i <= j, j - i < 40)
    count ~ Poisson(400 / (1 + j - i) * exp(0.35 in one domain, else -1.6))
Variants
    About `variants_per_kb` sites: 45 % in a planted site (4 in 5 of them in elements, 1 in 5
    decoys), 25 % in an element, the rest anywhere; about 5 % deletions and 5 % insertions of 1 to
    10 bp (left-aligned), 4 % with two ALTs, else SNVs.
Label
    For each ALT, hits are the motif sites on either strand that touch the allele and score above
    their motif's threshold (bits of log-odds; `Motif.threshold`). The motif is the one whose best
    hit on REF exceeds its threshold most, and
        delta = max(0, best score on REF - best score on ALT)      (that motif, touching the allele)
        brk   = 1 / (1 + exp(-(delta - 3) / 0.6));  0 where REF has no hit
        p     = 0.02 + 0.94 brk open (1 if contact else 0.25)
        label ~ Bernoulli(p)
    open: POS lies in an open element. contact: an active promoter lies in the domain of POS.
    p is the Bayes-optimal score, so its AUROC and AUPRC are the ceiling of any model.

The same seed and version give the same bytes. Every contig and stage has its own random stream.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.config import to_dict
from genomix_cli.errors import UsageError
from genomix_cli.genome.alphabet import reverse_complement
from genomix_cli.genome.motifs import (
    Motif,
    best_scores,
    check_widths,
    default_motifs,
    read_meme,
)
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance, atomic_path

log = logging.getLogger("genomix")

BIN = 50
CONTACT_BIN = 5000
CONTACT_BAND = 40
MIN_CONTIG = 100_000
MAX_VARIANTS_PER_KB = 20.0
MAX_MOTIF_WIDTH = 50
MAX_INDEL = 10
FORMAT = "genomix-simulated-genome"

#: Name to number of contigs and their length.
SIZES = {
    "tiny": (2, 300_000),
    "small": (4, 1_000_000),
    "medium": (6, 5_000_000),
    "large": (10, 10_000_000),
}

_MIN_DOMAIN, _MAX_DOMAIN = 20_000, 90_000
_SLOT = 5000
_DECOY_EVERY = 500
_MARGIN = 100
_EMPTY = 4


@dataclass(frozen=True)
class SimulationRequest:
    """What to simulate.

    Attributes
    ----------
    out_dir : Path
        Folder to create.
    contigs : int
        Number of contigs, called chr1, chr2, ...
    contig_length : int
        Length of each (bp), at least 100 kb.
    variants_per_kb : float
        Sites per 1000 bp.
    motifs : Path, optional
        MEME file; the twelve default families otherwise.
    seed : int
    force : bool
        Replace an earlier simulated genome.
    """

    out_dir: Path
    contigs: int = 2
    contig_length: int = 300_000
    variants_per_kb: float = 4.0
    motifs: Path | None = None
    seed: int = 0
    force: bool = False

    @property
    def lengths(self) -> dict[str, int]:
        """Contig name to length (bp)."""
        return {f"chr{i + 1}": self.contig_length for i in range(self.contigs)}


class Domains(NamedTuple):
    """Contact domains of a contig.

    Attributes
    ----------
    start, end : int64[n]
    active : bool[n]
        Whether elements open easily here.
    contact : bool[n]
        Whether the domain holds an active promoter.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    active: NDArray[np.bool_]
    contact: NDArray[np.bool_]

    def at(self, position: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the domain that holds each position."""
        return np.searchsorted(self.start, position, side="right") - 1


class Elements(NamedTuple):
    """Enhancers and promoters of a contig, in order and apart from each other.

    Attributes
    ----------
    start, end, domain : int64[n]
    promoter, open : bool[n]
    strength : float64[n]
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    domain: NDArray[np.int64]
    promoter: NDArray[np.bool_]
    open: NDArray[np.bool_]
    strength: NDArray[np.float64]

    def at(self, position: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the element that holds each position, -1 for none."""
        index = np.searchsorted(self.start, position, side="right") - 1
        return np.where((index >= 0) & (position < self.end[index]), index, -1)


class Sites(NamedTuple):
    """Planted motif sites of a contig.

    Attributes
    ----------
    start, end, motif : int64[n]
    element : int64[n]
        -1 for a decoy outside elements.
    reverse : bool[n]
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    motif: NDArray[np.int64]
    element: NDArray[np.int64]
    reverse: NDArray[np.bool_]


class Alleles(NamedTuple):
    """Alternate alleles, one row each; the rows of one record follow each other.

    Attributes
    ----------
    position : int64[n]
        POS (0-based) of the record.
    start, end : int64[n]
        The bases replaced, without the anchor base of an indel.
    inserted : uint8[n, 10]
        The bases put there, then 4.
    n_inserted : int64[n]
    """

    position: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    inserted: NDArray[np.uint8]
    n_inserted: NDArray[np.int64]


class MotifBreak(NamedTuple):
    """What each allele does to the best motif site of the reference.

    Attributes
    ----------
    delta : float32[n]
        Bits lost, 0 where nothing is.
    motif : int64[n]
        Index of the motif, -1 where REF has no hit.
    probability : float64[n]
        brk of the label rule.
    """

    delta: NDArray[np.float32]
    motif: NDArray[np.int64]
    probability: NDArray[np.float64]


class LabelledAlleles(NamedTuple):
    """Alleles with the latents, the true probability and the label of each.

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


class Contig(NamedTuple):
    """One simulated contig.

    Attributes
    ----------
    name : str
    codes : uint8[length]
    domains : Domains
    elements : Elements
    sites : Sites
    signal : float32[4, bins]
        ATAC, H3K27ac, H3K4me3 and the TF; NaN where unmeasured.
    variants : LabelledAlleles
    """

    name: str
    codes: NDArray[np.uint8]
    domains: Domains
    elements: Elements
    sites: Sites
    signal: NDArray[np.float32]
    variants: LabelledAlleles


@dataclass(frozen=True)
class SimulationSummary:
    """What was written.

    Attributes
    ----------
    out_dir : Path
    counts : dict of str to int
        Bases, domains, elements, motif sites, records, alleles, positives.
    prevalence : float
        Share of alleles with label 1.
    auroc, auprc : float
        Of the true probability against the labels: the ceiling of any model (NaN with one class).
    auroc_by_contig : dict of str to float
    """

    out_dir: Path
    counts: dict[str, int]
    prevalence: float
    auroc: float
    auprc: float
    auroc_by_contig: dict[str, float]


class _Stage(IntEnum):
    """One random stream each, so that (say) more variants leave the genome as it is."""

    DOMAINS = 0
    ELEMENTS = 1
    SEQUENCE = 2
    SITES = 3
    TRACKS = 4
    CONTACTS = 5
    VARIANTS = 6


def simulate_genome(request: SimulationRequest) -> SimulationSummary:
    """Simulate a genome into ``request.out_dir``.

    Raises
    ------
    UsageError
        If the request makes no sense, the parent folder is absent, or the folder exists and
        `force` is not set (or it holds something else).
    DataError
        If the motif file cannot be read.
    MissingExtraError
        Without cooler (extra ``hic``).
    """
    from genomix_cli.variants import simulate_files as files

    _check(request)
    motifs = _motifs(request)
    files.require_cooler()
    with atomic_path(request.out_dir, force=request.force) as folder:
        folder.mkdir()
        domains: list[Domains] = []
        with files.GenomeFiles(folder, request.lengths, motifs) as out:
            for index in track(range(request.contigs), "simulating contigs"):
                contig = simulate_contig(request, index, motifs)
                domains.append(contig.domains)
                out.write(contig)
        files.write_contacts(
            folder / "contacts.cool",
            request.lengths,
            (draw_contacts(_rng(request, i, _Stage.CONTACTS), d) for i, d in enumerate(domains)),
        )
        summary = _summarise(request, out)
        files.write_settings(folder, tf_name(motifs))
        _write_manifest(folder / "manifest.json", request, motifs, summary)
    return summary


def simulate_contig(request: SimulationRequest, index: int, motifs: tuple[Motif, ...]) -> Contig:
    """Draw contig number `index` of a request."""
    name, length = list(request.lengths.items())[index]
    domains, elements = draw_layout(
        _rng(request, index, _Stage.DOMAINS), _rng(request, index, _Stage.ELEMENTS), length
    )
    codes = draw_sequence(_rng(request, index, _Stage.SEQUENCE), length)
    rng = _rng(request, index, _Stage.SITES)
    sites = draw_sites(rng, elements, length, motifs)
    plant(rng, codes, sites, motifs)
    in_tf = sites.motif == tf_index(motifs)
    signal = draw_signal(
        _rng(request, index, _Stage.TRACKS), elements, _select(sites, in_tf), length
    )
    rng = _rng(request, index, _Stage.VARIANTS)
    alleles = draw_alleles(rng, codes, elements, sites, request.variants_per_kb)
    variants = label(rng, codes, alleles, domains, elements, motifs)
    return Contig(name, codes, domains, elements, sites, signal, variants)


def draw_layout(
    rng: np.random.Generator, elements_rng: np.random.Generator, length: int
) -> tuple[Domains, Elements]:
    """Domains, and the elements in them."""
    draws = rng.lognormal(np.log(45_000), 0.3, length // _MIN_DOMAIN + 1)
    grid = CONTACT_BIN * np.round(draws.clip(_MIN_DOMAIN, _MAX_DOMAIN) / CONTACT_BIN)
    ends = grid.cumsum().astype(np.int64)
    start = np.concatenate([[0], ends[ends <= length - _MIN_DOMAIN]])
    active = rng.random(len(start)) < 0.5
    end = np.append(start[1:], length)
    domains = Domains(start, end, active, np.zeros(len(start), bool))
    elements = _draw_elements(elements_rng, domains, length)
    domains.contact[elements.domain[elements.promoter & elements.open]] = True
    return domains, elements


def _draw_elements(rng: np.random.Generator, domains: Domains, length: int) -> Elements:
    slot = np.arange(length // _SLOT, dtype=np.int64) * _SLOT
    slot = slot[rng.random(len(slot)) < 0.9]
    n = len(slot)
    domain = domains.at(slot)
    promoter = _rank_within(domain, rng.random(n)) < rng.integers(1, 3, len(domains.start))[domain]
    width = np.where(promoter, rng.integers(300, 501, n), rng.integers(300, 601, n))
    start = slot + 200 + (rng.random(n) * (_SLOT - 400 - width)).astype(np.int64)
    is_open = rng.random(n) < np.where(domains.active[domain], 0.85, 0.25)
    return Elements(start, start + width, domain, promoter, is_open, rng.lognormal(0, 0.35, n))


def _rank_within(group: NDArray[np.int64], key: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank of each key among those of its group; groups are sorted."""
    rank = np.empty(len(group), np.int64)
    rank[np.lexsort((key, group))] = np.arange(len(group)) - np.searchsorted(group, group)
    return rank


def draw_sequence(rng: np.random.Generator, length: int) -> NDArray[np.uint8]:
    """Random bases with regional GC, uint8[length]."""
    n = length // 2000 + 2
    ends = rng.lognormal(np.log(10_000), 0.4, n).clip(2000).cumsum().astype(np.int64)
    lengths = np.diff(np.minimum(np.concatenate([[0], ends]), length))
    gc = np.repeat(rng.uniform(0.36, 0.54, n).astype(np.float32), lengths)
    strong = rng.random(length, np.float32) < gc
    second = rng.integers(0, 2, length, np.uint8)
    # A0 T3 are weak, C1 G2 strong.
    return np.where(strong, 1 + second, 3 * second).astype(np.uint8)


def draw_sites(
    rng: np.random.Generator, elements: Elements, length: int, motifs: tuple[Motif, ...]
) -> Sites:
    """Where which motif is planted: 3 to 5 sites per element, a decoy per 500 bp elsewhere."""
    widths = np.array([motif.width for motif in motifs])
    count = rng.integers(3, 6, len(elements.start))
    element = np.repeat(np.arange(len(count)), count)
    nth = np.arange(len(element)) - np.searchsorted(element, element)
    cell = ((elements.end - elements.start - 40) / count)[element]
    origin = elements.start[element] + 20 + nth * cell

    decoys = np.arange(length // _DECOY_EVERY) * float(_DECOY_EVERY)
    origin = np.concatenate([origin, decoys])
    cell = np.concatenate([cell, np.full(len(decoys), float(_DECOY_EVERY))])
    element = np.concatenate([element, np.full(len(decoys), -1)])

    motif = rng.integers(0, len(motifs), len(origin))
    start = (origin + rng.random(len(origin)) * (cell - widths[motif])).astype(np.int64)
    reverse = rng.random(len(origin)) < 0.5
    sites = Sites(start, start + widths[motif], motif, element, reverse)
    return _select(sites, (element >= 0) | ~_near_element(sites, elements))


def _near_element(sites: Sites, elements: Elements, margin: int = 20) -> NDArray[np.bool_]:
    following = np.searchsorted(elements.end, sites.start - margin, side="right")
    starts = np.append(elements.start, np.iinfo(np.int64).max)
    return starts[following] < sites.end + margin


def _select(sites: Sites, keep: NDArray[np.bool_]) -> Sites:
    return Sites(*(column[keep] for column in sites))


def plant(
    rng: np.random.Generator, codes: NDArray[np.uint8], sites: Sites, motifs: tuple[Motif, ...]
) -> None:
    """Write a draw of each site's motif into `codes`, in place."""
    for index, motif in enumerate(motifs):
        rows = np.flatnonzero(sites.motif == index)
        words = motif.sample(rng, len(rows))
        backwards = reverse_complement(words.ravel()).reshape(words.shape)[::-1]
        words = np.where(sites.reverse[rows, None], backwards, words)
        codes[sites.start[rows, None] + np.arange(motif.width)] = words


def draw_signal(
    rng: np.random.Generator, elements: Elements, tf_sites: Sites, length: int
) -> NDArray[np.float32]:
    """Signal of the four tracks, float32[4, bins]; NaN where unmeasured."""
    n_bins = -(-length // BIN)
    mean = _mean_signal(elements, tf_sites, n_bins)
    for row in mean:
        n = rng.poisson(length / 8000)
        height = rng.uniform(1, 4, n)
        _add_peaks(row, rng.uniform(0, length, n), lambda d, h=height: h * _gauss(d, 150))
    # Poisson of a Gamma-distributed mean: counts overdispersed as in real coverage.
    noise = rng.standard_gamma(5.0, mean.shape) / 5.0
    signal = rng.poisson((1 + mean) * noise).astype(np.float32)
    for row in signal:
        _blank(rng, row, length)
    return signal


def _mean_signal(elements: Elements, tf_sites: Sites, n_bins: int) -> NDArray[np.float64]:
    atac, k27ac, k4me3, tf = mean = np.zeros((4, n_bins))
    for promoter in (False, True):
        which = elements.open & (elements.promoter == promoter)
        centre = (elements.start[which] + elements.end[which]) / 2
        half = (elements.end[which] - elements.start[which]) / 2
        strength = elements.strength[which]

        def core(d: NDArray[np.float64], h: Any = half, a: Any = strength) -> Any:
            return a / (1 + np.exp((d - h) / 30))

        def flank(d: NDArray[np.float64], h: Any = half, a: Any = strength) -> Any:
            return a * _gauss(d - h - 120, 120)

        _add_peaks(atac, centre, lambda d: 12 * core(d))
        if promoter:
            _add_peaks(k27ac, centre, lambda d: 5 * (flank(d) + 0.3 * core(d)))
            _add_peaks(k4me3, centre, lambda d: 12 * (flank(d) + 0.5 * core(d)))
        else:
            _add_peaks(k27ac, centre, lambda d: 8 * (flank(d) + 0.3 * core(d)))
            _add_peaks(k4me3, centre, lambda d: 0.8 * flank(d))
    bound = (tf_sites.element >= 0) & elements.open[tf_sites.element]
    centre = (tf_sites.start[bound] + tf_sites.end[bound]) / 2
    _add_peaks(tf, centre, lambda d: 8 * _gauss(d, 60))
    return mean


def _gauss(d: Any, sd: float) -> Any:
    return np.exp(-0.5 * (d / sd) ** 2)


def _add_peaks(row: NDArray[np.float64], centre: NDArray[np.float64], shape: Any) -> None:
    """Add ``shape(distance to the centre)`` to the bins within 1 kb of each centre, in place.

    `shape` takes float64[offsets, peaks], so that what belongs to a peak broadcasts.
    """
    offsets = np.arange(-20, 21)[:, None]
    bins = (centre / BIN).astype(np.int64) + offsets
    value = shape(np.abs((bins + 0.5) * BIN - centre))
    inside = (bins >= 0) & (bins < len(row))
    row += np.bincount(bins[inside], value[inside], len(row))


def _blank(rng: np.random.Generator, row: NDArray[np.float32], length: int) -> None:
    """Leave stretches unmeasured, in place: short ones, and one long."""
    n = rng.poisson(2 * length / 1e6)
    short = np.exp(rng.uniform(np.log(100), np.log(3000), n))
    width = np.append(short, rng.uniform(5000, 10_000))
    first = rng.integers(0, len(row), n + 1)
    for start, bins in zip(first, np.maximum(np.round(width / BIN), 2).astype(np.int64)):
        row[start : start + bins] = np.nan


class Pixels(NamedTuple):
    """Contacts of a contig.

    Attributes
    ----------
    bin1, bin2 : int64[n]
        5-kb bins from the contig's start, bin1 <= bin2, sorted.
    count : int32[n]
        At least 1.
    """

    bin1: NDArray[np.int64]
    bin2: NDArray[np.int64]
    count: NDArray[np.int32]


def draw_contacts(rng: np.random.Generator, domains: Domains) -> Pixels:
    """Draw the contact counts of a contig within the band."""
    n = -(-int(domains.end[-1]) // CONTACT_BIN)
    bin1 = np.repeat(np.arange(n), CONTACT_BAND)
    distance = np.tile(np.arange(CONTACT_BAND), n)
    bin2 = bin1 + distance
    bin1, bin2, distance = (column[bin2 < n] for column in (bin1, bin2, distance))
    domain = domains.at(np.arange(n) * CONTACT_BIN)
    enrichment = np.where(domain[bin1] == domain[bin2], 0.35, -1.6)
    count = rng.poisson(400 / (1 + distance) * np.exp(enrichment)).astype(np.int32)
    seen = count > 0
    return Pixels(bin1[seen], bin2[seen], count[seen])


def draw_alleles(
    rng: np.random.Generator,
    codes: NDArray[np.uint8],
    elements: Elements,
    sites: Sites,
    per_kb: float,
) -> Alleles:
    """Draw variants, sorted by position, one record per position."""
    position = _draw_positions(rng, len(codes), elements, sites, per_kb)
    n = len(position)
    kind = rng.choice(5, n, p=_KIND_SHARES)
    size = rng.integers(1, MAX_INDEL + 1, n)
    # A deletion that could be shifted to the left is not written as VCF wants it.
    shiftable = codes[position] == codes[position + size]
    kind[(kind == _Kind.DELETION) & shiftable] = _Kind.SNV
    first = _first_allele(rng, codes, position, kind, size)
    second = _second_allele(rng, codes, position, kind, size, first)
    both = Alleles(*(np.concatenate(pair) for pair in zip(first, second)))
    order = np.argsort(both.position, kind="stable")
    return Alleles(*(column[order] for column in both))


class _Kind(IntEnum):
    SNV = 0
    DELETION = 1
    INSERTION = 2
    TWO_SNVS = 3
    SNV_AND_INSERTION = 4


_KIND_SHARES = (0.84, 0.07, 0.05, 0.02, 0.02)


def _draw_positions(
    rng: np.random.Generator, length: int, elements: Elements, sites: Sites, per_kb: float
) -> NDArray[np.int64]:
    n = round(length / 1000 * per_kb)
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
        rng.integers(0, length, n - in_site - in_element),
    ]
    position = np.unique(np.concatenate(parts))
    return position[(position >= _MARGIN) & (position < length - _MARGIN)]


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
    """The other ALT of the records that have two: another base, or an insertion."""
    reference = codes[position]
    # Of the two bases that are neither REF nor the first ALT, one at random.
    step = (first.inserted[:, 0] - reference) % 4
    other = (reference + (step + rng.integers(0, 2, len(step), np.uint8)) % 3 + 1) % 4
    snv, insertion = kind == _Kind.TWO_SNVS, kind == _Kind.SNV_AND_INSERTION
    inserted = _draw_insertions(rng, reference, size)
    inserted[snv] = _EMPTY
    inserted[snv, 0] = other[snv]
    start = np.where(snv, position, position + 1)
    allele = Alleles(position, start, start + snv, inserted, np.where(snv, 1, size))
    return Alleles(*(column[snv | insertion] for column in allele))


def _draw_insertions(
    rng: np.random.Generator, anchor: NDArray[np.uint8], size: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Random bases, uint8[n, 10], whose last differs from the anchor (else it could be shifted)."""
    n = len(anchor)
    bases = rng.integers(0, 4, (n, MAX_INDEL), np.uint8)
    bases[np.arange(n), size - 1] = (anchor + rng.integers(1, 4, n, np.uint8)) % 4
    bases[np.arange(MAX_INDEL) >= size[:, None]] = _EMPTY
    return bases


def label(
    rng: np.random.Generator,
    codes: NDArray[np.uint8],
    alleles: Alleles,
    domains: Domains,
    elements: Elements,
    motifs: tuple[Motif, ...],
) -> LabelledAlleles:
    """Apply the label rule of the module's docstring."""
    broken = motif_break(codes, alleles, motifs)
    element = elements.at(alleles.position)
    is_open = (element >= 0) & elements.open[element]
    contact = domains.contact[domains.at(alleles.position)]
    p = probability(broken.probability, is_open, contact)
    return LabelledAlleles(alleles, broken, is_open, contact, p, rng.random(len(p)) < p)


def probability(
    broken: NDArray[np.float64], is_open: NDArray[np.bool_], contact: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """p = 0.02 + 0.94 brk open (1 if contact else 0.25)."""
    return 0.02 + 0.94 * broken * is_open * np.where(contact, 1.0, 0.25)


def motif_break(
    codes: NDArray[np.uint8], alleles: Alleles, motifs: tuple[Motif, ...]
) -> MotifBreak:
    """Rescan both haplotypes around each allele.

    Parameters
    ----------
    codes : uint8[length]
        The contig.
    alleles : Alleles
        At least 100 bp from the contig's ends.
    motifs : tuple of Motif
    """
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
    hit = margin[rows, best] > 0
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
    """`flank` bases, the first `n_middle` of `middle`, `flank` bases, then 4: uint8[n, 2 flank + 10]."""
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


def tf_index(motifs: tuple[Motif, ...]) -> int:
    """The motif whose binding the fourth track measures: CTCF, or the first where there is none."""
    names = [motif.name.upper() for motif in motifs]
    return names.index("CTCF") if "CTCF" in names else 0


def tf_name(motifs: tuple[Motif, ...]) -> str:
    """Name of the fourth track, fit for a file name."""
    name = motifs[tf_index(motifs)].name
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)


def auroc(label: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Area under the ROC curve (ties count half); NaN with one class."""
    n_positive = int(label.sum())
    n_negative = len(label) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (counts.cumsum() - (counts - 1) / 2)[inverse]
    wins = rank[label].sum() - n_positive * (n_positive + 1) / 2
    return float(wins / (n_positive * n_negative))


def auprc(label: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Average precision (tied scores enter together); NaN without positives."""
    if not label.any():
        return float("nan")
    values, inverse = np.unique(-score, return_inverse=True)
    positives = np.bincount(inverse, label, len(values))
    called = np.bincount(inverse, minlength=len(values)).cumsum()
    return float((positives * positives.cumsum() / called).sum() / label.sum())


def _rng(request: SimulationRequest, contig: int, stage: _Stage) -> np.random.Generator:
    return np.random.default_rng([request.seed, contig, stage])


def _check(request: SimulationRequest) -> None:
    for option, value, low, high in (
        ("--contigs", request.contigs, 1, 10_000),
        ("--contig-length", request.contig_length, MIN_CONTIG, 500_000_000),
        ("--variants-per-kb", request.variants_per_kb, 0.01, MAX_VARIANTS_PER_KB),
    ):
        if not low <= value <= high:
            raise UsageError(
                "out of range", where=option, expected=f"{low:,} to {high:,}", found=f"{value:,}"
            )
    ours = request.out_dir / "manifest.json"
    if request.force and request.out_dir.exists() and not _is_simulated(ours):
        raise UsageError(
            "is not a simulated genome, so --force does not replace it", where=request.out_dir
        )


def _is_simulated(manifest: Path) -> bool:
    try:
        return bool(json.loads(manifest.read_text()).get("format") == FORMAT)
    except (OSError, ValueError, AttributeError):
        return False


def _motifs(request: SimulationRequest) -> tuple[Motif, ...]:
    if request.motifs is None:
        return default_motifs()
    motifs = read_meme(request.motifs)
    check_widths(motifs, MAX_MOTIF_WIDTH, request.motifs)
    return motifs


def _summarise(request: SimulationRequest, out: Any) -> SimulationSummary:
    labels, scores = out.labels, out.probabilities
    label_all = np.concatenate(list(labels.values()))
    score_all = np.concatenate(list(scores.values()))
    counts = dict(out.counts) | {"alleles": len(label_all), "positives": int(label_all.sum())}
    return SimulationSummary(
        out_dir=request.out_dir,
        counts=counts,
        prevalence=float(label_all.mean()),
        auroc=auroc(label_all, score_all),
        auprc=auprc(label_all, score_all),
        auroc_by_contig={name: auroc(labels[name], scores[name]) for name in labels},
    )


def _write_manifest(
    path: Path, request: SimulationRequest, motifs: tuple[Motif, ...], summary: SimulationSummary
) -> None:
    config = {
        "contigs": request.contigs,
        "contig_length": request.contig_length,
        "variants_per_kb": request.variants_per_kb,
        "motifs": [motif.name for motif in motifs],
    }
    inputs = {} if request.motifs is None else {"motifs": request.motifs}
    manifest = {
        "format": FORMAT,
        "format_version": 1,
        "provenance": Provenance.of(config, inputs, request.seed).to_dict(),
        "contigs": request.lengths,
        "tracks": ["ATAC", "H3K27ac", "H3K4me3", tf_name(motifs)],
        "counts": summary.counts,
        "prevalence": _rounded(summary.prevalence),
        "bayes": {
            "auroc": _rounded(summary.auroc),
            "auprc": _rounded(summary.auprc),
            "auroc_by_contig": {k: _rounded(v) for k, v in summary.auroc_by_contig.items()},
        },
    }
    path.write_text(json.dumps(manifest, indent=2) + "\n")


def _rounded(value: float) -> float | None:
    """Six decimals; None (JSON has no NaN) where there is no value."""
    return None if np.isnan(value) else round(value, 6)
