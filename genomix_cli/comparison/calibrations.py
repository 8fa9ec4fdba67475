"""Temperatures and prediction sets for each combination of measured modalities.

A model's outputs are distributed differently where a modality is missing, so a calibration on
complete items does not hold for incomplete ones.

Letters: n items (samples, sequences), M modalities, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.study import Floats
from genomix_cli.learning.calibration import at_temperature, cautious_temperature, fit_temperature
from genomix_cli.learning.conformal import class_thresholds, has_enough, prediction_sets

TemperatureOf = Callable[[Floats, NDArray[np.int64]], float]


@dataclass(frozen=True)
class Calibration:
    """Temperature and thresholds, and the combinations of modalities that they apply to.

    Attributes
    ----------
    measured : tuple of tuple of bool, optional
        Combinations of measured modalities that the calibration applies to: a flag per modality,
        in the order of the model. None if it applies to all items.
    temperature : float
        Divisor of the logits.
    thresholds : tuple of float
        Thresholds of the prediction sets, one per class.
    """

    measured: tuple[tuple[bool, ...], ...] | None
    temperature: float
    thresholds: tuple[float, ...]


class Scores(NamedTuple):
    """Predictions of a classifier.

    Attributes
    ----------
    probability : NDArray
        float64 ``[n, K]``; NaN for an item without any measurement.
    sets : NDArray
        bool ``[n, K]``: conformal prediction sets; empty for an item without any measurement.
    calibrated : NDArray
        bool ``[n]``: False for an item that no calibration applies to. Its probability uses the
        temperature of the largest group of items, and its set holds all classes, since nothing
        excludes one.
    """

    probability: Floats
    sets: NDArray[np.bool_]
    calibrated: NDArray[np.bool_]

    @property
    def known(self) -> NDArray[np.bool_]:
        """True for items that could be scored, bool ``[n]``."""
        return np.isfinite(self.probability[:, 0])

    @property
    def abstains(self) -> NDArray[np.bool_]:
        """True for items whose set does not hold exactly one class, bool ``[n]``."""
        return np.asarray(self.sets.sum(1) != 1, bool)

    def predicted(self, classes: Sequence[str]) -> dict[str, int]:
        """Return the number of scored items predicted as each class."""
        counts = np.bincount(self.probability[self.known].argmax(1), minlength=len(classes))
        return dict(zip(classes, map(int, counts), strict=True))

    @property
    def abstained(self) -> int:
        """Number of scored items whose set does not hold exactly one class."""
        return int(self.abstains[self.known].sum())

    @property
    def uncalibrated(self) -> int:
        """Number of scored items that no calibration applies to."""
        return int((self.known & ~self.calibrated).sum())


def calibrate(
    log_probability: Floats,
    label: NDArray[np.int64],
    measured: NDArray[np.bool_],
    level: float,
    temperature_of: TemperatureOf = fit_temperature,
) -> tuple[Calibration, ...]:
    """Fit a calibration to each combination of modalities that has enough items.

    A combination has enough items if it gives a threshold to each class for which all items
    together give one; at a level of 90 % a class needs 9 items. The remaining combinations share
    one calibration if together they have enough items; otherwise they have none.

    Parameters
    ----------
    log_probability : NDArray
        float64 ``[n, K]``, from a model that has not seen these items.
    label : NDArray
        int64 ``[n]``.
    measured : NDArray
        bool ``[n, M]``.
    level : float
        Share of items whose set should hold the right class.
    temperature_of : callable
        Function of log-probabilities and labels that returns the temperature of the largest group
        of items. Smaller groups use `cautious_temperature`.

    Returns
    -------
    tuple of Calibration
        The calibration of the largest group first.
    """

    def fitted(
        members: Sequence[tuple[bool, ...]], rows: NDArray[np.intp], of: TemperatureOf
    ) -> Calibration:
        own, y = log_probability[rows], label[rows]
        temperature = of(own, y)
        thresholds = class_thresholds(at_temperature(own, temperature), y, level)
        return Calibration(tuple(members), temperature, tuple(map(float, thresholds)))

    def enough(rows: NDArray[np.intp]) -> bool:
        counts = np.bincount(label[rows], minlength=log_probability.shape[1])
        return bool((has_enough(counts, level) | ~possible).all())

    possible = has_enough(np.bincount(label, minlength=log_probability.shape[1]), level)
    combinations, inverse = np.unique(measured, axis=0, return_inverse=True)
    rows_of = {
        tuple(map(bool, combination)): np.flatnonzero(inverse.reshape(-1) == i)
        for i, combination in enumerate(combinations)
    }
    groups = [([each], rows) for each, rows in rows_of.items() if enough(rows)]
    own = {members[0] for members, _ in groups}
    rest = [each for each in rows_of if each not in own]
    if rest and enough(rows := np.sort(np.concatenate([rows_of[each] for each in rest]))):
        groups.append((rest, rows))
    groups.sort(key=lambda group: -len(group[1]))
    ways = chain([temperature_of], repeat(cautious_temperature))
    return tuple(fitted(*group, of) for group, of in zip(groups, ways, strict=False))


def calibrated(
    log_probability: Floats, measured: NDArray[np.bool_], calibrations: Sequence[Calibration]
) -> Scores:
    """Return probabilities and prediction sets, each from the calibration that fits the item.

    Parameters
    ----------
    log_probability : NDArray
        float64 ``[n, K]``.
    measured : NDArray
        bool ``[n, M]``.
    calibrations : sequence of Calibration
        From :func:`calibrate`.
    """
    anything = next((i for i, each in enumerate(calibrations) if each.measured is None), -1)
    of = {each: i for i, one in enumerate(calibrations) for each in one.measured or ()}
    which = np.array([of.get(tuple(row), anything) for row in measured.tolist()], np.intp)
    holds = which >= 0
    temperatures = np.array([each.temperature for each in calibrations])
    thresholds = np.array([each.thresholds for each in calibrations])
    p = at_temperature(log_probability, temperatures[np.maximum(which, 0), None])
    sets = prediction_sets(p, np.where(holds[:, None], thresholds[which], 0.0))
    return Scores(p, sets, holds)
