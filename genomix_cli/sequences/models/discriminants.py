"""Linear discriminants of sequences that are compared column by column.

Letters: n sequences, c components, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.study import Floats
from genomix_cli.config import Count, Positive, Share
from genomix_cli.sequences.models.components import Components, ComponentsConfig
from genomix_cli.sequences.models.linear import NEVER, Linear


@dataclass(frozen=True)
class DiscriminantsConfig(ComponentsConfig):
    """Configuration of `Discriminants`.

    Attributes
    ----------
    shrinkage : float
        Weight of the identity in the within-class covariance, 0 to 1.
    """

    components: Count | Literal["all"] = "all"
    rare: Positive = 0.02
    shrinkage: Share = 0.5


class Discriminants(Components):
    """Fisher's discriminants of all principal components.

    The within-class covariance is shrunk towards a multiple of the identity (Friedman 1989,
    doi:10.1080/01621459.1989.10478752), because there are far fewer sequences than columns. All
    classes have the same prior, whatever their frequency.
    """

    config_class = DiscriminantsConfig
    kind = "svm"
    trials: ClassVar[tuple[dict[str, Any], ...]] = (
        {"shrinkage": 0.9},
        {"shrinkage": 0.2},
        {"rare": 0.0075},
        {"components": 300},
    )

    def _solve(self, scores: Floats, label: NDArray[np.int64], seed: int) -> tuple[Linear, Floats]:
        n_classes = len(self.classes)
        linear = discriminants(scores, label, n_classes, self.config.shrinkage)
        return linear, np.zeros((0, n_classes))


def discriminants(
    scores: Floats, label: NDArray[np.int64], n_classes: int, shrinkage: float
) -> Linear:
    """Return discriminant functions of scores float64 ``[n, c]``, as logits of the classes."""
    there = np.unique(label)
    mean = np.zeros((n_classes, scores.shape[1]))
    for k in there:
        mean[k] = scores[label == k].mean(0)
    rest = scores - mean[label]
    covariance = rest.T @ rest / len(scores)
    size = np.trace(covariance) / len(covariance)
    # With one sequence per class nothing varies within classes: treat all directions alike.
    size = size or float(np.mean(scores**2)) or 1.0
    covariance = (1 - shrinkage) * covariance + shrinkage * size * np.eye(len(covariance))
    coefficients = np.linalg.solve(covariance, mean.T).astype(np.float64)
    intercepts = np.full(n_classes, NEVER)
    intercepts[there] = -(coefficients * mean.T).sum(0)[there] / 2
    return Linear(coefficients, intercepts)
