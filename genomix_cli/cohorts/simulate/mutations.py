"""Mutations: genes that are mutated at rates of the class.

Gene j is mutated with probability ``background[j]``, long-tailed over genes as in tumour sequencing
[1]_, or ``rate`` where the class (or an interaction) makes it a driver. Given the class, genes are
independent.

References
----------
.. [1] Lawrence MS et al. Mutational heterogeneity in cancer and the search for new
   cancer-associated genes. Nature 2013. doi:10.1038/nature12213
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd

from genomix_cli.cohorts.simulate.drivers import choose_drivers
from genomix_cli.cohorts.simulate.process import Drawn, Process
from genomix_cli.cohorts.simulate.profiles import even_quantiles
from genomix_cli.cohorts.simulate.shared import Floats, Ints, Samples, Shared
from genomix_cli.config import Count, NotNegative, Share, Within

# Rates of exactly 0 or 1, which rounding can produce, would make some data impossible.
LEAST = 1e-9


@dataclass(frozen=True)
class MutationParameters:
    """Parameters of the mutation model.

    Attributes
    ----------
    features : int
        Number of genes.
    drivers : int
        Number of driver genes.
    rate : float
        Frequency of a driver when switched on.
    background, spread : float
        Median frequency otherwise, and the standard deviation of its natural logarithm over genes.
    rates : tuple of float
        Frequencies to use instead: quantiles over genes, evenly spaced from the lowest to the
        highest, assigned at even steps. Empty for `background` and `spread`.
    """

    features: Count = 110
    drivers: Annotated[int, Within(0)] = 20
    rate: Share = 0.35
    background: Share = 0.015
    spread: NotNegative = 0.8
    rates: tuple[Share, ...] = ()


class Mutations(Process):
    """Mutated genes; see the module for the model, Methylation for the arguments."""

    name = kind = "mutations"
    Parameters = MutationParameters

    def __init__(
        self, parameters: MutationParameters, shared: Shared, rng: np.random.Generator
    ) -> None:
        self.shared = shared
        p, background = parameters, _background(parameters, rng)
        self.drivers = choose_drivers(
            shared, self.name, p.features, p.drivers, p.rate, background, rng
        )
        self.readers = {self.name: None}

    def draw(self, samples: Samples, rng: np.random.Generator, hidden: dict[str, Ints]) -> Drawn:
        """See :class:`Process`."""
        values = self.drivers.draw(samples, rng).astype(float)
        return Drawn(values, values)

    def log_likelihood(self, shown: dict[str, Floats], n: int) -> Floats:
        """See :class:`Process`."""
        total = np.zeros((n, 1, 1, 1, *[1] * len(self.shared.interactions)))
        for gene, values in enumerate(shown[self.name].T):
            rates = self.drivers.rates(gene)
            if len(rates) == 1:
                continue
            rates = np.clip(rates, LEAST, 1 - LEAST)
            mutated = np.nan_to_num(values)[:, None]
            observed = ~np.isnan(values)[:, None]
            terms = observed * (mutated * np.log(rates) + (1 - mutated) * np.log1p(-rates))
            total = total + self.drivers.place(terms[:, :, None, None], gene)
        return total

    def features(self) -> pd.DataFrame:
        """See :class:`Process`."""
        frame = self.drivers.columns(np.arange(len(self.drivers)))
        frame.insert(0, "background", self.drivers.background)
        frame.index = [f"mut{i:05d}" for i in range(len(frame))]
        return frame


def _background(parameters: MutationParameters, rng: np.random.Generator) -> Floats:
    """Draw the frequency of each gene when nothing switches it on ``[d]``."""
    n = parameters.features
    if parameters.rates:
        return even_quantiles(parameters.rates, rng.permutation(n))
    tail = np.exp(rng.normal(0, parameters.spread, n))
    return np.minimum(parameters.background * tail, 0.5)
