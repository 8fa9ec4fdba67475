"""Chromatin accessibility: open and closed peaks, and the effect of the class on them."""

from __future__ import annotations

import numpy as np

from genomix_cli.cohorts.fit.association import run_length, switched_off
from genomix_cli.cohorts.fit.expression import within_variance
from genomix_cli.cohorts.fit.measured import Fitted, Measured
from genomix_cli.cohorts.fit.mixture import gaussian_mixture
from genomix_cli.cohorts.simulate.chromatin import ChromatinParameters
from genomix_cli.cohorts.simulate.shared import Floats

HIGHEST = 0.95
# Least fraction of the variance within classes that counts as noise.
LEAST_NOISE = 0.25
LEAST_SD = 0.01


def fit_chromatin(measured: Measured) -> Fitted:
    """Estimate :class:`ChromatinParameters` from log2 accessibility.

    - `open`, `base`, `base_sd`, `gain`: a mixture of two normal laws, of one variance, of the
      peaks' medians where they are not switched on.
    - `noise`: median over peaks of the standard deviation within classes, less what active
      modules add.
    - `module`: from how often neighbours in the file are both open, or both closed.
    - `drivers`, `penetrance`: as many modules as differ between classes, by as much; rough.
    - `batch_sd`: the variance component of batches.
    """
    default = ChromatinParameters(batch_sd=0.0)
    raw, measured = measured, measured.without_batches()
    association = measured.associated()
    shown = switched_off(measured.values, measured.label, association)
    states = gaussian_mixture(np.nanmedian(shown, 0), 2)
    gain, module = float(states.means[1] - states.means[0]), run_length(states.component)
    changes = _changes(gain, measured.shared.purity.values)
    steps = changes @ measured.shared.purity.weights
    second = float((changes**2 @ measured.shared.purity.weights) @ states.weights)
    extra = default.background * second - (default.background * float(steps @ states.weights)) ** 2
    variance = within_variance(measured.values, measured.label)
    left = np.maximum(variance - extra, LEAST_NOISE * variance)
    fitted = Fitted(default).with_estimates(
        features=measured.total,
        module=module,
        open=float(states.weights[1]),
        base=float(states.means[0]),
        base_sd=states.sd,
        gain=gain,
        noise=max(float(np.median(np.sqrt(left))), LEAST_SD),
    )
    if association is not None:
        typical = association.typical(steps[states.component])
        fitted = fitted.with_estimates(
            drivers=round(association.driver.mean() * measured.total / module),
            penetrance=float(min(default.background + typical, HIGHEST)),
        )
    return fitted.with_estimates(**raw.batch_sd())


def _changes(gain: float, purity: Floats) -> Floats:
    """Return log2 changes of a peak that opens, and of one that closes ``[2, P]``."""
    opens = np.log2(purity * 2**gain + 1 - purity)
    closes = gain - np.log2(purity + (1 - purity) * 2**gain)
    return np.array([opens, closes])
