"""Metrics of all entrants under the same bootstrap draws, so that every difference is paired.

Letters: n variants, B draws.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.metrics.binary import (
    Interval,
    auprc,
    auroc,
    brier,
    calibration_error,
    pearson,
    ranking_accuracy,
    resampling_units,
    spearman,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Draws of a metric that compares pairs, or that sorts groups in each of them.
SLOW_DRAWS = 200


@dataclass(frozen=True)
class Truth:
    """What is known of the test rows, columns ``[n]``.

    Attributes
    ----------
    contig, pos : NDArray
        int64.
    label, effect : NDArray
        float64; NaN where there is none.
    group : NDArray
        int64: variants that are ranked against each other.
    probability : NDArray
        float64: of label 1, where the data are simulated; else NaN.
    """

    contig: IntArray
    pos: IntArray
    label: FloatArray
    effect: FloatArray
    group: IntArray
    probability: FloatArray

    @property
    def has_labels(self) -> bool:
        """Whether there are positives and negatives."""
        known = self.label[np.isfinite(self.label)]
        return len(np.unique(known)) > 1

    @property
    def has_effects(self) -> bool:
        """Whether there are quantities, not all the same."""
        return len(np.unique(self.effect[np.isfinite(self.effect)])) > 1

    def select(self, rows: NDArray[np.bool_]) -> Truth:
        """Those of a mask."""
        return Truth(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


Function = Callable[[FloatArray, FloatArray, IntArray, FloatArray], float]


@dataclass(frozen=True)
class Measure:
    """A metric.

    Attributes
    ----------
    title : str
    target : {"label", "effect", "absolute"}
        Which truth it compares with; the absolute value of the effect.
    function : callable
        Of truth, score, group and weights.
    of_probability : bool
        Whether the score must be a probability.
    chance : float, optional
        What an uninformed score reaches; None: the prevalence.
    draws : int, optional
        At most.
    lower_is_better : bool
    """

    title: str
    target: Literal["label", "effect", "absolute"]
    function: Function
    of_probability: bool = False
    chance: float | None = 0.0
    draws: int | None = None
    lower_is_better: bool = False

    def truth(self, truth: Truth) -> FloatArray:
        """The column it compares with."""
        if self.target == "absolute":
            return np.abs(truth.effect)
        return truth.label if self.target == "label" else truth.effect


def _plain(metric: Callable[..., float]) -> Function:
    return lambda y, score, _, w: metric(y, score, weights=w)


def _ranking(y: FloatArray, score: FloatArray, group: IntArray, w: FloatArray) -> float:
    return ranking_accuracy(y, score, group, weights=w)


MEASURES: dict[str, Measure] = {
    "auroc": Measure("AUROC", "label", _plain(auroc), chance=0.5),
    "auprc": Measure("AUPRC", "label", _plain(auprc), chance=None),
    "ranking_accuracy": Measure(
        "ranking in groups", "label", _ranking, chance=0.5, draws=SLOW_DRAWS
    ),
    "brier": Measure(
        "Brier score",
        "label",
        _plain(brier),
        of_probability=True,
        chance=None,
        lower_is_better=True,
    ),
    "calibration_error": Measure(
        "calibration error",
        "label",
        _plain(calibration_error),
        of_probability=True,
        lower_is_better=True,
    ),
    "pearson": Measure("Pearson, effect", "effect", _plain(pearson)),
    "spearman": Measure("Spearman, effect", "effect", _plain(spearman), draws=SLOW_DRAWS),
    "pearson_absolute": Measure("Pearson, |effect|", "absolute", _plain(pearson)),
    "spearman_absolute": Measure(
        "Spearman, |effect|", "absolute", _plain(spearman), draws=SLOW_DRAWS
    ),
    # Of quantities all pairs of a group are compared: once, without an interval.
    "ranking_effect": Measure("ranking by effect", "effect", _ranking, chance=0.5, draws=0),
    "ranking_absolute": Measure("ranking by |effect|", "absolute", _ranking, chance=0.5, draws=0),
}


class Draws:
    """Bootstrap draws of whole contigs or loci, the same for everything that is measured.

    Parameters
    ----------
    truth : Truth
    draws : int
    seed : int

    Attributes
    ----------
    kind : str
        What is drawn.
    n_units : int
    """

    def __init__(self, truth: Truth, draws: int, seed: int) -> None:
        units = resampling_units(truth.contig, truth.pos)
        self.truth, self.kind, self.n_units = truth, units.kind, units.n_units
        self._ids, rng = units.ids, np.random.default_rng(seed)
        # As `genomix_cli.comparison.metrics.binary.bootstrap` draws them.
        self._counts = [
            np.bincount(rng.integers(0, self.n_units, self.n_units), minlength=self.n_units)
            for _ in range(draws)
        ]

    def like(self, truth: Truth) -> Draws:
        """The same draws over another truth of the same rows."""
        other = copy(self)
        other.truth = truth
        return other

    def replicates(
        self, measure: Measure, score: FloatArray, among: NDArray[np.bool_] | None = None
    ) -> FloatArray:
        """The metric as it is, then under each draw: float64 ``[1 + B]``.

        Parameters
        ----------
        measure : Measure
        score : NDArray
            float64 ``[n]``; rows without a score or a truth are left out.
        among : NDArray, optional
            bool ``[n]``: only these rows.
        """
        y = measure.truth(self.truth)
        known = np.isfinite(y) & np.isfinite(score)
        used = np.flatnonzero(known if among is None else known & among)
        # Sorted by score, every sort of a replicate finds its work done.
        used = used[np.argsort(score[used], kind="stable")]
        y, score, group, ids = y[used], score[used], self.truth.group[used], self._ids[used]
        counts = self._counts if measure.draws is None else self._counts[: measure.draws]
        weights = [np.ones(len(used)), *(c[ids].astype(np.float64) for c in counts)]
        return np.array([measure.function(y, score, group, w) for w in weights])


def interval(replicates: FloatArray) -> Interval:
    """A value with the 2.5 % and 97.5 % quantiles of its draws; undefined ones are left out."""
    draws = replicates[1:][np.isfinite(replicates[1:])]
    if not len(draws):
        return Interval(float(replicates[0]), float("nan"), float("nan"))
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(float(replicates[0]), float(low), float(high))
