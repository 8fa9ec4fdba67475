"""Principal components of the base composition of columns, with a linear classifier.

The classifier is linear in the bases, so it is stored as one weight per base and column, whatever
the number of components.

Letters: n sequences, L bases, d columns (4 L), c components, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.study import Fitted, Floats
from genomix_cli.config import Count, Positive
from genomix_cli.genome.iupac import HIDDEN, SETS, composition
from genomix_cli.learning.calibration import log_softmax
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.sequences.models.base import Labelled, SequenceClassifier, State
from genomix_cli.sequences.models.columns import column_statistics
from genomix_cli.sequences.models.linear import NEVER, Linear, learn_linear, learn_pairs

if TYPE_CHECKING:
    from torch import Tensor

# Number of bases whose composition is held in memory at once.
CELLS = 2**23
# The decomposition is exact up to this length of the matrix's smaller side.
EXACT = 6000
EXTRA, POWERS = 20, 4
ARRAYS = ("mean", "weight", "intercept", "votes")
# Slope of a pair's vote at the boundary, relative to margins of 1: high means all or nothing.
STEEP = 10.0


@dataclass(frozen=True)
class ComponentsConfig:
    """Configuration of the classifiers of principal components.

    Attributes
    ----------
    components : int or "all"
    c : float
        Inverse strength of the penalty, relative to the sum of losses. Scores are scaled so that
        the largest component has variance 1 (logistic regression), or the mean sequence has length
        1 (support vector machines).
    rare : float
        Added to the variance of a column, so that rare alleles do not dominate.
    """

    components: Count | Literal["all"] = 30
    c: Positive = 1.0
    rare: Positive = 0.0075


@dataclass(frozen=True)
class MachinesConfig(ComponentsConfig):
    """Configuration of `PCASVM`.

    Attributes
    ----------
    pairs : bool
        True for one machine per pair of classes, which vote; False for one per class against the
        rest.
    """

    pairs: bool = True


class Components(SequenceClassifier):
    """Linear classifier on principal components of the centred, scaled composition of columns.

    Patterson et al. 2006, Population structure and eigenanalysis, doi:10.1371/journal.pgen.0020190,
    extended to any bases. Unknown and hidden bases take the mean of their column.
    """

    reads_columns = True
    config_class = ComponentsConfig
    needs: ClassVar[Mapping[str, str]] = {"sklearn": "cohorts"}
    kind: ClassVar[Literal["logistic", "svm"]]

    # Learned arrays, by the names in `ARRAYS`.
    _learned: State

    def _fit(self, train: Labelled, valid: Labelled, setting: FitSettings) -> Fitted:
        codes = train.sequences.codes
        matrix = Standardised.of(codes, self.config.rare)
        wanted = self.config.components
        components = principal(matrix, codes, None if wanted == "all" else wanted, setting.seed)
        scores = components.scores
        unit = unit_of(scores, self.kind)
        linear, votes = self._solve(scores / unit, train.label, setting.seed)
        weight = of_bases(matrix, components, linear.coefficients / unit)
        arrays = (matrix.mean, weight, linear.intercepts, votes)
        self._learned = dict(zip(ARRAYS, arrays, strict=True))
        size = linear.coefficients.size + linear.intercepts.size
        return Fitted(size, converged=linear.converged)

    def _solve(self, scores: Floats, label: NDArray[np.int64], seed: int) -> tuple[Linear, Floats]:
        """Return the coefficients of the components, and the votes ``[P, K]`` of pairs, if any."""
        n_classes, config = len(self.classes), self.config
        if getattr(config, "pairs", False) and len(np.unique(label)) > 2:
            return learn_pairs(scores, label, n_classes, c=config.c)
        linear = learn_linear(scores, label, n_classes, kind=self.kind, c=config.c, seed=seed)
        return linear, np.zeros((0, n_classes))

    def log_probability(self, codes: NDArray[np.uint8]) -> Floats:
        """Return the log-softmax of the logits, or of the votes."""
        result = np.empty((len(codes), len(self.classes)))
        mean, weight, intercept, votes = (self._learned[name] for name in ARRAYS)
        weight = weight.reshape(mean.size, -1).astype(np.float64)
        step = max(1, CELLS // (4 * max(codes.shape[1], 1)))
        for start in range(0, len(codes), step):
            x = centred(codes[start : start + step], mean)
            values = x.reshape(len(x), -1).astype(np.float64) @ weight + intercept
            if len(votes):
                values = np.tanh(STEEP * values) @ votes + self._absent()
            result[start : start + step] = log_softmax(values)
        return result

    def _absent(self) -> Floats:
        """Return logits ``[K]`` that rule out classes without a vote, absent from training."""
        return np.where(self._learned["votes"].any(0), 0.0, NEVER - len(self.classes))

    def logits_of(self, p: Any) -> Tensor:
        """See the base class."""
        import torch

        arrays = (self._learned[name] for name in ARRAYS)
        mean, weight, intercept, votes = (torch.from_numpy(array).to(p) for array in arrays)
        values = torch.einsum("blx,lxk->bk", p - mean, weight) + intercept
        if not len(votes):
            return values
        return torch.tanh(STEEP * values) @ votes + torch.from_numpy(self._absent()).to(p)

    def background(self) -> NDArray[np.float32]:
        """Return the mean composition of the columns."""
        return self._learned["mean"]

    def state(self) -> State:
        """Return the mean composition, the weights of the bases, and the votes of pairs."""
        return self._learned

    def _restore(self, state: State) -> None:
        self._learned = {name: state[name] for name in ARRAYS}
        n_values = len(state["votes"]) or len(self.classes)
        if state["weight"].shape != (self.length, 4, n_values):
            raise ValueError("weights of other columns or classes")


class PCALogistic(Components):
    """Principal components and softmax regression."""

    kind = "logistic"
    trials: ClassVar[tuple[dict[str, Any], ...]] = (
        {"components": 100},
        {"components": 60, "c": 10.0},
        {"components": 300},
        {"components": "all", "c": 10.0},
    )


class PCASVM(Components):
    """Principal components and linear support vector machines with votes."""

    config_class = MachinesConfig
    kind = "svm"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {"components": "all", "c": 10.0}}
    trials: ClassVar[tuple[dict[str, Any], ...]] = (
        {"rare": 0.02},
        {"components": 300},
        {"pairs": False},
        {"c": 1.0},
    )


def unit_of(scores: Floats, kind: str) -> float:
    """Return the divisor of the scores that makes `c` comparable between data sets."""
    square = scores**2
    size = square.mean(0).max(initial=0) if kind == "logistic" else square.sum(1).mean()
    return float(np.sqrt(size)) or 1.0


def centred(codes: NDArray[np.uint8], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return base compositions minus the mean of their column; 0 for unknown bases.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n, L]``.
    mean : NDArray
        float32 ``[L, 4]``.

    Returns
    -------
    NDArray
        float32 ``[n, L, 4]``.
    """
    x = composition()[codes] - mean
    x[(codes == HIDDEN) | (codes == SETS - 1)] = 0
    return x


@dataclass(frozen=True)
class Standardised:
    """Centre and scale of the columns.

    Attributes
    ----------
    mean : NDArray
        float32 ``[L, 4]``: mean over the known bases.
    scale : NDArray
        float32 ``[L]``; 0 for a column that does not vary.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def of(cls, codes: NDArray[np.uint8], rare: float) -> Standardised:
        """Estimate centre and scale from training sequences uint8 ``[n, L]``."""
        step = max(1, CELLS // (4 * codes.shape[1]))
        return cls(*(a.astype(np.float32) for a in column_statistics(codes, rare, step)))

    def columns(
        self, codes: NDArray[np.uint8]
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Yield blocks of the standardised matrix ``[n, d]``: column indices, and ``[n, some]``.

        Bases that no sequence has in a column (two of four at most sites) are 0 and left out.
        """
        step = max(1, CELLS // (4 * max(len(codes), 1)))
        for start in range(0, codes.shape[1], step):
            some = slice(start, start + step)
            x = centred(codes[:, some], self.mean[some]) * self.scale[some, None]
            there = np.flatnonzero(self.mean[some] * self.scale[some, None])
            yield 4 * start + there, x.reshape(len(x), -1)[:, there]


@dataclass(frozen=True)
class Principal:
    """Principal components.

    Attributes
    ----------
    scores : NDArray
        float64 ``[n, c]``, the largest component first.
    weights : callable
        Maps coefficients of the components ``[c, K]`` to coefficients of the columns ``[d, K]``, so
        that the loadings need not fit into memory.
    """

    scores: Floats
    weights: Callable[[Floats], Floats]


def principal(
    matrix: Standardised, codes: NDArray[np.uint8], wanted: int | None, seed: int
) -> Principal:
    """Compute the principal components of the standardised matrix.

    Decomposes the products of sequences or of columns, whichever are fewer. If both are many, the
    decomposition is randomised (Halko et al. 2011, doi:10.1137/090771806).

    Parameters
    ----------
    matrix : Standardised
    codes : NDArray
        uint8 ``[n, L]``.
    wanted : int or None
        Number of components; None for all with non-zero variance.
    seed : int
        Seed of the randomised decomposition.
    """
    n, d = len(codes), matrix.mean.size
    if d < n and d <= EXACT:
        whole = np.zeros((n, d))
        for where, x in matrix.columns(codes):
            whole[:, where] = x
        loadings = _largest(whole.T @ whole, wanted)[1]
        return Principal(whole @ loadings, lambda coefficients: loadings @ coefficients)
    # With few sequences, their products are smaller than those of columns and give the same
    # components. Columns are read in blocks and never held together.
    if n <= EXACT:
        gram = np.zeros((n, n))
        for _, x in matrix.columns(codes):
            gram += x @ x.T
        value, vector = _largest(gram, wanted)
        scores = vector * np.sqrt(value)
    else:
        scores = _randomised(matrix, codes, min(wanted or EXACT // 6, EXACT), seed)

    def weights(coefficients: Floats) -> Floats:
        dual = (scores / (scores**2).sum(0)) @ coefficients
        result = np.zeros((d, coefficients.shape[1]))
        for where, x in matrix.columns(codes):
            result[where] = x.T @ dual
        return result

    return Principal(scores, weights)


def of_bases(
    matrix: Standardised, components: Principal, coefficients: Floats
) -> NDArray[np.float32]:
    """Return base weights ``[L, 4, K]`` from the coefficients of the components."""
    weight = components.weights(coefficients).reshape(*matrix.mean.shape, -1)
    return (weight * matrix.scale[:, None, None]).astype(np.float32)


def _largest(square: Floats, wanted: int | None) -> tuple[Floats, Floats]:
    """Return eigenvalues and eigenvectors of a symmetric matrix, largest first."""
    value, vector = np.linalg.eigh(square)
    kept = np.flatnonzero(value > 1e-6 * max(value[-1], 1e-12))[::-1][:wanted]
    vector = vector[:, kept]
    # The sign of an eigenvector is arbitrary: fix it, so that results are reproducible.
    return value[kept], vector * np.sign(vector[np.abs(vector).argmax(0), np.arange(len(kept))])


def _randomised(matrix: Standardised, codes: NDArray[np.uint8], wanted: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=(len(codes), wanted + EXTRA))
    for _ in range(POWERS):
        basis = np.linalg.qr(basis)[0]
        moved = np.zeros_like(basis)
        for _, x in matrix.columns(codes):
            moved += x @ (x.T @ basis)
        basis = moved
    basis = np.linalg.qr(basis)[0]
    inner = np.zeros((basis.shape[1], basis.shape[1]))
    for _, x in matrix.columns(codes):
        part = x.T @ basis
        inner += part.T @ part
    value, vector = _largest(inner, wanted)
    return basis @ (vector * np.sqrt(value))
