"""Arguments and results of the fit loop: a task of some domain, and how to train it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


class Task(Protocol):
    """A module and what it learns: all that the fit loop knows of a domain.

    A task whose validation loader gives each process only its share sets an attribute
    ``shares_validation = True``; `metrics` then gets the predictions of all processes, in each of
    them. Otherwise every process validates on everything.
    """

    module: nn.Module

    def losses(self, batch: Any, generator: Generator) -> dict[str, Tensor]:
        """Scalars to log; ``"loss"`` is minimised.

        What it draws comes from `generator`, on the device, or from the global one, as dropout
        does. Both start anew in each step, from the seed of the run and the number of the step, so
        that a resumed run draws what an uninterrupted one does.
        """

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
