"""Continuous latent variables on the nodes of a Gauss quadrature.

A latent variable that several measurements share (such as tumour purity) has to be integrated out
of their likelihood. With a continuous distribution, quadrature only approximates the integral, and
more features make it worse. Drawn from the nodes of the quadrature itself, with its weights, the
integral becomes a sum: the posterior is exact for all parameters, and the distribution shares its
first ``2 * nodes - 1`` moments with the continuous one (`docs/decisions/0007-exact-ceiling.md`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Levels:
    """Discrete distribution.

    Attributes
    ----------
    values : NDArray
        float64 ``[L]``, ascending.
    weights : NDArray
        float64 ``[L]``, summing to 1.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        """Expected value."""
        return float(self.weights @ self.values)

    @property
    def sd(self) -> float:
        """Standard deviation."""
        return float(np.sqrt(self.weights @ (self.values - self.mean) ** 2))

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Draw indices of `n` independent levels."""
        return rng.choice(len(self), n, p=self.weights)


def beta_levels(a: float, b: float, nodes: int) -> Levels:
    """Return Beta(a, b) on the nodes of its Gauss-Jacobi quadrature."""
    from scipy.special import roots_jacobi

    # The weight function (1 - x)^(b-1) (1 + x)^(a-1) on [-1, 1] is the Beta density of (1 + x) / 2.
    x, weights = roots_jacobi(nodes, b - 1, a - 1)
    return Levels((1 + x) / 2, weights / weights.sum())


def lognormal_levels(median: float, sigma: float, nodes: int, highest: float = 0.95) -> Levels:
    """Return a log-normal on Gauss-Hermite nodes, values above `highest` lowered to it."""
    from scipy.special import roots_hermitenorm

    x, weights = roots_hermitenorm(nodes)
    return Levels(np.minimum(median * np.exp(sigma * x), highest), weights / weights.sum())
