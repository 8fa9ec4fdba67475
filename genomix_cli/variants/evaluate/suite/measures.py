"""Metrics for variants with labels or effects, also within groups.

Letters: n variants, D bootstrap draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.bootstrap import Bootstrap, resampling_units
from genomix_cli.comparison.intervals import FloatArray, Interval, interval_of
from genomix_cli.comparison.metrics import binary

IntArray = NDArray[np.int64]

# Bootstrap draws of a slow metric, which compares pairs or sorts groups in each draw.
SLOW_DRAWS = 200
# Variants that a group needs for its own correlation.
LEAST_IN_GROUP = 10


@dataclass(frozen=True)
class Truth:
    """Labels and effects of the test rows, columns ``[n]``.

    Attributes
    ----------
    contig, pos : NDArray
        int64.
    label, effect : NDArray
        float64; NaN where missing.
    group : NDArray
        int64: variants of a group are ranked against each other.
    probability : NDArray
        float64: true probability of label 1 in simulated data, otherwise NaN.
    """

    contig: IntArray
    pos: IntArray
    label: FloatArray
    effect: FloatArray
    group: IntArray
    probability: FloatArray

    @property
    def has_labels(self) -> bool:
        """True if there are positives and negatives."""
        known = self.label[np.isfinite(self.label)]
        return len(np.unique(known)) > 1

    @property
    def has_effects(self) -> bool:
        """True if there are effects that are not all equal."""
        return len(np.unique(self.effect[np.isfinite(self.effect)])) > 1

    def select(self, rows: NDArray[np.bool_] | IntArray) -> Truth:
        """Return the rows selected by a mask or an index."""
        return Truth(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


Function = Callable[[FloatArray, FloatArray, IntArray, FloatArray], float]


@dataclass(frozen=True)
class Measure:
    """Metric of scores against the truth.

    Attributes
    ----------
    title : str
    target : {"label", "effect", "absolute"}
        Truth to compare the score with; ``absolute`` is the absolute value of the effect.
    function : callable
        Maps truth, score, group and weights, each ``[n]``, to a number.
    of_probability : bool
        True if the score must be a probability.
    chance : float, optional
        Value of an uninformed score; None means the prevalence.
    draws : int, optional
        Largest number of bootstrap draws.
    larger_is_better : bool
    in_groups : int
        Number of variants that at least one group needs; 0 if groups do not matter. With a single
        group, the metric equals another measure.
    """

    title: str
    target: Literal["label", "effect", "absolute"]
    function: Function
    of_probability: bool = False
    chance: float | None = 0.0
    draws: int | None = None
    larger_is_better: bool = True
    in_groups: int = 0

    def truth(self, truth: Truth) -> FloatArray:
        """Return the column to compare the score with, ``[n]``."""
        if self.target == "absolute":
            return np.abs(truth.effect)
        return truth.label if self.target == "label" else truth.effect

    def is_defined(self, truth: Truth) -> bool:
        """Return True if the truth suffices to compute the metric."""
        if self.in_groups:
            known = np.isfinite(self.truth(truth))
            sizes = np.unique(truth.group[known], return_counts=True)[1]
            if len(sizes) == 1 or sizes.max(initial=0) < self.in_groups:
                return False
        return truth.has_labels if self.target == "label" else truth.has_effects


def _plain(metric: Callable[..., float]) -> Function:
    return lambda y, score, _, w: metric(y, score, weights=w)


def _ranking(y: FloatArray, score: FloatArray, group: IntArray, w: FloatArray) -> float:
    return binary.ranking_accuracy(y, score, group, weights=w)


def _within(y: FloatArray, score: FloatArray, group: IntArray, w: FloatArray) -> float:
    return binary.grouped_pearson(y, score, group, weights=w, min_items=LEAST_IN_GROUP)


_ERROR: dict[str, Any] = {"of_probability": True, "larger_is_better": False}
MEASURES: dict[str, Measure] = {
    "auroc": Measure("AUROC", "label", _plain(binary.auroc), chance=0.5),
    "auprc": Measure("AUPRC", "label", _plain(binary.auprc), chance=None),
    "ranking_accuracy": Measure(
        "ranking in groups", "label", _ranking, chance=0.5, draws=SLOW_DRAWS, in_groups=1
    ),
    "brier": Measure("Brier score", "label", _plain(binary.brier), chance=None, **_ERROR),
    "calibration_error": Measure(
        "calibration error", "label", _plain(binary.calibration_error), **_ERROR
    ),
    "pearson": Measure("Pearson, effect", "effect", _plain(binary.pearson)),
    "pearson_in_groups": Measure(
        "Pearson in groups, effect", "effect", _within, in_groups=LEAST_IN_GROUP
    ),
    "spearman": Measure("Spearman, effect", "effect", _plain(binary.spearman), draws=SLOW_DRAWS),
    "pearson_absolute": Measure("Pearson, |effect|", "absolute", _plain(binary.pearson)),
    "spearman_absolute": Measure(
        "Spearman, |effect|", "absolute", _plain(binary.spearman), draws=SLOW_DRAWS
    ),
    # For quantities, all pairs of a group are compared, only once and without an interval.
    "ranking_effect": Measure("ranking by effect", "effect", _ranking, chance=0.5, draws=0),
    "ranking_absolute": Measure("ranking by |effect|", "absolute", _ranking, chance=0.5, draws=0),
}


def shown_measures(main: str) -> tuple[str, str]:
    """Return the two measures shown in figures and strata, for labels or for effects."""
    if MEASURES[main].target == "label":
        return "auroc", "auprc"
    return "spearman_absolute", "spearman"


@dataclass(frozen=True)
class Judge:
    """Truth of the test rows, and the bootstrap used to evaluate every entrant.

    Attributes
    ----------
    truth : Truth
    bootstrap : Bootstrap
    unit_name : str
        Kind of resampling unit, such as ``contigs``.
    """

    truth: Truth
    bootstrap: Bootstrap
    unit_name: str

    @classmethod
    def of(cls, truth: Truth, draws: int, seed: int) -> Judge:
        """Return a judge that resamples whole contigs or loci."""
        units = resampling_units(truth.contig, truth.pos)
        return cls(truth, Bootstrap(units.ids, draws, seed), units.kind)

    def replicates(
        self, measure: Measure, score: FloatArray, among: NDArray[np.bool_] | None = None
    ) -> FloatArray:
        """Return the metric on the data, then in each bootstrap draw, float64 ``[1 + D]``.

        Parameters
        ----------
        measure : Measure
        score : NDArray
            float64 ``[n]``; rows without a score or a truth are left out.
        among : NDArray, optional
            bool ``[n]``: use only these rows.
        """
        y = measure.truth(self.truth)
        known = np.isfinite(y) & np.isfinite(score)
        used = np.flatnonzero(known if among is None else known & among)
        # Sorting by score once makes the sort in each replicate cheap.
        used = used[np.argsort(score[used], kind="stable")]
        y, score, group = y[used], score[used], self.truth.group[used]
        bootstrap = self.bootstrap.take(used)
        if measure.draws is not None:
            bootstrap = bootstrap.first(measure.draws)
        return bootstrap.replicates(lambda w: measure.function(y, score, group, w))

    def interval(self, measure: Measure, score: FloatArray) -> Interval:
        """Return a metric of scores ``[n]`` with its interval."""
        return interval_of(self.replicates(measure, score))
