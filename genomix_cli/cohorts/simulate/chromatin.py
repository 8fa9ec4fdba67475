"""Chromatin accessibility: modules of peaks that are open or closed, on a log2 scale.

Peaks open together in cell-type modules [1]_. A tumour keeps the normal state of a module, or has
the other one where the module is active. Accessibility adds over the cells of a sample, so peak j
of a module in tumour state s shows ::

    x ~ N(base[j] + log2(p 2^(gain s) + (1 - p) 2^(gain normal)) + delta[batch, j], sd[j]^2)

References
----------
.. [1] Corces MR et al. The chromatin accessibility landscape of primary human cancers. Science
   2018. doi:10.1126/science.aav1898
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd

from genomix_cli.cohorts.simulate.blocks import BlockProcess, Blocks
from genomix_cli.cohorts.simulate.drivers import choose_drivers
from genomix_cli.cohorts.simulate.emissions import GaussianEmission
from genomix_cli.cohorts.simulate.methylation import block_of_features
from genomix_cli.cohorts.simulate.process import Drawn
from genomix_cli.cohorts.simulate.shared import Floats, Ints, Samples, Shared
from genomix_cli.config import Count, NotNegative, Positive, Share, Within


@dataclass(frozen=True)
class ChromatinParameters:
    """Parameters of the accessibility model.

    Attributes
    ----------
    features : int
        Number of peaks.
    module : float
        Mean number of peaks in a module (geometric).
    drivers : int
        Number of driver modules.
    penetrance, background : float
        As for methylation.
    open : float
        Fraction of modules that are open in normal cells.
    base, base_sd : float
        Mean and standard deviation over peaks of a closed peak's log2 accessibility.
    gain : float
        log2 gain of an open peak.
    noise : float
        Median of sd[j]; the standard deviation of its logarithm over peaks is 1/4.
    batch_sd : float
        Standard deviation of delta.
    """

    features: Count = 110
    module: Annotated[float, Within(1)] = 4.0
    drivers: Annotated[int, Within(0)] = 12
    penetrance: Share = 0.6
    background: Share = 0.05
    open: Share = 0.4
    base: float = 2.0
    base_sd: NotNegative = 0.8
    gain: float = 2.0
    noise: Positive = 0.7
    batch_sd: NotNegative = 0.15


class Chromatin(BlockProcess):
    """Accessibility of every peak; see the module for the model, Methylation for the arguments."""

    name = kind = "chromatin"
    Parameters = ChromatinParameters

    def __init__(
        self, parameters: ChromatinParameters, shared: Shared, rng: np.random.Generator
    ) -> None:
        p = parameters
        self.shared = shared
        self.unit = block_of_features(p.features, p.module, rng)
        units = int(self.unit.max()) + 1
        self.normal = (rng.random(units) < p.open).astype(int)
        drivers = choose_drivers(
            shared, self.name, units, p.drivers, p.penetrance, p.background, rng
        )
        self.blocks = Blocks(drivers, np.eye(2)[self.normal], np.eye(2)[1 - self.normal])
        mean = rng.normal(p.base, p.base_sd, (p.features, 1, 1, 1)) + self._mixed(p.gain)
        mean = mean + batch_shift(shared, p.features, p.batch_sd, rng)
        sd = p.noise * np.exp(rng.normal(0, 0.25, p.features))
        self.readers = {self.name: GaussianEmission(self.unit, units, mean, sd)}

    def _mixed(self, gain: float) -> Floats:
        """Return log2 accessibility of tumour and normal cells together ``[d, S, P, 1]``."""
        p = self.shared.purity.values
        tumour = 2.0 ** (gain * np.arange(2))
        normal = 2.0 ** (gain * self.normal[self.unit])
        return np.log2(p * tumour[:, None] + (1 - p) * normal[:, None, None])[..., None]

    def draw(self, samples: Samples, rng: np.random.Generator, hidden: dict[str, Ints]) -> Drawn:
        """See :class:`Process`."""
        state = self.draw_states(samples, rng, hidden)
        values = self.readers[self.name].draw(state, samples, rng)
        return Drawn(values, values, {"state": state.astype(np.int8)})

    def features(self) -> pd.DataFrame:
        """See :class:`Process`."""
        frame = self.blocks.drivers.columns(self.unit)
        normal = self.normal[self.unit]
        frame.insert(0, "normal_state", np.where(normal, "open", "closed"))
        frame["direction"] = np.where(frame["driver"], np.where(normal, "closes", "opens"), "")
        frame.index = [f"peak{i:06d}" for i in range(len(frame))]
        return frame


def batch_shift(shared: Shared, features: int, sd: float, rng: np.random.Generator) -> Floats:
    """Draw the shift delta ``[d, 1, 1, B]``; 0 with a single batch."""
    batches = shared.shape[2]
    shift = rng.normal(0, sd, (features, 1, 1, batches))
    return shift if batches > 1 else np.zeros_like(shift)
