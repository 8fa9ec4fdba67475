"""Smooth profiles along the genome."""

from __future__ import annotations

import numpy as np

from genomix_cli.cohorts.generative.shared import Floats

CORRELATION = 0.9


def smooth_profile(rng: np.random.Generator, n: int, sd: float) -> Floats:
    """A stationary autoregressive profile ``[n]`` of standard deviation `sd`."""
    from scipy.signal import lfilter

    steps = rng.normal(0, sd, n)
    steps[1:] *= np.sqrt(1 - CORRELATION**2)
    return lfilter([1.0], [1.0, -CORRELATION], steps)
