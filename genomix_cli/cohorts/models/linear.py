"""Linear baselines: logistic regression, elastic net, linear discriminant analysis.

Letters: n samples, d columns, k classes in the fit.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.linalg import LinearOperator, eigsh
from scipy.stats import loguniform, uniform

from genomix_cli.cohorts.dataset import Floats
from genomix_cli.cohorts.models.base import Differentiable, Fitted, Setting, State
from genomix_cli.cohorts.models.flat import FlatModel, Matrix, balanced_weights
from genomix_cli.config import Positive, Share, Within
from genomix_cli.training.calibration import log_softmax

if TYPE_CHECKING:
    from torch import Tensor

MAX_ITERATIONS = 2000
# Largest slope of the mean loss that counts as flat; columns have SD 1.
FLAT = 1e-4


class Linear(NamedTuple):
    """Coefficients ``[k, d]`` and intercepts ``[k]``, float64."""

    coefficients: Floats
    intercepts: Floats
    converged: bool = True

    def logits(self, x: NDArray[Any]) -> Floats:
        """``[n, k]``."""
        return x.astype(np.float64) @ self.coefficients.T + self.intercepts


class LinearModel(FlatModel):
    """Logits are linear in the matrix."""

    _linear: Linear

    @abstractmethod
    def _solve(self, x: Floats, y: NDArray[np.int64], seed: int) -> Linear:
        """Coefficients."""

    def _learn(self, x: Matrix, y: NDArray[np.int64], setting: Setting) -> Fitted:
        self._linear = self._solve(x.astype(np.float64), y, setting.seed)
        size = self._linear.coefficients.size + self._linear.intercepts.size
        return Fitted(size, converged=self._linear.converged)

    def _logits(self, x: Matrix) -> Floats:
        return self._linear.logits(x)

    def _learned(self) -> State:
        return {
            "coefficients": self._linear.coefficients,
            "intercepts": self._linear.intercepts,
        }

    def _relearn(self, state: State) -> None:
        self._linear = Linear(state["coefficients"], state["intercepts"])

    def differentiable(self) -> Differentiable:
        """Exact: a matrix product."""
        import torch

        if not self._informed:
            raise NotImplementedError
        coefficients = torch.from_numpy(self._linear.coefficients)
        intercepts = torch.from_numpy(self._linear.intercepts)

        def logits(x: Tensor) -> Tensor:
            return x @ coefficients.to(x).T + intercepts.to(x)

        return self._differentiable(logits)


@dataclass(frozen=True)
class LogisticConfig:
    """Attributes of `Logistic`.

    Attributes
    ----------
    c : float
        Inverse strength of the penalty, per sum (not mean) of losses, as in scikit-learn.
    balanced : bool
        Every class counts the same, however rare.
    """

    c: Positive = 0.01
    balanced: bool = False


class Logistic(LinearModel):
    """Multinomial logistic regression with a ridge penalty, by scikit-learn."""

    config_class = LogisticConfig
    space: ClassVar[Mapping[str, Any]] = {
        "c": loguniform(1e-4, 10),
        "balanced": [False, True],
    }

    def _solve(self, x: Floats, y: NDArray[np.int64], seed: int) -> Linear:
        return ridge_logistic(x, y, self.config.c, self.config.balanced)


def ridge_logistic(x: Floats, y: NDArray[np.int64], c: float, balanced: bool = False) -> Linear:
    """Minimise ``c sum of losses + |w|^2 / 2``; `y` ``[n]`` has all of 0 to k - 1."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    weight = balanced_weights(y, balanced)
    model = LogisticRegression(C=c, tol=FLAT, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y, sample_weight=weight)
    return both_sides(model.coef_, model.intercept_, int(model.n_iter_.max()) < MAX_ITERATIONS)


def both_sides(coefficients: Floats, intercepts: Floats, converged: bool = True) -> Linear:
    """With a row per class also where there are two, of which scikit-learn gives the second."""
    if len(coefficients) == 1:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    return Linear(np.ascontiguousarray(coefficients), np.ascontiguousarray(intercepts), converged)


@dataclass(frozen=True)
class ElasticNetConfig:
    """Attributes of `ElasticNet`.

    Attributes
    ----------
    c : float
        Inverse strength of the penalty, per sum (not mean) of losses, as in scikit-learn.
    l1_ratio : float
        Share of the penalty that is absolute values and makes coefficients zero; the rest is
        squares.
    balanced : bool
        Every class counts the same, however rare.
    """

    c: Positive = 0.05
    l1_ratio: Share = 0.5
    balanced: bool = False


class ElasticNet(LinearModel):
    """Multinomial logistic regression with the elastic-net penalty.

    Zou & Hastie 2005, Regularization and variable selection via the elastic net.
    doi:10.1111/j.1467-9868.2005.00503.x
    """

    config_class = ElasticNetConfig
    space: ClassVar[Mapping[str, Any]] = {
        "c": loguniform(1e-3, 10),
        "l1_ratio": uniform(0, 1),
        "balanced": [False, True],
    }

    def _solve(self, x: Floats, y: NDArray[np.int64], seed: int) -> Linear:
        weight = balanced_weights(y, self.config.balanced)
        return elastic_net(x, y, weight, self.config.c, self.config.l1_ratio)


def elastic_net(
    x: Floats,
    y: NDArray[np.int64],
    weight: Floats,
    c: float,
    l1_ratio: float,
    flat: float = FLAT,
) -> Linear:
    """Minimise ``c sum of losses + l1_ratio |w|_1 + (1 - l1_ratio) |w|^2 / 2``.

    Accelerated proximal gradient (Beck & Teboulle 2009, doi:10.1137/080716542) that starts anew
    where the momentum points uphill (O'Donoghue & Candes 2015, doi:10.1007/s10208-013-9150-3).
    With more columns than samples it is many times faster than coordinates or samples one by one
    in stochastic order, and the result depends on no seed.

    Parameters
    ----------
    x : NDArray
        float64 ``[n, d]``.
    y : NDArray
        int ``[n]``: all of 0 to k - 1.
    weight : NDArray
        ``[n]``, of mean 1.
    c, l1_ratio : float
    flat : float
        Largest slope of the mean loss at which it stops.
    """
    n, k = len(x), int(y.max()) + 1
    design = np.concatenate([x, np.ones((n, 1))], axis=1)
    penalised = np.ones(design.shape[1])
    penalised[-1] = 0  # the intercept
    lasso = (l1_ratio / (c * n)) * penalised
    ridge = ((1 - l1_ratio) / (c * n)) * penalised
    # The curvature of the softmax is at most 1/2 (Boehning 1992, doi:10.1007/BF00048682).
    step = 1 / (0.5 * _largest_eigenvalue(design, weight / n) + ridge.max())
    target = np.eye(k)[y]
    share = (weight / n)[:, None]
    w = ahead = np.zeros((k, design.shape[1]))
    momentum = 1.0
    for _ in range(MAX_ITERATIONS):
        p = np.exp(log_softmax(design @ ahead.T))
        slope = (share * (p - target)).T @ design + ridge * ahead
        moved = ahead - step * slope
        new = np.sign(moved) * np.maximum(np.abs(moved) - step * lasso, 0)
        if np.abs(new - ahead).max() <= flat * step:
            return Linear(np.ascontiguousarray(new[:, :-1]), new[:, -1].copy())
        if np.sum((ahead - new) * (new - w)) > 0:
            momentum = 1.0
        later = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + ((momentum - 1) / later) * (new - w)
        w, momentum = new, later
    return Linear(np.ascontiguousarray(w[:, :-1]), w[:, -1].copy(), converged=False)


def _largest_eigenvalue(x: Floats, weight: Floats) -> float:
    """Of ``x' diag(weight) x``, a little above rather than below."""
    d = x.shape[1]
    if d < 3:
        return float(np.linalg.eigvalsh((x.T * weight) @ x)[-1])

    def apply(v: Floats) -> Floats:
        return x.T @ (weight * (x @ v.ravel()))

    product = LinearOperator((d, d), matvec=apply, dtype=np.float64)
    found = eigsh(product, k=1, v0=np.ones(d), tol=1e-3, return_eigenvectors=False)
    return 1.01 * float(found[0])


@dataclass(frozen=True)
class LDAConfig:
    """Attributes of `LDA`.

    Attributes
    ----------
    shrinkage : float or "auto"
        Share of a multiple of the identity in the covariance; ``auto``: Ledoit and Wolf's.
    balanced : bool
        Every class is as likely beforehand, instead of as frequent as in the fit.
    """

    shrinkage: Annotated[float, Within(0, 1, above=True)] | Literal["auto"] = "auto"
    balanced: bool = False


class LDA(LinearModel):
    """Linear discriminant analysis: normal classes of one covariance, which is shrunk.

    Ledoit & Wolf 2004, A well-conditioned estimator for large-dimensional covariance matrices.
    doi:10.1016/S0047-259X(03)00096-4. Its intensity is that of the covariance within classes, all
    classes taken together.
    """

    config_class = LDAConfig
    space: ClassVar[Mapping[str, Any]] = {
        "shrinkage": ["auto", 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9],
        "balanced": [False, True],
    }

    def _solve(self, x: Floats, y: NDArray[np.int64], seed: int) -> Linear:
        from sklearn.covariance import ledoit_wolf_shrinkage

        count = np.bincount(y)
        prior = np.full(len(count), 1 / len(count)) if self.config.balanced else count / len(y)
        mean = np.stack([x[y == k].mean(0) for k in range(len(count))])
        within = x - mean[y]
        shrinkage = self.config.shrinkage
        if shrinkage == "auto":
            shrinkage = float(ledoit_wolf_shrinkage(within, assume_centered=True))
            shrinkage = max(shrinkage, 1e-6)
        covariance = shrunk(within, shrinkage)
        coefficients = cho_solve(cho_factor(covariance), mean.T).T
        intercepts = np.log(prior) - (coefficients * mean).sum(1) / 2
        return Linear(np.ascontiguousarray(coefficients), intercepts)


def shrunk(centred: Floats, shrinkage: float) -> Floats:
    """Covariance ``[d, d]`` of centred columns, moved towards its mean variance times identity."""
    covariance = (1 - shrinkage) * (centred.T @ centred) / len(centred)
    # Never quite singular, also where no class varies.
    variance = max(float(np.mean(centred**2)), 1e-6)
    covariance.flat[:: len(covariance) + 1] += shrinkage * variance
    return covariance
