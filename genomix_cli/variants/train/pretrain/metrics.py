"""Predictions of hidden tracks and k-mers by a pre-trained model, compared with simple guesses.

Letters: W windows, M tracks, N bins, O k-mers of a span, n predictions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from genomix_cli.comparison.bootstrap import Bootstrap
from genomix_cli.comparison.intervals import Interval
from genomix_cli.comparison.metrics.binary import pearson
from genomix_cli.genome.alphabet import UNKNOWN_BASE, kmer_ids
from genomix_cli.genome.tracks import cells, modalities, rows_in_cell

# Highest order of the Markov chains that k-mers are compared with.
ORDER = 3
CONTEXTS = 4**ORDER
BOOTSTRAPS = 200
SPANS, WHOLE = "spans", "whole"


class HiddenTracks(NamedTuple):
    """Predictions for hidden, measured bins; each field is an array ``[n]``.

    Attributes
    ----------
    draw, cell, modality : NDArray
        int64.
    whole : NDArray
        bool: True if the whole modality was hidden from the window.
    truth, model, simple : NDArray
        float32: measured signal, prediction of the model, and a simple guess.
    """

    draw: NDArray[np.int64]
    cell: NDArray[np.int64]
    modality: NDArray[np.int64]
    whole: NDArray[np.bool_]
    truth: NDArray[np.float32]
    model: NDArray[np.float32]
    simple: NDArray[np.float32]


class HiddenKmers(NamedTuple):
    """Hidden k-mers, arrays ``[n]``: draw, nats of the true k-mer, True if predicted correctly."""

    draw: NDArray[np.int64]
    nats: NDArray[np.float64]
    right: NDArray[np.bool_]


class Told(NamedTuple):
    """Predictions of hidden tracks and k-mers, for one batch or for all."""

    tracks: HiddenTracks
    kmers: HiddenKmers


def join(told: Sequence[Told]) -> Told:
    """Join the predictions of all batches."""
    return Told(
        HiddenTracks(*map(np.concatenate, zip(*(t.tracks for t in told), strict=True))),
        HiddenKmers(*map(np.concatenate, zip(*(t.kmers for t in told), strict=True))),
    )


def _mean(y: npt.ArrayLike, score: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> float:
    """Return the weighted mean of `score`, with the signature of a bootstrap metric."""
    w = np.ones(np.shape(score)) if weights is None else np.asarray(weights, np.float64)
    return float(w @ np.asarray(score)) / w.sum() if w.sum() > 0 else math.nan


@dataclass(frozen=True)
class TrackRow:
    """Correlations of a modality in a cell type.

    Attributes
    ----------
    cell, modality : str
    hidden : {"spans", "whole"}
    bins : int
        Number of hidden bins that were measured.
    r, simple_r, gain : Interval
        Pearson correlation of the model and of the simple guess, and their difference; NaN if
        nothing was measured or the values are constant.
    """

    cell: str
    modality: str
    hidden: str
    bins: int
    r: Interval
    simple_r: Interval
    gain: Interval


@dataclass(frozen=True)
class KmerRow:
    """Nats per base of hidden k-mers, and accuracy, for the model or a Markov chain."""

    name: str
    kmers: int
    nats_per_base: Interval
    accuracy: Interval


def track_rows(
    told: HiddenTracks, units: NDArray[np.int64], tracks: Sequence[str], seed: int
) -> tuple[TrackRow, ...]:
    """Return a row for every track, cell type with that track, and way of hiding.

    Parameters
    ----------
    told : HiddenTracks
    units : NDArray
        int64: bootstrap resampling unit of each draw.
    tracks : sequence of str
        Names in the shard.
    seed : int
    """
    names = modalities(tracks)
    return tuple(
        _track_row(told, units, (cell, i), (name, m), hidden, seed)
        for i, cell in enumerate(cells(tracks))
        for m, name in enumerate(names)
        if name in rows_in_cell(tracks, cell)
        for hidden in (SPANS, WHOLE)
    )


def _track_row(
    told: HiddenTracks,
    units: NDArray[np.int64],
    cell: tuple[str, int],
    modality: tuple[str, int],
    hidden: str,
    seed: int,
) -> TrackRow:
    rows = (told.cell == cell[1]) & (told.modality == modality[1])
    rows &= told.whole == (hidden == WHOLE)
    y, model, simple = told.truth[rows], told.model[rows], told.simple[rows]
    bootstrap = Bootstrap(units[told.draw[rows]], BOOTSTRAPS, seed)
    r, simple_r = (bootstrap.interval(pearson, y, score) for score in (model, simple))
    gain = bootstrap.difference(pearson, y, model, simple)
    return TrackRow(cell[0], modality[0], hidden, int(rows.sum()), r, simple_r, gain)


def kmer_row(name: str, told: HiddenKmers, units: NDArray[np.int64], k: int, seed: int) -> KmerRow:
    """Return nats per base and accuracy of the k-mers, with intervals."""
    bootstrap = Bootstrap(units[told.draw], BOOTSTRAPS, seed)
    nats, right = (bootstrap.interval(_mean, x, x) for x in (told.nats / k, told.right))
    return KmerRow(name, len(told.nats), nats, right)


class Markov:
    """Markov chain of bases, with the posterior of a k-mer hidden between known bases.

    The posterior is exact: it sums over the bases between the k-mer and the known bases on either
    side.

    Parameters
    ----------
    counts : NDArray
        ``[64, 4]``: counts of each base after each triplet.
    order : int
        Number of bases that the next one depends on, 0 to 3.
    """

    def __init__(self, counts: NDArray[np.float64], order: int) -> None:
        shape = (4 ** (ORDER - order), 4**order, 4)
        pooled = counts.reshape(shape).sum(0) + 1.0
        self.next = np.tile(pooled / pooled.sum(1, keepdims=True), (4 ** (ORDER - order), 1))
        # Transition from the last three bases to the last three bases one position later.
        self.step = np.zeros((CONTEXTS, CONTEXTS))
        context = np.arange(CONTEXTS)
        for base in range(4):
            self.step[context, context * 4 % CONTEXTS + base] = self.next[:, base]

    def kmers(self, k: int) -> NDArray[np.float64]:
        """Return the probability of each k-mer after each triplet, ``[64, 4^k]``."""
        probability = np.ones((CONTEXTS, 1))
        context = np.arange(CONTEXTS)[:, None]
        for _ in range(k):
            probability = (probability[..., None] * self.next[context]).reshape(CONTEXTS, -1)
            context = (context[..., None] * 4 + np.arange(4)).reshape(CONTEXTS, -1) % CONTEXTS
        return probability

    def posterior(
        self, left: NDArray[np.int64], right: NDArray[np.int64], after: int, span: int, k: int
    ) -> NDArray[np.float64]:
        """Return the probability of the k-mer `after` bases into each span, ``[n, 4^k]``.

        `left` and `right` are the triplets beside the span as numbers, int64 ``[n]``.
        """
        start = np.linalg.matrix_power(self.step, after)[left]
        rest = np.linalg.matrix_power(self.step, span - after - k) @ self.kmers(ORDER)
        ends = np.arange(4**k) % CONTEXTS
        joint = start @ self.kmers(k) * rest[ends][:, right].T
        return np.asarray(joint / joint.sum(1, keepdims=True))


def count_bases(codes: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Count how often each base follows each triplet, ``[64, 4]``."""
    counts = np.zeros(4 ** (ORDER + 1) + 2)
    for each in codes:
        counts += np.bincount(kmer_ids(each, ORDER + 1).astype(np.int64), minlength=len(counts))
    return counts[:-2].reshape(CONTEXTS, 4)


class Spans(NamedTuple):
    """Hidden spans.

    Attributes
    ----------
    draw : NDArray
        int64 ``[n]``.
    kmers : NDArray
        int64 ``[n, O]``.
    left, right : NDArray
        uint8 ``[n, 3]``: bases on each side.
    after : NDArray
        int64 ``[O]``: bases from the start of a span to each k-mer.
    """

    draw: NDArray[np.int64]
    kmers: NDArray[np.int64]
    left: NDArray[np.uint8]
    right: NDArray[np.uint8]
    after: NDArray[np.int64]


def markov_told(chain: Markov, spans: Spans, span: int, k: int) -> HiddenKmers:
    """Return a chain's predictions for the spans between known bases."""
    left, right = _numbers(spans.left), _numbers(spans.right)
    nats, correct = [], []
    for after, truth in zip(spans.after.tolist(), spans.kmers.T, strict=True):
        probability = chain.posterior(left, right, after, span, k)
        nats.append(-np.log(probability[np.arange(len(truth)), truth]))
        correct.append(probability.argmax(1) == truth)
    draw = np.tile(spans.draw, len(nats))
    return HiddenKmers(draw, np.concatenate(nats), np.concatenate(correct))


def _numbers(bases: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return rows of three bases as numbers; an unknown base counts as A."""
    return np.where(bases < UNKNOWN_BASE, bases, 0).astype(np.int64) @ np.array([16, 4, 1])
