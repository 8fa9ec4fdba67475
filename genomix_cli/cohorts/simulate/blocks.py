"""Units with one hidden state per sample: methylation blocks, chromatin and gene modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genomix_cli.cohorts.simulate.drivers import Drivers
from genomix_cli.cohorts.simulate.emissions import Emission
from genomix_cli.cohorts.simulate.process import Process
from genomix_cli.cohorts.simulate.shared import Floats, Ints, Samples


@dataclass(frozen=True)
class Blocks:
    """Blocks whose state depends on whether the class or an interaction activates them.

    ``P(state | y) = q(y) active[state] + (1 - q(y)) quiet[state]``, with q from :class:`Drivers`.

    Attributes
    ----------
    drivers : Drivers
    quiet, active : NDArray
        float64 ``[U, S]``: distribution of the state in inactive and in active blocks.
    """

    drivers: Drivers
    quiet: Floats
    active: Floats

    def draw(self, samples: Samples, rng: np.random.Generator) -> Ints:
        """Draw the state of every block ``[n, U]``."""
        active = self.drivers.draw(samples, rng)
        below = np.where(active[..., None], self.active.cumsum(1), self.quiet.cumsum(1))
        uniform = rng.random(active.shape)[..., None]
        return (uniform > below[..., :-1]).sum(-1)

    def log_likelihood(self, shown: Sequence[tuple[Emission, Floats]], n: int) -> Floats:
        """Return the log-likelihood of all that shows the blocks ``[n, K, P, B, 2, ...]``.

        `shown` holds the emission and the values ``[n, d]`` of each modality that shows the blocks.
        """
        axes = [1] * len(self.drivers.shared.interactions)
        total = np.zeros((n, 1, 1, 1, *axes))
        for unit in range(len(self.drivers)):
            given_state = sum(emission.log_likelihood(values, unit) for emission, values in shown)
            rates = self.drivers.rates(unit)[:, None]
            law = rates * self.active[unit] + (1 - rates) * self.quiet[unit]
            total = total + self.drivers.place(_mixture(np.asarray(given_state), law), unit)
        return total


class BlockProcess(Process):
    """Process whose hidden states are those of blocks, with one emission per reader."""

    blocks: Blocks
    unit: Ints

    def draw_states(
        self, samples: Samples, rng: np.random.Generator, hidden: dict[str, Ints]
    ) -> Ints:
        """Draw the state of each feature's block ``[n, d]``, and store that of the blocks."""
        hidden[self.name] = self.blocks.draw(samples, rng)
        return hidden[self.name][:, self.unit]

    def log_likelihood(self, shown: dict[str, Floats], n: int) -> Floats:
        """See :class:`Process`."""
        return self.blocks.log_likelihood([(self.readers[r], shown[r]) for r in shown], n)


def _mixture(log_likelihood: Floats, law: Floats) -> Floats:
    """Return ``log sum_s law[r, s] exp(log_likelihood[n, s, ...])``, ``[n, R, P, B]``."""
    highest = log_likelihood.max(1, keepdims=True)
    likelihood = np.exp(log_likelihood - highest)
    # A state that is impossible in a class may be the only one that explains the data.
    with np.errstate(divide="ignore"):
        return np.log(np.einsum("rs,nspb->nrpb", law, likelihood, optimize=True)) + highest
