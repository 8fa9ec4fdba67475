"""What the fit loop takes and returns: a task of some domain, and how to train it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

STRATEGIES = ("auto", "ddp", "fsdp")


@dataclass(frozen=True)
class FitConfig:
    """How to train.

    Attributes
    ----------
    epochs : int
        Maximum number of epochs.
    learning_rate, weight_decay : float
        AdamW's. The rate is the peak, reached after a linear warm-up and followed by a cosine.
    warmup : float
        Share of all steps spent warming up.
    clip : float
        Maximum norm of the gradients.
    precision : str
        ``auto``: bf16 on a GPU that supports it, fp32 otherwise; or a precision of Lightning.
    patience : int
        Validations without improvement before training stops; 0: never stop early.
    monitor : str
        Validation metric to maximise.
    validations_per_epoch : int
    checkpoint_every : int
        Epochs between checkpoints kept besides the best and the last; 0: keep none.
    accumulate : int
        Batches per optimiser step.
    devices : int
        GPUs, or processes on a CPU, that share the work. Each runs the whole command; the task's
        loaders give each its share (:func:`genomix_cli.learning.processes.share`).
    strategy : str
        With several devices: ``ddp``, each holds the whole model; ``fsdp``, each holds a shard of
        its weights, gradients and optimiser state, and layers are gathered while they compute;
        ``auto``: ddp.
    quiet : bool
        For many short fits: no line per epoch, and TensorBoard logs only at debug level.
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
    """A module and what it learns: all that the fit loop knows of a domain.

    A task whose validation loader gives each process only its share sets an attribute
    ``shares_validation = True``; `metrics` then gets the predictions of all processes, in each of
    them. Otherwise every process validates on everything.
    """

    module: nn.Module

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Scalars to log; ``"loss"`` is minimised."""

    def predict(self, batch: Any) -> Any:
        """Predictions for a validation batch, on the CPU."""

    def metrics(self, predictions: list[Any]) -> dict[str, float]:
        """Metrics over all validation batches."""


@dataclass(frozen=True)
class FitResult:
    """Result of a fit; the module holds its best weights.

    Attributes
    ----------
    best : float
        Best value of the monitored metric.
    epochs : int
        Number of epochs begun.
    history : tuple of dict
        Metrics of each validation, and the mean ``train_loss`` since the previous one.
    """

    best: float
    epochs: int
    history: tuple[dict[str, float], ...] = ()


@dataclass(frozen=True)
class Epoch:
    """Point of a training curve.

    Attributes
    ----------
    stage : str
        ``joint``, or the encoder that is trained alone.
    member : int
        Number of the network in an ensemble.
    epoch : int
        Counted from 1.
    train_loss, valid_nll, valid_accuracy : float
    """

    stage: str
    member: int
    epoch: int
    train_loss: float
    valid_nll: float
    valid_accuracy: float
