"""Mixtures of normal distributions with a common variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genomix_cli.cohorts.simulate.shared import Floats, Ints

LEAST_SD = 1e-3


@dataclass(frozen=True)
class Mixture:
    """Mixture with components in ascending order.

    Attributes
    ----------
    weights, means : NDArray
        ``[S]``.
    sd : float
    component : NDArray
        int64 ``[d]``: most likely component of each value.
    """

    weights: Floats
    means: Floats
    sd: float
    component: Ints


def gaussian_mixture(x: Floats, components: int, steps: int = 1000) -> Mixture:
    """Fit by expectation maximisation [1]_, starting from evenly spaced means.

    Parameters
    ----------
    x : NDArray
        ``[d]``.
    components : int
    steps : int
        Largest number of steps.

    References
    ----------
    .. [1] Dempster AP, Laird NM, Rubin DB. Maximum likelihood from incomplete data via the EM
       algorithm. J R Stat Soc B 1977. doi:10.1111/j.2517-6161.1977.tb01600.x
    """
    low, high = np.quantile(x, [0.05, 0.95])
    means = np.linspace(low, high, components)
    weights = np.full(components, 1 / components)
    sd = max(float(high - low) / (2 * components), LEAST_SD)
    for _ in range(steps):
        share = _shares(x, weights, means, sd)
        total = np.maximum(share.sum(0), 1e-9)
        before = means
        weights, means = total / len(x), (share * x[:, None]).sum(0) / total
        sd = max(float(np.sqrt((share * (x[:, None] - means) ** 2).sum() / len(x))), LEAST_SD)
        if np.abs(means - before).max() < 1e-6 * sd:
            break
    order = np.argsort(means, kind="stable")
    component = _shares(x, weights, means, sd)[:, order].argmax(1)
    return Mixture(weights[order], means[order], sd, component)


def _shares(x: Floats, weights: Floats, means: Floats, sd: float) -> Floats:
    """Return the probability of each component given each value ``[d, S]``."""
    log = np.log(np.maximum(weights, 1e-300)) - ((x[:, None] - means) / sd) ** 2 / 2
    share = np.exp(log - log.max(1, keepdims=True))
    return share / share.sum(1, keepdims=True)
