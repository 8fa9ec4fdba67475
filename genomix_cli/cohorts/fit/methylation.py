"""Methylation: the three states, the blocks and the precision of a table of beta values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genomix_cli.cohorts.fit.association import Association, associate, run_length, switched_off
from genomix_cli.cohorts.fit.batches import batch_spread, without_batches
from genomix_cli.cohorts.fit.measured import Fitted, Measured
from genomix_cli.cohorts.fit.mixture import Mixture, gaussian_mixture
from genomix_cli.cohorts.simulate.methylation import (
    OPPOSITE,
    MethylationParameters,
    expit,
    logit,
)
from genomix_cli.cohorts.simulate.shared import Floats

MARGIN = 1e-3
PRECISIONS = (2.0, 1000.0)
HIGHEST = 0.95
# Variance of log(IQR^2) times the number of values: the IQR has 37 % efficiency.
IQR_VARIANCE = 2 / 0.37
# Least samples of a class for quartiles.
FEWEST = 10


def fit_methylation(measured: Measured) -> Fitted:
    """Estimate :class:`MethylationParameters` from beta values.

    - `weights`, `means`, `spread`: a mixture of three normal laws, of one variance, of the CpGs'
      levels on the logit scale, which is the model's own law of them. The level of a CpG is the
      median over the samples in whose class it is not switched on, as the mean of the beta law
      with that median [1]_: the few active samples hardly move it.
    - `precision`, `precision_spread`: from the variance within classes of the middle half of each
      CpG's values.
    - `block`: from how often neighbours in the file share a state; 1 where the file has no order.
    - `drivers`, `penetrance`: as many blocks as differ between classes, by as much; rough.
    - `batch_sd`: the variance component of batches, on the logit scale.

    References
    ----------
    .. [1] Kerman J. A closed-form approximation for the median of the beta distribution. 2011.
       arXiv:1111.0433
    """
    default = MethylationParameters()
    raw = logit(np.clip(measured.values, MARGIN, 1 - MARGIN))
    values = expit(without_batches(raw, measured.label, measured.batch))
    association = associate(values, measured.label) if measured.labelled else None
    precision = _Precision(default.precision, 0.0)
    for _ in range(3):
        states = gaussian_mixture(
            logit(_levels(values, measured, association, precision.median)), 3
        )
        penetrance = _penetrance(states, association, measured, default)
        precision = _precision(values, states, association, measured)
    block = run_length(states.component)
    estimated = ["features", "block", "weights", "means", "spread"]
    estimated += ["precision", "precision_spread"]
    drivers = default.drivers
    if association is not None:
        drivers = round(association.driver.mean() * measured.total / block)
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
        precision=precision.median,
        precision_spread=precision.spread,
        batch_sd=batch_spread(raw, measured.label, measured.batch),
    )
    return Fitted(parameters, tuple(estimated), _notes(block))


def _notes(block: float) -> tuple[str, ...]:
    if block > 1.2:
        return ()
    return ("neighbours in the file share no state: one CpG to a block",)


def _levels(
    values: Floats, measured: Measured, association: Association | None, precision: float
) -> Floats:
    """Return the mean of each CpG when it is not switched on ``[d]``."""
    median = np.nanmedian(switched_off(values, measured.label, association), 0)
    return np.clip((median * (precision - 2 / 3) + 1 / 3) / precision, MARGIN, 1 - MARGIN)


def _steps(states: Mixture) -> Floats:
    """Return the change of an active CpG's mean in pure tumour ``[d]``."""
    means = expit(states.means)
    return np.abs(means[OPPOSITE] - means)[states.component]


def _penetrance(
    states: Mixture,
    association: Association | None,
    measured: Measured,
    default: MethylationParameters,
) -> float:
    """Return the penetrance whose typical difference between classes is that of the table."""
    if association is None:
        return default.penetrance
    steps = measured.shared.purity.mean * _steps(states)
    return float(min(default.background + association.relative(steps), HIGHEST))


@dataclass(frozen=True)
class _Precision:
    """Median of phi over CpGs, and the standard deviation of its logarithm."""

    median: float
    spread: float


def _precision(
    values: Floats, states: Mixture, association: Association | None, measured: Measured
) -> _Precision:
    """Estimate phi of each CpG, from ``Var = mu (1 - mu) / (1 + phi)``, when not switched on.

    The variance is from the middle half, ``(IQR / 1.349)^2``. Background activity shifts values to
    one side, so quartiles are taken of the other side. The spread that chance adds to such
    estimates is subtracted.
    """
    active = MethylationParameters().background
    up = np.array([1, 0, 0])[states.component]  # an active U goes up, the others down
    expected, variance, samples = np.zeros((3, values.shape[1]))
    for k in np.unique(measured.label):
        shown = values[measured.label == k]
        columns = (
            np.ones(shown.shape[1], bool) if association is None else association.of_class != k
        )
        columns &= (~np.isnan(shown)).sum(0) > FEWEST
        for goes_up in (0, 1):
            here = columns & (up == goes_up)
            if not here.any():
                continue
            quartiles = np.array([0.25, 0.5, 0.75]) * (1 - active) + (1 - goes_up) * active
            low, middle, high = np.nanquantile(shown[:, here], quartiles, axis=0)
            expected[here] += len(shown) * middle * (1 - middle)
            variance[here] += len(shown) * ((high - low) / 1.349) ** 2
            samples[here] += len(shown)
    known = (samples > 0) & (variance > 0)
    if not known.any():
        return _Precision(MethylationParameters().precision, 0.0)
    log = np.log(np.clip(expected[known] / variance[known] - 1, *PRECISIONS))
    low, middle, high = np.quantile(log, [0.25, 0.5, 0.75])
    # Sampling variance of the logarithm of such a variance, for n normal values.
    chance = float(np.median(IQR_VARIANCE / samples[known]))
    spread = np.sqrt(max(((high - low) / 1.349) ** 2 - chance, 0))
    return _Precision(float(np.exp(middle)), float(spread))
