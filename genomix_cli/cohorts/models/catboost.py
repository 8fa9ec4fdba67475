"""Gradient boosting by CatBoost, stored as plain trees.

Letters: n samples, d columns, k classes in the fit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import loguniform

from genomix_cli.cohorts.models.flat import Matrix, balanced_weights
from genomix_cli.cohorts.models.trees import FEW_COLUMNS, Boosted, Forest, joined, one_tree
from genomix_cli.config import Count, NotNegative, Positive, Share, Within
from genomix_cli.errors import from_extra
from genomix_cli.learning.fit_settings import FitSettings


@dataclass(frozen=True)
class CatBoostConfig:
    """Attributes of `CatBoost`.

    Attributes
    ----------
    rounds : int
        Number of trees; each has a value for every class.
    learning_rate : float or "auto"
        ``auto``: the library's choice from the numbers of samples and rounds, which it makes only
        if `l2` is also ``auto``.
    depth : int
        Depth of a tree; all nodes of a level have the same split.
    l2 : float or "auto"
        Penalty on the squares of leaf values. ``auto``: the library's default.
    column_share : float or "auto"
        Share of the columns that a split considers. ``auto``: all of up to `FEW_COLUMNS` columns,
        otherwise `FEW_COLUMNS` of them.
    bins : int or "auto"
        Number of bins per column. ``auto``: 254, the library's default, for up to `FEW_COLUMNS`
        columns, else 31.
    balanced : bool
        Give every class the same weight, however rare.
    """

    rounds: Count = 200
    learning_rate: Literal["auto"] | Positive = "auto"
    depth: Annotated[int, Within(1, 10)] = 6
    l2: Literal["auto"] | NotNegative = "auto"
    column_share: Literal["auto"] | Share = "auto"
    bins: Literal["auto"] | Annotated[int, Within(1, 254)] = "auto"
    balanced: bool = False

    def columns(self, d: int) -> tuple[float, int]:
        """Return the share of `d` columns to consider, and the number of bins."""
        share, bins = min(1.0, FEW_COLUMNS / d), 254 if d <= FEW_COLUMNS else 31
        if not isinstance(self.column_share, str):
            share = max(self.column_share, 1e-6)
        return share, bins if isinstance(self.bins, str) else self.bins


class CatBoost(Boosted):
    """Prokhorenkova et al. 2018, CatBoost: unbiased boosting with categorical features.

    arXiv:1706.09516. Plain boosting of symmetric trees, which is what the library does with numbers
    on a processor; nothing here is a category. Deviations: 200 rounds, where it has 1,000 (its
    learning rate rises as rounds fall); of more than `FEW_COLUMNS` columns a split sees a part.
    Trees are read from the library's JSON, so that an answer needs no package.
    """

    config_class = CatBoostConfig
    needs: ClassVar[Mapping[str, str]] = {"catboost": "catboost"}
    space: ClassVar[Mapping[str, Any]] = {
        "rounds": [100, 200, 400],
        "learning_rate": loguniform(0.01, 0.3),
        "depth": [3, 4, 6, 8],
        "l2": loguniform(0.1, 30),
        "column_share": [0.05, 0.1, 0.3, 1.0],
        "balanced": [False, True],
    }

    def _grow(self, x: Matrix, y: NDArray[np.int64], setting: FitSettings) -> tuple[Forest, Any]:
        with from_extra("catboost", "catboost"):
            from catboost import CatBoostClassifier
        config: CatBoostConfig = self.config
        share, bins = config.columns(x.shape[1])
        told = {"learning_rate": config.learning_rate, "l2_leaf_reg": config.l2}
        model = CatBoostClassifier(
            iterations=config.rounds,
            # The library stops choosing a value once it is passed, even if it is the default.
            **{name: value for name, value in told.items() if not isinstance(value, str)},
            depth=config.depth,
            rsm=share,
            border_count=bins,
            loss_function="Logloss" if y.max() == 1 else "MultiClass",
            random_seed=setting.seed,
            thread_count=setting.threads,
            verbose=False,
            allow_writing_files=False,
        )
        model.fit(x, y, sample_weight=balanced_weights(y, config.balanced))
        with TemporaryDirectory() as folder:
            file = Path(folder) / "model.json"
            model.save_model(str(file), format="json")
            stored = json.loads(file.read_text())
        scale, bias = stored["scale_and_bias"]
        trees = [_tree(tree, len(bias), scale) for tree in stored["oblivious_trees"]]
        return joined(trees), bias


def _tree(tree: Mapping[str, Any], k: int, scale: float) -> Forest:
    """Convert a symmetric tree: bit n of a leaf's number is the outcome of split n."""
    # Nodes are stored by level, root first; the children of node i are 2 i + 1 and 2 i + 2. The
    # last split is at the root, so that leaves are in the order of their numbers.
    splits = tree["splits"][::-1] if tree["splits"] else []
    depth = len(splits)
    here = np.arange(2 ** (depth + 1) - 1)
    level = np.floor(np.log2(here + 1)).astype(np.int64)
    leaf = level == depth
    of = np.minimum(level, max(depth - 1, 0))
    feature = np.array([s["float_feature_index"] for s in splits] or [0])[of]
    threshold = np.array([s["border"] for s in splits] or [0.0])[of]
    value = np.zeros((len(here), k))
    value[leaf] = scale * np.reshape(tree["leaf_values"], (-1, k))
    return one_tree(leaf, feature, (2 * here + 1, 2 * here + 2), threshold, value)
