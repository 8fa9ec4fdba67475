"""Features that differ between classes, and the size of the difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.simulate.shared import Floats, Ints

RATE = 0.05


@dataclass(frozen=True)
class Association:
    """Each feature in the class that stands out most from all others.

    Attributes
    ----------
    of_class : NDArray
        int64 ``[d]``: that class.
    effect : NDArray
        float64 ``[d]``: its mean minus the mean of all others.
    driver : NDArray
        bool ``[d]``: True if significant at a false discovery rate of 5 %.
    """

    of_class: Ints
    effect: Floats
    driver: NDArray[np.bool_]

    def typical(self, steps: Floats | float = 1.0) -> float:
        """Return the median effect of the drivers relative to `steps` ``[d]``; 0 without any."""
        relative = np.abs(self.effect) / np.maximum(steps, 1e-9)
        return float(np.median(relative[self.driver])) if self.driver.any() else 0.0


def associate(values: Floats, label: Ints) -> Association:
    """Compare each class with all others by Welch's t test [1]_.

    The least p-value of a feature is multiplied by the number of classes (Bonferroni), and the
    features are chosen after Benjamini and Hochberg [2]_.

    Parameters
    ----------
    values : NDArray
        ``[n, d]``, NaN where missing.
    label : NDArray
        int64 ``[n]``; -1 is left out.

    References
    ----------
    .. [1] Welch BL. The generalization of Student's problem. Biometrika 1947.
       doi:10.1093/biomet/34.1-2.28
    .. [2] Benjamini Y, Hochberg Y. Controlling the false discovery rate. J R Stat Soc B 1995.
       doi:10.1111/j.2517-6161.1995.tb02031.x
    """
    from scipy.stats import t as student

    known = label >= 0
    centre = np.nanmean(values, 0)
    member = np.eye(label.max() + 1)[label[known]].T
    shown = values[known] - centre
    observed = (~np.isnan(shown)).astype(float)
    filled = np.nan_to_num(shown)
    inside = [member @ observed, member @ filled, member @ filled**2]
    outside = [part.sum(0) - part for part in inside]
    (mean, error), (mean_outside, error_outside) = _moments(*inside), _moments(*outside)
    with np.errstate(divide="ignore", invalid="ignore"):
        both = error + error_outside
        t = (mean - mean_outside) / np.sqrt(both)
        freedom = both**2 / (error**2 / (inside[0] - 1) + error_outside**2 / (outside[0] - 1))
        p = 2 * student.sf(np.abs(t), freedom)
    return _strongest(np.nan_to_num(p, nan=1.0), mean - mean_outside)


def associate_rates(values: Floats, label: Ints) -> Association:
    """Compare zeros and ones as in :func:`associate`, by Fisher's exact test for more ones.

    References
    ----------
    Fisher RA. On the interpretation of chi-square from contingency tables. J R Stat Soc 1922.
    doi:10.2307/2340521
    """
    from scipy.stats import hypergeom

    known = label >= 0
    member = np.eye(label.max() + 1)[label[known]].T
    observed = (~np.isnan(values[known])).astype(float)
    n, ones = member @ observed, member @ np.nan_to_num(values[known])
    p = hypergeom.sf(ones - 1, n.sum(0), ones.sum(0), n)
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = ones / n - (ones.sum(0) - ones) / (n.sum(0) - n)
    return _strongest(np.nan_to_num(p, nan=1.0), np.nan_to_num(effect))


def _moments(n: Floats, total: Floats, squares: Floats) -> tuple[Floats, Floats]:
    """Return means and their squared standard errors."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / n
        variance = (squares / n - mean**2) * n / (n - 1)
        return mean, np.maximum(variance, 1e-12) / n


def _strongest(p: Floats, effect: Floats) -> Association:
    """Return the class with the smallest of p-values ``[K, d]``."""
    from scipy.stats import false_discovery_control

    best = p.argmin(0)
    columns = np.arange(p.shape[1])
    lowest = np.minimum(p[best, columns] * len(p), 1)
    return Association(best, effect[best, columns], false_discovery_control(lowest) <= RATE)


def switched_off(values: Floats, label: Ints, association: Association | None) -> Floats:
    """Return the values without the class in which each feature stands out, NaN there.

    Features with values only in that class keep them.
    """
    if association is None:
        return values
    left = np.where(label[:, None] == association.of_class, np.nan, values)
    return np.where(np.isnan(left).all(0), values, left)


def run_length(codes: Ints) -> float:
    """Estimate the mean length of runs that were cut at random and given codes independently.

    Features k apart agree more often than any two do by ``c (1 - 1 / length)^k``, with c below 1
    since some codes are wrong. The length is estimated from k = 1, 2 and 3; features in no order,
    whose neighbours agree no more than any two, give 1.

    Parameters
    ----------
    codes : NDArray
        int ``[d]``.
    """
    _, counts = np.unique(codes, return_counts=True)
    by_chance = float(((counts / len(codes)) ** 2).sum())
    excess = [float((codes[k:] == codes[:-k]).mean()) - by_chance for k in (1, 2, 3)]
    # Neighbours agree within three standard errors of chance: no order.
    error = np.sqrt(by_chance * (1 - by_chance) / len(codes))
    if excess[0] <= 3 * error:
        return 1.0
    stays = (excess[1] + excess[2]) / (excess[0] + excess[1])
    # With finitely many features the estimate must stay finite.
    return float(np.clip(1 / max(1 - stays, 1 / len(codes)), 1, len(codes) / 2))
