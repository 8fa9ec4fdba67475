"""Methylation: co-methylated blocks of CpGs with beta-distributed values.

A block of neighbouring CpGs is unmethylated (U), intermediate (I) or methylated (M), the same in
all normal cells; the bimodal spectrum of array data follows [1]_. A tumour keeps the normal state,
or, where the class (or an interaction) makes the block active, goes the other way: hyper where the
normal state is unmethylated, hypo where it is methylated [2]_. A sample of purity p shows CpG j of
a block in tumour state s with mean ::

    mu = expit(logit(p m[s, j] + (1 - p) m[normal, j]) + delta[batch, j])
    beta ~ Beta(mu phi[j], (1 - mu) phi[j])               by arrays
    k ~ BetaBinomial(depth, mu phi[j], (1 - mu) phi[j])   by sequencing: beta = k / depth

where the depth is a Poisson number.

References
----------
.. [1] Du P et al. Comparison of Beta-value and M-value methods. BMC Bioinformatics 2010.
   doi:10.1186/1471-2105-11-587
.. [2] Baylin SB, Jones PA. A decade of exploring the cancer epigenome. Nat Rev Cancer 2011.
   doi:10.1038/nrc3130
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd

from genomix_cli.cohorts.simulate.blocks import BlockProcess, Blocks
from genomix_cli.cohorts.simulate.drivers import choose_drivers
from genomix_cli.cohorts.simulate.emissions import BetaBinomialEmission, BetaEmission
from genomix_cli.cohorts.simulate.process import Drawn
from genomix_cli.cohorts.simulate.shared import Floats, Ints, Samples, Shared
from genomix_cli.config import Count, NotNegative, Positive, Share, Within

UNMETHYLATED, INTERMEDIATE, METHYLATED = range(3)
OPPOSITE = np.array([METHYLATED, UNMETHYLATED, UNMETHYLATED])


@dataclass(frozen=True)
class MethylationParameters:
    """Parameters of the methylation model.

    Attributes
    ----------
    features : int
        Number of CpGs.
    block : float
        Mean number of CpGs in a block (geometric).
    drivers : int
        Number of driver blocks.
    penetrance : float
        Probability that a driver block is active when switched on.
    background : float
        Probability that any block is active otherwise.
    weights : tuple of float
        Fractions of U, I and M blocks in normal cells.
    means : tuple of float
        Mean beta of U, I and M.
    spread : float
        Standard deviation of a CpG's mean about its block's, on the logit scale.
    precision, precision_spread : float
        Median of phi, and the standard deviation of its natural logarithm over CpGs.
    batch_sd : float
        Standard deviation of delta.
    mode : {"array", "sequencing"}
    depth : float
        Mean number of reads over a CpG, for sequencing.
    """

    features: Count = 110
    block: Annotated[float, Within(1)] = 5.0
    drivers: Annotated[int, Within(0)] = 12
    penetrance: Share = 0.6
    background: Share = 0.05
    weights: tuple[NotNegative, NotNegative, NotNegative] = (0.45, 0.15, 0.40)
    means: tuple[Share, Share, Share] = (0.08, 0.50, 0.88)
    spread: NotNegative = 0.3
    precision: Positive = 30.0
    precision_spread: NotNegative = 0.0
    batch_sd: NotNegative = 0.1
    mode: Literal["array", "sequencing"] = "array"
    depth: Positive = 30.0


class Methylation(BlockProcess):
    """Methylation of every CpG; see the module for the model.

    Parameters
    ----------
    parameters : MethylationParameters
    shared : Shared
    rng : Generator
        Source of everything common to all samples.
    """

    name = kind = "methylation"
    Parameters = MethylationParameters

    def __init__(
        self, parameters: MethylationParameters, shared: Shared, rng: np.random.Generator
    ) -> None:
        self.parameters = p = parameters
        self.shared = shared
        self.unit = block_of_features(p.features, p.block, rng)
        units = int(self.unit.max()) + 1
        self.normal = rng.choice(3, units, p=np.array(p.weights) / sum(p.weights))
        drivers = choose_drivers(
            shared, self.name, units, p.drivers, p.penetrance, p.background, rng
        )
        self.blocks = Blocks(drivers, np.eye(3)[self.normal], np.eye(3)[OPPOSITE[self.normal]])
        self.level = self._levels(rng)
        mean = self._means(rng)
        precision = p.precision * np.exp(rng.normal(0, p.precision_spread, p.features))
        emission: Any = BetaBinomialEmission(self.unit, mean, precision, p.depth)
        if p.mode == "array":
            emission = BetaEmission(self.unit, units, mean, precision)
        self.readers = {self.name: emission}

    def _levels(self, rng: np.random.Generator) -> Floats:
        """Draw m, the mean of each CpG in each state ``[d, S]``."""
        centre = logit(np.array(self.parameters.means))
        spread = rng.normal(0, self.parameters.spread, (len(self.unit), 1))
        return expit(centre + spread)

    def _means(self, rng: np.random.Generator) -> Floats:
        """Return expected values mu ``[d, S, P, B]``."""
        _, _, batches = self.shared.shape
        p = self.shared.purity.values[:, None]
        normal = self.level[np.arange(len(self.unit)), self.normal[self.unit]]
        mixed = p * self.level[:, :, None, None] + (1 - p) * normal[:, None, None, None]
        shift = rng.normal(0, self.parameters.batch_sd, (len(self.unit), 1, 1, batches))
        return expit(logit(mixed) + (shift if batches > 1 else 0))

    def draw(self, samples: Samples, rng: np.random.Generator, hidden: dict[str, Ints]) -> Drawn:
        """See :class:`Process`."""
        state = self.draw_states(samples, rng, hidden)
        values = self.readers[self.name].draw(state, samples, rng)
        layers = {"state": state.astype(np.int8)}
        if self.parameters.mode == "array":
            return Drawn(values, values, layers)
        layers["depth"] = np.nan_to_num(values.imag).astype(np.int32)
        with np.errstate(invalid="ignore"):
            return Drawn((values.real / values.imag).astype(np.float32), values, layers)

    def features(self) -> pd.DataFrame:
        """See :class:`Process`."""
        frame = self.blocks.drivers.columns(self.unit)
        frame.insert(0, "normal_state", np.array(["U", "I", "M"])[self.normal[self.unit]])
        change = np.array(["hyper", "hypo", "hypo"])[self.normal[self.unit]]
        frame["direction"] = np.where(frame["driver"], change, "")
        frame.index = [f"cg{i:06d}" for i in range(len(frame))]
        return frame


def block_of_features(features: int, mean: float, rng: np.random.Generator) -> Ints:
    """Cut features into consecutive blocks of geometric length ``[d]``."""
    starts = rng.random(features) < 1 / mean
    starts[0] = False
    return np.cumsum(starts)


def logit(x: Floats) -> Floats:
    """``log(x / (1 - x))``."""
    return np.log(x) - np.log1p(-x)


def expit(x: Floats) -> Floats:
    """The logistic function."""
    return 1 / (1 + np.exp(-x))
