"""Methylation: the three states, the blocks and the precision of a table of beta values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from genomix_cli.cohorts.fit.association import Association, run_length, switched_off
from genomix_cli.cohorts.fit.measured import Fitted, Measured
from genomix_cli.cohorts.fit.mixture import Mixture, gaussian_mixture
from genomix_cli.cohorts.simulate.methylation import OPPOSITE, MethylationParameters, expit, logit

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
    default = MethylationParameters(batch_sd=0.0)
    logits = replace(measured, values=logit(np.clip(measured.values, MARGIN, 1 - MARGIN)))
    measured = replace(measured, values=expit(logits.without_batches().values))
    association = measured.associated()
    median = np.nanmedian(switched_off(measured.values, measured.label, association), 0)
    precision = default.precision
    for _ in range(3):
        level = (median * (precision - 2 / 3) + 1 / 3) / precision
        states = gaussian_mixture(logit(np.clip(level, MARGIN, 1 - MARGIN)), 3)
        precision, spread = _precision(measured, states, association)
    block, means = run_length(states.component), expit(states.means)
    fitted = Fitted(default).with_estimates(
        features=measured.total,
        block=block,
        weights=tuple(states.weights.tolist()),
        means=tuple(means.tolist()),
        spread=states.sd,
        precision=precision,
        precision_spread=spread,
    )
    if association is not None:
        # The change of an active CpG's mean in pure tumour.
        steps = np.abs(means[OPPOSITE] - means)[states.component]
        typical = association.typical(measured.shared.purity.mean * steps)
        fitted = fitted.with_estimates(
            drivers=round(association.driver.mean() * measured.total / block),
            penetrance=float(min(default.background + typical, HIGHEST)),
        )
    notes = () if block > 1.2 else ("neighbours in the file share no state: one CpG to a block",)
    return replace(fitted.with_estimates(**logits.batch_sd()), notes=notes)


def _precision(
    measured: Measured, states: Mixture, association: Association | None
) -> tuple[float, float]:
    """Return the median of phi over CpGs, and the standard deviation of its logarithm.

    From ``Var = mu (1 - mu) / (1 + phi)`` of each CpG when it is not switched on.

    The variance is from the middle half, ``(IQR / 1.349)^2``. Background activity shifts values to
    one side, so quartiles are taken of the other side. The spread that chance adds to such
    estimates is subtracted.
    """
    active = MethylationParameters().background
    up = np.array([1, 0, 0])[states.component]  # an active U goes up, the others down
    expected, variance, samples = np.zeros((3, measured.values.shape[1]))
    for k in np.unique(measured.label):
        shown = measured.values[measured.label == k]
        columns = (~np.isnan(shown)).sum(0) > FEWEST
        if association is not None:
            columns &= association.of_class != k
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
        return MethylationParameters().precision, 0.0
    log = np.log(np.clip(expected[known] / variance[known] - 1, *PRECISIONS))
    low, middle, high = np.quantile(log, [0.25, 0.5, 0.75])
    # Sampling variance of the logarithm of such a variance, for n normal values.
    chance = float(np.median(IQR_VARIANCE / samples[known]))
    spread = np.sqrt(max(((high - low) / 1.349) ** 2 - chance, 0))
    return float(np.exp(middle)), float(spread)
