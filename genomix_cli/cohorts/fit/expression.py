"""Expression: levels and noise of genes, and the effect of the class on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from genomix_cli.cohorts.fit.association import RATE, Association, run_length, switched_off
from genomix_cli.cohorts.fit.measured import Fitted, Measured
from genomix_cli.cohorts.simulate.expression import ExpressionParameters
from genomix_cli.cohorts.simulate.levels import Levels
from genomix_cli.cohorts.simulate.shared import Floats, Ints

QUANTILES = np.linspace(0, 1, 21)
HIGHEST_SHIFT = 6.0
PENETRANCES = (0.10, 0.96, 0.05)
# Least fraction of a gene's variance within classes that counts as noise.
LEAST_NOISE = 0.25
LEAST_SD = 0.01


def fit_expression(measured: Measured) -> Fitted:
    """Estimate :class:`ExpressionParameters` from log2 expression.

    - `base`, `noise`: 21 quantiles over genes of the mean where the gene is not switched on, and
      of the standard deviation within classes, both after what active modules add on average;
      `coupling`: the rank correlation of the two.
    - `drivers`, `penetrance`, `shift`: as many modules as differ between classes, active so often
      and moved so far that the typical difference is the table's, and the variance where they
      are switched on; rough.
    - `module`: from how often neighbours in the file differ between classes in the same way; genes
      in no order come out at 1.
    - `batch_sd`: the variance component of batches.
    """
    default = ExpressionParameters(batch_sd=0.0)
    purity = measured.shared.purity
    raw, measured = measured, measured.without_batches()
    association = measured.associated()
    active = Activity(default.penetrance, default.background, default.shift, purity)
    of_classes: dict[str, Any] = {}
    if association is not None:
        module = run_length(np.where(association.driver, association.of_class, -1))
        drivers = round(association.driver.mean() * measured.total / module)
        of_classes = {"module": module, "drivers": drivers}
        if association.driver.any():
            active = fit_activity(*_of_drivers(measured, association), default, purity)
            of_classes |= {"penetrance": active.penetrance, "shift": active.shift}
    mean = np.nanmean(switched_off(measured.values, measured.label, association), 0)
    sd = np.sqrt(within_variance(measured.values, measured.label))
    mean, sd = _without_activity(mean, sd, association, active, measured.label)
    return Fitted(default).with_estimates(
        features=measured.total,
        base=tuple(np.quantile(mean, QUANTILES).tolist()),
        noise=tuple(np.quantile(sd, QUANTILES).tolist()),
        coupling=_rank_correlation(mean, sd),
        even=True,
        **of_classes,
        **raw.batch_sd(),
    )


def activity(shift: float, purity: Levels) -> Floats:
    """Return log2 change in an active module, up and down, by level of purity ``[2, P]``."""
    p = purity.values
    return np.log2(p * 2.0 ** (shift * np.array([[1.0], [-1.0]])) + 1 - p)


@dataclass(frozen=True)
class Activity:
    """Frequency and effect of active driver modules.

    Attributes
    ----------
    penetrance, background : float
    shift : float
        log2, in tumour cells.
    purity : Levels
    """

    penetrance: float
    background: float
    shift: float
    purity: Levels

    def _moment(self, power: int) -> float:
        """Return a moment of the size of the effect, up or down at even odds."""
        sizes = np.abs(activity(self.shift, self.purity)) ** power
        return float((sizes @ self.purity.weights).mean())

    @property
    def difference(self) -> float:
        """Return the mean of a switched-on driver minus that elsewhere."""
        return (self.penetrance - self.background) * self._moment(1)

    @property
    def mean(self) -> float:
        """Return the mean effect on quiet genes: ups are larger than downs."""
        both = activity(self.shift, self.purity) @ self.purity.weights
        return self.background * float(both.mean())

    def variance(self, rate: float) -> float:
        """Return the variance that activity at a rate adds to a gene, mean of ups and downs."""
        first = activity(self.shift, self.purity) @ self.purity.weights
        return rate * self._moment(2) - rate**2 * float((first**2).mean())


def fit_activity(
    difference: float, excess: float, default: ExpressionParameters, purity: Levels
) -> Activity:
    """Fit penetrance and shift to the effect on driver genes.

    Parameters
    ----------
    difference : float
        Typical difference of the mean, log2, when a gene is switched on.
    excess : float
        Variance there minus that elsewhere: a module active in some of the samples has more of it
        than one active in all.
    """

    def away(tried: Activity) -> float:
        return abs(tried.variance(tried.penetrance) - tried.variance(tried.background) - excess)

    rates = [(penetrance, default.background) for penetrance in np.arange(*PENETRANCES).tolist()]
    tried = [Activity(*both, _shift_of(difference, *both, purity), purity) for both in rates]
    return min(tried, key=away)


def _shift_of(difference: float, penetrance: float, background: float, purity: Levels) -> float:
    """Return the shift that gives this difference between classes."""
    from scipy.optimize import brentq

    def short(shift: float) -> float:
        return Activity(penetrance, background, shift, purity).difference - difference

    if difference == 0 or short(HIGHEST_SHIFT) < 0:
        return HIGHEST_SHIFT if difference else 0.0
    return float(brentq(short, 0, HIGHEST_SHIFT))


def _of_drivers(measured: Measured, association: Association) -> tuple[float, float]:
    """Return typical difference, and mean excess of variance, of driver genes."""
    values, label = measured.values, measured.label
    on = label[:, None] == association.of_class
    inside = np.nanvar(np.where(on, values, np.nan), 0, ddof=1)
    outside = within_variance(switched_off(values, label, association), label)
    excess = (inside - outside)[association.driver]
    return association.typical(), float(np.nanmean(excess)) if not np.isnan(excess).all() else 0.0


def within_variance(values: Floats, label: Ints) -> Floats:
    """Return the variance about class means ``[d]``; samples of no class form their own."""
    left, freedom = np.zeros((2, values.shape[1]))
    for k in np.unique(label):
        shown = values[label == k]
        n = (~np.isnan(shown)).sum(0)
        some = n > 0
        left[some] += np.nanvar(shown[:, some], 0) * n[some]
        freedom += np.maximum(n - 1, 0)
    return left / np.maximum(freedom, 1)


def _without_activity(
    mean: Floats, sd: Floats, association: Association | None, active: Activity, label: Ints
) -> tuple[Floats, Floats]:
    """Return levels and noise without the mean and variance of active modules."""
    extra = np.full(len(sd), active.variance(active.background))
    if association is not None:
        counts = np.bincount(label[label >= 0])
        share = (counts / counts.sum())[association.of_class]
        on = share * active.variance(active.penetrance) + (1 - share) * extra
        extra = np.where(association.driver, on, extra)
    noise = np.sqrt(np.maximum(sd**2 - extra, LEAST_NOISE * sd**2))
    return mean - active.mean, np.maximum(noise, LEAST_SD)


def _rank_correlation(a: Floats, b: Floats) -> float:
    """Return the correlation of the normal scores of two sequences."""
    from scipy.stats import norm, rankdata

    scores = [norm.ppf((rankdata(x) - 0.5) / len(x)) for x in (a, b)]
    return float(np.clip(np.corrcoef(*scores)[0, 1], -0.99, 0.99))


class Tied(NamedTuple):
    """Genes whose expression follows, or opposes, another modality within the classes.

    Attributes
    ----------
    genes : int
    slope : float
        Median change of expression per unit of the other, log2; 0 without any.
    level : float
        Mean value of the other.
    """

    genes: int
    slope: float
    level: float


def tied_genes(values: Floats, others: Floats, label: Ints, sign: int) -> Tied:
    """Find genes whose correlation has a given sign, at a false discovery rate of 5 %.

    Parameters
    ----------
    values, others : NDArray
        ``[n, g]``: expression of the genes, and copy number or methylation of the same genes.
    label : NDArray
        int64 ``[n]``.
    sign : {1, -1}
    """
    from scipy.stats import false_discovery_control
    from scipy.stats import t as student

    x, y = _centred(values, label), _centred(others, label)
    both = ~np.isnan(x) & ~np.isnan(y)
    x, y = np.where(both, x, 0.0), np.where(both, y, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (x * y).sum(0) / np.sqrt((x**2).sum(0) * (y**2).sum(0))
        slope = (x * y).sum(0) / (y**2).sum(0)
    r = np.nan_to_num(np.clip(r, -0.999999, 0.999999))
    freedom = np.maximum(both.sum(0) - len(np.unique(label)) - 1, 1)
    p = student.sf(sign * r * np.sqrt(freedom / (1 - r**2)), freedom)
    tied = false_discovery_control(p) <= RATE
    if not tied.any():
        return Tied(0, 0.0, 0.0)
    level = float(np.nanmean(others[:, tied]))
    return Tied(int(tied.sum()), float(np.median(slope[tied])), level)


def _centred(values: Floats, label: Ints) -> Floats:
    centred = values.copy()
    for k in np.unique(label):
        centred[label == k] -= np.nanmean(values[label == k], 0)
    return centred
