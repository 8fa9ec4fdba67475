"""Support vector machines, one-vs-rest for each class.

Letters: n samples, d columns, s support vectors, k classes in the fit.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import loguniform

from genomix_cli.cohorts.dataset import Floats
from genomix_cli.cohorts.models.base import Differentiable, State
from genomix_cli.cohorts.models.flat import FlatModel, Matrix
from genomix_cli.comparison.study import Fitted
from genomix_cli.config import Positive
from genomix_cli.learning.fit_settings import FitSettings

if TYPE_CHECKING:
    from torch import Tensor

# True for the samples of a class, bool ``[n]``.
Members = NDArray[np.bool_]

MAX_ITERATIONS = 10_000
# Number of samples whose kernel is computed at a time.
CHUNK = 1024


@dataclass(frozen=True)
class SVMConfig:
    """Attributes of `SVM`.

    Attributes
    ----------
    kernel : str
        ``linear``: squared hinge loss; ``rbf``: hinge loss and a Gaussian kernel.
    c : float
        Inverse penalty strength, relative to the sum (not mean) of losses, as in scikit-learn.
    gamma : float
        Width of the Gaussian kernel ``exp(-gamma |a - b|^2 / d)``.
    balanced : bool
        Give every class the same weight, however rare.
    """

    kernel: Literal["linear", "rbf"] = "rbf"
    c: Positive = 1.0
    gamma: Positive = 1.0
    balanced: bool = False


class Machines(NamedTuple):
    """Learned arrays of one machine for each class.

    Attributes
    ----------
    support : NDArray
        float32 ``[s, d]``: support vectors; empty for linear machines.
    weights : NDArray
        float64: dual coefficients ``[k, s]``, or coefficients ``[k, d]`` for linear machines.
    intercepts : NDArray
        float64 ``[k]``.
    """

    support: NDArray[np.float32]
    weights: Floats
    intercepts: Floats


class SVM(FlatModel):
    """Support vector machines by scikit-learn; logits are the decision values.

    Cortes & Vapnik 1995, Support-vector networks. doi:10.1007/BF00994018. There is one machine per
    class (Rifkin & Klautau 2004, In defense of one-vs-all classification), so each class has a
    decision value; their softmax with temperature scaling gives probabilities.
    """

    config_class = SVMConfig
    space: ClassVar[Mapping[str, Any]] = {
        "kernel": ["linear", "rbf"],
        "c": loguniform(1e-4, 100),
        "gamma": loguniform(0.03, 3),
        "balanced": [False, True],
    }

    _machines: Machines

    @classmethod
    def penalties(cls, strengths: Sequence[float]) -> list[dict[str, Any]]:
        """Return ten times each strength as `c`, which suits a Gaussian kernel of many features."""
        return [{"c": 10 * c} for c in strengths]

    @property
    def _linear(self) -> bool:
        return self.config.kernel == "linear"

    def _learn(self, x: Matrix, y: NDArray[np.int64], setting: FitSettings) -> Fitted:
        # Two classes need a single machine.
        classes = range(int(y.max()) + 1) if y.max() > 1 else [1]
        learn = self._learn_linear if self._linear else self._learn_gaussian
        own = [y == k for k in classes]
        self._machines, converged = learn(x.astype(np.float64), own, setting.seed)
        return Fitted(sum(array.size for array in self._machines), converged=converged)

    def _learn_linear(self, x: Floats, own: list[Members], seed: int) -> tuple[Machines, bool]:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        machine = LinearSVC(
            C=self.config.c,
            dual="auto",
            class_weight="balanced" if self.config.balanced else None,
            random_state=seed,
            max_iter=MAX_ITERATIONS,
        )
        weights, intercepts, converged = [], [], True
        for one in own:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                machine.fit(x, one)
            converged &= int(np.max(machine.n_iter_)) < MAX_ITERATIONS
            weights.append(machine.coef_[0])
            intercepts.append(float(machine.intercept_[0]))
        none = np.empty((0, x.shape[1]), np.float32)
        return Machines(none, np.stack(weights), np.array(intercepts)), converged

    def _learn_gaussian(self, x: Floats, own: list[Members], seed: int) -> tuple[Machines, bool]:
        from sklearn.svm import SVC

        machine = SVC(
            C=self.config.c,
            gamma=self.config.gamma / x.shape[1],
            class_weight="balanced" if self.config.balanced else None,
            cache_size=500,
            random_state=seed,
        )
        weights, intercepts = np.zeros((len(own), len(x))), np.empty(len(own))
        for row, one in enumerate(own):
            machine.fit(x, one)
            weights[row, machine.support_] = machine.dual_coef_[0]
            intercepts[row] = machine.intercept_[0]
        # Machines share most support vectors, so store one matrix, with zero weights where unused.
        support = np.flatnonzero((weights != 0).any(0))
        weights = np.ascontiguousarray(weights[:, support])
        return Machines(x[support].astype(np.float32), weights, intercepts), True

    def _logits(self, x: Matrix) -> Floats:
        chunks = [x[i : i + CHUNK].astype(np.float64) for i in range(0, max(1, len(x)), CHUNK)]
        weights, intercepts = self._machines[1:]
        distance = np.concatenate([self._basis(chunk) @ weights.T for chunk in chunks])
        distance += intercepts
        return np.concatenate([-distance, distance], 1) / 2 if len(self._seen) == 2 else distance

    def _basis(self, x: Floats) -> Floats:
        """Return the basis of the weights: the columns, or the kernel with support vectors."""
        if self._linear:
            return x
        support = self._machines.support.astype(np.float64)
        # Expand |a - b|^2, so that the expensive term is a matrix product.
        squared = (x**2).sum(1)[:, None] + (support**2).sum(1) - 2 * x @ support.T
        return np.exp(-self.config.gamma / x.shape[1] * squared)

    def _learned(self) -> State:
        return self._machines._asdict()

    def _relearn(self, state: State) -> None:
        self._machines = Machines(**state)

    def differentiable(self) -> Differentiable:
        """Return the decision values as a torch function."""
        import torch

        if not self._informed:
            raise NotImplementedError
        support, weights, intercepts = map(torch.from_numpy, self._machines)

        def logits(x: Tensor) -> Tensor:
            if not self._linear:
                squared = ((x[:, None] - support.to(x)) ** 2).sum(-1)
                x = torch.exp(-self.config.gamma / x.shape[1] * squared)
            distance = x @ weights.to(x).T + intercepts.to(x)
            return torch.cat([-distance, distance], 1) / 2 if len(self._seen) == 2 else distance

        return self._differentiable(logits)
