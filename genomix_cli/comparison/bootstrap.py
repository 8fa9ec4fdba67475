"""Bootstrap draws of whole units: contigs, loci, patients, groups of sequences.

Items of one unit are correlated (variants at a locus share their tracks, samples of a patient share
a genome), so whole units are drawn, never single items: Davison and Hinkley 1997,
doi:10.1017/CBO9780511802843, section 3.8. A draw is represented by weights: the number of times
that each item was drawn. Metrics accept such weights, so no data are copied or sorted again.

Letters: n items, D draws, B draws of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from genomix_cli.comparison.intervals import Interval, interval_of
from genomix_cli.progress import track

FloatArray = npt.NDArray[np.float64]

#: Below this many contigs, intervals come from loci instead.
MIN_CONTIGS = 5
#: Width of a locus as a resampling unit, in bases: the window of a model.
LOCUS = 100_000
#: Below this many units there is no interval: every draw of a single unit is the same. A few units
#: give a rough interval, with a warning.
MIN_UNITS = 2
# Number of weights in a block of draws; small enough for the CPU cache.
BLOCK = 2**18
# Separates the random stream of `item_weights` from other streams of the same seed.
ITEM_STREAM = 0xB007


class Metric(Protocol):
    """A metric of labels `y` and scores, both ``[n]``, under weights ``[n]``."""

    def __call__(
        self, y: npt.ArrayLike, score: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
    ) -> float:
        """Return the metric's value, NaN where it is undefined."""
        ...


class Bootstrap:
    """Reproducible draws of units with replacement.

    Two bootstraps with the same units and seed make the same draws, so differences between entrants
    are paired.

    Parameters
    ----------
    units : array
        ``[n]``: unit of each item, as a name or number.
    draws : int
        Number of draws, D. With 0 draws or a single unit, values have no interval.
    seed : int
    skip : int
        Number of draws to discard first. Use it to get draws that another bootstrap of the same
        seed has not used.

    Attributes
    ----------
    draws : int
    n_units : int
    """

    def __init__(self, units: npt.ArrayLike, draws: int, seed: int = 0, *, skip: int = 0) -> None:
        self._unit = to_codes(units)
        self.n_units = int(self._unit.max(initial=-1)) + 1
        self.draws = draws if self.n_units >= MIN_UNITS else 0
        self._seed, self._skip = seed, skip

    def take(self, items: npt.NDArray[np.int64]) -> Bootstrap:
        """Return the same draws for a subset of the items, in the order of `items`."""
        other = copy(self)
        other._unit = self._unit[items]
        return other

    def count(self, items: npt.NDArray[np.intp]) -> int:
        """Return the number of units that a subset of the items belongs to."""
        return len(np.unique(self._unit[items]))

    def first(self, draws: int) -> Bootstrap:
        """Return a bootstrap of only the first `draws` draws, or of all if there are fewer."""
        other = copy(self)
        other.draws = min(draws, self.draws)
        return other

    def weights(self) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the number of times each item was drawn, int64 ``[n]``, for each draw."""
        rng, n = np.random.default_rng(self._seed), self.n_units
        draws = range(self._skip + self.draws if n else 0)
        for draw in track(draws, f"resampling {n:,} units", unit="draws"):
            drawn = rng.integers(0, n, n)
            if draw >= self._skip:
                yield np.bincount(drawn, minlength=n)[self._unit]

    def blocks(self) -> Iterator[FloatArray]:
        """Yield the weights in blocks, float64 ``[B, n]``, for metrics that take many draws."""
        size = max(BLOCK // max(len(self._unit), 1), 1)
        draws = self.weights()
        while block := list(islice(draws, size)):
            yield np.array(block, np.float64)

    def matrix(self) -> FloatArray:
        """Return weights, float64 ``[1 + D, n]``: a row of ones, then one row per draw."""
        return np.array([np.ones(len(self._unit)), *self.weights()], np.float64)

    def replicates(self, statistic: Callable[[FloatArray], float]) -> FloatArray:
        """Return a statistic, float64 ``[1 + D]``: of the data first, then of each draw."""
        values = [statistic(np.ones(len(self._unit)))]
        values += [statistic(weights.astype(np.float64)) for weights in self.weights()]
        return np.array(values)

    def interval(self, metric: Metric, y: npt.ArrayLike, score: npt.ArrayLike) -> Interval:
        """Return a metric of scores ``[n]`` against labels ``[n]`` with its percentile interval."""
        return interval_of(self.replicates(lambda w: metric(y, score, weights=w)))

    def difference(
        self, metric: Metric, y: npt.ArrayLike, score: npt.ArrayLike, other: npt.ArrayLike
    ) -> Interval:
        """Return ``metric(score) - metric(other)`` with its interval, both under the same draws."""

        def less(weights: FloatArray) -> float:
            return metric(y, score, weights=weights) - metric(y, other, weights=weights)

        return interval_of(self.replicates(less))


def few_units(n_units: int, kind: str, rough: int) -> str:
    """Return a warning about intervals from few units; empty from `rough` units on."""
    if n_units < MIN_UNITS:
        return f"only {n_units} {kind} to draw from: no intervals, which take {MIN_UNITS} or more"
    return f"only {n_units} {kind} to draw: the intervals are rough" if n_units < rough else ""


class Units(NamedTuple):
    """Resampling units: `ids` int64 ``[n]`` (unit of each item), name of the kind, and number."""

    ids: npt.NDArray[np.int64]
    kind: str
    n_units: int


def resampling_units(contig: npt.ArrayLike, pos: npt.ArrayLike) -> Units:
    """Return the resampling units of variants: contigs, or loci if there are fewer than 5 contigs.

    Parameters
    ----------
    contig : array
        ``[n]``: contig of each variant, as a name or number.
    pos : array
        int ``[n]``: 0-based position.
    """
    contigs = to_codes(contig)
    n_contigs = int(contigs.max(initial=-1)) + 1
    if n_contigs >= MIN_CONTIGS:
        return Units(contigs, "contigs", n_contigs)
    locus = np.asarray(pos, np.int64) // LOCUS
    ids = to_codes(contigs * (int(locus.max(initial=0)) + 1) + locus)
    return Units(ids, f"loci of {LOCUS // 1000} kb", int(ids.max(initial=-1)) + 1)


def item_weights(n: int, draws: int, seed: Sequence[int]) -> FloatArray:
    """Return bootstrap weights of n independent items, float64 ``[1 + D, n]``.

    The layout is that of :meth:`Bootstrap.matrix`. Use this for generated sequences, each of which
    is its own unit. The weights are multinomial and come from a separate random stream: the stream
    that generated the sequences would correlate the draws with their classes.
    """
    rng = np.random.default_rng([*seed, ITEM_STREAM])
    drawn = rng.multinomial(n, np.full(n, 1 / n), draws) if draws else np.empty((0, n))
    return np.concatenate([np.ones((1, n)), drawn])


def to_codes(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the rank of each value among the distinct values, int64 ``[n]``."""
    return np.unique(np.asarray(values), return_inverse=True)[1].astype(np.int64).reshape(-1)
