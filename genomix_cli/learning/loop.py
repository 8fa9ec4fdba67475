"""The fit loop: Lightning does the work, a task says what to learn."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from genomix_cli.errors import MissingExtraError, UsageError

T = TypeVar("T")

STRATEGIES = ("auto", "ddp", "fsdp")


@dataclass(frozen=True)
class FitConfig:
    """How to train.

    Attributes
    ----------
    epochs : int
        At most.
    learning_rate, weight_decay : float
        Of AdamW; the rate is the peak, reached after the warm-up and annealed along a cosine.
    warmup : float
        Share of all steps.
    clip : float
        Norm to clip gradients to.
    precision : str
        ``auto``: bf16 where a GPU has it, fp32 elsewhere; or a Lightning precision.
    patience : int
        Validations without improvement before stopping; 0: never stop early.
    monitor : str
        Validation metric, larger is better.
    validations_per_epoch : int
    checkpoint_every : int
        Epochs between kept checkpoints, beside the best and the last; 0: keep none of them.
    accumulate : int
        Batches per optimiser step.
    devices : int
        GPUs, or processes on a CPU, that share the work. Each runs the whole command; the task's
        loaders give each its part (see :func:`share`).
    strategy : str
        Among several devices: ``ddp``, each holds the model; ``fsdp``, each holds a part of its
        weights, gradients and optimiser state, and layers are gathered while they compute;
        ``auto``: ddp.
    quiet : bool
        For many short fits: no line per epoch, and logs for TensorBoard only at level debug.
    """

    epochs: int = 10
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    clip: float = 1.0
    precision: str = "auto"
    patience: int = 5
    monitor: str = "auroc"
    validations_per_epoch: int = 1
    checkpoint_every: int = 5
    accumulate: int = 1
    devices: int = 1
    strategy: str = "auto"
    quiet: bool = False


class Task(Protocol):
    """What the loop needs to know of a domain.

    A task whose validation loader gives each process only its part says so by an attribute
    ``shares_validation = True``: `metrics` then gets the predictions of all processes, in each of
    them. Without it every process validates on everything.
    """

    module: nn.Module

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Scalars to log; ``"loss"`` is minimised."""

    def predict(self, batch: Any) -> Any:
        """Predictions of a validation batch, on the CPU."""

    def metrics(self, predictions: list[Any]) -> dict[str, float]:
        """Metrics over all validation batches."""


@dataclass(frozen=True)
class FitResult:
    """What came of it.

    Attributes
    ----------
    best : float
        Best value of the monitored metric; the module holds the weights that reached it.
    epochs : int
        Epochs begun.
    history : tuple of dict
        For each validation its metrics, and the mean ``train_loss`` since the one before.
    """

    best: float
    epochs: int
    history: tuple[dict[str, float], ...] = ()


def first_process() -> bool:
    """Whether this process is the one that writes, of those that DDP started to train together."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def place() -> tuple[int, int]:
    """Number of this process among those that train together, and how many there are."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def share(items: Sequence[T], rank: int, world: int, *, pad: bool) -> list[T]:
    """What one process takes of the items: every `world`-th, from the one at `rank` on.

    So the processes' next items together are the next `world` of one process alone.

    Parameters
    ----------
    items : sequence
    rank, world : int
        See :func:`place`.
    pad : bool
        Repeat the first items, so that all processes get equally many: needed in training, where
        they step together. Without it nothing is repeated, as in validation.

    Returns
    -------
    list
    """
    items = list(items)
    if pad and items:
        missing = -len(items) % world
        items += (items * (missing // len(items) + 1))[:missing]
    return items[rank::world]


def fit(
    task: Task,
    train_loader: Callable[[int], Any],
    valid_loader: Any,
    config: FitConfig,
    folder: Path,
    device: torch.device,
    seed: int,
    resume: Path | None = None,
) -> FitResult:
    """Train `task.module` and leave in it the weights that validated best.

    Parameters
    ----------
    task : Task
    train_loader : callable
        From the epoch to its data loader.
    valid_loader : iterable or callable
        Validation batches; or from nothing to them, called among the processes that train
        together, so that it can ask for its :func:`place`.
    config : FitConfig
    folder : Path
        For ``checkpoints/`` and ``logs/``.
    device : torch.device
    seed : int
        Of dropout; the global generator is restored afterwards.
    resume : Path, optional
        A checkpoint of the same run to go on from.

    Raises
    ------
    MissingExtraError
        If Lightning is not installed.
    UsageError
        If the checkpoint to resume from is not there, or the strategy cannot work.
    """
    try:
        import lightning.pytorch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("lightning", "train") from error
    from genomix_cli.learning.lightning import run

    if resume is not None and not resume.is_file():
        raise UsageError("no such checkpoint", where=resume)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return run(task, train_loader, valid_loader, config, folder, device, resume)
