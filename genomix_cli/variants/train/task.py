"""Labelled variants as a training task, and a model's predictions for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.comparison.metrics.binary import auprc, auroc, ranking_accuracy
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.formats.schema import VariantTable
from genomix_cli.learning.devices import resolve_device
from genomix_cli.learning.loop import fit
from genomix_cli.learning.memory import explain_out_of_memory
from genomix_cli.learning.task import FitResult
from genomix_cli.variants.requests.train import PretrainRequest, TrainRequest
from genomix_cli.variants.train.dataset import Batch
from genomix_cli.variants.train.objectives import LossWeights, variant_loss


class Predictions(NamedTuple):
    """Logits of variants by row of the shard's table."""

    row: NDArray[np.int64]
    logit: NDArray[np.float32]


@dataclass(eq=False)
class VariantTask:
    """Labelled variants as a `genomix_cli.learning.task.Task`.

    Parameters
    ----------
    module : nn.Module
        A `VariantModel`.
    table : VariantTable
    weights : LossWeights
        Weights of the terms of the loss.
    """

    module: nn.Module
    table: VariantTable
    weights: LossWeights = field(default_factory=LossWeights)
    # With several processes, each validates its part; see `genomix_cli.learning.lightning`.
    shares_validation: ClassVar[bool] = True

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the loss and its terms."""
        logits = self.module(batch.window, batch.variants)
        known = (batch.label, batch.effect, batch.group, batch.weight)
        learned = (p for p in self.module.parameters() if p.requires_grad)
        return variant_loss(logits, *known, self.weights, learned).terms()

    def predict(self, batch: Batch) -> Predictions:
        """Return logits by row, on the CPU."""
        logits = self.module(batch.window, batch.variants)
        used = batch.row >= 0
        return Predictions(batch.row[used].cpu().numpy(), logits[used].float().cpu().numpy())

    def metrics(self, predictions: list[Predictions]) -> dict[str, float]:
        """Return the metrics that the labels allow, over all validation batches."""
        row, logit = join(predictions)
        label, effect = self.table.label[row], self.table.effect[row]
        known, measured = np.isfinite(label), np.isfinite(effect)
        metrics = {}
        if known.any():
            metrics["auroc"] = auroc(label[known], logit[known])
            metrics["auprc"] = auprc(label[known], logit[known])
        if measured.any():
            metrics["ranking"] = ranking_accuracy(
                effect[measured],
                logit[measured],
                self.table.group[row][measured],
                min_difference=self.weights.margin,
            )
        return metrics


def fit_task(
    task: Any,
    train: Callable[[int], Any],
    valid: Any,
    request: TrainRequest | PretrainRequest,
    advice: str,
) -> FitResult:
    """Fit as requested; the module ends in evaluation mode with the best weights.

    `train`, `valid` and `advice` are as for `genomix_cli.learning.loop.fit` and
    `genomix_cli.learning.memory.explain_out_of_memory`.
    """
    device, folder = resolve_device(request.device), RunFolder(request.output)
    checkpoint = folder.checkpoint(request.resume)
    with explain_out_of_memory(advice):
        result = fit(task, train, valid, request.fit, folder.path, device, request.seed, checkpoint)
    task.module.to(device).eval()
    return result


def join(predictions: Iterable[Predictions]) -> Predictions:
    """Concatenate predictions, in the order of the table."""
    row, logit = (np.concatenate(column) for column in zip(*predictions, strict=True))
    order = np.argsort(row, kind="stable")
    return Predictions(row[order], logit[order])


def predict(
    task: VariantTask,
    batches: Iterable[Batch],
    alter: Callable[[Batch], Batch] = lambda batch: batch,
) -> Predictions:
    """Return the logits of every variant in `batches`, each batch altered first."""
    device = next(task.module.parameters()).device
    with torch.inference_mode():
        return join(task.predict(to_device(alter(batch), device)) for batch in batches)


def to_device(batch: Any, device: torch.device) -> Any:
    """Move a tensor, or nested named tuples of tensors, to a device."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    return type(batch)(*(to_device(part, device) for part in batch))
