"""Interface of the fit loop: the task that a domain defines, and the result of its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


class Task(Protocol):
    """Module to train with its losses and metrics: all that the fit loop needs from a domain.

    By default, every process validates on all data. A task whose validation loader gives each
    process only a share sets ``shares_validation = True``; in every process, `metrics` then gets
    the predictions of all processes.
    """

    module: nn.Module

    def losses(self, batch: Any, generator: Generator) -> dict[str, Tensor]:
        """Return scalars to log, of which ``"loss"`` is minimised.

        Random numbers come from `generator`, which is on the device, or from the global generator,
        as those of dropout do. Both are seeded anew in each step from the run's seed and the step,
        so a resumed run draws the same numbers as an uninterrupted one.
        """

    def predict(self, batch: Any) -> Any:
        """Return predictions for a validation batch, on the CPU."""

    def metrics(self, predictions: list[Any]) -> dict[str, float]:
        """Return metrics over the predictions of all validation batches."""


@dataclass(frozen=True)
class FitResult:
    """Result of a fit; the module holds its best weights.

    Attributes
    ----------
    best : float
        Best value of the monitored metric.
    epochs : int
        Number of epochs that were started.
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
        ``joint``, or the name of an encoder that is trained by itself.
    member : int
        Index of the network in an ensemble, from 0.
    epoch : int
        Number of the epoch, from 1.
    train_loss, valid_nll, valid_accuracy : float
        Training loss, and mean negative log-likelihood and accuracy in validation.
    """

    stage: str
    member: int
    epoch: int
    train_loss: float
    valid_nll: float
    valid_accuracy: float
