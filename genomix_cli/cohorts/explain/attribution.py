"""Integrated Gradients of a cohort model: the effect of each feature on a sample's class.

The method is that of Sundararajan et al. 2017 (arXiv:1703.01365), applied to the encoded values.
The baseline is 0, the mean of the training samples. Missing values and modalities stay missing
along the path, so attributions measure the effect of the values, not of their being measured. They
are in logits of the given class, before calibration.

Letters in shapes: n samples, M modalities, d features of a modality, k of them in the model, K
classes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.cohorts.dataset import Floats, Modality, Samples
from genomix_cli.cohorts.models.base import Differentiable
from genomix_cli.comparison.explanation import STEPS, TOLERANCE, completeness_error, step_counts
from genomix_cli.comparison.metrics.binary import auprc
from genomix_cli.comparison.study import Importance
from genomix_cli.errors import from_extra
from genomix_cli.formats.cohort import Cohort

# Number of samples, and of values, to compute at a time.
SAMPLES = 16
VALUES = 2**22
MAX_ROWS = 512
# Columns that simulators give to features, and the least value in those that drive something.
_DRIVEN = (("driver", 1), ("interaction", 0))

#: By modality, the features that the class or an interaction drives.
Drivers = Mapping[str, Collection[str]]


@dataclass(frozen=True)
class Attribution:
    """Contribution of each feature to each sample's class.

    Attributes
    ----------
    selected : tuple of Modality
        Modalities with the features that the model uses.
    values : tuple of NDArray
        float64 ``[n, k]`` for each, in logits; 0 if the sample has no value.
    target : NDArray
        int64 ``[n]``: the class.
    change : NDArray
        float64 ``[n]``: logit of that class minus its logit at the baseline; the attributions
        should sum to it.
    """

    selected: tuple[Modality, ...]
    values: tuple[Floats, ...]
    target: NDArray[np.int64]
    change: Floats

    @property
    def error(self) -> Floats:
        """Completeness error ``[n]``: |sum - change| / max(|change|, 0.1)."""
        total: Any = sum(values.sum(1) for values in self.values)
        return completeness_error(total, self.change)


def attribute(
    surface: Differentiable,
    samples: Samples,
    target: NDArray[np.int64],
    *,
    steps: int = STEPS,
    device: str | torch.device = "cpu",
) -> Attribution:
    """Attribute the logits of a class to the features, for each sample.

    If the attributions of a sample miss the change by more than `TOLERANCE`, its path is integrated
    again with twice as many steps, up to `MOST_STEPS`, since gradients jump at a network's kinks.

    Parameters
    ----------
    surface : Differentiable
    samples : Samples
        One or more, with the modalities of the fit.
    target : NDArray
        int64 ``[n]``: index of the class.
    steps : int
        Steps of the path (midpoint rule).
    device : str or torch.device
        Device of the model.

    Raises
    ------
    MissingExtraError
        If captum is not installed.
    """
    encoded = surface.preprocessor.transform(samples)
    width = sum(values.shape[1] for values in encoded.values)
    rows = int(np.clip(VALUES // max(width, 1), SAMPLES, MAX_ROWS))
    values = tuple(np.zeros(each.shape) for each in encoded.values)
    selected = surface.preprocessor.selected
    attribution = Attribution(selected, values, target, np.zeros(len(samples)))
    left = np.arange(len(samples))
    for count in step_counts(steps):
        for chunk in np.array_split(left, -(-len(left) // SAMPLES)):
            moving, fixed, (wanted,) = (
                tuple(torch.from_numpy(array[chunk]).to(device) for array in arrays)
                for arrays in (encoded.values, (*encoded.observed, encoded.present), (target,))
            )
            parts, attribution.change[chunk] = _integrate(
                surface, moving, fixed, wanted, count, rows
            )
            for array, part in zip(values, parts, strict=True):
                array[chunk] = part
        left = np.flatnonzero(~(attribution.error <= TOLERANCE))
        if not len(left):
            break
    return attribution


def _integrate(
    surface: Differentiable,
    values: tuple[Tensor, ...],
    fixed: tuple[Tensor, ...],
    target: Tensor,
    steps: int,
    rows: int,
) -> tuple[tuple[Floats, ...], Floats]:
    """Return attributions of each modality ``[n, k]``, and the change of the logit ``[n]``.

    `values` are the end points of the paths. The masks in `fixed` (observed and present) do not
    change along a path.
    """
    with from_extra("captum", "explain"):
        from captum.attr import IntegratedGradients
    n = len(values)

    def logits(*tensors: Tensor) -> Tensor:
        all_logits: Tensor = surface.logits(tensors[:n], tensors[n : 2 * n], tensors[-1])
        return all_logits

    start = tuple(map(torch.zeros_like, values))
    # cuDNN has no gradient of recurrent layers in evaluation mode.
    with torch.backends.cudnn.flags(enabled=False):
        found = IntegratedGradients(logits).attribute(
            values,
            start,
            target=target,
            additional_forward_args=fixed,
            n_steps=steps,
            method="riemann_middle",
            internal_batch_size=rows,
        )
        with torch.no_grad():
            moved = logits(*values, *fixed) - logits(*start, *fixed)
    change = moved.gather(1, target[:, None])[:, 0]
    return tuple(map(_array, found)), _array(change)


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().double().cpu().numpy()


def importances(
    attribution: Attribution, modalities: Sequence[Modality], drivers: Drivers | None = None
) -> tuple[Importance, ...]:
    """Return the mean absolute attribution of each feature of `modalities`, largest first.

    Features that the model does not use have 0.
    """
    result: list[Importance] = []
    for modality, used, values in zip(
        modalities, attribution.selected, attribution.values, strict=True
    ):
        mean = dict(zip(used.features, np.abs(values).mean(0), strict=True))
        planted = (drivers or {}).get(modality.name)
        for feature in modality.features:
            driver = None if planted is None else feature in planted
            size = float(mean.get(feature, 0.0))
            result.append(Importance(modality.name, feature, size, driver))
    return tuple(sorted(result, key=lambda each: -each.importance))


def planted_drivers(cohort: Cohort) -> Drivers:
    """Return the features that drive the classes of a simulated cohort; else nothing."""
    drivers = {}
    for name in cohort.modalities if cohort.truth is not None else ():
        table = cohort.features(name)
        flags = [np.asarray(table[column]) >= least for column, least in _DRIVEN if column in table]
        if flags:
            drivers[name] = frozenset(map(str, table.index[np.logical_or.reduce(flags)]))
    return drivers


def driver_auprc(importances: Sequence[Importance]) -> dict[str, tuple[float, float]]:
    """Return how well importance identifies the planted drivers of each modality.

    Returns
    -------
    dict
        By modality, the AUPRC of importance against drivers, and the fraction of drivers, which is
        the AUPRC of chance. Modalities in which all features are drivers, or none, are left out.
    """
    result = {}
    known = [each for each in importances if each.driver is not None]
    for name in dict.fromkeys(each.modality for each in known):
        own = [each for each in known if each.modality == name]
        planted = [bool(each.driver) for each in own]
        share = float(np.mean(planted))
        if 0 < share < 1:
            result[name] = (auprc(planted, [each.importance for each in own]), share)
    return result
