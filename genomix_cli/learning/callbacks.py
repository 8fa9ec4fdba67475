"""Callbacks of Lightning: progress, the best and the last weights, and early stopping."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor, nn

from genomix_cli.learning.processes import first_process
from genomix_cli.progress import Progress


class Best(ModelCheckpoint):
    """Best checkpoint, which is found again after the run folder has moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best checkpoint so far, with its path in the current folder."""
        before, here = str(state_dict["dirpath"]), str(self.dirpath)
        if (Path(here) / "best.ckpt").is_file():
            paths = ("best_model_path", "kth_best_model_path", "last_model_path")
            moved = {name: state_dict[name].replace(before, here) for name in paths}
            best = {moved["best_model_path"]: state_dict["best_model_score"]}
            state_dict = {**state_dict, **moved, "dirpath": self.dirpath, "best_k_models": best}
        super().load_state_dict(state_dict)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of the task's module."""
        state = torch.load(self.best_model_path, map_location="cpu", weights_only=True)
        of_task = "module."
        return {
            name.removeprefix(of_task): tensor
            for name, tensor in state["state_dict"].items()
            if name.startswith(of_task)
        }


class BestInMemory(Callback):
    """Best weights of a fit that cannot be resumed, kept in memory.

    Small networks train faster without checkpoints on disk.

    Parameters
    ----------
    monitor : str
        Metric to maximise.

    Attributes
    ----------
    best_model_score : float or None
        As in `ModelCheckpoint`; None before the first validation.
    """

    def __init__(self, monitor: str) -> None:
        self._monitor = monitor
        self._weights: dict[str, Tensor] = {}
        self.best_model_score: float | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights if they are better than all before."""
        score = float(trainer.callback_metrics[self._monitor])
        score = -math.inf if math.isnan(score) else score
        if self.best_model_score is None or score > self.best_model_score:
            assert isinstance(pl_module.module, nn.Module)
            state = pl_module.module.state_dict()
            self._weights = {name: tensor.to("cpu", copy=True) for name, tensor in state.items()}
            self.best_model_score = score

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of the task's module."""
        return self._weights


class Last(ModelCheckpoint):
    """Last checkpoint, from which a run is resumed."""


class Patience(EarlyStopping):
    """Early stopping that uses the current patience, also in a run resumed after it stopped."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the number of validations without improvement, but not the patience."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop a resumed run at once if it had already run out of patience."""
        trainer.should_stop = self.wait_count >= self.patience


class ShownProgress(Callback):
    """Progress lines for the training and validation batches of each epoch."""

    def __init__(self) -> None:
        self._open: dict[str, Progress] = {}

    def _begin(self, part: str, trainer: pl.Trainer, batches: float) -> None:
        what = f"{part} epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"
        total = batches if math.isfinite(batches) else None
        self._end(part)
        self._open[part] = Progress(what, total, "batches", shown=first_process())

    def _end(self, part: str) -> None:
        if part in self._open:
            self._open.pop(part).close()

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Start the count, which in a resumed run happens in the middle of an epoch."""
        if "training" not in self._open:
            self._begin("training", trainer, trainer.num_training_batches)

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Count a training batch."""
        self._open["training"].advance()

    def on_validation_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Start the count of validation batches."""
        self._begin("validating", trainer, sum(trainer.num_val_batches))

    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        """Count a validation batch."""
        self._open["validating"].advance()

    def on_validation_epoch_end(self, *_: Any) -> None:
        """Close the progress of validation."""
        self._end("validating")

    def on_train_epoch_end(self, *_: Any) -> None:
        """Close the progress of training."""
        self._end("training")

    def on_exception(self, *_: Any) -> None:
        """Close all progress lines."""
        for part in list(self._open):
            self._end(part)
