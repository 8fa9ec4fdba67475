"""Gradient boosting by XGBoost, stored as plain trees.

Letters: n samples, d columns, k classes in the fit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
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
class XGBoostConfig:
    """Attributes of `XGBoost`, with the library's defaults.

    Attributes
    ----------
    rounds : int
        Number of trees for each class.
    learning_rate : float
    depth : int
        Largest depth of a tree.
    min_weight : float
        Smallest sum of second derivatives of the loss in a leaf (`min_child_weight`).
    l2 : float
        Penalty on the squares of leaf values.
    row_share : float
        Share of the samples that a tree sees.
    column_share : float or "auto"
        Share of the columns that a tree sees. ``auto``: all of up to `FEW_COLUMNS` columns,
        otherwise the larger of `FEW_COLUMNS` and 30 % of them.
    balanced : bool
        Give every class the same weight, however rare.
    """

    rounds: Count = 100
    learning_rate: Positive = 0.3
    depth: Annotated[int, Within(1, 16)] = 6
    min_weight: NotNegative = 1.0
    l2: NotNegative = 1.0
    row_share: Annotated[float, Within(0.01, 1)] = 1.0
    column_share: Literal["auto"] | Share = "auto"
    balanced: bool = False


class XGBoost(Boosted):
    """Chen & Guestrin 2016, XGBoost: a scalable tree boosting system. doi:10.1145/2939672.2939785.

    Trees are read from the library's JSON, so that prediction needs no package. Deviations: missing
    values are filled by `Preprocessor`, instead of a default direction learned for each split. With
    more than `FEW_COLUMNS` columns, a tree sees some of them.
    """

    config_class = XGBoostConfig
    needs: ClassVar[Mapping[str, str]] = {"xgboost": "xgboost"}
    space: ClassVar[Mapping[str, Any]] = {
        "rounds": [50, 100, 200, 400],
        "learning_rate": loguniform(0.01, 0.5),
        "depth": [2, 3, 4, 6, 8],
        "min_weight": loguniform(0.1, 20),
        "l2": loguniform(0.01, 30),
        "row_share": [0.5, 0.7, 1.0],
        "column_share": [0.05, 0.1, 0.3, 0.6, 1.0],
        "balanced": [False, True],
    }

    def _grow(self, x: Matrix, y: NDArray[np.int64], setting: FitSettings) -> tuple[Forest, Any]:
        with from_extra("xgboost", "xgboost"):
            import xgboost
        config: XGBoostConfig = self.config
        k, d = int(y.max()) + 1, x.shape[1]
        share = config.column_share
        if isinstance(share, str):
            share = min(1.0, max(0.3, FEW_COLUMNS / d))
        weight = balanced_weights(y, config.balanced)
        # The library also starts from class frequencies, but reports them differently by version.
        start = np.log(np.bincount(y, weights=weight) / weight.sum())
        start = start[1:] - start[:1] if k == 2 else start
        parameters = {
            "objective": "binary:logistic" if k == 2 else "multi:softprob",
            **({} if k == 2 else {"num_class": k}),
            "eta": config.learning_rate,
            "max_depth": config.depth,
            "min_child_weight": config.min_weight,
            "lambda": config.l2,
            "subsample": config.row_share,
            "colsample_bytree": max(share, 1e-6),
            "tree_method": "hist",
            "seed": setting.seed,
            "nthread": setting.threads,
            "verbosity": 0,
        }
        margin = np.tile(start, (len(x), 1))
        data = xgboost.DMatrix(x, y, weight=weight, base_margin=margin, nthread=setting.threads)
        model = json.loads(xgboost.train(parameters, data, config.rounds).save_raw("json"))
        trees = model["learner"]["gradient_booster"]["model"]["trees"]
        return joined([_tree(tree) for tree in trees]), start


def _tree(tree: Mapping[str, Any]) -> Forest:
    """Convert a tree from XGBoost's (documented) JSON, where values below a threshold go left."""
    left, right = (np.array(tree[f"{side}_children"]) for side in ("left", "right"))
    condition = np.array(tree["split_conditions"], np.float32)
    # For float32, "less than x" is the same as "at most the number before x".
    before = np.nextafter(condition, np.float32(-np.inf))
    leaf = left < 0
    value = np.where(leaf, condition, 0)[:, None]
    return one_tree(leaf, np.array(tree["split_indices"]), (left, right), before, value)
