"""Metrics of multiclass probabilities with weights, and their bootstrap replicates.

Every metric is a function of weighted sums, so a bootstrap replicate only changes the weights to
the number of times that each patient was drawn. Scores are sorted once, and all replicates of a
block take one matrix product and one cumulative sum per class.

Absent classes are treated as in scikit-learn (``zero_division=0``, no `labels`). An item of weight
0 is absent. A class that is neither a label nor predicted is left out of macro averages. A class
that is predicted but never a label counts 0 in macro precision, recall and F1, and is left out of
balanced accuracy. AUROC and AUPRC are averaged over the classes for which they are defined.

Letters: n samples, K classes, B sets of weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genomix_cli.comparison.bootstrap import Bootstrap
from genomix_cli.comparison.intervals import (
    NAN,
    FloatArray,
    Interval,
    interval_of,
    lowest_auroc,
    percentile_interval,
    wilson,
)

N_BINS = 15
#: Lower limit of probabilities in the log-likelihood, as in scikit-learn.
EPSILON = float(np.finfo(np.float64).eps)


class _Order(NamedTuple):
    """Samples in descending order of a class's probability, and positions of the class's samples.

    Attributes
    ----------
    order : NDArray
        intp ``[n]``.
    own : NDArray
        intp ``[n_k]``: the samples of the class in that order.
    start, end : NDArray
        intp ``[g]``: positions in `order` where each group of equal scores that contains a sample
        of the class starts and ends.
    own_start, own_end : NDArray
        intp ``[g]``: positions of the same groups in `own`.
    """

    order: npt.NDArray[np.intp]
    own: npt.NDArray[np.intp]
    start: npt.NDArray[np.intp]
    end: npt.NDArray[np.intp]
    own_start: npt.NDArray[np.intp]
    own_end: npt.NDArray[np.intp]


class Ranked:
    """Labels and probabilities, sorted once for any weights.

    Parameters
    ----------
    label : array
        int ``[n]``, from 0.
    probability : array
        float64 ``[n, K]``, rows sum to 1, no NaN.
    """

    def __init__(self, label: npt.ArrayLike, probability: npt.ArrayLike) -> None:
        self.label = np.asarray(label, np.int64)
        self.probability = np.asarray(probability, np.float64)
        self.n, self.k = self.probability.shape
        self.predicted = self.probability.argmax(1) if self.n else np.zeros(0, np.intp)

    @cached_property
    def sums(self) -> FloatArray:
        """Terms to sum ``[n, 3 K + 2]``: labels, predictions, hits, NLL, Brier score."""
        classes = np.arange(self.k)
        true = (self.label[:, None] == classes).astype(np.float64)
        predicted = (self.predicted[:, None] == classes).astype(np.float64)
        own = self.probability[np.arange(self.n), self.label]
        nll = -np.log(np.clip(own, EPSILON, 1 - EPSILON))
        brier = ((self.probability - true) ** 2).sum(1)
        return np.column_stack([true, predicted, true * predicted, nll, brier])

    @cached_property
    def orders(self) -> tuple[_Order, ...]:
        """Order of the samples by each class's probability."""
        return tuple(_order(self.label == k, self.probability[:, k]) for k in range(self.k))

    @cached_property
    def confidence(self) -> tuple[npt.NDArray[np.intp], FloatArray, npt.NDArray[np.intp]]:
        """Ascending order of the largest probability; probability minus hit; next distinct one."""
        top = self.probability.max(1) if self.n else np.zeros(0)
        order = np.argsort(top, kind="stable")
        gap = (top - (self.predicted == self.label))[order]
        return order, gap, _next_step(top[order])

    def under(self, weights: npt.ArrayLike | None = None) -> Tally:
        """Return the sums with weights ``[n]`` or ``[B, n]``; default 1."""
        w = np.ones(self.n) if weights is None else np.asarray(weights, np.float64)
        return Tally(self, np.atleast_2d(w))


def _order(own: npt.NDArray[np.bool_], score: FloatArray) -> _Order:
    order = np.argsort(-score, kind="stable")
    place = np.flatnonzero(own[order])
    value = score[order]
    first = np.flatnonzero(np.concatenate(([True], value[1:] != value[:-1]))[: len(value)])
    group = np.searchsorted(first, place, side="right") - 1
    own_start = np.flatnonzero(np.concatenate(([True], group[1:] != group[:-1]))[: len(group)])
    group = group[own_start]
    start, end = first[group], np.append(first, len(value))[group + 1]
    own_end = np.append(own_start, len(place))[1:]
    return _Order(order, order[place], start, end, own_start, own_end)


def _next_step(value: FloatArray) -> npt.NDArray[np.intp]:
    """Return, for each position in ascending values, where the next new value starts ``[n + 1]``.

    A position that itself starts a new value is its own result.
    """
    begins = np.flatnonzero(np.concatenate(([True], value[1:] != value[:-1]))[: len(value)])
    begins = np.append(begins, len(value))
    return begins[np.searchsorted(begins, np.arange(len(value) + 1))]


class Tally:
    """Sums under ``B`` sets of weights; metrics are computed on first access.

    Parameters
    ----------
    ranked : Ranked
    weights : NDArray
        float64 ``[B, n]``, not negative.

    Attributes
    ----------
    total : NDArray
        Total weight ``[B]``.
    true, predicted, hit : NDArray
        Weight of each class's labels, predictions and correct predictions ``[B, K]``.
    """

    def __init__(self, ranked: Ranked, weights: FloatArray) -> None:
        self._ranked, self._weights = ranked, weights
        k = ranked.k
        sums = weights @ ranked.sums
        self.total = weights.sum(1)
        self.true, self.predicted = sums[:, :k], sums[:, k : 2 * k]
        self.hit, self._nll, self._brier = sums[:, 2 * k : 3 * k], sums[:, -2], sums[:, -1]

    @cached_property
    def precision(self) -> FloatArray:
        """Precision of each class ``[B, K]``; 0 where it is not predicted."""
        return _share(self.hit, self.predicted, 0)

    @cached_property
    def recall(self) -> FloatArray:
        """Recall of each class ``[B, K]``; 0 where no item has that label."""
        return _share(self.hit, self.true, 0)

    @cached_property
    def f1(self) -> FloatArray:
        """F1 score of each class ``[B, K]``; 0 where no item has that label."""
        return _share(2 * self.hit, self.true + self.predicted, 0)

    @cached_property
    def present(self) -> npt.NDArray[np.bool_]:
        """True for classes that are a label or predicted ``[B, K]``."""
        return (self.true > 0) | (self.predicted > 0)

    @property
    def nll(self) -> FloatArray:
        """Mean negative log-likelihood ``[B]``."""
        return _share(self._nll, self.total)

    @property
    def brier(self) -> FloatArray:
        """Brier score ``[B]``: squared error summed over classes, mean over samples."""
        return _share(self._brier, self.total)

    @cached_property
    def _areas(self) -> tuple[FloatArray, FloatArray]:
        both = [self._area(order) for order in self._ranked.orders]
        return np.stack([a for a, _ in both], 1), np.stack([a for _, a in both], 1)

    @property
    def auroc(self) -> FloatArray:
        """AUROC of each class against the rest ``[B, K]``; NaN where either is absent."""
        return self._areas[0]

    @property
    def auprc(self) -> FloatArray:
        """Average precision of each class ``[B, K]``; NaN where no item has that label."""
        return self._areas[1]

    def _area(self, at: _Order) -> tuple[FloatArray, FloatArray]:
        """Return AUROC and AUPRC ``[B]`` of a class, visiting only scores of its own samples."""
        above = _summed(np.take(self._weights, at.order, axis=1))
        own = _summed(np.take(self._weights, at.own, axis=1))
        before, until = own[:, at.own_start], own[:, at.own_end]
        weight = until - before
        called = above[:, at.end]
        others = above[:, -1:] - own[:, -1:]
        below = others - (called - until + above[:, at.start] - before) / 2
        auroc = _share((weight * below).sum(1), own[:, -1] * others[:, 0])
        auprc = _share((weight * _share(until, called, 0)).sum(1), own[:, -1])
        return auroc, auprc

    @cached_property
    def calibration_error(self) -> FloatArray:
        """Calibration error of the predicted class ``[B]``, in bins of equal mass."""
        order, gap, next_step = self._ranked.confidence
        w = np.take(self._weights, order, axis=1)
        mass, excess = _summed(w), _summed(w * gap)
        middle = mass[:, 1:] - w / 2
        edges = np.arange(1, N_BINS) / N_BINS * self.total[:, None]
        rows = zip(middle, edges, strict=True)
        cut = next_step[np.array([np.searchsorted(m, e) for m, e in rows]).reshape(edges.shape)]
        ends = np.zeros((len(w), 1), np.intp)
        cut = np.concatenate([ends, cut, ends + len(order)], 1)
        at_cut = np.take_along_axis(excess, cut, 1)
        return _share(np.abs(np.diff(at_cut, axis=1)).sum(1), self.total)


def _summed(values: FloatArray) -> FloatArray:
    """Return cumulative sums of rows, starting with 0: ``[B, n]`` to ``[B, n + 1]``."""
    summed = np.zeros((len(values), values.shape[1] + 1))
    np.cumsum(values, axis=1, out=summed[:, 1:])
    return summed


def _share(part: FloatArray, whole: FloatArray, otherwise: float = np.nan) -> FloatArray:
    return np.divide(part, whole, out=np.full(np.shape(part), float(otherwise)), where=whole > 0)


def _mean(values: FloatArray, counts: FloatArray | npt.NDArray[np.bool_]) -> FloatArray:
    """Return the mean over classes ``[B]``, weighted by `counts` ``[B, K]``; NaN if all are 0."""
    weight = np.asarray(counts, np.float64)
    return _share((np.where(weight > 0, values, 0) * weight).sum(1), weight.sum(1))


@dataclass(frozen=True)
class Metric:
    """A metric of multiclass probabilities.

    Call it as ``metric(label, probability, weights=None)`` with int ``[n]``, float64 ``[n, K]`` and
    optionally float ``[n]``. It returns a float, NaN where it is undefined.

    Attributes
    ----------
    function : callable
        Function of a :class:`Tally` that returns float64 ``[B]``.
    larger_is_better : bool
    title : str
        Name for tables and sentences.
    noise_adds : bool
        True for a sum of absolute values, which noise increases. A bootstrap draw is twice as noisy
        as the data, so it tends to lie above the value. Intervals then reflect the percentiles at
        the value (Davison and Hinkley 1997, doi:10.1017/CBO9780511802843, section 5.2.1), which
        at least halves the bias.
    """

    function: Callable[[Tally], FloatArray]
    larger_is_better: bool
    title: str
    noise_adds: bool = False

    def __call__(
        self,
        label: npt.ArrayLike,
        probability: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
    ) -> float:
        """Return the value of the metric; see the class."""
        return float(self.function(Ranked(label, probability).under(weights))[0])


#: Metrics over all classes; averages are over classes (macro) or weighted by samples (weighted).
METRICS: Mapping[str, Metric] = {
    "accuracy": Metric(lambda t: _share(t.hit.sum(1), t.total), True, "accuracy"),
    "balanced_accuracy": Metric(lambda t: _mean(t.recall, t.true > 0), True, "balanced accuracy"),
    "macro_f1": Metric(lambda t: _mean(t.f1, t.present), True, "macro F1"),
    "weighted_f1": Metric(lambda t: _mean(t.f1, t.true), True, "weighted F1"),
    "macro_precision": Metric(lambda t: _mean(t.precision, t.present), True, "macro precision"),
    "weighted_precision": Metric(lambda t: _mean(t.precision, t.true), True, "weighted precision"),
    "macro_recall": Metric(lambda t: _mean(t.recall, t.present), True, "macro recall"),
    "weighted_recall": Metric(lambda t: _mean(t.recall, t.true), True, "weighted recall"),
    "auroc": Metric(lambda t: _mean(t.auroc, np.isfinite(t.auroc)), True, "AUROC"),
    "auprc": Metric(lambda t: _mean(t.auprc, np.isfinite(t.auprc)), True, "AUPRC"),
    "nll": Metric(lambda t: t.nll, False, "log loss"),
    "brier": Metric(lambda t: t.brier, False, "Brier score"),
    "calibration_error": Metric(lambda t: t.calibration_error, False, "calibration error", True),
}
#: Metric of `Replicates.lowest` that bounds a metric over all classes.
LOWEST_OF: Mapping[str, str] = {
    "accuracy": "accuracy",
    "weighted_recall": "accuracy",
    "balanced_accuracy": "recall",
    "macro_recall": "recall",
    "macro_precision": "precision",
    "auroc": "auroc",
}
#: Metrics that tables and pages show first.
SHOWN = ("accuracy", "macro_f1", "auroc", "nll")
#: Metrics of each class ``[B, K]``; NaN where undefined.
CLASS_METRICS: Mapping[str, Callable[[Tally], FloatArray]] = {
    "precision": lambda t: np.where(t.predicted > 0, t.precision, np.nan),
    "recall": lambda t: np.where(t.true > 0, t.recall, np.nan),
    "f1": lambda t: np.where(t.present, t.f1, np.nan),
    "auroc": lambda t: t.auroc,
    "auprc": lambda t: t.auprc,
}


@dataclass(frozen=True)
class Replicates:
    """Metrics of models on the data (first) and on every bootstrap draw.

    Attributes
    ----------
    of_all : dict of str to NDArray
        Values ``[models, 1 + D]`` by name of the metric.
    of_class : dict of str to NDArray
        Values of each class ``[models, 1 + D, K]`` by name of the metric.
    lowest : dict of str to NDArray
        Lower ends of intervals of metrics that are 1 in every draw, by name of the metric:
        accuracy ``[models]``; precision, recall and AUROC of each class ``[models, K]``.
    """

    of_all: dict[str, FloatArray]
    of_class: dict[str, FloatArray]
    lowest: dict[str, FloatArray] = field(default_factory=dict)

    def averaged(self, counts: Sequence[int]) -> Replicates:
        """Return means over consecutive models: the first `counts[0]`, the next `counts[1]`, ...

        Use it for predictions of the same items by one model fitted several times. A draw has the
        same items for all fits, so the mean reduces chance in fitting, not in sampling the items.
        """
        starts = np.cumsum([0, *counts[:-1]])

        def means(values: FloatArray) -> FloatArray:
            shape = (-1, *[1] * (values.ndim - 1))
            return np.add.reduceat(values, starts, axis=0) / np.reshape(counts, shape)

        return Replicates(
            *(
                {name: means(values) for name, values in each.items()}
                for each in (self.of_all, self.of_class, self.lowest)
            )
        )

    def interval(self, model: int, metric: str) -> Interval:
        """Return a metric of a model with its 95 % interval.

        A mean over classes that is 1 in every draw extends down to the mean of their lower ends,
        since the standard deviation of a mean is at most the mean of standard deviations. An F1 or
        AUPRC that is 0 in every draw, or 1 in every draw, has no interval.
        """
        replicates = self.of_all[metric][model]
        interval = percentile_interval(replicates[0], replicates[1:])
        if METRICS[metric].noise_adds:
            value, low, high = _reflected(interval)
            return Interval(value, float(np.maximum(low, 0)), float(np.maximum(high, value)))
        lowest = self.lowest.get(LOWEST_OF.get(metric, ""))
        ends = np.ravel([] if lowest is None else lowest[model])
        known = ends[np.isfinite(ends)]
        return _widened(interval, float(known.mean()) if len(known) else np.nan)

    def difference(self, model: int, other: int, metric: str) -> Interval:
        """Return a metric of one model minus that of another, on the same draws."""
        less = interval_of(self.of_all[metric][model] - self.of_all[metric][other])
        return _reflected(less) if METRICS[metric].noise_adds else less

    def class_interval(self, model: int, k: int, metric: str) -> Interval:
        """Return a metric of a class with its 95 % interval.

        An F1 or AUPRC that is 0 in every draw, or 1 in every draw, has no interval.
        """
        replicates = self.of_class[metric][model, :, k]
        interval = percentile_interval(replicates[0], replicates[1:])
        lowest = self.lowest.get(metric)
        return _widened(interval, np.nan if lowest is None else float(lowest[model, k]))


def _widened(interval: Interval, lowest: float) -> Interval:
    """Extend the interval of a metric that is 1 in every draw to `lowest`, or 0 to its mirror.

    Draws of items that are all right, or all wrong, cannot show how rare the others are. The
    interval is NaN if `lowest` is.
    """
    value = interval.value
    if not _same_in_all(interval):
        return interval
    if np.isnan(lowest):
        return NAN._replace(value=value)
    return Interval(value, *((lowest, 1.0) if value else (0.0, 1 - lowest)))


def _same_in_all(interval: Interval) -> bool:
    """Return True for a value that is 0 in every draw, or 1 in every draw."""
    return interval.value in (0, 1) and interval.low == interval.high


def _reflected(interval: Interval) -> Interval:
    value, low, high = interval
    return Interval(value, 2 * value - high, 2 * value - low)


def calibration_floor(probability: npt.ArrayLike) -> float:
    """Return the expected calibration error of a perfectly calibrated model.

    The gap of a bin is then approximately normal around 0, with the variance of its Bernoulli
    draws.

    Parameters
    ----------
    probability : array
        float64 ``[n, K]``.
    """
    top = np.sort(np.asarray(probability, np.float64).max(1))
    if not len(top):
        return float("nan")
    bins = np.minimum((np.arange(len(top)) + 0.5) / len(top) * N_BINS, N_BINS - 1).astype(np.int64)
    variance = np.bincount(bins, top * (1 - top), N_BINS)
    return float(np.sqrt(2 * variance / np.pi).sum() / len(top))


def replicate(
    label: npt.ArrayLike,
    probabilities: Sequence[npt.ArrayLike],
    bootstrap: Bootstrap,
    metrics: Sequence[str] = tuple(METRICS),
) -> Replicates:
    """Return every metric of several models under the same bootstrap draws.

    Parameters
    ----------
    label : array
        int ``[n]``.
    probabilities : sequence of array
        float64 ``[n, K]`` of each model.
    bootstrap : Bootstrap
        Draws of the samples by unit, such as patients.
    metrics : sequence of str
        Names in `METRICS`; those of `CLASS_METRICS` are always computed.
    """
    models = [Ranked(label, p) for p in probabilities]
    functions = [{name: METRICS[name].function for name in metrics}, CLASS_METRICS]
    blocks = [
        [
            {name: [function(tally) for tally in tallies] for name, function in each.items()}
            for each in functions
        ]
        for weights in chain([np.ones((1, models[0].n))], bootstrap.blocks())
        for tallies in [[model.under(weights) for model in models]]
    ]
    of_all, of_class = (
        {name: np.concatenate([block[i][name] for block in blocks], 1) for name in each}
        for i, each in enumerate(functions)
    )
    return Replicates(of_all, of_class, _lowest(models, bootstrap))


def _lowest(models: Sequence[Ranked], bootstrap: Bootstrap) -> dict[str, FloatArray]:
    """Return the lower ends of intervals of metrics that are 1 in every draw; see `Replicates`."""

    def shares(classes: npt.NDArray[np.integer]) -> list[float]:
        units = [bootstrap.count(np.flatnonzero(classes == k)) for k in range(models[0].k)]
        return [wilson(1, n)[0] if n else np.nan for n in units]

    label = models[0].label
    sides = [
        [bootstrap.count(np.flatnonzero((label == k) == own)) for own in (True, False)]
        for k in range(models[0].k)
    ]
    auroc = [lowest_auroc(*side) if all(side) else np.nan for side in sides]
    ends = {
        "accuracy": [wilson(1, bootstrap.n_units)[0] if bootstrap.n_units else np.nan]
        * len(models),
        "precision": [shares(model.predicted) for model in models],
        "recall": [shares(label)] * len(models),
        "auroc": [auroc] * len(models),
    }
    return {name: np.array(each, np.float64) for name, each in ends.items()}
