"""A value with its 95 % interval, and the ways to get one.

Letters: D bootstrap draws.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Standard deviations that hold 95 % of a normal distribution.
Z95 = 1.959963984540054
FloatArray = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A value with its 95 % interval; NaN where it is undefined."""

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 if all of it is above 0, -1 if all is below; 0 if it holds 0, or is unknown."""
        return int(self.low > 0) - int(self.high < 0)

    def text(self, digits: int = 3, *, sign: bool = False, undefined: str = "–") -> str:
        """Return ``0.912 [0.880, 0.941]``, or the value alone where there is no interval.

        Parameters
        ----------
        digits : int
            Behind the point.
        sign : bool
            Write the sign of positive numbers too, as for differences.
        undefined : str
            Text of a value that is NaN.
        """
        if np.isnan(self.value):
            return undefined
        form = f"{'+' if sign else ''}.{digits}f"
        value, low, high = (format(number, form) for number in self)
        return value if np.isnan(self.low) else f"{value} [{low}, {high}]"


NAN = Interval(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class MetricResult:
    """A metric, beside what it is compared with.

    Attributes
    ----------
    name : str
    score : Interval
    ceiling : Interval, optional
        The same metric of the true probabilities.
    other, difference : Interval, optional
        Metric of the other scores, and the first less the other.
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
        """Return columns of a table, as ``score_value`` and ``score_low``; NaN where none."""
        return {
            f"{name}_{end}": value
            for name, interval in self.intervals().items()
            for end, value in (interval or NAN)._asdict().items()
        }


def percentile_interval(value: float, draws: FloatArray) -> Interval:
    """Return a value with the 2.5th and 97.5th percentile of its bootstrap draws.

    Draws in which the value is undefined are left out; without any other there is no interval.

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
    """Return the percentile interval of replicates ``[1 + D]``: the value, then its draws."""
    return percentile_interval(replicates[0], replicates[1:])


def normal_interval(replicates: FloatArray) -> Interval:
    """Return a value ``[0]``, give or take 1.96 standard deviations of its draws ``[1:]``.

    For distances between samples, where percentiles fail: a draw has fewer different items than
    the data, so that all its distances are a little too large.
    """
    value, draws = float(replicates[0]), replicates[1:]
    if len(draws) < 2 or np.isnan(value):
        return NAN._replace(value=value)
    half = Z95 * float(np.nanstd(draws, ddof=1))
    return Interval(value, value - half, value + half)


def mean_by_group(value: FloatArray, group: npt.NDArray[np.int64]) -> Interval:
    """Return a mean with a normal interval from the spread between groups.

    Members of a group need not be independent: the variance is that of sums over groups.

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


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of `n`.

    Wilson EB. Probable inference. J Am Stat Assoc 1927. doi:10.1080/01621459.1927.10502953
    """
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    return float(centre - half), float(centre + half)


def resampled_interval(differences: FloatArray, held_out: float) -> Interval:
    """Return the mean of differences between two models over splits, by the corrected t-test.

    Splits share most of what they train on, and in repeated folds what they test on too, so that
    their spread alone would be far too small for the mean: the variance is (1/J + test / train) of
    that of a split. Nadeau and Bengio 2003, doi:10.1023/A:1024068626366; for repeated folds
    Bouckaert and Frank 2004, doi:10.1007/978-3-540-24775-3_3.

    Parameters
    ----------
    differences : NDArray
        float64 ``[J]``, of each split; NaN where undefined.
    held_out : float
        Number of items that a split holds out, of one that it trains on.
    """
    from scipy.stats import t

    known = differences[np.isfinite(differences)]
    if len(known) < 2:
        return NAN._replace(value=float(known.mean()) if len(known) else float("nan"))
    error = known.std(ddof=1) * np.sqrt(1 / len(known) + held_out)
    half = float(t.ppf(0.975, len(known) - 1) * error)
    mean = float(known.mean())
    return Interval(mean, mean - half, mean + half)


def share_interval(hits: npt.NDArray[np.bool_]) -> Interval:
    """Return the share of True with Wilson's interval, which takes items as independent."""
    if not len(hits):
        return NAN
    value = float(hits.mean())
    return Interval(value, *wilson(value, len(hits)))
