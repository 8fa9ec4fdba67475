"""Linear baselines: logistic regression, elastic net, linear discriminant analysis.

Letters: n samples, d columns, k classes in the fit.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import loguniform, uniform

from genomix_cli.cohorts.dataset import Floats
from genomix_cli.cohorts.models.base import Differentiable, State
from genomix_cli.cohorts.models.flat import FlatModel, Matrix, balanced_weights
from genomix_cli.comparison.study import Fitted
from genomix_cli.config import Share, Within
from genomix_cli.learning.calibration import fit_temperature, log_softmax
from genomix_cli.learning.fit_settings import FitSettings

if TYPE_CHECKING:
    from torch import Tensor

MAX_ITERATIONS = 2000
# Values of `c` that ``auto`` chooses from, number of folds for the choice, and largest slope of the
# loss at which a fit stops there.
STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)
FOLDS = 3
ROUGHLY = 1e-3
FLAT = 1e-5


class Linear(NamedTuple):
    """Coefficients ``[k, d]`` and intercepts ``[k]``, float64."""

    coefficients: Floats
    intercepts: Floats
    converged: bool = True

    def logits(self, x: NDArray[Any]) -> Floats:
        """``[n, k]``."""
        return x.astype(np.float64) @ self.coefficients.T + self.intercepts


class LinearModel(FlatModel):
    """Base class of models whose logits are linear in the matrix."""

    _linear: Linear

    @classmethod
    def penalties(cls, strengths: Sequence[float]) -> list[dict[str, Any]]:
        """Return one configuration per strength, as the field `c`."""
        return [{"c": c} for c in strengths]

    @abstractmethod
    def _solve(self, x: Floats, y: NDArray[np.int64], seed: int) -> Linear:
        """Fit the coefficients."""

    def _learn(self, x: Matrix, y: NDArray[np.int64], setting: FitSettings) -> Fitted:
        self._linear = self._solve(x.astype(np.float64), y, setting.seed)
        size = self._linear.coefficients.size + self._linear.intercepts.size
        return Fitted(size, converged=self._linear.converged)

    def _logits(self, x: Matrix) -> Floats:
        return self._linear.logits(x)

    def _learned(self) -> State:
        coefficients, intercepts, _ = self._linear
        return {"coefficients": coefficients, "intercepts": intercepts}

    def _relearn(self, state: State) -> None:
        self._linear = Linear(state["coefficients"], state["intercepts"])

    def differentiable(self) -> Differentiable:
        """Return the model as a matrix product, which is exact."""
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
    c : float or "auto"
        Inverse penalty strength, relative to the sum (not mean) of losses, as in scikit-learn.
        ``auto``: the one of `STRENGTHS` with the lowest log loss in three folds of the training
        samples.
    balanced : bool
        Give every class the same weight, however rare.
    """

    c: Annotated[float, Within(0, above=True)] | Literal["auto"] = "auto"
    balanced: bool = False


class Logistic(LinearModel):
    """Multinomial logistic regression with a ridge penalty, by scikit-learn."""

    config_class = LogisticConfig
    space: ClassVar[Mapping[str, Any]] = {
        "c": loguniform(1e-4, 10),
        "balanced": [False, True],
    }

    def _solve(self, x: Floats, y: NDArray[np.int64], seed: int) -> Linear:
        c, balanced = self.config.c, self.config.balanced
        if c == "auto":
            c = best_strength(ridge_logistic, in_fewer_columns(x), y, balanced)
        return ridge_logistic(x, y, c, balanced)


def in_fewer_columns(x: Floats) -> Floats:
    """Project the columns on the space spanned by the samples if there are more columns.

    This does not change a fit with a ridge penalty.
    """
    if x.shape[1] <= len(x):
        return x
    left, size, _ = np.linalg.svd(x, full_matrices=False)
    return np.asarray(left * size)


def best_strength(
    solve: Callable[..., Linear],
    x: Floats,
    y: NDArray[np.int64],
    balanced: bool = False,
    *,
    calibrated: bool = False,
) -> float:
    """Return the `c` of `STRENGTHS` with the lowest log loss in `FOLDS` folds.

    The samples of each class are dealt to the folds in turn. The sample of a class with only one is
    in every training part.

    Parameters
    ----------
    solve : callable
        Function of x, y, c, balanced and the largest slope of the loss that returns `Linear`.
    x : NDArray
        float64 ``[n, d]``.
    y : NDArray
        int64 ``[n]``.
    balanced : bool
    calibrated : bool
        Compare log losses at the best temperature of each, as calibration follows for all models.
    """
    count = np.bincount(y)
    fold = np.empty(len(y), np.int64)
    for k in range(len(count)):
        fold[y == k] = np.arange(count[k]) % FOLDS if count[k] > 1 else -1
    logits = np.zeros((len(STRENGTHS), len(y), len(count)))
    for i in range(FOLDS):
        held, kept = fold == i, fold != i
        for s, c in enumerate(STRENGTHS):
            learned = solve(x[kept], y[kept], c, balanced, ROUGHLY)
            logits[s, held] = learned.logits(x[held])
    held = fold >= 0
    weight, label = balanced_weights(y, balanced)[held], y[held]
    loss = []
    for of_strength in logits[:, held]:
        temperature = fit_temperature(of_strength, label) if calibrated else 1.0
        log_p = log_softmax(of_strength / temperature)
        loss.append(-float(weight @ log_p[np.arange(len(label)), label]))
    return STRENGTHS[int(np.argmin(loss))]


def ridge_logistic(
    x: Floats, y: NDArray[np.int64], c: float, balanced: bool = False, flat: float = FLAT
) -> Linear:
    """Minimise ``c sum of losses + |w|^2 / 2``; `y` ``[n]`` has all of 0 to k - 1.

    The fit stops once the slope of the loss is at most `flat`.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    weight = balanced_weights(y, balanced)
    model = LogisticRegression(C=c, tol=flat, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y, sample_weight=weight)
    return both_sides(model.coef_, model.intercept_, int(model.n_iter_.max()) < MAX_ITERATIONS)


def both_sides(coefficients: Floats, intercepts: Floats, converged: bool = True) -> Linear:
    """Return one row per class, also for two classes, for which scikit-learn has a single row."""
    if len(coefficients) == 1:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    return Linear(np.ascontiguousarray(coefficients), np.ascontiguousarray(intercepts), converged)


@dataclass(frozen=True)
class ElasticNetConfig:
    """Attributes of `ElasticNet`.

    Attributes
    ----------
    c : float or "auto"
        As for `LogisticConfig`, but chosen by log losses at the best temperature of each.
    l1_ratio : float
        Share of the penalty on absolute values, which sets coefficients to zero; the rest is on
        squares.
    balanced : bool
        Give every class the same weight, however rare.
    """

    c: Annotated[float, Within(0, above=True)] | Literal["auto"] = "auto"
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
        c, balanced, l1_ratio = self.config.c, self.config.balanced, self.config.l1_ratio

        def solve(
            x: Floats, y: NDArray[np.int64], c: float, balanced: bool, flat: float = FLAT
        ) -> Linear:
            return elastic_net(x, y, balanced_weights(y, balanced), c, l1_ratio, flat)

        if c == "auto":
            # The same penalty selects columns and sets the confidence. Without calibration, the
            # choice would favour a good confidence over a good selection.
            c = best_strength(solve, x, y, balanced, calibrated=True)
        return solve(x, y, c, balanced)


def elastic_net(
    x: Floats,
    y: NDArray[np.int64],
    weight: Floats,
    c: float,
    l1_ratio: float,
    flat: float = FLAT,
) -> Linear:
    """Minimise ``c sum of losses + l1_ratio |w|_1 + (1 - l1_ratio) |w|^2 / 2``.

    The method is accelerated proximal gradient (Beck & Teboulle 2009, doi:10.1137/080716542). It
    restarts where the momentum points uphill (O'Donoghue & Candes 2015,
    doi:10.1007/s10208-013-9150-3), and its step grows until it overshoots, since the softmax of a
    good fit is far flatter than its bound. With more columns than samples it needs a few hundred
    steps, where a stochastic solver needs thousands of passes, and the result depends on no seed.

    Parameters
    ----------
    x : NDArray
        float64 ``[n, d]``.
    y : NDArray
        int ``[n]``: all of 0 to k - 1.
    weight : NDArray
        Sample weights ``[n]`` of mean 1.
    c, l1_ratio : float
    flat : float
        Largest slope of the mean loss at which the fit stops.
    """
    loss = _Loss.of(x, y, weight, c, l1_ratio)
    n, k = loss.target.shape
    w = ahead = np.zeros((k, loss.design.shape[1]))
    z = z_ahead = np.zeros((n, k))
    step, momentum = 2 * n / float(np.sum(loss.design**2)), 1.0
    for _ in range(MAX_ITERATIONS):
        new, z_new, step = loss.descend(ahead, z_ahead, 1.1 * step)
        moved = new - ahead
        if np.abs(moved).max() <= flat * step:
            return _without_ones(new)
        # Restart if the momentum points uphill.
        if np.sum(moved * (new - w)) < 0:
            momentum = 1.0
        later = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        share = (momentum - 1) / later
        ahead, z_ahead = new + share * (new - w), z_new + share * (z_new - z)
        w, z, momentum = new, z_new, later
    return _without_ones(w, converged=False)


class _Loss(NamedTuple):
    """Loss of the elastic net per sample; the last column of the design is ones, without penalty.

    Coefficients are w ``[k, d + 1]``, logits z ``[n, k]``.
    """

    design: Floats
    target: Floats
    weight: Floats
    lasso: Floats
    ridge: Floats

    @classmethod
    def of(
        cls, x: Floats, y: NDArray[np.int64], weight: Floats, c: float, l1_ratio: float
    ) -> _Loss:
        design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        penalty = np.append(np.full(x.shape[1], 1 / (c * len(x))), 0)
        target = np.eye(int(y.max()) + 1)[y]
        return cls(design, target, weight / len(x), l1_ratio * penalty, (1 - l1_ratio) * penalty)

    def smooth(self, w: Floats, z: Floats) -> float:
        """Return the differentiable part of the loss, without the lasso."""
        own = (self.target * log_softmax(z)).sum(1)
        return float((self.ridge * w**2).sum() / 2 - self.weight @ own)

    def descend(self, w: Floats, z: Floats, step: float) -> tuple[Floats, Floats, float]:
        """Return the next w and z, and the step, halved until the loss lies below its parabola."""
        here = self.smooth(w, z)
        error = self.weight[:, None] * (np.exp(log_softmax(z)) - self.target)
        slope = error.T @ self.design + self.ridge * w
        while True:
            new = w - step * slope
            # Proximal step of the lasso: move towards 0, but not past it.
            new = np.sign(new) * np.maximum(np.abs(new) - step * self.lasso, 0)
            moved, z_new = new - w, self.design @ new.T
            parabola = here + np.sum(slope * moved) + np.sum(moved**2) / (2 * step)
            # Near convergence the difference is rounding error of either sign.
            if self.smooth(new, z_new) <= parabola + 1e-13 * (1 + abs(here)):
                return new, z_new, step
            step /= 2


def _without_ones(w: Floats, converged: bool = True) -> Linear:
    return Linear(np.ascontiguousarray(w[:, :-1]), w[:, -1].copy(), converged)


@dataclass(frozen=True)
class LDAConfig:
    """Attributes of `LDA`.

    Attributes
    ----------
    shrinkage : float or "auto"
        Weight of the scaled identity in the covariance; ``auto``: Ledoit and Wolf's estimate.
    balanced : bool
        Use equal prior probabilities of the classes instead of their training frequencies.
    """

    shrinkage: Annotated[float, Within(0, 1, above=True)] | Literal["auto"] = "auto"
    balanced: bool = False


class LDA(LinearModel):
    """Linear discriminant analysis: normal classes with a common, shrunk covariance.

    Ledoit & Wolf 2004, A well-conditioned estimator for large-dimensional covariance matrices.
    doi:10.1016/S0047-259X(03)00096-4. As in scikit-learn's least-squares solver, each class's
    covariance is shrunk separately. The solver here is Cholesky, ten times faster with many
    columns.
    """

    config_class = LDAConfig
    space: ClassVar[Mapping[str, Any]] = {
        "shrinkage": ["auto", 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97],
        "balanced": [False, True],
    }

    @classmethod
    def penalties(cls, strengths: Sequence[float]) -> list[dict[str, Any]]:
        """Return configurations with different shrinkages; the strengths are ignored."""
        return [{"shrinkage": shrinkage} for shrinkage in ("auto", 0.5, 0.9)]

    def _solve(self, x: Floats, y: NDArray[np.int64], seed: int) -> Linear:
        count = np.bincount(y)
        share = count / len(y)
        prior = np.full(len(count), 1 / len(count)) if self.config.balanced else share
        mean = np.stack([x[y == k].mean(0) for k in range(len(count))])
        covariance = np.zeros((x.shape[1], x.shape[1]))
        for k in range(len(count)):
            covariance += share[k] * shrunk(x[y == k] - mean[k], self.config.shrinkage)
        # Keep the matrix regular even if no class varies.
        covariance.flat[:: len(covariance) + 1] += 1e-9
        coefficients = cho_solve(cho_factor(covariance), mean.T).T
        intercepts = np.log(prior) - (coefficients * mean).sum(1) / 2
        return Linear(np.ascontiguousarray(coefficients), intercepts)


def shrunk(centred: Floats, shrinkage: float | Literal["auto"]) -> Floats:
    """Return the covariance ``[d, d]`` of centred columns, shrunk towards a scaled identity.

    With ``auto``, the correlations are shrunk, by the amount that Ledoit and Wolf estimate.
    """
    from sklearn.covariance import ledoit_wolf

    if shrinkage == "auto" and len(centred) > 1:
        sd = centred.std(0)
        sd[sd == 0] = 1
        return ledoit_wolf(centred / sd, assume_centered=True)[0] * np.outer(sd, sd)
    share = 0.0 if shrinkage == "auto" else shrinkage
    covariance = (1 - share) * (centred.T @ centred) / len(centred)
    covariance.flat[:: len(covariance) + 1] += share * np.mean(centred**2)
    return covariance
