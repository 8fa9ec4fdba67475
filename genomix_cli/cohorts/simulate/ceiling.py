"""Best performance possible: the Bayes-optimal posterior, evaluated like a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genomix_cli.cohorts.simulate.joint_model import Subset
from genomix_cli.cohorts.simulate.shared import Floats, Ints
from genomix_cli.comparison.intervals import wilson
from genomix_cli.comparison.metrics.binary import auroc


@dataclass(frozen=True)
class Ceiling:
    """Ceiling for a set of modalities, on the simulated samples.

    Attributes
    ----------
    modalities : tuple of str
    accuracy, low, high : float
        Accuracy of the Bayes rule, with its 95 % interval (Wilson).
    expected : float
        Mean of the largest posterior: the expected accuracy.
    auroc : float
        One class against the rest, mean over classes.
    log_loss : float
        Natural logarithm.
    late_fusion : float
        Accuracy of the product of the single modalities' posteriors: `accuracy` minus this is the
        gain from modelling the modalities jointly.
    """

    modalities: tuple[str, ...]
    accuracy: float
    low: float
    high: float
    expected: float
    auroc: float
    log_loss: float
    late_fusion: float


def ceilings(
    prior: Floats, posteriors: Mapping[Subset, Floats], label: Ints
) -> tuple[Ceiling, ...]:
    """Return the ceiling of every set of modalities.

    Parameters
    ----------
    prior : NDArray
        ``[K]``: frequency of each class.
    posteriors : mapping
        ``[n, K]`` for each set.
    label : NDArray
        int64 ``[n]``.
    """
    return tuple(
        _ceiling(subset, posterior, _late_fusion(prior, subset, posteriors), label)
        for subset, posterior in posteriors.items()
    )


def _ceiling(subset: Subset, posterior: Floats, fused: Floats, label: Ints) -> Ceiling:
    accuracy = float((posterior.argmax(1) == label).mean())
    low, high = wilson(accuracy, len(label))
    areas = [
        auroc(label == k, posterior[:, k])
        for k in range(posterior.shape[1])
        if 0 < (label == k).sum() < len(label)
    ]
    return Ceiling(
        modalities=subset,
        accuracy=accuracy,
        low=low,
        high=high,
        expected=float(posterior.max(1).mean()),
        auroc=float(np.mean(areas)) if areas else float("nan"),
        log_loss=float(-np.log(np.maximum(posterior[np.arange(len(label)), label], 1e-300)).mean()),
        late_fusion=float((fused.argmax(1) == label).mean()),
    )


def _late_fusion(prior: Floats, subset: Subset, posteriors: Mapping[Subset, Floats]) -> Floats:
    """Return the log posterior of modalities taken as independent given the class ``[n, K]``."""
    log_prior = np.log(prior)
    with np.errstate(divide="ignore"):
        return log_prior + sum(np.log(posteriors[(name,)]) - log_prior for name in subset)
