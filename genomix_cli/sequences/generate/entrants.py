"""Metrics that compare generated sets of sequences with real ones.

Letters: n sequences, L bases, K classes, M motifs, R replicates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.bootstrap import item_weights
from genomix_cli.genome import iupac
from genomix_cli.genome.motifs import Motif, scan
from genomix_cli.progress import track
from genomix_cli.sequences.generate import profiles
from genomix_cli.sequences.generate.markov import Floats
from genomix_cli.sequences.generate.nearest import Collection

SPECTRUM, PROFILE = 6, 4
# A sequence that shares this fraction of its 12-mers with a training sequence is a near copy.
COPY = 0.5
# Number of motifs to scan for at once.
CHUNK = 32


#: Titles of the metrics.
METRICS = {
    "spectrum": "6-mer spectrum, Jensen-Shannon (bits)",
    "spectrum_by_class": "6-mer spectrum by class (bits)",
    "energy": "4-mer profiles of sequences, energy distance",
    "gc_distance": "GC of sequences, Wasserstein",
    "gc_mean": "GC, mean",
    "gc_sd": "GC, SD between sequences",
    "motif_rates": "motif hit rates, mean |log2 ratio|",
    "motif_correlation": "motif hit rates, correlation",
    "motif_contrast": "motifs, class less mean, correlation",
    "class_accuracy": "class found by the classifier",
    "nearest": "nearest training sequence, share of 12-mers",
    "copies": f"share with {COPY:.0%} or more from one training sequence",
}
# Metrics that are shares of the sequences.
SHARES = ("class_accuracy", "copies")


@dataclass(frozen=True)
class Entrant:
    """A set of sequences to evaluate.

    Attributes
    ----------
    name : str
    codes : NDArray
        uint8 ``[n, L]``.
    label : NDArray
        int64 ``[n]``; -1 unknown.
    """

    name: str
    codes: NDArray[np.uint8]
    label: NDArray[np.int64]

    @cached_property
    def words(self) -> NDArray[np.float32]:
        """Counts of the 6-mers in each sequence."""
        return profiles.kmer_counts(self.codes, SPECTRUM)

    @cached_property
    def profile(self) -> NDArray[np.float32]:
        """Frequencies of the 4-mers in each sequence."""
        return profiles.frequencies(profiles.kmer_counts(self.codes, PROFILE))

    @cached_property
    def gc(self) -> Floats:
        """GC fraction of each sequence."""
        return profiles.gc(self.codes)

    @cached_property
    def inside(self) -> NDArray[np.float32]:
        """Distances between the profiles ``[n, n]``."""
        return profiles.distances_inside(self.profile)


@dataclass(frozen=True)
class Judge:
    """Real sequences, and everything needed to compare entrants with them.

    Attributes
    ----------
    real : Entrant
        Held-out sequences, with the class proportions of the generated ones.
    classes : tuple of str
    collection : Collection or None
        Training sequences, for finding copies.
    motifs : tuple of Motif
    classify : callable or None
        Maps sets of bases ``[n, L]`` to log-probabilities ``[n, K]``.
    draws : int
        R.
    seed : int
    """

    real: Entrant
    classes: tuple[str, ...]
    collection: Collection | None
    motifs: tuple[Motif, ...] = ()
    classify: Callable[[NDArray[np.uint8]], Floats] | None = None
    draws: int = 200
    seed: int = 0

    @cached_property
    def weight(self) -> Floats:
        """Bootstrap weights of the real sequences ``[1 + R, m]``, the same for all entrants."""
        return item_weights(len(self.real.codes), self.draws, (self.seed, 0))

    @cached_property
    def hits(self) -> NDArray[np.float32]:
        """1 where a real sequence has a motif, else 0, ``[m, M]``."""
        return motif_hits(self.real.codes, self.motifs)

    def measure(self, entrant: Entrant, number: int) -> dict[str, Floats]:
        """Return replicates ``[1 + R]`` of every metric of an entrant: on the data, then on draws.

        Parameters
        ----------
        entrant : Entrant
        number : int
            Number of the entrant, which goes into the seed.
        """
        w = item_weights(len(entrant.codes), self.draws, (self.seed, 1 + number))
        real, v = self.real, self.weight
        between = profiles.distances(entrant.profile, real.profile)
        found = {
            "spectrum": profiles.jensen_shannon(w @ entrant.words, v @ real.words),
            "energy": profiles.energy(between, entrant.inside, real.inside, w, v),
            "gc_distance": profiles.wasserstein(entrant.gc, real.gc, w, v),
            **self._alone(entrant, w),
        }
        if self.classes:
            found["spectrum_by_class"] = self._by_class(entrant, w)
        if self.motifs:
            found |= self._motifs(entrant, w)
        return {name: found[name] for name in METRICS if name in found}

    def itself(self) -> dict[str, Floats]:
        """Return the metrics of the real sequences; metrics of two sets compare random halves."""
        n = len(self.real.codes)
        order = np.random.default_rng([self.seed, 99]).permutation(n)
        first, second = (
            Entrant("half", self.real.codes[rows], self.real.label[rows])
            for rows in (order[: n // 2], order[n // 2 :])
        )
        halves = Judge(first, self.classes, None, (), None, self.draws, self.seed)
        apart = halves.measure(second, 0)
        both = apart | self.measure_alone()
        return {name: both[name] for name in METRICS if name in both}

    def measure_alone(self) -> dict[str, Floats]:
        """Return the metrics of the real sequences that need no second set."""
        return self._alone(self.real, self.weight)

    def _alone(self, entrant: Entrant, w: Floats) -> dict[str, Floats]:
        found = _moments(entrant.gc, w)
        if self.collection is not None:
            share = self.collection.nearest(entrant.codes)
            found |= {"nearest": _mean(share, w), "copies": _mean((share >= COPY).astype(float), w)}
        if self.classify is not None:
            right = self.classify(entrant.codes).argmax(1) == entrant.label
            found["class_accuracy"] = _mean(right.astype(np.float64), w)
        return found

    def _by_class(self, entrant: Entrant, w: Floats) -> Floats:
        parts = []
        for k in np.unique(entrant.label[entrant.label >= 0]):
            own, real = entrant.label == k, self.real.label == k
            if own.any() and real.any():
                parts.append(
                    profiles.jensen_shannon(
                        w[:, own] @ entrant.words[own], self.weight[:, real] @ self.real.words[real]
                    )
                )
        return np.mean(parts, 0) if parts else np.full(len(w), np.nan)

    def _motifs(self, entrant: Entrant, w: Floats) -> dict[str, Floats]:
        hits = motif_hits(entrant.codes, self.motifs)
        there = [k for k in range(len(self.classes)) if (entrant.label == k).any()]
        masks = [(entrant.label == k, self.real.label == k) for k in there]
        if not masks:
            masks = [(np.ones(len(entrant.codes), bool), np.ones(len(self.real.codes), bool))]
        rates = np.stack([_rates(hits[own], w[:, own]) for own, _ in masks], 1)  # [R, K, M]
        real = np.stack([_rates(self.hits[own], self.weight[:, own]) for _, own in masks], 1)
        apart = np.abs(np.log2(rates / real)).mean((1, 2))
        found = {
            "motif_rates": apart,
            "motif_correlation": np.mean(
                [_correlation(rates[:, k], real[:, k]) for k in range(len(masks))], 0
            ),
        }
        if len(masks) > 1:
            contrast, expected = (x - x.mean(1, keepdims=True) for x in (rates, real))
            found["motif_contrast"] = _correlation(
                contrast.reshape(len(w), -1), expected.reshape(len(w), -1)
            )
        return found


def _mean(value: Floats, w: Floats) -> Floats:
    return w @ value / w.sum(1)


def _moments(value: Floats, w: Floats) -> dict[str, Floats]:
    mean = _mean(value, w)
    return {"gc_mean": mean, "gc_sd": np.sqrt(np.maximum(_mean(value**2, w) - mean**2, 0))}


def _rates(hits: NDArray[np.float32], w: Floats) -> Floats:
    """Return the share of sequences with each motif ``[R, M]``, pulled slightly off 0 and 1."""
    return (w @ hits + 0.5) / (w.sum(1, keepdims=True) + 1)


def _correlation(x: Floats, y: Floats) -> Floats:
    """Return Pearson's correlation along the last axis."""
    x, y = (z - z.mean(-1, keepdims=True) for z in (x, y))
    scale = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return (x * y).sum(-1) / np.where(scale > 0, scale, np.nan)


def motif_hits(codes: NDArray[np.uint8], motifs: Sequence[Motif]) -> NDArray[np.float32]:
    """Return 1 where a sequence has a motif site on either strand, else 0: float32 ``[n, M]``.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n, L]``: sets of bases.
    motifs : sequence of Motif
    """
    bases = iupac.to_bases(codes)
    # An unknown base separates two sequences, so that no site spans both.
    apart = np.pad(bases, ((0, 0), (0, 1)), constant_values=4)
    hits = np.zeros((len(codes), len(motifs)), np.float32)
    for low in track(range(0, len(motifs), CHUNK), "looking for motifs"):
        found = scan(apart.ravel(), motifs[low : low + CHUNK])
        hits[found.start // apart.shape[1], low + found.motif] = 1
    return hits
