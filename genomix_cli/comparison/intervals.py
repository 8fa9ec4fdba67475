"""Values with 95 % intervals, and the methods that compute them.

Letters: D bootstrap draws.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Half-width of a 95 % normal interval, in standard deviations.
Z95 = 1.959963984540054
#: Verdicts on a difference: significant at 5 % if its 95 % interval excludes 0.
BETTER, LEVEL, WORSE = "better", "no significant difference", "worse"
#: The same as verbs of a sentence, by the sign of a difference of which more is better.
COMPARES = {1: "is better than", 0: "does not differ significantly from", -1: "is worse than"}
FloatArray = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A value with its 95 % interval; NaN where it is undefined."""

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 if the whole interval is above 0, -1 if it is below; 0 if it contains 0 or is NaN."""
        return int(self.low > 0) - int(self.high < 0)

    def text(self, digits: int = 3, *, sign: bool = False, undefined: str = "–") -> str:
        """Return ``0.912 [0.880, 0.941]``, or the value alone where there is no interval.

        Parameters
        ----------
        digits : int
            Number of decimal places.
        sign : bool
            Write a plus sign before positive numbers, as for differences.
        undefined : str
            Text for a value that is NaN.
        """
        if np.isnan(self.value):
            return undefined
        form = f"{'+' if sign else ''}.{digits}f"
        value, low, high = (format(number, form) for number in self)
        return value if np.isnan(self.low) else f"{value} [{low}, {high}]"


NAN = Interval(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class MetricResult:
    """A metric with the values that it is compared with.

    Attributes
    ----------
    name : str
    score : Interval
    ceiling : Interval, optional
        The metric of the true probabilities.
    other, difference : Interval, optional
        The metric of the other scores, and `score` minus `other`.
    """

    name: str
    score: Interval
    ceiling: Interval | None = None
    other: Interval | None = None
    difference: Interval | None = None

    def intervals(self) -> dict[str, Interval | None]:
        """Return the four intervals by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)[1:]}

    def cells(self) -> dict[str, float]:
        """Return table cells such as ``score_value`` and ``score_low``; NaN for missing ones."""
        return {
            f"{name}_{end}": value
            for name, interval in self.intervals().items()
            for end, value in (interval or NAN)._asdict().items()
        }


def percentile_interval(value: float, draws: FloatArray) -> Interval:
    """Return a value with the 2.5th and 97.5th percentiles of its bootstrap draws.

    Draws in which the value is undefined are ignored. If no draw is left, the interval is NaN.

    Parameters
    ----------
    value : float
    draws : NDArray
        float64 ``[D]``.
    """
    draws = draws[np.isfinite(draws)]
    if not len(draws) or not np.isfinite(value):
        return NAN._replace(value=float(value))
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(float(value), float(low), float(high))


def interval_of(replicates: FloatArray) -> Interval:
    """Return the percentile interval of replicates ``[1 + D]``: the value, then its draws.

    A value that is 1 in every draw, such as the AUROC of a score that separates all items, has no
    interval, since its draws cannot show how much lower it may be.
    """
    interval = percentile_interval(replicates[0], replicates[1:])
    return NAN._replace(value=1.0) if interval == (1, 1, 1) else interval


def normal_interval(replicates: FloatArray) -> Interval:
    """Return the value ``[0]`` plus or minus 1.96 standard deviations of its draws ``[1:]``.

    Use it for distances between samples, where percentiles are biased: a draw has fewer distinct
    items than the data, so all its distances are slightly too large.
    """
    value, draws = float(replicates[0]), replicates[1:]
    if len(draws) < 2 or np.isnan(value):
        return NAN._replace(value=value)
    half = Z95 * float(np.nanstd(draws, ddof=1))
    return Interval(value, value - half, value + half)


def mean_by_group(value: FloatArray, group: npt.NDArray[np.int64]) -> Interval:
    """Return a mean with a normal interval that is robust to dependence within groups.

    The variance is computed from sums over groups, so members of a group need not be independent.

    Parameters
    ----------
    value : NDArray
        ``[n]``.
    group : NDArray
        int64 ``[n]``.
    """
    mean = float(value.mean())
    _, index = np.unique(group, return_inverse=True)
    total = np.bincount(index, value - mean)
    if len(total) < 2:
        return NAN._replace(value=mean)
    error = np.sqrt((total**2).sum() * len(total) / (len(total) - 1)) / len(value)
    return Interval(mean, float(mean - Z95 * error), float(mean + Z95 * error))


def wilson(share: float, n: float) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a proportion `share` of `n` items.

    Wilson EB. Probable inference. J Am Stat Assoc 1927. doi:10.1080/01621459.1927.10502953
    """
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    return float(centre - half), float(centre + half)


def lowest_auroc(positives: float, negatives: float) -> float:
    """Return the lower end of the 95 % interval of an AUROC that is 1.

    It is the AUROC that lies 1.96 of its own standard deviations below 1, as in Wilson's interval
    of a share: method 5 of Newcombe RG. Confidence intervals for an effect size measure based on
    the Mann-Whitney statistic. Part 2. Stat Med 2006. doi:10.1002/sim.2324

    Parameters
    ----------
    positives, negatives : float
        Number of independent items with and without the class, both positive.
    """
    from scipy.optimize import brentq

    pairs, others = positives * negatives, (positives + negatives) / 2 - 1

    def excess(a: float) -> float:
        spread = a * (1 + others * (1 - a) / (2 - a) + others * a / (1 + a))
        return (1 - a) * pairs - Z95**2 * spread

    return float(brentq(excess, 0, 1))


def resampled_interval(differences: FloatArray, held_out: float) -> Interval:
    """Return the mean difference of two models over splits, with the corrected t-interval.

    Splits share most of their training items, and repeated folds share their test items too, so
    the usual standard error of the mean would be far too small. The variance of the mean is
    (1/J + test/train) times the variance over splits: Nadeau and Bengio 2003,
    doi:10.1023/A:1024068626366; for repeated folds Bouckaert and Frank 2004,
    doi:10.1007/978-3-540-24775-3_3.

    Parameters
    ----------
    differences : NDArray
        float64 ``[J]``: difference on each split; NaN where undefined.
    held_out : float
        Number of test items divided by number of training items of a split.
    """
    from scipy.stats import t

    known = differences[np.isfinite(differences)]
    if len(known) < 2:
        return NAN._replace(value=float(known.mean()) if len(known) else float("nan"))
    error = known.std(ddof=1) * np.sqrt(1 / len(known) + held_out)
    half = float(t.ppf(0.975, len(known) - 1) * error)
    mean = float(known.mean())
    return Interval(mean, mean - half, mean + half)


def share_interval(hits: npt.NDArray[np.bool_], unit: npt.NDArray[np.int64]) -> Interval:
    """Return the share of True with Wilson's interval over units.

    Items of one unit need not be independent. They count as the number of independent items whose
    share would vary as much: Rao and Scott 1992, A simple method for the analysis of clustered
    binary data. Biometrics 48:577. doi:10.2307/2532311. A share of 0 or 1 does not vary, and its
    items count as one per unit.

    Parameters
    ----------
    hits : NDArray
        bool ``[n]``.
    unit : NDArray
        int64 ``[n]``: unit of each item, such as a patient.
    """
    if not len(hits):
        return NAN
    value, n, units = float(hits.mean()), len(hits), len(np.unique(unit))
    counted = float(units)
    if 1 < units < n and 0 < value < 1:
        error = (mean_by_group(hits.astype(np.float64), unit).high - value) / Z95
        counted = min(value * (1 - value) / error**2, n) if error else n
    return Interval(value, *wilson(value, counted))
