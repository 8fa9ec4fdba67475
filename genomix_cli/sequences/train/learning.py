"""How networks learn from sequences: batches, and one call of the fit loop.

Letters: B batch, L bases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.comparison.study import Epoch
from genomix_cli.config import Count, NotNegative, Positive, Share
from genomix_cli.learning.checkpoints import resolve_device
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.loop import fit
from genomix_cli.learning.processes import rank_and_world_size
from genomix_cli.learning.task import FitConfig, FitResult, Task

PREDICT_BATCH = 256


@dataclass(frozen=True)
class Learning:
    """How a network learns.

    Attributes
    ----------
    learning_rate, weight_decay : float
        Of AdamW; the rate is the peak of a warm-up and a cosine.
    batch_size : int
    epochs : int
        At most.
    patience : int
        Epochs without a better validation before it stops; 0: none are too many.
    clip : float
        Norm to clip gradients to.
    warmup : float
        Share of all steps.
    """

    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 0.01
    batch_size: Count = 128
    epochs: Count = 10
    patience: int = 0
    clip: Positive = 1.0
    warmup: Share = 0.1


class Batch(NamedTuple):
    """Some sequences.

    Attributes
    ----------
    codes : Tensor
        uint8 ``[B, L]``: sets of bases.
    rows : Tensor
        int64 ``[B]``: which of the data they are.
    target : Tensor
        ``[B, ...]``: what is learned of them, as a label; ``[B, 0]`` if nothing is.
    """

    codes: Tensor
    rows: Tensor
    target: Tensor


class Batches:
    """Sequences in batches of nearly equal size; they may lie in a memory map.

    Where several processes share the work, each takes its part of every batch.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n, L]``.
    target : NDArray or None
        ``[n, ...]``.
    size : int
    order : NDArray
        int64: rows in the order of the epoch.
    shared : bool
    """

    def __init__(
        self,
        codes: NDArray[np.uint8],
        target: NDArray[np.generic] | None,
        size: int,
        order: NDArray[np.int64],
        *,
        shared: bool,
    ) -> None:
        self._codes = codes
        self._target = np.empty((len(codes), 0), np.float32) if target is None else target
        parts = np.array_split(order, max(1, -(-len(order) // size)))
        rank, world = rank_and_world_size() if shared else (0, 1)
        self._parts = [part[rank::world] for part in parts]

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Batch]:
        for rows in self._parts:
            yield Batch(
                torch.from_numpy(self._codes[rows]),
                torch.from_numpy(rows.copy()),
                torch.from_numpy(self._target[rows]),
            )


class Part(NamedTuple):
    """Codes with what is to be learned of them, or None: to learn from, or to stop by."""

    codes: NDArray[np.uint8]
    target: NDArray[np.generic] | None = None


def learn(
    task: Task,
    train: Part,
    valid: Part,
    config: Learning,
    setting: FitSettings,
    monitor: str,
    *,
    folder: Path | None = None,
    resume: Path | None = None,
    checkpoint_every: int = 0,
    quiet: bool = True,
) -> FitResult:
    """Train `task.module` and leave in it the weights that validated best by `monitor`.

    Parameters
    ----------
    task : Task
        Gets :class:`Batch`.
    train, valid : Part
    config : Learning
    setting : FitSettings
    monitor : str
        Larger is better.
    folder : Path, optional
        For checkpoints and logs; none are kept otherwise.
    resume : Path, optional
        Checkpoint to go on from.
    checkpoint_every : int
        Epochs; 0: only the best and the last.
    quiet : bool
    """
    fit_config = FitConfig(
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup=config.warmup,
        clip=config.clip,
        precision=setting.precision,
        patience=config.patience,
        monitor=monitor,
        checkpoint_every=checkpoint_every,
        devices=setting.devices,
        quiet=quiet,
    )

    def loader(epoch: int) -> Batches:
        order = np.random.default_rng([setting.seed, epoch]).permutation(len(train.codes))
        return Batches(*train, config.batch_size, order, shared=True)

    device = resolve_device(setting.device)
    every = np.arange(len(valid.codes))
    valid_loader = Batches(*valid, PREDICT_BATCH, every, shared=False)
    with TemporaryDirectory(prefix="genomix-") as scratch:
        place = folder or setting.logs or Path(scratch)
        result = fit(task, loader, valid_loader, fit_config, place, device, setting.seed, resume)
    task.module.to(device).eval()
    return result


def curve(result: FitResult) -> tuple[Epoch, ...]:
    """The training curve of a fit whose task reports ``log_likelihood`` and ``accuracy``."""
    return tuple(
        Epoch("joint", 0, i + 1, p["train_loss"], -p["log_likelihood"], p["accuracy"])
        for i, p in enumerate(result.history)
    )
