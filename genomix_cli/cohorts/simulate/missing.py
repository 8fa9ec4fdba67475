"""Missing values, and missing modalities.

A value, or a modality of a sample, is missing with probability ``expit(logit(rate) + strength z)``:

- mcar: z = 0, completely at random
- mar: z rises evenly from -1 in the first batch to 1 in the last: at random given the batch
- mnar: z is minus the standardised tumour purity, which is not observed: samples with few tumour
  cells fail more often

The pattern of missing values depends on batch and purity, and so on the class; the Bayes-optimal
posterior makes use of it. Fragment counts are missing as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.simulate.methylation import expit, logit
from genomix_cli.cohorts.simulate.shared import Floats, Ints, Samples, Shared
from genomix_cli.config import Within

WHOLE = ("fragmentomics",)


@dataclass(frozen=True)
class MissingParameters:
    """Parameters of missingness.

    Attributes
    ----------
    values, modalities : float
        Rates of missing values, and of missing modalities, at z = 0.
    mechanism : {"mcar", "mar", "mnar"}
    strength : float
        Log odds per unit of z.
    by_modality : dict of str to float
        Rates of missing modalities by name, where they differ from `modalities`.
    """

    values: Annotated[float, Within(0, 0.99)] = 0.0
    modalities: Annotated[float, Within(0, 0.99)] = 0.0
    mechanism: Literal["mcar", "mar", "mnar"] = "mcar"
    strength: float = 1.0
    by_modality: dict[str, Any] = field(default_factory=dict)

    def problems(self, modalities: Collection[str]) -> list[str]:
        """Return what is wrong with the rates of a cohort's modalities."""
        return [
            f"missing: by_modality: {name}: {rate!r} is no rate from 0 to 0.99 of a modality"
            for name, rate in self.by_modality.items()
            if name not in modalities
            or isinstance(rate, bool)
            or not isinstance(rate, (int, float))
            or not 0 <= rate <= 0.99
        ]


class Missing:
    """Draw masks of missing data, and compute their likelihood."""

    def __init__(self, parameters: MissingParameters, shared: Shared) -> None:
        self.parameters = parameters
        self._z = parameters.strength * self._scores(shared)
        self.of_value = _shifted(parameters.values, self._z)

    def of_modality(self, name: str) -> Floats:
        """Return the probability that a sample lacks a modality ``[P, B]``."""
        rate = self.parameters.by_modality.get(name, self.parameters.modalities)
        return _shifted(rate, self._z)

    def _scores(self, shared: Shared) -> Floats:
        """Return the score z ``[P, B]``."""
        _, purities, batches = shared.shape
        if self.parameters.mechanism == "mar" and batches > 1:
            return np.tile(np.linspace(-1, 1, batches), (purities, 1))
        if self.parameters.mechanism == "mnar":
            z = (shared.purity.mean - shared.purity.values) / max(shared.purity.sd, 1e-9)
            return np.tile(z[:, None], (1, batches))
        return np.zeros((purities, batches))

    def draw_modality(
        self, name: str, samples: Samples, rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Draw the samples that lack a modality ``[n]``."""
        return rng.random(len(samples)) < self.of_modality(name)[samples.purity, samples.batch]

    def draw_values(
        self, modality: str, shape: tuple[int, int], samples: Samples, rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Draw the missing values ``[n, d]``."""
        if modality in WHOLE or self.parameters.values == 0:
            return np.zeros(shape, bool)
        return rng.random(shape) < self.of_value[samples.purity, samples.batch][:, None]

    def log_likelihood(
        self, modality: str, absent: NDArray[np.bool_], missing: Ints, features: Ints
    ) -> Floats:
        """Return the log-likelihood of a modality's missing values ``[n, P, B]``.

        Parameters
        ----------
        modality : str
        absent : NDArray
            bool ``[n]``: samples without the modality.
        missing : NDArray
            int ``[n]``: missing values of the others.
        features : NDArray
            int ``[n]``: values that could have been missing.
        """
        total = _bernoulli(absent[:, None, None], self.of_modality(modality))
        if modality in WHOLE or self.parameters.values == 0:
            return total
        lost, present = missing[:, None, None], (features - missing)[:, None, None]
        values = lost * np.log(self.of_value) + present * np.log1p(-self.of_value)
        return total + np.where(absent[:, None, None], 0, values)


def _shifted(rate: float, z: Floats) -> Floats:
    return expit(logit(np.full_like(z, rate)) + z) if rate else np.zeros_like(z)


def _bernoulli(event: NDArray[np.bool_], rate: Floats) -> Floats:
    """Return the log probability of `event`; with a rate of 0 it never happens."""
    with np.errstate(divide="ignore"):
        return np.where(event, np.log(rate), np.log1p(-rate))
