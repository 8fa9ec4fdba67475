"""Integrated Gradients of a cohort model: the effect of each feature on a sample's class.

Sundararajan et al. 2017 (arXiv:1703.01365), over the encoded values; the baseline is 0, the mean of
the training samples. Missing values and modalities stay missing along the path, so attributions
measure the effect of the values, not of their being measured. They are logits of the given class,
before calibration.

Letters in shapes: n samples, M modalities, d features of a modality, k of them in the model, K
classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.cohorts.dataset import Floats, Modality, Samples
from genomix_cli.cohorts.models.base import Differentiable
from genomix_cli.cohorts.models.preprocessing import Encoded
from genomix_cli.comparison.explanation import (
    MORE_STEPS,
    STEPS,
    TOLERANCE,
    completeness_error,
)
from genomix_cli.comparison.metrics.binary import auprc
from genomix_cli.comparison.study import Importance
from genomix_cli.errors import MissingExtraError
from genomix_cli.formats.cohort import Cohort

# Number of samples, and of values, to compute at a time.
SAMPLES = 16
VALUES = 2**22
MAX_ROWS = 512

#: By modality, bool ``[d]``: True for features that the class or an interaction drives.
Drivers = Mapping[str, NDArray[np.bool_]]


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
        float64 ``[n]``: its logit minus that of the baseline, which the values should sum to.
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

    If the attributions of a sample miss the change by more than `TOLERANCE`, its path is followed
    again in four, then in sixteen times as many steps, since gradients jump at a network's kinks.

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
    encoded = surface.encode(samples)
    width = sum(values.shape[1] for values in encoded.values)
    rows = int(np.clip(VALUES // max(width, 1), SAMPLES, MAX_ROWS))
    values = tuple(np.zeros(each.shape) for each in encoded.values)
    attribution = Attribution(surface.selected, values, target, np.zeros(len(samples)))
    left = np.arange(len(samples))
    for factor in (1, *MORE_STEPS):
        for chunk in np.array_split(left, -(-len(left) // SAMPLES)):
            path = _path(encoded, target, chunk, device)
            parts, attribution.change[chunk] = _integrate(surface, path, factor * steps, rows)
            for array, part in zip(values, parts, strict=True):
                array[chunk] = part
        left = np.flatnonzero(~(attribution.error <= TOLERANCE))
        if not len(left):
            break
    return attribution


class _Path(NamedTuple):
    """End points of some samples' paths, and the inputs that stay fixed along them."""

    values: tuple[Tensor, ...]
    observed: tuple[Tensor, ...]
    present: Tensor
    target: Tensor


def _path(
    encoded: Encoded, target: NDArray[np.int64], rows: NDArray[Any], device: str | torch.device
) -> _Path:
    def move(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array[rows]).to(device)

    values, observed = (tuple(map(move, arrays)) for arrays in encoded[:2])
    return _Path(values, observed, move(encoded.present), move(target))


def _integrate(
    surface: Differentiable, path: _Path, steps: int, rows: int
) -> tuple[tuple[Floats, ...], Floats]:
    """Return attributions of each modality ``[n, k]``, and the change of the logit ``[n]``."""
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise MissingExtraError("captum", "explain") from error
    n = len(path.values)

    def logits(*tensors: Tensor) -> Tensor:
        all_logits: Tensor = surface.logits(tensors[:n], tensors[n : 2 * n], tensors[-1])
        return all_logits

    start = tuple(map(torch.zeros_like, path.values))
    still = (*path.observed, path.present)
    # cuDNN has no gradient of recurrent layers in evaluation mode.
    with torch.backends.cudnn.flags(enabled=False):
        found = IntegratedGradients(logits).attribute(
            path.values,
            start,
            target=path.target,
            additional_forward_args=still,
            n_steps=steps,
            method="riemann_middle",
            internal_batch_size=rows,
        )
        with torch.no_grad():
            moved = logits(*path.values, *still) - logits(*start, *still)
    change = moved.gather(1, path.target[:, None])[:, 0]
    return tuple(map(_array, found)), _array(change)


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().double().cpu().numpy()


def importances(
    attribution: Attribution, modalities: Sequence[Modality], drivers: Drivers | None = None
) -> tuple[Importance, ...]:
    """Return the mean absolute attribution of each feature of `modalities`, largest first.

    Features that the model does not use have 0. `drivers` are in the order of these features.
    """
    result: list[Importance] = []
    for modality, used, values in zip(
        modalities, attribution.selected, attribution.values, strict=True
    ):
        mean = dict(zip(used.features, np.abs(values).mean(0), strict=True))
        planted = (drivers or {}).get(modality.name)
        for i, feature in enumerate(modality.features):
            driver = None if planted is None else bool(planted[i])
            size = float(mean.get(feature, 0.0))
            result.append(Importance(modality.name, feature, size, driver))
    return tuple(sorted(result, key=lambda each: -each.importance))


def planted_drivers(cohort: Cohort) -> dict[str, NDArray[np.bool_]]:
    """Return the features that drive the classes of a simulated cohort; else nothing."""
    drivers: dict[str, NDArray[np.bool_]] = {}
    for name in cohort.modalities if cohort.truth is not None else ():
        table = cohort.features(name)
        flags = []
        if "driver" in table:
            flags.append(np.asarray(table["driver"], bool))
        if "interaction" in table:
            flags.append(np.asarray(table["interaction"]) >= 0)
        if flags:
            drivers[name] = np.logical_or.reduce(flags)
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
    for name in dict.fromkeys(each.modality for each in importances):
        of_modality = [
            each for each in importances if each.modality == name and each.driver is not None
        ]
        share = float(np.mean([bool(each.driver) for each in of_modality])) if of_modality else 0.0
        if 0 < share < 1:
            planted = [bool(each.driver) for each in of_modality]
            result[name] = (auprc(planted, [each.importance for each in of_modality]), share)
    return result
