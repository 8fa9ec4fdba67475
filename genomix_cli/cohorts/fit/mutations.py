"""Mutations: the frequency of mutated genes, by class."""

from __future__ import annotations

import numpy as np

from genomix_cli.cohorts.fit.association import associate_rates
from genomix_cli.cohorts.fit.expression import QUANTILES
from genomix_cli.cohorts.fit.measured import Fitted, Measured
from genomix_cli.cohorts.simulate.mutations import MutationParameters
from genomix_cli.cohorts.simulate.shared import Floats

# A rate of 0 would make one mutated sample impossible.
LEAST = 1e-4


def fit_mutations(measured: Measured) -> Fitted:
    """Estimate :class:`MutationParameters` from zeros and ones.

    - `rates`: 21 quantiles over genes of the frequency outside the class in which the gene is
      mutated most, for genes that differ between classes, and of the overall one for the others.
    - `drivers`, `rate`: genes that are mutated more often in one class, at a false discovery rate
      of 5 %, and their mean frequency in it (the least certain of them are those overstated).
    """
    fitted = Fitted(MutationParameters()).with_estimates(features=measured.total)
    frequency = np.nanmean(measured.values, 0)
    if not measured.labelled:
        return fitted.with_estimates(rates=_quantiles(frequency))
    association = associate_rates(measured.values, measured.label)
    on = (measured.label[:, None] == association.of_class) & association.driver
    known = measured.label >= 0
    outside: Floats = np.nanmean(np.where(on, np.nan, measured.values)[known], 0)
    inside, driver = (outside + association.effect)[association.driver], association.driver
    return fitted.with_estimates(
        drivers=round(driver.mean() * measured.total),
        rate=float(inside.mean()) if driver.any() else fitted.parameters.rate,
        rates=_quantiles(np.where(driver, outside, frequency)),
    )


def _quantiles(frequency: Floats) -> tuple[float, ...]:
    return tuple(np.maximum(np.quantile(frequency, QUANTILES), LEAST).tolist())
