"""Features of a unit given its hidden state: draws and log-likelihoods.

Every distribution here is an exponential family (or, for counts over a depth, uses tables of
rising factorials), so that the log-likelihood of all states, purity levels and batches is one
matrix product per unit. Missing values (NaN) do not contribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.simulate.shared import Floats, Ints, Samples

# Arrays report values inside (0, 1); values rounded to 0 or 1 would have no density.
MARGIN = 1e-4


class Emission(Protocol):
    """Distribution of a modality's features, given the hidden state of their unit.

    Attributes
    ----------
    unit : NDArray
        int64 ``[d]``: the unit of each feature.
    """

    unit: Ints

    def draw(self, state: Ints, samples: Samples, rng: np.random.Generator) -> Floats:
        """Draw values ``[n, d]`` given the state of each feature's unit ``[n, d]``."""

    def log_likelihood(self, values: Floats, unit: int) -> Floats:
        """Return the log-likelihood of a unit's features, ``[n, S, P, B]``; 0 if all missing."""


def _at(table: Floats, state: Ints, samples: Samples) -> Floats:
    """Return entries of ``[d, S, P, B]`` for the states ``[n, d]`` of some samples."""
    p, b = samples.purity[:, None], samples.batch[:, None]
    return table[np.arange(len(table)), state, p % table.shape[2], b % table.shape[3]]


class Exponential:
    """Exponential family: log density is ``statistics(x) . natural - partition``.

    Parameters
    ----------
    unit : NDArray
        int64 ``[d]``.
    units : int
    natural : sequence of NDArray
        One ``[d, S, P, B]`` for each statistic.
    partition : NDArray
        ``[d, S, P, B]``.
    centre : NDArray
        ``[d]``: subtracted from the values first.
    features : NDArray, optional
        ``[d]``: columns of these features in the modality's matrix; by default all.
    """

    def __init__(
        self,
        unit: Ints,
        units: int,
        natural: Sequence[Floats],
        partition: Floats,
        centre: Floats,
        features: Ints | None = None,
    ) -> None:
        self.unit = unit
        self._centre = centre
        self._features = np.arange(len(unit)) if features is None else features
        self._columns = [np.flatnonzero(unit == u) for u in range(units)]
        self._shape = partition.shape[1:]
        terms = np.stack([*natural, -partition], 1)
        self._terms = [
            terms[columns].reshape(len(columns) * terms.shape[1], terms[0, 0].size)
            for columns in self._columns
        ]

    def statistics(self, values: Floats) -> list[Floats]:
        """Return the sufficient statistics, each of the shape of `values`."""
        raise NotImplementedError

    def log_likelihood(self, values: Floats, unit: int) -> Floats:
        """See :class:`Emission`."""
        columns = self._columns[unit]
        shown = values[:, self._features[columns]] - self._centre[columns]
        observed = ~np.isnan(shown)
        filled = np.where(observed, shown, 0.5)
        statistics = np.stack([*self.statistics(filled), np.ones_like(filled)], 2)
        statistics *= observed[:, :, None]
        product = statistics.reshape(len(values), -1) @ self._terms[unit]
        return product.reshape(len(values), *self._shape)


class BetaEmission(Exponential):
    """``x ~ Beta(mu phi, (1 - mu) phi)``.

    Parameters
    ----------
    mean : NDArray
        mu, ``[d, S, P, B]``.
    precision : NDArray
        phi, ``[d]``: the variance is ``mu (1 - mu) / (1 + phi)``.
    """

    def __init__(self, unit: Ints, units: int, mean: Floats, precision: Floats) -> None:
        from scipy.special import gammaln

        precision = precision.reshape(-1, 1, 1, 1)
        self.a, self.b = mean * precision, (1 - mean) * precision
        partition = gammaln(self.a) + gammaln(self.b) - gammaln(precision)
        natural = [self.a - 1, self.b - 1]
        super().__init__(unit, units, natural, partition, np.zeros(len(unit)))

    def statistics(self, values: Floats) -> list[Floats]:
        """Return ``log x`` and ``log (1 - x)``."""
        return [np.log(values), np.log1p(-values)]

    def draw(self, state: Ints, samples: Samples, rng: np.random.Generator) -> Floats:
        """See :class:`Emission`."""
        values = rng.beta(_at(self.a, state, samples), _at(self.b, state, samples))
        return np.clip(values, MARGIN, 1 - MARGIN).astype(np.float32).astype(float)


class GaussianEmission(Exponential):
    """``x ~ N(mean, sd^2)``, on the log2 scale of arrays and sequencing.

    Parameters
    ----------
    mean : NDArray
        ``[d, S, P, B]``.
    sd : NDArray
        ``[d]``.
    features : NDArray, optional
        See :class:`Exponential`.
    """

    def __init__(
        self, unit: Ints, units: int, mean: Floats, sd: Floats, features: Ints | None = None
    ) -> None:
        self.mean, self.sd = mean, sd
        # Centring keeps the digits that a large mean would cost in x^2.
        centre = mean.mean((1, 2, 3))
        precision = sd.reshape(-1, 1, 1, 1) ** -2
        offset = mean - centre.reshape(-1, 1, 1, 1)
        partition = offset**2 * precision / 2 - np.log(precision / (2 * np.pi)) / 2
        natural = [np.broadcast_to(-precision / 2, mean.shape), offset * precision]
        super().__init__(unit, units, natural, partition, centre, features)

    def statistics(self, values: Floats) -> list[Floats]:
        """Return ``x^2`` and ``x``."""
        return [values**2, values]

    def draw(self, state: Ints, samples: Samples, rng: np.random.Generator) -> Floats:
        """See :class:`Emission`."""
        values = rng.normal(_at(self.mean, state, samples), self.sd)
        return values.astype(np.float32).astype(float)


@dataclass
class BetaBinomialEmission:
    """``k ~ BetaBinomial(depth, mu phi, (1 - mu) phi)``: methylation by sequencing.

    Values are complex numbers k + depth j, so that both travel as one array; a depth of 0 is NaN.

    Parameters
    ----------
    unit : NDArray
        int64 ``[d]``.
    mean : NDArray
        mu, ``[d, S, P, B]``.
    precision : NDArray
        phi, ``[d]``.
    depth : float
        Mean of the Poisson number of reads over a CpG.
    """

    unit: Ints
    mean: Floats
    precision: Floats
    depth: float

    def draw(self, state: Ints, samples: Samples, rng: np.random.Generator) -> Floats:
        """See :class:`Emission`."""
        mean = _at(self.mean, state, samples)
        rate = rng.beta(mean * self.precision, (1 - mean) * self.precision)
        depth = rng.poisson(self.depth, rate.shape)
        return np.where(depth > 0, rng.binomial(depth, rate) + 1j * depth, np.nan)

    def log_likelihood(self, values: NDArray[np.complex128], unit: int) -> Floats:
        """See :class:`Emission`; omits the binomial coefficient, constant over states."""
        total = np.zeros((len(values), *self.mean.shape[1:]))
        for column in np.flatnonzero(self.unit == unit):
            shown = values[:, column]
            observed = ~np.isnan(shown.real)
            methylated = shown.real[observed].astype(int)
            depth = shown.imag[observed].astype(int)
            top = int(depth.max(initial=0))
            precision = self.precision[column]
            a = self.mean[column] * precision
            b = precision - a
            both = np.full((1, 1, 1), precision)
            total[observed] += (
                _rising(a, top)[methylated]
                + _rising(b, top)[depth - methylated]
                - _rising(both, top)[depth]
            )
        return total


def _rising(a: Floats, top: int) -> Floats:
    """Return ``log(a (a + 1) ... (a + k - 1))`` for k = 0 .. `top`, along a new first axis."""
    factors = np.log(a + np.arange(top).reshape(-1, *[1] * a.ndim))
    return np.concatenate([np.zeros((1, *a.shape)), np.cumsum(factors, 0)])
