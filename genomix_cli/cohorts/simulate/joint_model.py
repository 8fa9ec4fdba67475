"""Joint model of all modalities of a cohort: draws, and the Bayes-optimal posterior."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.simulate.factors import (
    FactorLaw,
    FactorModality,
    FactorParameters,
    Factors,
)
from genomix_cli.cohorts.simulate.missing import Missing
from genomix_cli.cohorts.simulate.process import Drawn, Process
from genomix_cli.cohorts.simulate.shared import Floats, Samples, Shared
from genomix_cli.registry import COHORT_MODALITIES

Subset = tuple[str, ...]


@dataclass(frozen=True)
class Observed:
    """Measured values of a modality for some samples.

    Attributes
    ----------
    drawn : Drawn
        Values before any go missing.
    absent : NDArray
        bool ``[n]``: samples without the modality.
    missing : NDArray
        bool ``[n, d]``: missing values, also of absent samples.
    """

    drawn: Drawn
    absent: NDArray[np.bool_]
    missing: NDArray[np.bool_]

    @property
    def values(self) -> Floats:
        """Return values ``[n, d]``, NaN if missing."""
        return np.where(self.missing, np.nan, self.drawn.values)

    @property
    def data(self) -> NDArray[Any]:
        """Return the data of the likelihood ``[n, d]``."""
        return np.where(self.missing, np.nan, self.drawn.data)


class JointModel:
    """Everything that all samples of a cohort share.

    Parameters
    ----------
    shared : Shared
    missing : Missing
    parameters : mapping of str to dataclass
        Parameters of each modality, in the order of the file.
    seed : int
        Seed of everything drawn once: drivers, profiles, baselines.
    law : FactorLaw, optional
        Distribution of the factors that modalities with loadings show.
    """

    def __init__(
        self,
        shared: Shared,
        missing: Missing,
        parameters: Mapping[str, Any],
        seed: int,
        law: FactorLaw | None = None,
    ) -> None:
        self.shared = shared
        self.missing = missing
        built: dict[str, Process] = {}
        factors = Factors(law or FactorLaw(), shared)
        # In registry order, modalities that drive others are built, and drawn, before them.
        for number, name in enumerate(COHORT_MODALITIES):
            if name not in parameters:
                continue
            rng = np.random.default_rng([seed, number])
            if isinstance(parameters[name], FactorParameters):
                built[name] = FactorModality(name, parameters[name], shared, rng, factors)
                continue
            model = COHORT_MODALITIES.load(name)
            wanted = inspect.signature(model).parameters
            # Only a process of its own kind drives another modality.
            drivers = {
                other: process
                for other, process in built.items()
                if other in wanted and not isinstance(process, FactorModality)
            }
            built[name] = model(parameters[name], shared, rng, **drivers)
        self._drawn_in = tuple(built)
        self.processes = {name: built[name] for name in parameters}

    @property
    def modalities(self) -> Subset:
        """Names in the order of the file."""
        return tuple(self.processes)

    def subsets(self) -> Iterator[Subset]:
        """Yield every non-empty set of modalities, small ones first."""
        for size in range(1, len(self.modalities) + 1):
            yield from combinations(self.modalities, size)

    def draw(
        self, samples: Samples, absent: Mapping[str, NDArray[np.bool_]], rng: np.random.Generator
    ) -> dict[str, Observed]:
        """Draw all modalities of some samples."""
        hidden: dict[str, NDArray[Any]] = {}
        observed = {}
        for name in self._drawn_in:
            drawn = self.processes[name].draw(samples, rng, hidden)
            missing = self.missing.draw_values(name, drawn.values.shape, samples, rng)
            missing |= absent[name][:, None] | np.isnan(drawn.values)
            observed[name] = Observed(drawn, absent[name], missing)
        return {name: observed[name] for name in self.modalities}

    def posteriors(self, observed: Mapping[str, Observed]) -> dict[Subset, Floats]:
        """Return the Bayes-optimal posterior ``[n, K]`` given every set of modalities.

        Computed from all data of those modalities: values, and the pattern of missing ones.
        """
        data = {name: each.data for name, each in observed.items()}
        masks = {name: self._of_mask(name, each) for name, each in observed.items()}
        of_process: dict[tuple[str, Subset], Floats] = {}
        prior, n = self.shared.log_prior(), len(next(iter(data.values())))
        result = {}
        for subset in self.subsets():
            total = prior + self._of_others(subset, observed)
            for name in subset:
                total = total + masks[name]
            for process in self.processes:
                readers = tuple(n for n in subset if n in self.processes[process].readers)
                if readers:
                    key = (process, readers)
                    # Many subsets share the same readers of a process.
                    if key not in of_process:
                        shown = {name: data[name] for name in readers}
                        given = self.processes[process].log_likelihood(shown, n)
                        of_process[key] = self.shared.in_bits(given, process)
                    total = total + of_process[key]
            result[subset] = _normalised(total)
        return result

    def _of_others(self, subset: Subset, observed: Mapping[str, Observed]) -> Floats:
        """Return the log-likelihood of a sample being in the cohort ``[n, 1, P, B, 1, ...]``.

        Samples that lack every modality are redrawn, so one that lacks all of `subset` has another.
        """
        lacks = np.all([observed[name].absent for name in subset], axis=0)
        others = [self.missing.of_modality(name) for name in self.modalities if name not in subset]
        with np.errstate(divide="ignore"):
            another = np.log1p(-np.prod(others, axis=0)) if others else np.float64(0)
        return self._on_axes(np.where(lacks[:, None, None], another, 0))

    def _of_mask(self, name: str, observed: Observed) -> Floats:
        """Return the log-likelihood of the missing values ``[n, 1, P, B, 1, ...]``."""
        lost = observed.missing & ~np.isnan(observed.drawn.values)
        features = (~np.isnan(observed.drawn.values)).sum(1)
        mask = self.missing.log_likelihood(name, observed.absent, lost.sum(1), features)
        return self._on_axes(mask)

    def _on_axes(self, values: Floats) -> Floats:
        """Reshape ``[n, P, B]`` to ``[n, 1, P, B, 1, ...]``."""
        return np.expand_dims(values, (1, *range(4, 4 + len(self.shared.interactions))))


def _normalised(joint: Floats) -> Floats:
    """Return the posterior ``[n, K]`` from log joint probabilities ``[n, K, P, B, 2, ...]``."""
    flat = joint.reshape(*joint.shape[:2], -1)
    likelihood = np.exp(flat - flat.max((1, 2), keepdims=True)).sum(2)
    return likelihood / likelihood.sum(1, keepdims=True)
