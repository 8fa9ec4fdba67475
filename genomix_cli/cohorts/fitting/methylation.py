"""Methylation: the three states, the blocks and the precision of a table of beta values."""

from __future__ import annotations

import numpy as np

from genomix_cli.cohorts.fitting.association import Association, associate, run_length
from genomix_cli.cohorts.fitting.batches import batch_spread
from genomix_cli.cohorts.fitting.measured import Fitted, Measured
from genomix_cli.cohorts.fitting.mixture import Mixture, gaussian_mixture
from genomix_cli.cohorts.generative.methylation import (
    OPPOSITE,
    MethylationParameters,
    expit,
    logit,
)
from genomix_cli.cohorts.generative.shared import Floats

MARGIN = 1e-3
PRECISIONS = (2.0, 1000.0)
HIGHEST = 0.95


def fit_methylation(measured: Measured) -> Fitted:
    """Estimate :class:`MethylationParameters` from beta values.

    - `weights`, `means`, `spread`: a mixture of three normal laws, of one variance, of the CpGs'
      levels on the logit scale, which is the model's own law of them. The level of a CpG is the
      median over the samples in whose class it is not switched on, as the mean of the beta law
      with that median [1]_: the few active samples hardly move it.
    - `precision`: what makes the mean variance within classes that of the table, after what active
      blocks add to it.
    - `block`: from how often neighbours in the file share a state; 1 where the file has no order.
    - `drivers`, `penetrance`: as many blocks as differ between classes, by as much; rough.
    - `batch_sd`: the variance component of batches, on the logit scale.

    References
    ----------
    .. [1] Kerman J. A closed-form approximation for the median of the beta distribution. 2011.
       arXiv:1111.0433
    """
    default = MethylationParameters()
    values = np.clip(measured.values, MARGIN, 1 - MARGIN)
    found = associate(values, measured.label) if measured.labelled else None
    precision = default.precision
    for _ in range(3):
        states = gaussian_mixture(logit(_levels(values, measured, found, precision)), 3)
        penetrance = _penetrance(states, found, measured, default)
        precision = _precision(values, states, found, penetrance, measured)
    block = run_length(states.component)
    estimated = ["features", "block", "weights", "means", "spread", "precision"]
    drivers = default.drivers
    if found is not None:
        drivers = round(found.driver.mean() * measured.total / block)
        estimated += ["drivers", "penetrance"]
    if measured.shared.shape[2] > 1:
        estimated.append("batch_sd")
    parameters = MethylationParameters(
        features=measured.total,
        block=block,
        drivers=drivers,
        penetrance=penetrance,
        weights=tuple(states.weights.tolist()),
        means=tuple(expit(states.means).tolist()),
        spread=states.sd,
        precision=precision,
        batch_sd=batch_spread(logit(values), measured.label, measured.batch),
    )
    return Fitted(parameters, tuple(estimated), _notes(block))


def _notes(block: float) -> tuple[str, ...]:
    if block > 1.2:
        return ()
    return ("neighbours in the file share no state: one CpG to a block",)


def _levels(
    values: Floats, measured: Measured, found: Association | None, precision: float
) -> Floats:
    """Mean of each CpG where it is not switched on ``[d]``."""
    shown = values
    if found is not None:
        shown = np.where(measured.label[:, None] == found.of_class, np.nan, values)
    median = np.nanmedian(shown, 0)
    return np.clip((median * (precision - 2 / 3) + 1 / 3) / precision, MARGIN, 1 - MARGIN)


def _steps(states: Mixture) -> Floats:
    """What the mean of an active CpG changes by in pure tumour ``[d]``."""
    means = expit(states.means)
    return np.abs(means[OPPOSITE] - means)[states.component]


def _penetrance(
    states: Mixture, found: Association | None, measured: Measured, default: MethylationParameters
) -> float:
    """What makes the typical difference between classes that of the table."""
    if found is None:
        return default.penetrance
    if not found.driver.any():
        return default.background
    step = measured.shared.purity.mean * float(np.median(_steps(states)[found.driver]))
    return float(min(default.background + found.typical / step, HIGHEST))


def _precision(
    values: Floats,
    states: Mixture,
    found: Association | None,
    penetrance: float,
    measured: Measured,
) -> float:
    """phi, from ``Var = mu (1 - mu) / (1 + phi)`` plus the variance of being active or not."""
    rows = measured.label if found is not None else np.zeros(len(values), int)
    purity = measured.shared.purity
    squared = purity.mean**2 + purity.sd**2
    inner = active = 0.0
    total = 0.0
    for k in np.unique(rows):
        shown = values[rows == k]
        if len(shown) < 2:
            continue
        n = (~np.isnan(shown)).sum(0)
        mean, variance = np.nanmean(shown, 0), np.nanvar(shown, 0, ddof=1)
        rate = np.full(len(n), MethylationParameters().background)
        if found is not None:
            rate[found.driver & (found.of_class == k)] = penetrance
        kept = n > 1
        extra = rate * squared - (rate * purity.mean) ** 2
        active += float((len(shown) * extra * _steps(states) ** 2)[kept].sum())
        inner += float((len(shown) * mean * (1 - mean))[kept].sum())
        total += float((len(shown) * variance)[kept].sum())
    # E mu (1 - mu) is what is left of m (1 - m) after the variance of mu.
    return float(np.clip((inner - active) / max(total - active, 1e-9) - 1, *PRECISIONS))
