"""Expression: genes of the class's own modules, genes under dosage, genes under silencing.

The cells of a sample, a fraction p of them tumour, express gene j, on a log2 scale, as ::

    x ~ N(base[j] + delta[batch, j] + change, sd[j]^2)

Three kinds of genes, each tied to one hidden variable so that the posterior stays exact, differ in
their change:

- own: a module is shifted up or down where it is active: ``log2(p 2^shift + 1 - p)``
- dosage: with c copies of its bin, ``log2((p max(c, .2) + 2 (1 - p)) / 2)`` [1]_
- silenced: with mean methylation m of its promoter's block,
  ``-silencing (p m + (1 - p) m0 - silenced_from)`` [2]_

In a cohort without copy number (or methylation) the genes that it would drive belong to modules.

References
----------
.. [1] Fehrmann RSN et al. Gene expression analysis identifies global gene dosage sensitivity in
   cancer. Nat Genet 2015. doi:10.1038/ng.3173
.. [2] Jones PA. Functions of DNA methylation. Nat Rev Genet 2012. doi:10.1038/nrg3230
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd

from genomix_cli.cohorts.simulate.blocks import BlockProcess, Blocks
from genomix_cli.cohorts.simulate.chromatin import batch_shift
from genomix_cli.cohorts.simulate.copy_number import COPIES, CopyNumber
from genomix_cli.cohorts.simulate.drivers import NONE, choose_drivers
from genomix_cli.cohorts.simulate.emissions import GaussianEmission
from genomix_cli.cohorts.simulate.methylation import Methylation, block_of_features
from genomix_cli.cohorts.simulate.process import Drawn, Process
from genomix_cli.cohorts.simulate.profiles import even_quantiles
from genomix_cli.cohorts.simulate.shared import Floats, Ints, Samples, Shared
from genomix_cli.config import Count, NotNegative, Positive, Share, Within
from genomix_cli.errors import UsageError

LEAST_COPIES = 0.2


@dataclass(frozen=True)
class ExpressionParameters:
    """Parameters of the expression model.

    Attributes
    ----------
    features : int
        Number of genes.
    dosage, silenced : float
        Fractions of the genes that copy number, and promoter methylation, drive.
    module : float
        Mean number of own genes in a module (geometric).
    drivers : int
        Number of driver modules.
    penetrance, background : float
        As for methylation.
    shift : float
        log2 change of an active module's genes in tumour cells.
    silencing : float
        log2 loss of a gene when its promoter is fully methylated.
    silenced_from : float
        Methylation of the promoter at which a gene is at its base.
    base : tuple of float
        Mean expression: quantiles over genes, evenly spaced from the lowest to the highest.
    noise : tuple of float
        sd[j]: likewise.
    even : bool
        Assign both to genes at even steps, so that they match a real table whatever the seed of the
        joint model; otherwise at random.
    coupling : float
        With `even`: correlation of the ranks of base and noise, as normal scores.
    batch_sd : float
        Standard deviation of delta.
    """

    features: Count = 110
    dosage: Share = 0.2
    silenced: Share = 0.1
    module: Annotated[float, Within(1)] = 4.0
    drivers: Annotated[int, Within(0)] = 20
    penetrance: Share = 0.7
    background: Share = 0.05
    shift: float = 2.0
    silencing: float = 3.0
    silenced_from: float = 0.0
    base: tuple[float, ...] = (3.0, 5.5, 7.0, 8.5, 12.0)
    noise: tuple[Positive, ...] = (0.4, 0.7, 0.9, 1.2, 2.0)
    even: bool = False
    coupling: Annotated[float, Within(-1, 1)] = 0.0
    batch_sd: NotNegative = 0.15


@dataclass(frozen=True)
class Tie:
    """Genes that show a process: its name, their columns ``[d]``, and their emission."""

    process: str
    genes: Ints
    emission: GaussianEmission


class Expression(BlockProcess):
    """Expression of every gene; see the module for the model, Methylation for the arguments.

    Parameters
    ----------
    copy_number : CopyNumber, optional
    methylation : Methylation, optional
        The processes that drive genes, if the cohort has them.
    """

    name = kind = "expression"
    Parameters = ExpressionParameters

    def __init__(
        self,
        parameters: ExpressionParameters,
        shared: Shared,
        rng: np.random.Generator,
        copy_number: CopyNumber | None = None,
        methylation: Methylation | None = None,
    ) -> None:
        self.parameters = p = parameters
        self.shared = shared
        n = p.features
        base, self.sd = _levels(p, rng)
        self.base = base.reshape(-1, 1, 1, 1) + batch_shift(shared, n, p.batch_sd, rng)
        dosage = round(p.dosage * n) if copy_number else 0
        silenced = round(p.silenced * n) if methylation else 0
        if dosage + silenced >= n:
            raise UsageError(
                "no gene is left to differ between the classes",
                where="expression",
                expected="dosage and silenced below 1 together",
                found=f"{p.dosage:g} and {p.silenced:g}",
            )
        self.own = np.arange(n - dosage - silenced)
        self.unit = block_of_features(len(self.own), p.module, rng)
        units = int(self.unit.max()) + 1
        drivers = choose_drivers(
            shared, self.name, units, p.drivers, p.penetrance, p.background, rng
        )
        quiet = np.tile([1.0, 0.0], (units, 1))
        self.blocks = Blocks(drivers, quiet, 1 - quiet)
        # A module goes up or down where it is active.
        self.sign = rng.choice([-1, 1], units)
        self.readers = {}
        self.ties: list[Tie] = []
        self._tie_modules()
        if methylation and silenced:
            self._tie_promoters(methylation, np.arange(silenced) + len(self.own), rng)
        if copy_number and dosage:
            self._tie_dosage(copy_number, np.arange(n - dosage, n), rng)

    def _tie_modules(self) -> None:
        purity = self.shared.purity.values
        shift = self.parameters.shift * self.sign[self.unit]
        mean = np.log2(purity * 2.0 ** (shift[:, None, None] * np.arange(2)[:, None]) + 1 - purity)
        self._tie(self, self.own, self.unit, len(self.sign), mean)

    def _tie_dosage(self, process: CopyNumber, genes: Ints, rng: np.random.Generator) -> None:
        bins = rng.integers(0, len(process.bins), len(genes))
        purity = self.shared.purity.values
        copies = np.maximum(np.arange(COPIES), LEAST_COPIES)[:, None]
        mean = np.log2((purity * copies + 2 * (1 - purity)) / 2)
        self._tie(process, genes, bins, len(process.bins), np.tile(mean, (len(genes), 1, 1)))

    def _tie_promoters(self, process: Methylation, genes: Ints, rng: np.random.Generator) -> None:
        blocks = rng.integers(0, len(process.normal), len(genes))
        purity = self.shared.purity.values
        # The methylation of a promoter is that of the first CpG of its block.
        level = process.level[np.searchsorted(process.unit, blocks)]
        normal = level[np.arange(len(genes)), process.normal[blocks]][:, None, None]
        methylated = purity * level[:, :, None] + (1 - purity) * normal
        mean = -self.parameters.silencing * (methylated - self.parameters.silenced_from)
        self._tie(process, genes, blocks, len(process.normal), mean)

    def _tie(self, process: Process, genes: Ints, unit: Ints, units: int, mean: Floats) -> None:
        """Let genes show the units of a process by their mean above the base ``[d, S, P]``."""
        whole = self.base[genes] + mean[..., None]
        emission = GaussianEmission(unit, units, whole, self.sd[genes], genes)
        process.readers[self.name] = emission
        self.ties.append(Tie(process.name, genes, emission))

    def draw(self, samples: Samples, rng: np.random.Generator, hidden: dict[str, Ints]) -> Drawn:
        """See :class:`Process`."""
        self.draw_states(samples, rng, hidden)
        values = np.empty((len(samples), self.parameters.features))
        for tie in self.ties:
            state = hidden[tie.process][:, tie.emission.unit]
            values[:, tie.genes] = tie.emission.draw(state, samples, rng)
        return Drawn(values, values)

    def features(self) -> pd.DataFrame:
        """See :class:`Process`."""
        frame = self.blocks.drivers.columns(self.unit)
        up = self.sign[self.unit] > 0
        frame["direction"] = np.where(frame["driver"], np.where(up, "up", "down"), "")
        frame.insert(0, "driven_by", "class")
        quiet = {"driver": False, "driver_class": "", "interaction": NONE, "direction": ""}
        tied = (
            pd.DataFrame({"driven_by": tie.process, "unit": tie.emission.unit, **quiet})
            for tie in self.ties[1:]
        )
        frame = pd.concat([frame, *tied])
        frame.index = pd.Index([f"gene{i:05d}" for i in range(len(frame))])
        return frame


def _levels(p: ExpressionParameters, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return base and standard deviation of every gene ``[d]``."""
    n = p.features
    if p.even:
        a = rng.normal(size=n)
        b = p.coupling * a + np.sqrt(1 - p.coupling**2) * rng.normal(size=n)
        ranks = [np.argsort(np.argsort(scores)) for scores in (a, b)]
        return even_quantiles(p.base, ranks[0]), even_quantiles(p.noise, ranks[1])
    base = np.interp(rng.random(n), np.linspace(0, 1, len(p.base)), p.base)
    return base, np.interp(rng.random(n), np.linspace(0, 1, len(p.noise)), p.noise)
