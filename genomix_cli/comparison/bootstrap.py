"""Bootstrap draws of whole units: contigs, loci, patients, groups of sequences.

Items of a unit are alike (variants of a locus share their tracks, samples of a patient their
genome), so units are drawn, never single items: Davison and Hinkley 1997,
doi:10.1017/CBO9780511802843, section 3.8. A draw is the same data under other weights, how often
each item was drawn; metrics take such weights, so nothing is copied or sorted anew.

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
#: Below this many units there is no interval: one unit drawn again and again is itself. A few
#: units give a rough interval, which is said.
MIN_UNITS = 2
# Weights of a block of draws: fits the caches.
BLOCK = 2**18
# Tells the draws of `item_weights` from all else that is drawn from the same seed.
ITEM_STREAM = 0xB007


class Metric(Protocol):
    """A metric of labels `y` and scores, both ``[n]``, under weights ``[n]``."""

    def __call__(
        self, y: npt.ArrayLike, score: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
    ) -> float:
        """Return the metric's value, NaN where it is undefined."""
        ...


class Bootstrap:
    """Draws of units with replacement, the same whenever they are asked for.

    Whatever is computed under one bootstrap, or under two with the same units and seed, is under
    the same draws: differences between entrants are paired.

    Parameters
    ----------
    units : array
        ``[n]``: unit of each item, by any name or number.
    draws : int
        D; 0 gives values without intervals, as does a single unit.
    seed : int
    skip : int
        Draws of the seed's stream to pass over first: others than those of the bootstrap before.

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
        """Return the same draws of the same units for some of the items, in the order given."""
        other = copy(self)
        other._unit = self._unit[items]
        return other

    def first(self, draws: int) -> Bootstrap:
        """Return the first draws alone, at most as many as there are."""
        other = copy(self)
        other.draws = min(draws, self.draws)
        return other

    def weights(self) -> Iterator[npt.NDArray[np.int64]]:
        """Yield how often each item is drawn, int64 ``[n]``, draw after draw."""
        rng, n = np.random.default_rng(self._seed), self.n_units
        draws = range(self._skip + self.draws if n else 0)
        for draw in track(draws, f"resampling {n:,} units", unit="draws"):
            drawn = rng.integers(0, n, n)
            if draw >= self._skip:
                yield np.bincount(drawn, minlength=n)[self._unit]

    def blocks(self) -> Iterator[FloatArray]:
        """Yield the weights in blocks, float64 ``[B, n]``, for metrics that take many at once."""
        size = max(BLOCK // max(len(self._unit), 1), 1)
        draws = self.weights()
        while block := list(islice(draws, size)):
            yield np.array(block, np.float64)

    def matrix(self) -> FloatArray:
        """Return weights float64 ``[1 + D, n]``: 1 each in the first row, then the draws."""
        return np.array([np.ones(len(self._unit)), *self.weights()], np.float64)

    def replicates(self, statistic: Callable[[FloatArray], float]) -> FloatArray:
        """Return a statistic of the weights, float64 ``[1 + D]``: of the data, then the draws."""
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
    """Return what to say of the intervals of few units; nothing from `rough` units on."""
    if n_units < MIN_UNITS:
        return f"only {n_units} {kind} to draw from: no intervals, which take {MIN_UNITS} or more"
    return f"only {n_units} {kind} to draw: the intervals are rough" if n_units < rough else ""


class Units(NamedTuple):
    """Resampling units: `ids` int64 ``[n]`` (unit of each item), their name, their number."""

    ids: npt.NDArray[np.int64]
    kind: str
    n_units: int


def resampling_units(contig: npt.ArrayLike, pos: npt.ArrayLike) -> Units:
    """Return the units of variants: whole contigs, or loci where there are fewer than five.

    Parameters
    ----------
    contig : array
        ``[n]``: contig of each variant, by name or number.
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
    """Return weights of n independent items as :meth:`Bootstrap.matrix` does, in one call.

    Generated sequences are units of their own. Their draws are multinomial, in a stream apart:
    that of the sequences' own generator would tie the draws to their classes.
    """
    rng = np.random.default_rng([*seed, ITEM_STREAM])
    drawn = rng.multinomial(n, np.full(n, 1 / n), draws) if draws else np.empty((0, n))
    return np.concatenate([np.ones((1, n)), drawn])


def to_codes(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the rank of each value among the different ones, int64 ``[n]``."""
    return np.unique(np.asarray(values), return_inverse=True)[1].astype(np.int64).reshape(-1)
