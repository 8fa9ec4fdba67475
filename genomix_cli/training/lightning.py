"""The Lightning side of the fit loop; imported only where training happens."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor

from genomix_cli.training.loop import FitConfig, FitResult, Task

log = logging.getLogger("genomix")


class LightningTask(pl.LightningModule):
    """A `Task` with optimiser, schedule and logging."""

    def __init__(
        self, task: Task, train_loader: Callable[[int], Any], valid_loader: Any, config: FitConfig
    ) -> None:
        super().__init__()
        self.task = task
        self.module = task.module
        self.settings = config
        self._train_loader = train_loader
        self._valid_loader = valid_loader
        self._predictions: list[Any] = []
        self._losses: list[Tensor] = []
        self.history: list[dict[str, float]] = []

    def train_dataloader(self) -> Any:
        """The loader of the current epoch (reloaded each epoch)."""
        return self._train_loader(self.trainer.current_epoch)

    def val_dataloader(self) -> Any:
        """The validation loader."""
        return self._valid_loader

    def training_step(self, batch: Any, index: int) -> Tensor:
        """Loss of one batch, with its parts logged."""
        losses = self.task.losses(batch)
        if not self.settings.quiet:
            self.log_dict({f"train/{name}": value.detach() for name, value in losses.items()})
        self._losses.append(losses["loss"].detach())
        return losses["loss"]

    def validation_step(self, batch: Any, index: int) -> None:
        """Keep the predictions: ranking metrics need all of them."""
        self._predictions.append(self.task.predict(batch))

    def on_validation_epoch_end(self) -> None:
        """Compute and log the metrics of all validation batches."""
        metrics = self.task.metrics(self._predictions)
        self._predictions = []
        self.log_dict(metrics)
        loss = float(torch.stack(self._losses).mean()) if self._losses else math.nan
        self._losses = []
        self.history.append({**metrics, "train_loss": loss})
        said = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        level = logging.DEBUG if self.settings.quiet else logging.INFO
        log.log(level, "epoch %d, step %d: %s", self.current_epoch, self.global_step, said)

    def configure_optimizers(self) -> Any:
        """AdamW (no decay on vectors) with linear warm-up and a cosine."""
        config = self.settings
        decayed = [p for p in self.module.parameters() if p.requires_grad and p.ndim > 1]
        plain = [p for p in self.module.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: warmup_cosine(step, total, config.warmup)
        )
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def warmup_cosine(step: int, total: int, warmup: float) -> float:
    """Factor on the peak rate: linear warm-up, then a cosine down to 2 %."""
    first = max(1, round(total * warmup))
    if step < first:
        return (step + 1) / first
    done = min(1.0, (step - first) / max(1, total - first))
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def run(
    task: Task,
    train_loader: Callable[[int], Any],
    valid_loader: Any,
    config: FitConfig,
    folder: Path,
    device: torch.device,
    resume: Path | None,
) -> FitResult:
    """See `genomix_cli.training.loop.fit`."""
    best = ModelCheckpoint(
        folder / "checkpoints",
        filename="best",
        monitor=config.monitor,
        mode="max",
        save_last=True,
        enable_version_counter=False,
    )
    module = LightningTask(task, train_loader, valid_loader, config)
    trainer = _trainer(config, folder, device, best)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        try:
            trainer.fit(module, ckpt_path=resume, weights_only=True)
        except SystemExit as stop:
            # Lightning makes of Ctrl-C an exit of its own.
            if isinstance(stop.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from stop
            raise
    # Among several processes the first one's folder may be gone as soon as it has read its own.
    state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
    task.module.load_state_dict(
        {k.removeprefix("module."): v for k, v in state.items() if k.startswith("module.")}
    )
    trainer.strategy.barrier()
    assert best.best_model_score is not None
    return FitResult(float(best.best_model_score), trainer.current_epoch, tuple(module.history))


def _trainer(
    config: FitConfig, folder: Path, device: torch.device, best: ModelCheckpoint
) -> pl.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks: list[Callback] = [best]
    if config.checkpoint_every:
        callbacks.append(
            ModelCheckpoint(
                folder / "checkpoints",
                filename="{epoch}",
                every_n_epochs=config.checkpoint_every,
                save_top_k=-1,
            )
        )
    if config.patience:
        callbacks.append(EarlyStopping(config.monitor, mode="max", patience=config.patience))
    cuda = device.type == "cuda"
    return pl.Trainer(
        max_epochs=config.epochs,
        accelerator="gpu" if cuda else "cpu",
        devices=[device.index or 0] if cuda and config.devices == 1 else config.devices,
        strategy="auto" if config.devices == 1 else "ddp_find_unused_parameters_true",
        sync_batchnorm=config.devices > 1 and cuda,
        precision=_precision(config.precision, device),  # type: ignore[arg-type]
        gradient_clip_val=config.clip,
        accumulate_grad_batches=config.accumulate,
        val_check_interval=1.0 / config.validations_per_epoch,
        callbacks=callbacks,
        logger=_loggers(folder, config),
        default_root_dir=folder,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
    )


def _loggers(folder: Path, config: FitConfig) -> Any:
    if config.quiet and not log.isEnabledFor(logging.DEBUG):
        return False
    return [
        CSVLogger(folder, name="logs", version=""),
        TensorBoardLogger(folder, name="logs", version=""),
    ]


def _precision(name: str, device: torch.device) -> str:
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "32-true"
