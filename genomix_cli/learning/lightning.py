"""Lightning part of the fit loop; imported only for training, since it loads slowly."""

from __future__ import annotations

import copy
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor, nn

from genomix_cli.errors import UsageError
from genomix_cli.learning.callbacks import Best, BestInMemory, Last, Patience, ShownProgress
from genomix_cli.learning.fit_settings import FitConfig
from genomix_cli.learning.processes import first_process, rank_and_world_size
from genomix_cli.learning.randomness import generator_of, seed_of
from genomix_cli.learning.strategies import check_strategy, shard, strategy_of
from genomix_cli.learning.task import FitResult, Task

log = logging.getLogger("genomix")


class LightningTask(pl.LightningModule):
    """`Task` as a LightningModule, with optimiser, learning-rate schedule and logging."""

    def __init__(
        self,
        task: Task,
        train_loader: Callable[[int], Any],
        valid_loader: Any,
        config: FitConfig,
        seed: int,
    ) -> None:
        super().__init__()
        self.task = task
        self.module = task.module
        self.settings = config
        self._train_loader = train_loader
        self._valid_loader = valid_loader
        self._seed = seed
        self._predictions: list[Any] = []
        self._losses: list[Tensor] = []
        self.history: list[dict[str, float]] = []

    @property
    def _shares_validation(self) -> bool:
        return rank_and_world_size()[1] > 1 and getattr(self.task, "shares_validation", False)

    def configure_model(self) -> None:
        """Shard the module across devices if the strategy is FSDP."""
        if _sharded(self.settings):
            assert self.device_mesh is not None
            shard(self.module, self.device_mesh["data_parallel"])

    def train_dataloader(self) -> Any:
        """Return the loader of the current epoch; Lightning asks for a new one each epoch."""
        loader, config = self._train_loader(self.trainer.current_epoch), self.settings
        if min(config.accumulate, config.validations_per_epoch) > 1:
            # Validate after whole optimiser steps: checkpoints do not store accumulated gradients.
            steps = max(1, len(loader) // config.accumulate // config.validations_per_epoch)
            self.trainer.val_check_interval = min(steps * config.accumulate, len(loader))
        return Rest(loader, self.trainer)

    def val_dataloader(self) -> Any:
        """Return the validation loader; processes that share it get loaders of equal length."""
        loader = self._valid_loader() if callable(self._valid_loader) else self._valid_loader
        if not self._shares_validation:
            return loader
        return Evened(loader, [int(n) for n in gathered(len(loader))])

    def training_step(self, batch: Any, index: int) -> Tensor:
        """Return the loss of a batch, and log its parts."""
        step = (self._seed, self.current_epoch, index, rank_and_world_size()[0])
        # Dropout takes no generator and uses the global one.
        torch.manual_seed(seed_of(*step, 1))
        losses = self.task.losses(batch, generator_of(self.device, *step, 2))
        if not self.settings.quiet:
            self.log_dict({f"train/{name}": value.detach() for name, value in losses.items()})
        self._losses.append(losses["loss"].detach())
        return losses["loss"]

    def validation_step(self, batch: Any, index: int) -> None:
        """Collect predictions, since ranking metrics need all of them."""
        surplus = isinstance(batch, Surplus)
        predicted = self.task.predict(batch.batch if surplus else batch)
        if not surplus:
            self._predictions.append(predicted)

    def on_validation_epoch_end(self) -> None:
        """Compute and log the metrics of all validation batches."""
        if self._shares_validation:
            self._predictions = [p for part in gathered(self._predictions) for p in part]
        metrics = self.task.metrics(self._predictions)
        self._predictions = []
        self.log_dict(metrics)
        loss = float(torch.stack(self._losses).mean()) if self._losses else math.nan
        self._losses = []
        self.history.append({**metrics, "train_loss": loss})
        said = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        quiet = self.settings.quiet or not first_process()
        level = logging.DEBUG if quiet else logging.INFO
        log.log(level, "epoch %d, step %d: %s", self.current_epoch, self.global_step, said)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the training curve, which a resumed run continues."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the training curve; checkpoints of older versions have none."""
        self.history = list(checkpoint.get("history", ()))

    def configure_optimizers(self) -> Any:
        """Return AdamW with linear warm-up and cosine decay; vectors get no weight decay."""
        config = self.settings
        # Vectors are biases and scales of norms, for which 0 is no sensible prior.
        learned = [p for p in self.module.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in learned if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
        ]
        fused = can_fuse(self.trainer.strategy.root_device, config)
        optimiser = torch.optim.AdamW(
            groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=fused or None
        )
        # Lightning refuses to clip gradients if a fused optimiser claims to unscale them itself.
        optimiser._step_supports_amp_scaling = False
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: warmup_cosine(step, total, config.warmup)
        )
        return [optimiser], [{"scheduler": schedule, "interval": "step"}]


class Rest:
    """Loader of an epoch that skips the batches on which a resumed run was already trained."""

    def __init__(self, loader: Any, trainer: pl.Trainer) -> None:
        self._loader, self._trainer = loader, trainer

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        # Read on the first batch: Lightning makes iterators before it loads a checkpoint.
        done = self._trainer.fit_loop.epoch_loop.batch_progress.current.ready
        yield from islice(self._loader, done, None)


class Surplus(NamedTuple):
    """Repeated batch that keeps a process in step with the others; its predictions are dropped."""

    batch: Any


class Evened:
    """Loader padded to the same number of batches in every process.

    All processes must take part whenever a layer is gathered under FSDP.

    Parameters
    ----------
    loader : iterable
    lengths : list of int
        Number of batches in each process.

    Raises
    ------
    UsageError
        If a process has no batches.
    """

    def __init__(self, loader: Any, lengths: list[int]) -> None:
        if min(lengths) == 0:
            raise UsageError(
                "fewer validation batches than processes",
                where="--devices",
                expected=f"at most {sum(lengths)}",
                found=str(len(lengths)),
            )
        self._loader, self._length = loader, max(lengths)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        batch = None
        for batch in self._loader:
            yield batch
        for _ in range(self._length - len(self._loader)):
            yield Surplus(batch)


def gathered(value: Any) -> list[Any]:
    """Gather the values of all processes, ordered by rank, in every process."""
    values = [None] * rank_and_world_size()[1]
    torch.distributed.all_gather_object(values, value)
    return values


def warmup_cosine(step: int, total: int, warmup: float) -> float:
    """Return the learning rate of a step as a fraction of the peak.

    The rate rises linearly over the fraction `warmup` of all steps, then follows a cosine to 2 %.
    """
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
    seed: int,
    resume: Path | None,
    resumable: bool,
) -> FitResult:
    """Train and keep the best weights; the arguments are those of `learning.loop.fit`."""
    kept = _kept(config, folder / "checkpoints", resumable)
    precision = _precision(config.precision, device)
    check_strategy(config, task.module, device, precision)
    plain = task.module
    if _sharded(config) or precision in ("bf16-true", "16-true"):
        # Sharding or rounding the weights cannot be undone, so train a copy.
        task.module = copy.deepcopy(plain)
    try:
        module = LightningTask(task, train_loader, valid_loader, config, seed)
        # Lightning does not switch a module to training mode.
        module.train()
        trainer = _trainer(config, task.module, folder, device, kept)
        _fit(trainer, module, resume)
    finally:
        task.module = plain
    best = kept[0]
    # Early stopping ends some epochs after the best weights.
    plain.load_state_dict(best.weights())
    # The first process may delete its folder once it is done; wait until all have read from it.
    trainer.strategy.barrier()
    assert best.best_model_score is not None
    epochs = trainer.fit_loop.epoch_progress.total.ready
    return FitResult(float(best.best_model_score), epochs, tuple(module.history))


def _kept(config: FitConfig, folder: Path, resumable: bool) -> list[Any]:
    """Return the callback that keeps the best weights and, if resumable, one for the last."""
    if not resumable and not _sharded(config):
        return [BestInMemory(config.monitor)]
    best = Best(
        folder, filename="best", monitor=config.monitor, mode="max", enable_version_counter=False
    )
    # Comes after the best checkpoint, whose path it stores.
    last = Last(folder, filename="last", enable_version_counter=False)
    return [best, last] if resumable else [best]


def _fit(trainer: pl.Trainer, module: LightningTask, resume: Path | None) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        # Harmless: no code modifies a module's output in place.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
        try:
            trainer.fit(module, ckpt_path=resume, weights_only=True)
        except SystemExit as stop:
            # Lightning turns Ctrl-C into SystemExit.
            if isinstance(stop.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from stop
            raise


def _sharded(config: FitConfig) -> bool:
    return config.devices > 1 and config.strategy == "fsdp"


def _trainer(
    config: FitConfig,
    module: nn.Module,
    folder: Path,
    device: torch.device,
    callbacks: list[Callback],
) -> pl.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
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
        callbacks.append(Patience(config.monitor, mode="max", patience=config.patience))
    cuda = device.type == "cuda"
    return pl.Trainer(
        max_epochs=config.epochs,
        accelerator="gpu" if cuda else "cpu",
        devices=[device.index or 0] if cuda and config.devices == 1 else config.devices,
        strategy=strategy_of(config, module),
        # Loaders already split the data, and FSDP cannot gather layers in inference mode.
        use_distributed_sampler=False,
        inference_mode=not _sharded(config),
        sync_batchnorm=config.devices > 1 and cuda,
        precision=_precision(config.precision, device),  # type: ignore[arg-type]
        gradient_clip_val=config.clip,
        accumulate_grad_batches=config.accumulate,
        val_check_interval=1.0 / config.validations_per_epoch,
        callbacks=[*callbacks, ShownProgress()],
        logger=_loggers(folder, config),
        default_root_dir=folder,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        # Otherwise Lightning adds a checkpoint callback of its own.
        enable_checkpointing=any(isinstance(each, ModelCheckpoint) for each in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
    )


def _loggers(folder: Path, config: FitConfig) -> Any:
    if config.quiet and not log.isEnabledFor(logging.DEBUG):
        return False
    return [kind(folder, name="logs", version="") for kind in (CSVLogger, TensorBoardLogger)]


def can_fuse(device: torch.device, config: FitConfig) -> bool:
    """Return True if fused AdamW works: on a single CPU or GPU, without fp16 gradient scaling."""
    precision = _precision(config.precision, device)
    one = device.type in ("cpu", "cuda") and config.devices == 1
    return one and not precision.startswith("16")


def _precision(name: str, device: torch.device) -> str:
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "32-true"
