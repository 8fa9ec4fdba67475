"""Training of the denoiser, with dropped conditions, both strands and averaged weights.

Letters in shapes: B batch, L bases, C conditions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genomix_cli.config import Count, Positive, Share
from genomix_cli.learning.networks import MONITOR
from genomix_cli.learning.randomness import generator_of
from genomix_cli.sequences.generate.model import Denoiser
from genomix_cli.sequences.generate.process import Noised, hide, spread, surprise, to_bases
from genomix_cli.sequences.train.learning import Batch, Learning, turned


@dataclass(frozen=True)
class DiffusionOptions(Learning):
    """Options for training and evaluating a diffusion model.

    Attributes
    ----------
    conditions : tuple of str
        Phenotypes to condition on; by default the label, if the file has one.
    free : bool
        True to use no conditions.
    strands : bool
        True to train on reverse complements too; ignored for aligned sequences.
    drop : float
        Probability that a condition is hidden in training. Guidance needs hidden conditions.
    average : float
        Decay of the weights' exponential moving average, per step; 0 for none.
    draws : int
        Passes over the held-out sequences for the bound.
    judged : int
        Largest number of sequences on which the accuracy of restored bases is measured.
    """

    conditions: tuple[str, ...] = ()
    free: bool = False
    strands: bool = True
    drop: Share = 0.15
    average: Share = 0.998
    learning_rate: Positive = 2e-3
    batch_size: Count = 64
    warmup: Share = 0.05
    draws: Count = 16
    judged: Count = 512


class Averaged(nn.Module):
    """Denoiser and the moving average of its weights, which is evaluated and saved.

    Parameters
    ----------
    denoiser : Denoiser
    decay : float
        Decay per step; smaller in the first steps, when the weights still change fast.
    """

    steps: Tensor

    def __init__(self, denoiser: Denoiser, decay: float) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.average = copy.deepcopy(denoiser).requires_grad_(False)
        self.decay = decay
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def follow(self) -> None:
        """Update the average with the current weights."""
        step = int(self.steps)
        self.steps += 1
        weight = 1 - min(self.decay, (1 + step) / (10 + step)) if step else 1.0
        for mean, now in zip(self.average.parameters(), self.denoiser.parameters(), strict=True):
            mean.lerp_(now, weight)


class DiffusionTask:
    """The training task of predicting hidden bases.

    Parameters
    ----------
    module : Averaged
    options : DiffusionOptions
    strands : bool
        True to train on reverse complements too.
    seed : int
        Seed of the noise in validation, which is the same in every epoch.
    """

    def __init__(
        self, module: Averaged, options: DiffusionOptions, strands: bool, seed: int
    ) -> None:
        self.module: nn.Module = module
        self._both = module
        self.options = options
        self.strands = strands
        self.seed = seed

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the bound in nats per base, with the noise of this step."""
        # The average lags one step behind, since the loop does not report the end of a step.
        self._both.follow()
        codes = turned(batch.codes, generator) if self.strands else batch.codes
        values = self._dropped(batch.target, generator)
        noised = _noised(codes, generator)
        logits = self._both.denoiser(noised.bases, values)
        return {"loss": surprise(logits, noised).mean()}

    def _dropped(self, values: Tensor, generator: torch.Generator) -> Tensor:
        """Hide all conditions of some sequences, then each condition independently."""
        n, c = values.shape
        draw = torch.rand(n, 1 + c, generator=generator, device=values.device)
        drop = draw < self.options.drop
        return values.masked_fill(drop[:, :1] | (drop[:, 1:] & (c > 1)), torch.nan)

    def predict(self, batch: Batch) -> Tensor:
        """Return each sequence's bound, and its accuracy at hidden bases ``[B, 2]``.

        The noise is the same in every epoch.
        """
        rows = batch.rows[:1].tolist()
        noised = _noised(batch.codes, generator_of(batch.codes.device, self.seed, *rows))
        logits = self._both.average(noised.bases, batch.target)
        right = (logits.argmax(-1) == to_bases(batch.codes)) & noised.scored
        accuracy = right.sum(1) / noised.scored.sum(1).clamp(min=1)
        return torch.stack([surprise(logits, noised), accuracy], 1).cpu()

    def metrics(self, predictions: Iterable[Tensor]) -> dict[str, float]:
        """Return means over all sequences."""
        nats, accuracy = torch.cat(list(predictions)).double().mean(0).tolist()
        return {MONITOR: -nats, "accuracy": accuracy}


def _noised(codes: Tensor, generator: torch.Generator) -> Noised:
    """Hide bases of each sequence, a larger share from one sequence to the next."""
    device = codes.device
    when = spread(len(codes), torch.rand((), generator=generator, device=device))
    return hide(codes, when, torch.rand(codes.shape, generator=generator, device=device))
