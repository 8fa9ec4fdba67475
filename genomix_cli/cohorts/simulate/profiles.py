"""Assign values to features: smooth profiles along the genome, quantiles of a table."""

from __future__ import annotations

import numpy as np

from genomix_cli.cohorts.simulate.shared import Floats, Ints

CORRELATION = 0.9


def smooth_profile(rng: np.random.Generator, n: int, sd: float) -> Floats:
    """Draw a stationary autoregressive profile ``[n]`` of standard deviation `sd`."""
    from scipy.signal import lfilter

    steps = rng.normal(0, sd, n)
    steps[1:] *= np.sqrt(1 - CORRELATION**2)
    return lfilter([1.0], [1.0, -CORRELATION], steps)


def even_quantiles(quantiles: tuple[float, ...], rank: Ints) -> Floats:
    """Return values ``[d]`` at even steps of a distribution given by quantiles.

    Parameters
    ----------
    quantiles : tuple of float
        Evenly spaced, from the lowest to the highest.
    rank : NDArray
        int ``[d]``: rank of each feature among all, from 0.
    """
    return np.interp((rank + 0.5) / len(rank), np.linspace(0, 1, len(quantiles)), quantiles)
