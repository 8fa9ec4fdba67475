"""Losses of a network of profiles: multinomial for the shape, least squares for the total.

Letters: B batch, L bases, K tracks, O bases of a profile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genomix_cli.comparison.metrics.binary import pearson
from genomix_cli.config import Count, NotNegative, Positive, Whole
from genomix_cli.learning.networks import MONITOR
from genomix_cli.learning.profiles import ProfileConfig, ProfileModel
from genomix_cli.sequences.activity.learning import CORRELATION, bases, known_mean, moved
from genomix_cli.sequences.profile.windows import Batch, Observed, middle, observed
from genomix_cli.sequences.train.learning import Learning, opposite


@dataclass(frozen=True)
class ProfileLearning(Learning):
    """Options for training a profile network.

    Attributes
    ----------
    alpha : float
        Weight of the counts: lambda is alpha / 2 times the mean counts of a track in training. At
        1, an error in the total costs as much as under a Poisson likelihood of all bases. The
        lambda is that of `get_recommended_counts_loss_weight` in basepairmodels, which cites page
        28 of the preprint (bioRxiv 737981v2). It was not checked against the paper (Avsec et al.
        2021).
    shift : int, optional
        Largest random shift of a window in bases; by default a tenth of its length.
    """

    learning_rate: Positive = 4e-3
    weight_decay: NotNegative = 0.0
    batch_size: Count = 64
    epochs: Count = 20
    alpha: NotNegative = 1.0
    shift: Whole | None = None


class Judged(NamedTuple):
    """Losses and predictions of a validation batch, float32 ``[B, K]`` each, on the CPU.

    Attributes
    ----------
    shape : Tensor
        Negative log-likelihood of the profile, in units of the mean counts.
    counts, target : Tensor
        ln(1 + counts), predicted and measured; NaN where unknown.
    """

    shape: Tensor
    counts: Tensor
    target: Tensor


class ProfileTask:
    """Task of learning profiles and counts, as a `genomix_cli.learning.task.Task`.

    Parameters
    ----------
    module : ProfileModel
    mean : Tensor
        float32 ``[K]``: mean counts of each track in training.
    alpha : float
        See `ProfileLearning`.
    shift : int
        Largest random shift of a window in bases; at most the margin beside the profile.
    """

    def __init__(self, module: ProfileModel, mean: Tensor, alpha: float, shift: int) -> None:
        self.module: torch.nn.Module = module
        self._model, self._mean, self._alpha, self._shift = module, mean, alpha, shift

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of shifted windows, half of them from the other strand."""
        config = self._model.config
        batch = augmented(batch, config, self._shift, generator)
        answer, seen = self._model(bases(batch.codes), batch.control), observed(batch.signal)
        nats = shape_nats(answer.profile.float(), seen) / self._mean.to(seen.total)
        parts = {
            "profile": known_mean(nats, seen.total),
            "counts": self._of_counts(answer.counts.float(), seen.total.log1p()),
        }
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def _of_counts(self, counts: Tensor, target: Tensor) -> Tensor:
        """Return the loss of ln(1 + counts) ``[B, K]``, in the units of the profile loss."""
        return self._alpha / 2 * known_mean((counts - target.nan_to_num()).square(), target)

    def predict(self, batch: Batch) -> Judged:
        """Return losses and predictions, mean over both strands."""
        control, size = batch.control, self._model.config.profile
        control = None if control is None else middle(control, size)
        answer = self._model.answers(bases(batch.codes), control)
        seen = observed(middle(batch.signal, size))
        nats = shape_nats(answer.profile.float(), seen) / self._mean.to(seen.total)
        return Judged(nats.cpu(), answer.counts.float().cpu(), seen.total.log1p().cpu())

    def metrics(self, predictions: list[Judged]) -> dict[str, float]:
        """Return the negative loss, and the mean correlation of log counts."""
        shape, counts, target = (torch.cat(each) for each in zip(*predictions, strict=True))
        loss = known_mean(shape, target) + self._of_counts(counts, target)
        pairs = zip(counts.T.numpy(), target.T.numpy(), strict=True)
        known = ((y[np.isfinite(y)], x[np.isfinite(y)]) for x, y in pairs)
        return {
            MONITOR: -float(loss),
            CORRELATION: float(np.mean([np.nan_to_num(pearson(y, x)) for y, x in known])),
        }


def shape_nats(profile: Tensor, seen: Observed) -> Tensor:
    """Return the negative multinomial log-likelihood of the counts of bases, given their total.

    Bases that were not measured are ignored. Counts need not be integers.

    Parameters
    ----------
    profile : Tensor
        ``[B, K, O]``: log-probabilities up to a constant.
    seen : Observed

    Returns
    -------
    Tensor
        ``[B, K]``.
    """
    log_p = profile.masked_fill(~seen.known, -torch.inf).log_softmax(-1)
    # Mask infinities even where there are no counts: they would make all gradients NaN.
    log_p = log_p.masked_fill(~seen.known, 0)
    orders = (seen.counts.sum(-1) + 1).lgamma() - (seen.counts + 1).lgamma().sum(-1)
    return -(orders + (seen.counts * log_p).sum(-1))


def augmented(batch: Batch, config: ProfileConfig, most: int, generator: torch.Generator) -> Batch:
    """Return windows shifted by up to `most` bases, half of them reverse-complemented.

    Sequence, signal and control are changed together. The end of a shifted sequence is filled with
    N. Signal and control are cut to the central bases with a profile, which remain inside the
    window.

    Parameters
    ----------
    batch : Batch
    config : ProfileConfig
    most : int
    generator : torch.Generator
    """
    (n, _, length), device, size = batch.signal.shape, batch.codes.device, config.profile
    drawn = torch.rand((2, n), generator=generator, device=generator.device).to(device)
    by = (drawn[0, :, None] * (2 * most + 1)).long().clamp(max=2 * most) - most
    at = (length - size) // 2 + by + torch.arange(size, device=device)  # [B, O]
    codes, turn = moved(batch.codes, by), drawn[1, :, None] < 0.5

    def seen(signal: Tensor, others: tuple[int, ...]) -> Tensor:
        signal = signal.gather(-1, at[:, None].expand(-1, signal.shape[1], -1))
        return torch.where(turn[..., None], signal[:, list(others)].flip(-1), signal)

    return Batch(
        torch.where(turn, opposite(codes), codes),
        seen(batch.signal, config.opposite),
        None if batch.control is None else seen(batch.control, config.control_opposite),
    )
