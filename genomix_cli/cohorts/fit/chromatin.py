"""Chromatin accessibility: open and closed peaks, and the effect of the class on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from genomix_cli.cohorts.fit.association import associate, run_length, switched_off
from genomix_cli.cohorts.fit.batches import batch_spread, without_batches
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
    default = ChromatinParameters()
    raw = measured.values
    measured = replace(measured, values=without_batches(raw, measured.label, measured.batch))
    association = associate(measured.values, measured.label) if measured.labelled else None
    shown = switched_off(measured.values, measured.label, association)
    states = gaussian_mixture(np.nanmedian(shown, 0), 2)
    gain = float(states.means[1] - states.means[0])
    module = run_length(states.component)
    changes = _changes(gain, measured.shared.purity.values)
    mean = float((changes @ measured.shared.purity.weights) @ states.weights)
    drivers, penetrance = default.drivers, default.penetrance
    estimated = ["features", "module", "open", "base", "base_sd", "gain", "noise"]
    if association is not None:
        drivers = round(association.driver.mean() * measured.total / module)
        steps = (changes @ measured.shared.purity.weights)[states.component]
        penetrance = min(default.background + association.relative(steps), HIGHEST)
        estimated += ["drivers", "penetrance"]
    if measured.shared.shape[2] > 1:
        estimated.append("batch_sd")
    second = float((changes**2 @ measured.shared.purity.weights) @ states.weights)
    extra = default.background * second - (default.background * mean) ** 2
    variance = within_variance(measured.values, measured.label)
    left = np.maximum(variance - extra, LEAST_NOISE * variance)
    parameters = ChromatinParameters(
        features=measured.total,
        module=module,
        drivers=drivers,
        penetrance=float(penetrance),
        open=float(states.weights[1]),
        base=float(states.means[0]),
        base_sd=states.sd,
        gain=gain,
        noise=max(float(np.median(np.sqrt(left))), LEAST_SD),
        batch_sd=batch_spread(raw, measured.label, measured.batch),
    )
    return Fitted(parameters, tuple(estimated))


def _changes(gain: float, purity: Floats) -> Floats:
    """Return log2 changes of a peak that opens, and of one that closes ``[2, P]``."""
    opens = np.log2(purity * 2**gain + 1 - purity)
    closes = gain - np.log2(purity + (1 - purity) * 2**gain)
    return np.array([opens, closes])
