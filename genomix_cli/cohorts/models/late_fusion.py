"""One model per modality: use the best of them, or combine all.

Letters: n samples, M modalities, K classes, k of them in the fit.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import loguniform

from genomix_cli.cohorts.dataset import Floats, Samples
from genomix_cli.cohorts.models.base import CohortModel, State, under
from genomix_cli.cohorts.models.flat import all_classes
from genomix_cli.cohorts.models.linear import Linear, ridge_logistic
from genomix_cli.comparison.splits import folds_of
from genomix_cli.comparison.study import Fitted
from genomix_cli.config import Count, Positive
from genomix_cli.learning.calibration import fit_temperature, log_softmax
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.registry import COHORT_MODELS

Base = Literal[
    "logistic", "elastic-net", "lda", "svm", "random-forest", "gradient-boosting", "lightgbm"
]
log = logging.getLogger("genomix")

# Lower bound of log-probabilities in the regression: values below it, such as those of a class that
# was absent from an inner fold, are no further evidence.
LEAST = float(np.log(1e-4))


@dataclass(frozen=True)
class SingleConfig:
    """Attributes of `BestSingle`, which `LateFusion` shares.

    Attributes
    ----------
    base : str
        Name of the model used for each modality.
    strengths : tuple of float
        Penalty strengths of the base model (see `CohortModel.penalties`). One is chosen for each
        modality by the out-of-fold likelihood at the best temperature.
    folds : int
        Number of inner folds of the training samples.
    """

    base: Base = "logistic"
    strengths: tuple[Positive, ...] = (0.001, 0.01, 0.1, 1.0)
    folds: Count = 3


class SingleModels(CohortModel):
    """One model per modality, each fitted to the samples that have the modality."""

    _models: dict[int, CohortModel]
    _temperature: Floats
    _seen: NDArray[np.int64]
    _log_prior: Floats

    def _fit_parts(self, samples: Samples, setting: FitSettings) -> dict[int, Floats]:
        """Fit a model to each modality that enough samples have.

        Returns
        -------
        dict of int to NDArray
            Out-of-fold log-probabilities ``[n, K]`` of each modality; NaN for samples without it.
        """
        config: SingleConfig = self.config
        fold = folds_of(samples, max(2, config.folds), setting.seed)
        self._seen, count = np.unique(samples.label, return_counts=True)
        prior = np.log(count / count.sum())[None]
        self._log_prior = all_classes(prior, self._seen, len(samples.classes))[0]
        self._models, self._temperature = {}, np.ones(len(samples.modalities))
        out_of_fold = {}
        for i, modality in enumerate(samples.modalities):
            there = samples.present[:, i]
            if len(np.unique(fold[there])) > 1:
                own = samples.only([modality.name])
                self._models[i], self._temperature[i], out_of_fold[i] = self._fit_part(
                    own, there, fold, setting
                )
        return out_of_fold

    def _fit_part(
        self,
        samples: Samples,
        there: NDArray[np.bool_],
        fold: NDArray[np.int64],
        setting: FitSettings,
    ) -> tuple[CohortModel, float, Floats]:
        """Fit a model to samples with one modality, which some lack.

        The temperature maximises the out-of-fold likelihood: margins, and sums of many correlated
        features, are overconfident, by a different factor for each model.
        """
        label = samples.label[there]
        base = COHORT_MODELS.load(self.config.base)

        def attempt(fields: dict[str, Any]) -> tuple[float, float, dict[str, Any], Floats]:
            log_p = _out_of_fold(base, fields, samples, there, fold, setting)
            temperature = fit_temperature(log_p[there], label)
            log_p[there] = log_softmax(log_p[there] / temperature)
            return float(log_p[there, label].mean()), temperature, fields, log_p

        attempts = map(attempt, base.penalties(self.config.strengths))
        likelihood, temperature, fields, log_p = max(attempts, key=lambda each: each[0])
        model = base.of(fields)
        model.fit(samples.take(there), setting)
        name = samples.modalities[0].name
        log.debug("%s alone: out-of-fold log loss %.4f with %s", name, -likelihood, fields)
        return model, temperature, log_p

    def _of_each(self, samples: Samples) -> dict[int, Floats]:
        """Return log-probabilities ``[n, K]`` of each model, whether or not the modality exists."""
        return {
            i: log_softmax(
                model.log_probability(samples.only([self.modalities[i].name]))
                / self._temperature[i]
            )
            for i, model in self._models.items()
        }

    def alone(self, samples: Samples) -> dict[str, Floats]:
        """Return the prediction of each modality; for samples without it, class frequencies."""
        return {
            self.modalities[i].name: np.where(samples.present[:, [i]], log_p, self._log_prior)
            for i, log_p in self._of_each(samples).items()
        }

    def state(self) -> State:
        """Return the class frequencies, and the state and temperature of each model."""
        state = {
            "seen": self._seen,
            "log_prior": self._log_prior,
            "temperature": self._temperature,
        }
        for i, model in self._models.items():
            state.update({f"modality{i}/{name}": a for name, a in model.state().items()})
        return state

    def _restore(self, state: State) -> None:
        self._seen, self._log_prior = state["seen"], state["log_prior"]
        self._temperature = state["temperature"]
        base = COHORT_MODELS.load(self.config.base)
        self._models = {}
        for i, modality in enumerate(self.modalities):
            if own := under(state, f"modality{i}/"):
                self._models[i] = base.of({})
                self._models[i].restore((modality,), self.classes, own)


def _out_of_fold(
    base: type[CohortModel],
    fields: dict[str, Any],
    samples: Samples,
    there: NDArray[np.bool_],
    fold: NDArray[np.int64],
    setting: FitSettings,
) -> Floats:
    """Return log-probabilities ``[n, K]`` of each sample from a model of the other folds."""
    log_p = np.full((len(samples), len(samples.classes)), np.nan)
    for i in np.unique(fold[there]):
        held_out = there & (fold == i)
        model = base.of(fields)
        model.fit(samples.take(there & (fold != i)), setting)
        log_p[held_out] = model.log_probability(samples.take(held_out))
    return log_p


class BestSingle(SingleModels):
    """A model of the single most informative modality.

    This is the modality with the best out-of-fold likelihood over all training samples, where
    samples that lack it get the class frequencies. A sample without it is predicted from the next
    best modality that it has.
    """

    config_class = SingleConfig
    space: ClassVar[Mapping[str, Any]] = {
        "base": ["logistic", "elastic-net", "lda", "svm"],
    }

    _order: NDArray[np.int64]

    def _fit(self, samples: Samples, setting: FitSettings) -> Fitted:
        out_of_fold = self._fit_parts(samples, setting)

        def likelihood(i: int) -> float:
            log_p = np.where(samples.present[:, [i]], out_of_fold[i], self._log_prior)
            return float(log_p[np.arange(len(samples)), samples.label].mean())

        self._order = np.array(sorted(out_of_fold, key=likelihood, reverse=True), np.int64)
        log.debug("modalities, the best first: %s", [self.modalities[i].name for i in self._order])
        return Fitted(sum(_size(model) for model in self._models.values()))

    def log_probability(self, samples: Samples) -> Floats:
        """Return the prediction from the best modality that each sample has."""
        result = np.tile(self._log_prior, (len(samples), 1))
        each = self._of_each(samples)
        for i in map(int, self._order[::-1]):
            there = samples.present[:, i]
            result[there] = each[i][there]
        return result

    def state(self) -> State:
        """Return the models of all modalities, and their order."""
        return {**super().state(), "order": self._order}

    def _restore(self, state: State) -> None:
        self._order = state["order"]
        super()._restore(state)


@dataclass(frozen=True)
class LateFusionConfig(SingleConfig):
    """Attributes beside those of `SingleConfig`.

    Attributes
    ----------
    combine : str
        ``stacking``: logistic regression on the out-of-fold log-probabilities; ``product``: product
        of the posteriors, which assumes modalities to be independent given the class.
    stack_c : float
        Inverse penalty strength of the logistic regression.
    """

    combine: Literal["stacking", "product"] = "stacking"
    stack_c: Positive = 0.1


class LateFusion(SingleModels):
    """A model for each modality, and one that combines their probabilities.

    Wolpert 1992, Stacked generalization. doi:10.1016/S0893-6080(05)80023-1. The combining model
    sees no features, so it cannot learn interactions between features of two modalities.
    """

    config_class = LateFusionConfig
    space: ClassVar[Mapping[str, Any]] = {
        "base": ["logistic", "elastic-net", "lda", "svm"],
        "combine": ["stacking", "stacking", "product"],
        "stack_c": loguniform(1e-3, 10),
    }

    _stack: Linear

    def _fit(self, samples: Samples, setting: FitSettings) -> Fitted:
        out_of_fold = self._fit_parts(samples, setting)
        size = sum(_size(model) for model in self._models.values())
        if not self._stacked:
            return Fitted(size)
        x = self._evidence(out_of_fold, samples.present)
        y = np.searchsorted(self._seen, samples.label)
        self._stack = ridge_logistic(x, y, self.config.stack_c)
        size += self._stack.coefficients.size + self._stack.intercepts.size
        return Fitted(size, converged=self._stack.converged)

    @property
    def _stacked(self) -> bool:
        possible = len(self._seen) > 1 and bool(self._models)
        return possible and self.config.combine == "stacking"

    def _evidence(self, each: dict[int, Floats], present: NDArray[np.bool_]) -> Floats:
        """Return the columns of the regression, float64 ``[n, models (K + 1)]``.

        They are log-probabilities, 0 where the modality is missing, and an indicator of that.
        """
        columns = []
        for i, log_p in each.items():
            bounded = np.maximum(log_p, LEAST)
            centred = bounded - bounded.mean(1, keepdims=True)
            there = present[:, [i]]
            columns += [np.where(there, centred, 0), ~there]
        return np.concatenate(columns, axis=1).astype(np.float64)

    def log_probability(self, samples: Samples) -> Floats:
        """Return the combined prediction from the modalities that each sample has."""
        each = self._of_each(samples)
        if self._stacked:
            logits = self._stack.logits(self._evidence(each, samples.present))
            return all_classes(logits, self._seen, len(self.classes))
        result = np.tile(self._log_prior, (len(samples), 1))
        for i, log_p in each.items():
            result += np.where(samples.present[:, [i]], log_p - self._log_prior, 0)
        return log_softmax(result)

    def state(self) -> State:
        """Return the models of all modalities, and the regression."""
        if not self._stacked:
            return super().state()
        coefficients, intercepts = self._stack[:2]
        stack = {"stack/coefficients": coefficients, "stack/intercepts": intercepts}
        return {**super().state(), **stack}

    def _restore(self, state: State) -> None:
        super()._restore(state)
        if self._stacked:
            self._stack = Linear(state["stack/coefficients"], state["stack/intercepts"])


def _size(model: CohortModel) -> int:
    """Return the number of parameters of a base model."""
    return sum(a.size for name, a in model.state().items() if name.startswith("model/"))
