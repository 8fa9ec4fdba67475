"""Generative model of simulated genomes, and the draws of everything except the variants.

Everything is drawn contig by contig from this model (lengths in bp unless stated otherwise; U is
uniform, LN lognormal).

Domains
    The contig is cut into domains whose boundaries lie on the 5-kb grid; their length is
    5000 round(x / 5000), x ~ LN(ln 45000, 0.3) within [20000, 90000]. A domain is active with
    probability 1/2.
Elements
    90 % of the 5-kb slots hold one element, at a uniform position at least 200 from the slot's
    ends. 1 or 2 per domain are promoters, width U(300, 500); the others are enhancers, width
    U(300, 600). An element is open with probability 0.8 in an active domain and 0.3 elsewhere; an
    open promoter is active. The strength of an element is A ~ LN(0, 0.35).
Sequence
    Random bases; GC ~ U(0.36, 0.54), redrawn about every 10 kb. Every element, open or closed, has
    3 to 5 motif sites (either strand, uniform over the motifs, drawn from their matrices), and
    every 500 bp of background has one decoy site. Motifs alone therefore do not reveal what is
    open.
Tracks (50-bp bins with centre x; element with centre m, half-width h, d = |x - m|)
    core(x) = 1 / (1 + exp((d - h) / 30)),  flank(x) = exp(-((d - h - 120) / 120)^2 / 2)
    ATAC     = sum over open elements 12 A core
    H3K27ac  = sum over open enhancers 8 A (flank + 0.3 core) + over active promoters 5 A (...)
    H3K4me3  = sum over active promoters 12 A (flank + core / 2) + over open enhancers 0.8 A flank
    TF       = sum over that TF's sites in open elements 8 exp(-(x - site)^2 / (2 60^2))
    Spurious peaks are added to each track (1 per 8 kb, height U(1, 4), Gaussian of sd 150).
    Signal = Poisson((1 + mean) g), g ~ Gamma(shape 5, mean 1), independent per bin.
    Unmeasured are about 2 intervals per Mb of 100 to 3000 (log-uniform), and one of 5000 to 10000
    per contig and track.
Contacts (5-kb bins i <= j, j - i < 40)
    count ~ Poisson(400 / (1 + j - i) * exp(0.35 in one domain, else -1.6))
Variants
    About `variants_per_kb` sites. With the placement `balanced`, each is drawn in a planted motif
    site. Then half of all are moved by 40, those of one site to the same side, and half by 2500,
    those of one element to the same side. Where variants are dense, they are therefore as likely
    beside a site as in it, and beside an element as in it, so positions alone say little about the
    labels. With the placement `sites`, used for test_data and the genome of `gmt-mini-sim`, 45 %
    are in a motif site (4 in 5 of them in elements, 1 in 5 decoys), 25 % in an element and the rest
    anywhere, and positions alone reach an AUROC of .76. About 5 % are deletions and 5 % insertions
    of 1 to 10 bp (left-aligned), 4 % have two ALTs, and the rest are SNVs.
Label
    For each ALT, hits are the motif sites on either strand that touch the allele and reach their
    motif's threshold (bits of log-odds; `Motif.threshold`). The motif is the one whose best
    hit on REF exceeds its threshold most, and
        delta = max(0, best score on REF - best score on ALT)      (that motif, touching the allele)
        brk   = 1 / (1 + exp(-(delta - 3) / 0.6));  0 where REF has no hit
        p     = 0.02 + 0.94 brk open (1 if contact else 0.25)
        label ~ Bernoulli(p)
    open: POS lies in an open element. contact: an active promoter lies in the domain of POS.
    This is the rule `full`. The rule `contact` measures the value of a contact map: no motif has to
    be broken (brk = 1), p = 0.02 without contact, and a promoter is active with probability 0.35
    whatever its domain, so about half of the open elements lie in a domain without an active one.
    p is the Bayes-optimal score: its AUROC and AUPRC are the ceiling of any model. Many alleles
    share the same p. For AUPRC these ties are broken at random, as in any real-valued score
    (entering ties together would put the ceiling about .015 too low).

The same seed and version give the same bytes. Every contig and stage has its own random stream.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genomix_cli.genome.alphabet import reverse_complement
from genomix_cli.genome.contacts import BIN as CONTACT_BIN
from genomix_cli.genome.motifs import Motif
from genomix_cli.genome.signal import BIN_SIZE as BIN

CONTACT_BAND = 40

_MIN_DOMAIN, _MAX_DOMAIN = 20_000, 90_000
_SLOT = 5000
_DECOY_EVERY = 500


class Stage(IntEnum):
    """Stages of the simulation, each with its own random stream."""

    DOMAINS = 0
    ELEMENTS = 1
    SEQUENCE = 2
    SITES = 3
    TRACKS = 4
    CONTACTS = 5
    VARIANTS = 6
    TIES = 7


class Rule(NamedTuple):
    """Rule for the probability of a label; see the module docstring.

    Attributes
    ----------
    motif : bool
        True if a motif has to be broken.
    without_contact : float
        Factor on the probability if no active promoter lies in the domain.
    active_promoters : float, optional
        Probability that a promoter is active; None means that of any element in its domain.
    """

    motif: bool = True
    without_contact: float = 0.25
    active_promoters: float | None = None

    def formula(self) -> str:
        """Return the probability in terms of the VCF's INFO keys."""
        return (
            f"0.02 + 0.94 * {'BREAK * ' * self.motif}OPEN * "
            f"(1 if CONTACT else {self.without_contact:g})"
        )


#: Rules by the value of ``--rule``.
RULES = {"full": Rule(), "contact": Rule(False, 0.0, 0.35)}


class Domains(NamedTuple):
    """Contact domains of a contig.

    Attributes
    ----------
    start, end : int64[n]
    active : bool[n]
        True if elements are likely to be open.
    contact : bool[n]
        True if the domain contains an active promoter.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    active: NDArray[np.bool_]
    contact: NDArray[np.bool_]

    def at(self, position: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the index of the domain that contains each position."""
        return np.searchsorted(self.start, position, side="right") - 1


class Elements(NamedTuple):
    """Enhancers and promoters of a contig, sorted and disjoint.

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
        """Return the index of the element that contains each position, or -1."""
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
    """

    name: str
    codes: NDArray[np.uint8]
    domains: Domains
    elements: Elements
    sites: Sites
    signal: NDArray[np.float32]


def stream(seed: int, contig: int, stage: Stage) -> np.random.Generator:
    """Return the random generator of one stage of one contig."""
    return np.random.default_rng([seed, contig, stage])


def draw_contig(
    name: str, length: int, motifs: tuple[Motif, ...], seed: int, index: int, rule: Rule
) -> Contig:
    """Draw contig number `index`."""
    domains, elements = draw_layout(
        stream(seed, index, Stage.DOMAINS),
        stream(seed, index, Stage.ELEMENTS),
        length,
        rule.active_promoters,
    )
    codes = draw_sequence(stream(seed, index, Stage.SEQUENCE), length)
    rng = stream(seed, index, Stage.SITES)
    sites = draw_sites(rng, elements, length, motifs)
    plant(rng, codes, sites, motifs)
    tf_sites = _select(sites, sites.motif == tf_index(motifs))
    signal = draw_signal(stream(seed, index, Stage.TRACKS), elements, tf_sites, length)
    return Contig(name, codes, domains, elements, sites, signal)


def draw_layout(
    rng: np.random.Generator,
    elements_rng: np.random.Generator,
    length: int,
    active_promoters: float | None = None,
) -> tuple[Domains, Elements]:
    """Draw domains and their elements; see `Rule` for `active_promoters`."""
    draws = rng.lognormal(np.log(45_000), 0.3, length // _MIN_DOMAIN + 1)
    grid = CONTACT_BIN * np.round(draws.clip(_MIN_DOMAIN, _MAX_DOMAIN) / CONTACT_BIN)
    ends = grid.cumsum().astype(np.int64)
    start = np.concatenate([[0], ends[ends <= length - _MIN_DOMAIN]])
    active = rng.random(len(start)) < 0.5
    end = np.append(start[1:], length)
    domains = Domains(start, end, active, np.zeros(len(start), bool))
    elements = _draw_elements(elements_rng, domains, length)
    if active_promoters is not None:
        active_now = elements_rng.random(len(elements.open)) < active_promoters
        is_open = np.where(elements.promoter, active_now, elements.open)
        elements = elements._replace(open=is_open)
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
    is_open = rng.random(n) < np.where(domains.active[domain], 0.8, 0.3)
    return Elements(start, start + width, domain, promoter, is_open, rng.lognormal(0, 0.35, n))


def _rank_within(group: NDArray[np.int64], key: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the rank of each key within its group; `group` must be sorted."""
    rank = np.empty(len(group), np.int64)
    rank[np.lexsort((key, group))] = np.arange(len(group)) - np.searchsorted(group, group)
    return rank


def draw_sequence(rng: np.random.Generator, length: int) -> NDArray[np.uint8]:
    """Draw random bases with regional GC content, uint8[length]."""
    n = length // 2000 + 2
    ends = rng.lognormal(np.log(10_000), 0.4, n).clip(2000).cumsum().astype(np.int64)
    lengths = np.diff(np.minimum(np.concatenate([[0], ends]), length))
    gc = np.repeat(rng.uniform(0.36, 0.54, n).astype(np.float32), lengths)
    strong = rng.random(length, np.float32) < gc
    second = rng.integers(0, 2, length, np.uint8)
    # Codes: A = 0 and T = 3 pair weakly, C = 1 and G = 2 strongly.
    return np.where(strong, 1 + second, 3 * second).astype(np.uint8)


def draw_sites(
    rng: np.random.Generator, elements: Elements, length: int, motifs: tuple[Motif, ...]
) -> Sites:
    """Draw motif sites: 3 to 5 per element, and a decoy per 500 bp elsewhere."""
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
    columns: Any = sites
    return Sites(*(column[keep] for column in columns))


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
    """Draw the signal of the four tracks, float32[4, bins]; NaN where unmeasured."""
    n_bins = -(-length // BIN)
    mean = _mean_signal(elements, tf_sites, n_bins)
    for row in mean:
        n = rng.poisson(length / 8000)
        height = rng.uniform(1, 4, n)
        _add_peaks(row, rng.uniform(0, length, n), lambda d, h=height: h * _gauss(d, 150))
    # A Gamma-distributed mean makes the counts overdispersed, like real coverage.
    noise = rng.standard_gamma(5.0, mean.shape) / 5.0
    signal = rng.poisson((1 + mean) * noise).astype(np.float32)
    for row in signal:
        _blank(rng, row, length)
    return signal


def _mean_signal(elements: Elements, tf_sites: Sites, n_bins: int) -> NDArray[np.float64]:
    atac, k27ac, k4me3, tf = mean = np.zeros((4, n_bins))
    for promoter in (False, True):
        rows = elements.open & (elements.promoter == promoter)
        centre = (elements.start[rows] + elements.end[rows]) / 2
        half = (elements.end[rows] - elements.start[rows]) / 2
        strength = elements.strength[rows]

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

    `shape` takes float64[offsets, peaks], so that parameters per peak broadcast.
    """
    offsets = np.arange(-20, 21)[:, None]
    bins = (centre / BIN).astype(np.int64) + offsets
    value = shape(np.abs((bins + 0.5) * BIN - centre))
    inside = (bins >= 0) & (bins < len(row))
    row += np.bincount(bins[inside], value[inside], len(row))


def _blank(rng: np.random.Generator, row: NDArray[np.float32], length: int) -> None:
    """Leave some short intervals and a long one unmeasured, in place."""
    n = rng.poisson(2 * length / 1e6)
    short = np.exp(rng.uniform(np.log(100), np.log(3000), n))
    width = np.append(short, rng.uniform(5000, 10_000))
    first = rng.integers(0, len(row), n + 1)
    last = first + np.maximum(np.round(width / BIN), 2).astype(np.int64)
    for start, end in zip(first, last, strict=True):
        row[start:end] = np.nan


def draw_contacts(rng: np.random.Generator, domains: Domains, first_bin: int) -> pd.DataFrame:
    """Draw the contact counts of a contig within the band.

    Returns
    -------
    pandas.DataFrame
        The pixels of a .cool file with at least one contact, sorted; the contig's 5-kb bins are
        numbered from `first_bin`.
    """
    n = -(-int(domains.end[-1]) // CONTACT_BIN)
    bin1 = np.repeat(np.arange(n), CONTACT_BAND)
    distance = np.tile(np.arange(CONTACT_BAND), n)
    bin2 = bin1 + distance
    bin1, bin2, distance = (column[bin2 < n] for column in (bin1, bin2, distance))
    domain = domains.at(np.arange(n) * CONTACT_BIN)
    enrichment = np.where(domain[bin1] == domain[bin2], 0.35, -1.6)
    count = rng.poisson(400 / (1 + distance) * np.exp(enrichment)).astype(np.int32)
    pixels = {"bin1_id": bin1 + first_bin, "bin2_id": bin2 + first_bin, "count": count}
    return pd.DataFrame(pixels)[count > 0]


def tf_index(motifs: tuple[Motif, ...]) -> int:
    """Return the index of the motif behind the fourth track: CTCF, or else the first."""
    names = [motif.name.upper() for motif in motifs]
    return names.index("CTCF") if "CTCF" in names else 0


def tf_name(motifs: tuple[Motif, ...]) -> str:
    """Return the name of the fourth track, fit for a file name."""
    name = motifs[tf_index(motifs)].name
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
