"""Training steps of an activity network: batches and losses.

Letters: B batch, A alleles, L bases, K outputs of a source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.comparison.metrics.binary import pearson
from genomix_cli.config import Count, NotNegative, Positive, Share, Whole, Within
from genomix_cli.genome.iupac import ANY, composition
from genomix_cli.learning.activity import ActivityModel, of_both_strands
from genomix_cli.learning.networks import MONITOR
from genomix_cli.learning.processes import rank_and_world_size
from genomix_cli.sequences.activity.sources import Batch, Source
from genomix_cli.sequences.train.learning import Learning, turned

CORRELATION = "pearson"


@dataclass(frozen=True)
class ActivityLearning(Learning):
    """Options for training an activity network.

    Attributes
    ----------
    own_share : float
        Share of the batches that come from the file itself when it is trained with other files.
    pair_batch : int
        Number of allele pairs in each step.
    difference : float
        Weight of the loss on differences within pairs, relative to the loss on values.
    shift : int
        Largest random shift of a sequence, in bases.
    """

    learning_rate: Positive = 2e-3
    weight_decay: NotNegative = 0.05
    epochs: Count = 20
    warmup: Share = 0.05
    own_share: Annotated[float, Within(0, 1, above=True)] = 0.5
    pair_batch: Count = 64
    difference: NotNegative = 1.0
    shift: Whole = 4


class Step(NamedTuple):
    """A batch of sequences and, if there are pairs, a batch of pairs."""

    batch: Batch
    pairs: Batch | None


class Steps:
    """The steps of an epoch, with batches of nearly equal size.

    When several processes share the work, each takes its share of every batch.

    Parameters
    ----------
    own : Source
        Source that is read once per epoch.
    also, pairs : sequence of Source
        Each batch comes from one source, drawn in proportion to the square root of its size.
    config : ActivityLearning
    rng : Generator
    """

    def __init__(
        self,
        own: Source,
        also: Sequence[Source],
        pairs: Sequence[Source],
        config: ActivityLearning,
        rng: np.random.Generator,
    ) -> None:
        n_batches = -(-len(own) // config.batch_size)
        batches = [(own, rows) for rows in np.array_split(rng.permutation(len(own)), n_batches)]
        n_others = round(n_batches * (1 - config.own_share) / config.own_share)
        batches += drawn(also, n_others if also else 0, config.batch_size, rng)
        self._batches = [batches[i] for i in rng.permutation(len(batches))]
        self._pairs = drawn(pairs, len(batches) if pairs else 0, config.pair_batch, rng)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Step]:
        rank, world_size = rank_and_world_size()
        for i, (source, rows) in enumerate(self._batches):
            pairs = None
            if self._pairs:
                other, some = self._pairs[i]
                pairs = other.batch(some[rank::world_size])
            yield Step(source.batch(rows[rank::world_size]), pairs)


def drawn(
    sources: Sequence[Source], n: int, size: int, rng: np.random.Generator
) -> list[tuple[Source, NDArray[np.int64]]]:
    """Draw `n` batches of `size` rows; a source's chance goes with the square root of its size."""
    if not n:
        return []
    weights = np.sqrt([len(source) for source in sources])
    chosen = rng.choice(len(sources), n, p=weights / weights.sum())
    return [(sources[k], rng.integers(0, len(sources[k]), size)) for k in chosen]


class Answers(NamedTuple):
    """Outputs and targets of a validation batch, float32 ``[B, K]``, on the CPU."""

    output: Tensor
    target: Tensor


class ActivityTask:
    """Prediction of values, and of differences between alleles.

    A `genomix_cli.learning.task.Task`.

    Parameters
    ----------
    module : ActivityModel
        Model with one member.
    sources : sequence of Source
        In order of their numbers.
    config : ActivityLearning
    """

    def __init__(
        self, module: ActivityModel, sources: Sequence[Source], config: ActivityLearning
    ) -> None:
        self.module: torch.nn.Module = module
        self._model, self._sources, self._config = module, sources, config
        self._spread = [torch.from_numpy(source.spread()) for source in sources]
        outputs = module.config.outputs
        self._is_class = [
            torch.tensor([outputs[i].is_class for i in source.outputs]) for source in sources
        ]

    def losses(self, step: Step, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the loss on all values, the loss on differences within pairs, and their sum."""
        parts = {"values": self._values(step.batch, self._augmented(step.batch, generator))}
        if step.pairs is not None:
            output = self._augmented(step.pairs, generator)
            parts["pairs"] = self._values(step.pairs, output)
            difference = self._differences(step.pairs, output)
            parts["difference"] = self._config.difference * difference
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def _augmented(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return outputs ``[B, A, K]`` for randomly shifted sequences on a random strand."""
        codes = turned(shifted(batch.codes, self._config.shift, generator), generator)
        n, alleles = codes.shape[:2]
        p = bases(codes.flatten(0, 1))
        rows = self._sources[batch.source].outputs
        return self._model.standardised(0, p, rows, alleles).reshape(n, alleles, -1)

    def _values(self, batch: Batch, output: Tensor) -> Tensor:
        is_class = self._is_class[batch.source].to(output.device)
        return known_mean(errors(output, batch.target, is_class), batch.target)

    def _differences(self, batch: Batch, output: Tensor) -> Tensor:
        """Return the mean squared error of differences, in units of each output's spread."""
        spread = self._spread[batch.source].to(output.device)
        target = (batch.target[:, 1] - batch.target[:, 0]) / spread
        target = target.masked_fill(self._is_class[batch.source].to(output.device), torch.nan)
        # A NaN would spoil all gradients, even in an output that the loss leaves out.
        found = (output[:, 1] - output[:, 0]) / spread.nan_to_num(1)
        return known_mean((found - target.nan_to_num()).square(), target)

    def predict(self, batch: Batch) -> Answers:
        """Return the outputs, averaged over both strands, and the targets."""
        rows = self._sources[batch.source].outputs
        output = of_both_strands(
            lambda way: self._model.standardised(0, way, rows), bases(batch.codes[:, 0])
        )
        return Answers(output.float().cpu(), batch.target[:, 0].cpu())

    def metrics(self, predictions: list[Answers]) -> dict[str, float]:
        """Return mean correlation over quantities and mean log-likelihood over classes, if any."""
        output = torch.cat([each.output for each in predictions])
        target = torch.cat([each.target for each in predictions])
        is_class = self._is_class[0]
        found = {}
        if not is_class.all():
            pairs = zip(output.T[~is_class], target.T[~is_class], strict=True)
            found[CORRELATION] = float(np.mean([_correlation(o, t) for o, t in pairs]))
        if is_class.any():
            own = target[:, is_class]
            nats = errors(output[:, is_class], own, torch.ones(own.shape[1], dtype=torch.bool))
            found[MONITOR] = -float(known_mean(nats, own))
        return found


def _correlation(output: Tensor, target: Tensor) -> float:
    """Return Pearson's correlation over the known targets; 0 if it is undefined."""
    known = target.isfinite()
    return float(np.nan_to_num(pearson(target[known].numpy(), output[known].numpy())))


def errors(output: Tensor, target: Tensor, is_class: Tensor) -> Tensor:
    """Return squared errors for quantities and negative log-likelihoods for classes.

    Parameters
    ----------
    output, target : Tensor
        ``[..., K]``; the output for a class is its log-odds.
    is_class : Tensor
        bool ``[K]``: True for a class, False for a quantity.
    """
    target = target.nan_to_num()
    nats = F.binary_cross_entropy_with_logits(output, target.clamp(0, 1), reduction="none")
    return torch.where(is_class, nats, (output - target).square())


def known_mean(values: Tensor, target: Tensor) -> Tensor:
    """Return the mean of values over known targets; 0 if none is known."""
    known = target.isfinite()
    return torch.where(known, values, 0).sum() / known.sum().clamp(min=1)


def bases(codes: Tensor) -> Tensor:
    """Return base probabilities float32 ``[B, L, 4]`` for sets of bases uint8 ``[B, L]``."""
    return torch.from_numpy(composition()).to(codes.device)[codes.long()]


def shifted(codes: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Return sequences ``[B, A, L]`` shifted by up to `most` bases, with N where bases run out.

    All alleles of an item get the same shift.
    """
    by = torch.randint(
        -most, most + 1, (len(codes), 1, 1), generator=generator, device=generator.device
    )
    return moved(codes, by.to(codes.device))


def moved(codes: Tensor, by: Tensor) -> Tensor:
    """Return sequences ``[B, ..., L]`` shifted by ``[B, ..., 1]`` bases, with N at the end."""
    length = codes.shape[-1]
    at = torch.arange(length, device=codes.device) + by
    found = codes.gather(-1, at.clamp(0, length - 1).expand_as(codes))
    return found.masked_fill((at < 0) | (at >= length), ANY)
