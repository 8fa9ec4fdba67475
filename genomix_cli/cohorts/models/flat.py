"""Models of a single matrix: features of all modalities, and indicators of missing modalities.

Letters: n samples, d columns of the matrix, M modalities, K classes, k of them in the fit.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Floats, Samples
from genomix_cli.cohorts.models.base import CohortModel, Differentiable, State, under
from genomix_cli.cohorts.models.preprocessing import Preprocessor, fit_preprocessor
from genomix_cli.comparison.study import Fitted
from genomix_cli.learning.calibration import log_softmax
from genomix_cli.learning.fit_settings import FitSettings

if TYPE_CHECKING:
    from torch import Tensor

Matrix = NDArray[np.float32]

# Log-probability of a class that was not in the fit.
UNSEEN = float(np.log(1e-9))


class FlatModel(CohortModel):
    """Base class of models of a single matrix.

    The matrix has the values of :class:`Preprocessor`, then a column for each modality that some
    training samples lack, which is 1 where it is missing.
    """

    _preprocessor: Preprocessor
    _lacking: NDArray[np.int64]
    _seen: NDArray[np.int64]
    _log_prior: Floats

    @abstractmethod
    def _learn(self, x: Matrix, y: NDArray[np.int64], setting: FitSettings) -> Fitted:
        """Fit to ``[n, d]`` and classes ``[n]`` from 0 to k - 1, all of which occur."""

    @abstractmethod
    def _logits(self, x: Matrix) -> Floats:
        """Return logits ``[n, k]``, up to a constant per sample; finite."""

    @abstractmethod
    def _learned(self) -> State:
        """Return everything that `_logits` needs."""

    @abstractmethod
    def _relearn(self, state: State) -> None:
        """Restore the model from the result of `_learned`."""

    def _fit(self, samples: Samples, setting: FitSettings) -> Fitted:
        self._preprocessor = fit_preprocessor(samples)
        self._lacking = np.flatnonzero(samples.present.any(0) & ~samples.present.all(0))
        self._seen, y = np.unique(samples.label, return_inverse=True)
        self._log_prior = np.log(np.bincount(y) / len(y))
        if not self._informed:
            return Fitted(len(self._seen))
        return self._learn(self._matrix(samples), y, setting)

    @property
    def _informed(self) -> bool:
        """Return True if there is anything to learn: two classes and at least one column."""
        width = len(self._lacking) + sum(len(m.features) for m in self._preprocessor.selected)
        return len(self._seen) > 1 and width > 0

    def _matrix(self, samples: Samples) -> Matrix:
        lacks = ~samples.present[:, self._lacking]
        values = self._preprocessor.transform(samples).flat()
        return np.concatenate([values, lacks.astype(np.float32)], axis=1)

    def log_probability(self, samples: Samples) -> Floats:
        """Return the log-softmax of the logits; without evidence, log class frequencies."""
        if self._informed:
            logits = self._logits(self._matrix(samples))
        else:
            logits = np.tile(self._log_prior, (len(samples), 1))
        return all_classes(logits, self._seen, len(self.classes))

    def state(self) -> State:
        """Return the preprocessing, the classes of the fit with frequencies, and the model."""
        learned = self._learned() if self._informed else {}
        return {
            **{f"input/{name}": array for name, array in self._preprocessor.state().items()},
            "lacking": self._lacking,
            "seen": self._seen,
            "log_prior": self._log_prior,
            **{f"model/{name}": np.ascontiguousarray(array) for name, array in learned.items()},
        }

    def _restore(self, state: State) -> None:
        self._preprocessor = Preprocessor.restore(self.modalities, under(state, "input/"))
        self._lacking, self._seen = state["lacking"], state["seen"]
        self._log_prior = state["log_prior"]
        if self._informed:
            self._relearn(under(state, "model/"))

    def _differentiable(self, of_matrix: Callable[[Tensor], Tensor]) -> Differentiable:
        """Return the model, given a torch function from matrix ``[B, d]`` to logits ``[B, k]``."""
        import torch

        lacking, seen = torch.from_numpy(self._lacking), torch.from_numpy(self._seen)

        def logits(values: Any, observed: Any, present: Any) -> Tensor:
            lacks = ~present[:, lacking]
            logits = of_matrix(torch.cat([*values, lacks.to(values[0].dtype)], dim=1))
            if len(seen) == len(self.classes):
                return logits
            unseen = torch.logsumexp(logits, 1, keepdim=True) + UNSEEN
            return unseen.repeat(1, len(self.classes)).index_copy(1, seen, logits)

        return Differentiable(self._preprocessor, logits)


def all_classes(logits: Floats, seen: NDArray[np.int64], n_classes: int) -> Floats:
    """Return log-probabilities ``[n, K]`` from the logits ``[n, k]`` of the classes in the fit."""
    result = np.full((len(logits), n_classes), UNSEEN)
    result[:, seen] = log_softmax(logits)
    return log_softmax(result)


def balanced_weights(y: NDArray[np.int64], balanced: bool) -> Floats:
    """Return sample weights ``[n]`` of mean 1; if balanced, each class has the same total."""
    if not balanced:
        return np.ones(len(y))
    count = np.bincount(y)
    return (len(y) / (len(count) * count))[y]
