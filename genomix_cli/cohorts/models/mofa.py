"""Factors common to all modalities (MOFA+), and logistic regression on them.

Letters: n samples, d features of a modality that are kept, f factors, k classes in the fit.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import loguniform

from genomix_cli.cohorts.dataset import Floats, Samples
from genomix_cli.cohorts.models.base import CohortModel, State, under
from genomix_cli.cohorts.models.flat import all_classes
from genomix_cli.cohorts.models.linear import Linear, ridge_logistic
from genomix_cli.cohorts.models.preprocessing import Encoded, Preprocessor, fit_preprocessor
from genomix_cli.comparison.study import Fitted
from genomix_cli.config import Count, Positive
from genomix_cli.errors import from_extra
from genomix_cli.learning.fit_settings import FitSettings


@dataclass(frozen=True)
class MOFAConfig:
    """Attributes of `MOFA`.

    Attributes
    ----------
    factors : int
        Number of factors; factors that explain nothing are shrunk to zero.
    iterations : int
        Largest number of updates of all variables.
    c : float
        Inverse penalty strength of the logistic regression, relative to the sum of losses.
    balanced : bool
        Give every class the same weight, however rare.
    """

    factors: Count = 15
    iterations: Count = 1000
    c: Positive = 1.0
    balanced: bool = False


class Factors(NamedTuple):
    """Weights and noise that link the values of a modality to the factors.

    Attributes
    ----------
    weight : NDArray
        float64 ``[d, f]``: posterior mean of the weights.
    variance : NDArray
        float64 ``[d, f]``: posterior variance of the weights.
    precision : NDArray
        float64 ``[d]``: inverse variance of the noise.
    """

    weight: Floats
    variance: Floats
    precision: Floats


class MOFA(CohortModel):
    """MOFA+ factors of the training samples, and logistic regression on the factors.

    Argelaguet et al. 2020, MOFA+: a statistical framework for comprehensive integration of
    multi-modal single-cell data. doi:10.1186/s13059-020-02015-1, with the authors' package mofapy2:
    one group, and ARD on the weights of each factor in each modality. Factors are learned without
    labels. `project` then gives the factors of every sample, including training samples.

    Deviations: the likelihood of every modality is normal, on standardised values. Weights have no
    spike-and-slab prior, since projection needs a single mode.
    """

    config_class = MOFAConfig
    needs: ClassVar[Mapping[str, str]] = {"mofapy2": "mofa"}
    space: ClassVar[Mapping[str, Any]] = {
        "factors": [5, 10, 15, 25, 40],
        "c": loguniform(1e-3, 100),
        "balanced": [False, True],
    }

    _preprocessor: Preprocessor
    _factors: tuple[Factors, ...]
    _linear: Linear
    _seen: NDArray[np.int64]

    @classmethod
    def penalties(cls, strengths: Sequence[float]) -> list[dict[str, Any]]:
        """Return each strength as `c`."""
        return [{"c": c} for c in strengths]

    def _fit(self, samples: Samples, setting: FitSettings) -> Fitted:
        config: MOFAConfig = self.config
        self._preprocessor = fit_preprocessor(samples)
        encoded = self._preprocessor.transform(samples)
        self._factors = learn_factors(encoded, config.factors, config.iterations, setting.seed)
        self._seen, y = np.unique(samples.label, return_inverse=True)
        z = project(encoded, self._factors)
        if len(self._seen) > 1:
            self._linear = ridge_logistic(z, y, config.c, config.balanced)
        else:
            self._linear = Linear(np.zeros((1, z.shape[1])), np.zeros(1))
        size = sum(array.size for each in self._factors for array in each)
        size += self._linear.coefficients.size + self._linear.intercepts.size
        return Fitted(size, converged=self._linear.converged)

    def log_probability(self, samples: Samples) -> Floats:
        """Return the log-softmax of the logits; a sample without values has mean factors."""
        z = project(self._preprocessor.transform(samples), self._factors)
        return all_classes(self._linear.logits(z), self._seen, len(self.classes))

    def state(self) -> State:
        """Return the preprocessing, the weights and noise of each modality, and coefficients."""
        return {
            **{f"input/{name}": array for name, array in self._preprocessor.state().items()},
            **{
                f"factors/{i}/{name}": np.ascontiguousarray(array)
                for i, each in enumerate(self._factors)
                for name, array in each._asdict().items()
            },
            "coefficients": self._linear.coefficients,
            "intercepts": self._linear.intercepts,
            "seen": self._seen,
        }

    def _restore(self, state: State) -> None:
        self._preprocessor = Preprocessor.restore(self.modalities, under(state, "input/"))
        self._factors = tuple(
            Factors(**under(state, f"factors/{i}/")) for i in range(len(self.modalities))
        )
        self._linear = Linear(state["coefficients"], state["intercepts"])
        self._seen = state["seen"]


def learn_factors(
    encoded: Encoded, n_factors: int, iterations: int, seed: int
) -> tuple[Factors, ...]:
    """Fit MOFA+ to standardised values, and return the weights and noise of each modality.

    Modalities and samples without any value take no part; the weights of such modalities are 0.
    """
    some = [i for i, seen in enumerate(encoded.observed) if seen.any()]
    known = np.zeros((len(encoded.present), 0), bool)
    rows = np.flatnonzero(np.hstack([known, *encoded.observed]).any(1))
    width = sum(encoded.values[i].shape[1] for i in some)
    # MOFA starts from principal components, of which there are no more than this.
    n_factors = max(1, min(n_factors, width, len(rows) - 1))
    nothing = [np.zeros((values.shape[1], n_factors)) for values in encoded.values]
    found = [Factors(each, each, each[:, 0]) for each in nothing]
    if len(rows) < 2:
        return tuple(found)
    entry_point = _mofapy2()
    values = [
        [np.where(encoded.observed[i], encoded.values[i], np.nan)[rows].astype(np.float64)]
        for i in some
    ]
    # The package prints to standard output and seeds NumPy's global generator.
    state = np.random.get_state()  # noqa: NPY002
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            model = entry_point()
            # The values are already standardised.
            model.set_data_options(center_groups=False)
            model.set_data_matrix(values, ["gaussian"] * len(some))
            model.set_model_options(n_factors, spikeslab_weights=False, ard_weights=True)
            model.set_train_options(iterations, convergence_mode="fast", seed=seed, quiet=True)
            model.build()
            model.run()
    finally:
        np.random.set_state(state)  # noqa: NPY002
    nodes = model.model.getNodes()
    weights, noise = nodes["W"].getExpectations(), nodes["Tau"].getExpectations()
    for i, weight, tau in zip(some, weights, noise, strict=True):
        mean = np.asarray(weight["E"], np.float64)
        # With one group, every sample has the same noise.
        found[i] = Factors(mean, weight["E2"] - mean**2, np.asarray(tau["E"], np.float64)[0])
    return tuple(found)


def project(encoded: Encoded, factors: Sequence[Factors]) -> Floats:
    """Return the mean of the factors of each sample, given the weights: float64 ``[n, f]``.

    This is least squares on the values that a sample has, weighted by noise precision, with the
    prior of the factors (normal, variance 1). MOFA's own updates of the sample's factors converge
    to the same result: uncertain weights enter with the mean of their squares.
    """
    n, f = len(encoded.present), factors[0].weight.shape[1]
    precision, evidence = np.tile(np.eye(f), (n, 1, 1)), np.zeros((n, f))
    for values, observed, of in zip(encoded.values, encoded.observed, factors, strict=True):
        known = observed * of.precision  # [n, d]
        pairs = of.weight[:, :, None] * of.weight[:, None, :]  # [d, f, f]
        pairs += of.variance[:, :, None] * np.eye(f)
        precision += (known @ pairs.reshape(len(pairs), f * f)).reshape(n, f, f)
        evidence += (known * values) @ of.weight
    factor: Floats = np.linalg.solve(precision, evidence[:, :, None])[:, :, 0].astype(np.float64)
    return factor


def _mofapy2() -> Any:
    """Return the entry point of mofapy2, which takes seconds to import and prints messages."""
    with from_extra("mofapy2", "mofa"), contextlib.redirect_stdout(io.StringIO()):
        from mofapy2.run.entry_point import entry_point
    return entry_point
