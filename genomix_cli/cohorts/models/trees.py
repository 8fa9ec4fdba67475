"""Ensembles of trees: random forest and gradient boosting.

Letters: n samples, d columns, T trees, N nodes of all trees, v numbers in a leaf, k classes in the
fit.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import loguniform

from genomix_cli.cohorts.dataset import Floats
from genomix_cli.cohorts.models.base import State
from genomix_cli.cohorts.models.flat import FlatModel, Matrix, balanced_weights
from genomix_cli.comparison.study import Fitted
from genomix_cli.config import Count, NotNegative, Positive, Share, Within
from genomix_cli.errors import from_extra
from genomix_cli.learning.fit_settings import FitSettings

# Number of (sample, tree) pairs to evaluate at a time, chosen to fit the cache of a core.
CHUNK = 1 << 17


class Forest(NamedTuple):
    """Trees, stored one after the other.

    Attributes
    ----------
    feature : NDArray
        int32 ``[N]``.
    threshold : NDArray
        float64 ``[N]``: values up to this go left.
    children : NDArray
        int32 ``[N, 2]``: left and right child; a leaf is its own child.
    value : NDArray
        float64 ``[N, v]``.
    root : NDArray
        int64 ``[T]``.
    """

    feature: NDArray[np.int32]
    threshold: Floats
    children: NDArray[np.int32]
    value: Floats
    root: NDArray[np.int64]

    def leaves(self, x: Matrix) -> NDArray[np.int64]:
        """Return the leaf of each sample in each tree ``[n, T]``."""
        # All (sample, tree) pairs descend one level at a time and drop out at a leaf. Indices are
        # flat, since two-dimensional indexing is slower.
        row = np.repeat(np.arange(len(x)) * x.shape[1], len(self.root))
        node = np.tile(self.root, len(x))
        values, children = np.ascontiguousarray(x).ravel(), self.children.ravel()
        walking = np.arange(len(node))
        while len(walking):
            here = node[walking]
            right = values[row[walking] + self.feature[here]] > self.threshold[here]
            # `right` is 0 or 1: the column of the child.
            there = children[2 * here + right]
            node[walking] = there
            walking = walking[there != here]
        return node.reshape(len(x), len(self.root))

    def __call__(self, x: Matrix, every: int = 1) -> Floats:
        """Return the sum over trees, or over every `every`-th tree: ``[n, every * v]``."""
        size = max(1, CHUNK // len(self.root))
        sums = []
        for start in range(0, max(1, len(x)), size):
            leaves = self.leaves(x[start : start + size])
            rounds = (len(leaves), len(self.root) // every, every * self.value.shape[1])
            value = self.value[leaves].reshape(rounds)
            sums.append(value.sum(1))
        return np.concatenate(sums)


def one_tree(
    leaf: NDArray[np.bool_],
    feature: NDArray[Any],
    children: Sequence[NDArray[Any]],
    threshold: NDArray[Any],
    value: NDArray[Any],
) -> Forest:
    """Return a tree with root 0 from arrays of its nodes; entries of leaves are ignored."""
    here = np.arange(len(leaf))
    return Forest(
        np.where(leaf, 0, feature).astype(np.int32),
        threshold.astype(np.float64),
        np.stack([np.where(leaf, here, side) for side in children], 1).astype(np.int32),
        value.astype(np.float64),
        np.zeros(1, np.int64),
    )


def joined(trees: Sequence[Forest]) -> Forest:
    """Join trees into one forest."""
    size = np.array([len(tree.feature) for tree in trees])
    root = np.cumsum(size) - size
    moved = [
        tree._replace(children=tree.children + start.astype(np.int32), root=tree.root + start)
        for tree, start in zip(trees, root, strict=True)
    ]
    return Forest(*map(np.concatenate, zip(*moved, strict=True)))


class ForestModel(FlatModel):
    """A model with trees as plain arrays, which need no pickle and no version of a library."""

    _forest: Forest

    def _learned(self) -> State:
        return self._forest._asdict()

    def _relearn(self, state: State) -> None:
        self._forest = Forest(**state)


@dataclass(frozen=True)
class RandomForestConfig:
    """Attributes of `RandomForest`.

    Attributes
    ----------
    trees : int
    min_leaf : int
        Smallest number of samples in a leaf.
    max_features : float or str
        Share of the columns that each split considers, or ``sqrt`` for the square root of their
        number.
    balanced : bool
        Give every class the same weight, however rare.
    """

    trees: Count = 500
    min_leaf: Count = 1
    max_features: Literal["sqrt"] | Share = "sqrt"
    balanced: bool = False


class RandomForest(ForestModel):
    """Breiman 2001, Random forests. doi:10.1023/A:1010933404324, by scikit-learn.

    The frequency of each class counts as one more tree, so that no probability is 0.
    """

    config_class = RandomForestConfig
    space: ClassVar[Mapping[str, Any]] = {
        "trees": [500, 1000],
        "min_leaf": [1, 2, 3, 5, 10],
        "max_features": ["sqrt", 0.05, 0.1, 0.2, 0.4],
        "balanced": [False, True],
    }

    def _learn(self, x: Matrix, y: NDArray[np.int64], setting: FitSettings) -> Fitted:
        from sklearn.ensemble import RandomForestClassifier

        config: RandomForestConfig = self.config
        model = RandomForestClassifier(
            config.trees,
            min_samples_leaf=config.min_leaf,
            max_features=config.max_features,
            class_weight="balanced" if config.balanced else None,
            random_state=setting.seed,
            n_jobs=setting.threads,
        )
        model.fit(x, y)
        self._forest = joined([_tree(fitted.tree_) for fitted in model.estimators_])
        return Fitted(sum(a.size for a in self._forest))

    def _logits(self, x: Matrix) -> Floats:
        return np.log(self._forest(x) + np.exp(self._log_prior))


def _tree(tree: Any) -> Forest:
    """Convert scikit-learn's (public) ``tree_``; values become class frequencies."""
    children = tree.children_left, tree.children_right
    value = tree.value[:, 0, :] / tree.value[:, 0, :].sum(1, keepdims=True)
    return one_tree(children[0] < 0, tree.feature, children, tree.threshold, value)


# Up to this many columns, gradient boosting considers all of them in fine bins, as libraries do:
# with three columns, trees that see one at a time cannot learn interactions. With more columns this
# takes too long.
FEW_COLUMNS = 300


@dataclass(frozen=True)
class BoostingConfig:
    """Attributes of `GradientBoosting` and `LightGBM`.

    Attributes
    ----------
    rounds : int
        Number of trees for each class.
    learning_rate : float
    leaves : int
        Largest number of leaves in a tree.
    min_leaf : int
        Smallest number of samples in a leaf.
    l2 : float
        Penalty on the squares of leaf values.
    column_share : float or "auto"
        Share of the columns that a split (in LightGBM: a tree) considers. ``auto``: all of up to
        `FEW_COLUMNS` columns, otherwise the larger of `FEW_COLUMNS` and 30 % of them.
    bins : int or "auto"
        Number of bins per column; with many columns and few samples, time grows with it. ``auto``:
        255, the default of libraries, for up to `FEW_COLUMNS` columns, else 31.
    balanced : bool
        Give every class the same weight, however rare.
    """

    rounds: Count = 100
    learning_rate: Positive = 0.1
    leaves: Annotated[int, Within(2)] = 15
    min_leaf: Count = 10
    l2: NotNegative = 1.0
    column_share: Literal["auto"] | Share = "auto"
    bins: Literal["auto"] | Annotated[int, Within(3, 255)] = "auto"
    balanced: bool = False

    def columns(self, d: int) -> tuple[float, int]:
        """Return the share of `d` columns to consider, and the number of bins."""
        share = min(1.0, max(0.3, FEW_COLUMNS / d))
        bins = 255 if d <= FEW_COLUMNS else 31
        if not isinstance(self.column_share, str):
            share = max(self.column_share, 1e-6)
        return share, bins if isinstance(self.bins, str) else self.bins


BOOSTING_SPACE: dict[str, Any] = {
    "rounds": [50, 100, 200, 400],
    "learning_rate": loguniform(0.01, 0.3),
    "leaves": [4, 8, 15, 31],
    "min_leaf": [5, 10, 20, 40],
    "l2": loguniform(0.01, 30),
    "column_share": [0.05, 0.1, 0.3, 0.6, 1.0],
    "balanced": [False, True],
}


class Boosted(ForestModel):
    """Base class of boosted trees, whose values add up to logits."""

    _start: Floats

    @abstractmethod
    def _grow(self, x: Matrix, y: NDArray[np.int64], setting: FitSettings) -> tuple[Forest, Any]:
        """Return the trees, round by round, and the initial values of their sum.

        There are k initial values. With two classes there is one, and the trees give the logit of
        the second class.
        """

    def _learn(self, x: Matrix, y: NDArray[np.int64], setting: FitSettings) -> Fitted:
        self._forest, start = self._grow(x, y, setting)
        self._start = np.asarray(start, np.float64).ravel()
        return Fitted(sum(a.size for a in self._forest))

    def _logits(self, x: Matrix) -> Floats:
        each = len(self._start) // self._forest.value.shape[1]
        raw = self._start + self._forest(x, every=each)
        return np.concatenate([-raw, raw], 1) / 2 if len(self._start) == 1 else raw

    def _learned(self) -> State:
        return {**super()._learned(), "start": self._start}

    def _relearn(self, state: State) -> None:
        self._start = state["start"]
        super()._relearn({name: array for name, array in state.items() if name != "start"})


class GradientBoosting(Boosted):
    """Gradient boosting on histograms, by scikit-learn.

    Friedman 2001, Greedy function approximation: a gradient boosting machine.
    doi:10.1214/aos/1013203451
    """

    config_class = BoostingConfig
    space: ClassVar[Mapping[str, Any]] = BOOSTING_SPACE

    def _grow(self, x: Matrix, y: NDArray[np.int64], setting: FitSettings) -> tuple[Forest, Any]:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        config: BoostingConfig = self.config
        share, bins = config.columns(x.shape[1])
        model = HistGradientBoostingClassifier(
            max_iter=config.rounds,
            learning_rate=config.learning_rate,
            max_leaf_nodes=config.leaves,
            min_samples_leaf=config.min_leaf,
            l2_regularization=config.l2,
            max_features=max(share, 1 / x.shape[1]),
            max_bins=bins,
            early_stopping=False,
            random_state=setting.seed,
        )
        with threadpool_limits(setting.threads, user_api="openmp"):
            model.fit(x, y, sample_weight=balanced_weights(y, config.balanced))
        # `_predictors` and `_baseline_prediction` are private in scikit-learn.
        trees = [_boosted(tree.nodes) for each in model._predictors for tree in each]
        return joined(trees), model._baseline_prediction


def _boosted(nodes: NDArray[Any]) -> Forest:
    """Convert the nodes, a structured array, of scikit-learn's (private) TreePredictor."""
    leaf, children = nodes["is_leaf"].astype(bool), (nodes["left"], nodes["right"])
    threshold, value = nodes["num_threshold"], nodes["value"][:, None]
    return one_tree(leaf, nodes["feature_idx"], children, threshold, value)


class LightGBM(FlatModel):
    """Ke et al. 2017, LightGBM: a highly efficient gradient boosting decision tree (NeurIPS 30).

    It is stored in LightGBM's text format without the final parameters, which name the number of
    threads.
    """

    config_class = BoostingConfig
    needs: ClassVar[Mapping[str, str]] = {"lightgbm": "lightgbm"}
    space: ClassVar[Mapping[str, Any]] = BOOSTING_SPACE

    _booster: Any

    def _learn(self, x: Matrix, y: NDArray[np.int64], setting: FitSettings) -> Fitted:
        lightgbm = _lightgbm()
        config: BoostingConfig = self.config
        share, bins = config.columns(x.shape[1])
        parameters = {
            "objective": "multiclass",
            "num_class": int(y.max()) + 1,
            "learning_rate": config.learning_rate,
            "num_leaves": config.leaves,
            "min_data_in_leaf": config.min_leaf,
            "lambda_l2": config.l2,
            "feature_fraction": share,
            "max_bin": bins,
            "seed": setting.seed,
            "num_threads": setting.threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(x, y, weight=balanced_weights(y, config.balanced))
        text = lightgbm.train(parameters, data, config.rounds).model_to_string()
        self._text = text[: text.index("\nparameters:") + 1]
        self._booster = lightgbm.Booster(model_str=self._text)
        # Each split has a feature, a threshold and two children; each leaf has a value.
        leaves = sum(tree["num_leaves"] for tree in self._booster.dump_model()["tree_info"])
        return Fitted(5 * leaves - 4 * self._booster.num_trees())

    def _logits(self, x: Matrix) -> Floats:
        return np.asarray(self._booster.predict(x, raw_score=True, num_threads=1))

    def _learned(self) -> State:
        return {"text": np.frombuffer(self._text.encode(), np.uint8)}

    def _relearn(self, state: State) -> None:
        self._text = state["text"].tobytes().decode()
        self._booster = _lightgbm().Booster(model_str=self._text)


def _lightgbm() -> Any:
    """Return the package, which takes seconds to import."""
    with from_extra("lightgbm", "lightgbm"):
        import lightgbm
    return lightgbm
