"""The Lightning side of the fit loop; imported only where training happens."""

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
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor, nn

from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import FitConfig
from genomix_cli.learning.processes import first_process, rank_and_world_size
from genomix_cli.learning.randomness import generator_of, seed_of
from genomix_cli.learning.strategies import check_strategy, shard, strategy_of
from genomix_cli.learning.task import FitResult, Task
from genomix_cli.progress import Progress

log = logging.getLogger("genomix")


class LightningTask(pl.LightningModule):
    """A `Task` with optimiser, schedule and logging."""

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
        """Leave each device its shard of the module, if it is to be sharded."""
        if _sharded(self.settings):
            assert self.device_mesh is not None
            shard(self.module, self.device_mesh["data_parallel"])

    def train_dataloader(self) -> Any:
        """Return the loader of the current epoch (reloaded each epoch)."""
        loader, config = self._train_loader(self.trainer.current_epoch), self.settings
        if min(config.accumulate, config.validations_per_epoch) > 1:
            # After whole steps: a checkpoint holds no gradients that are still being summed.
            steps = max(1, len(loader) // config.accumulate // config.validations_per_epoch)
            self.trainer.val_check_interval = min(steps * config.accumulate, len(loader))
        return Rest(loader, self.trainer)

    def val_dataloader(self) -> Any:
        """Return the validation loader, of equal length in each process that shares it."""
        loader = self._valid_loader() if callable(self._valid_loader) else self._valid_loader
        if not self._shares_validation:
            return loader
        return Evened(loader, [int(n) for n in gathered(len(loader))])

    def training_step(self, batch: Any, index: int) -> Tensor:
        """Return the loss of a batch, and log its parts."""
        step = (self._seed, self.current_epoch, index, rank_and_world_size()[0])
        # For dropout, which takes no generator.
        torch.manual_seed(seed_of(*step, 1))
        losses = self.task.losses(batch, generator_of(self.device, *step, 2))
        if not self.settings.quiet:
            self.log_dict({f"train/{name}": value.detach() for name, value in losses.items()})
        self._losses.append(losses["loss"].detach())
        return losses["loss"]

    def validation_step(self, batch: Any, index: int) -> None:
        """Keep the predictions: ranking metrics need all of them."""
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
        """Keep the curve, which a resumed run continues."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the curve; checkpoints of older versions have none."""
        self.history = list(checkpoint.get("history", ()))

    def configure_optimizers(self) -> Any:
        """Return AdamW (no decay on vectors) with a linear warm-up and a cosine."""
        config = self.settings
        # Vectors are biases and scales of norms, which decay would pull towards nothing useful.
        learned = [p for p in self.module.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in learned if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
        ]
        fused = can_fuse(self.trainer.strategy.root_device, config)
        optimiser = torch.optim.AdamW(
            groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=fused or None
        )
        # Without a scaler there is nothing that it could unscale, which Lightning would not clip.
        optimiser._step_supports_amp_scaling = False
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: warmup_cosine(step, total, config.warmup)
        )
        return [optimiser], [{"scheduler": schedule, "interval": "step"}]


class Rest:
    """Loader of an epoch, of which a resumed run leaves out what was learned from before."""

    def __init__(self, loader: Any, trainer: pl.Trainer) -> None:
        self._loader, self._trainer = loader, trainer

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        # Asked for with the first batch: Lightning makes iterators before it reads a checkpoint.
        done = self._trainer.fit_loop.epoch_loop.batch_progress.current.ready
        yield from islice(self._loader, done, None)


class ShownProgress(Callback):
    """Batches of an epoch, and of its validation, as they are done."""

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
        """Begin to count; a resumed run does so within an epoch."""
        if "training" not in self._open:
            self._begin("training", trainer, trainer.num_training_batches)

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Count a batch."""
        self._open["training"].advance()

    def on_validation_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Begin to count."""
        self._begin("validating", trainer, sum(trainer.num_val_batches))

    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        """Count a batch."""
        self._open["validating"].advance()

    def on_validation_epoch_end(self, *_: Any) -> None:
        """Leave off."""
        self._end("validating")

    def on_train_epoch_end(self, *_: Any) -> None:
        """Leave off."""
        self._end("training")

    def on_exception(self, *_: Any) -> None:
        """Leave off."""
        for part in list(self._open):
            self._end(part)


class Surplus(NamedTuple):
    """A batch that only keeps step with the other processes."""

    batch: Any


class Evened:
    """Loader with as many batches in every process: all of them gather an FSDP layer, or none.

    Parameters
    ----------
    loader : iterable
    lengths : list of int
        Batches in each process.

    Raises
    ------
    UsageError
        If a process has none.
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


class Best(ModelCheckpoint):
    """The best checkpoint, found again where the folder of a run was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the best so far."""
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
    """The best weights of a fit that nobody resumes: a small network would wait for the disk.

    Parameters
    ----------
    monitor : str
        Metric that is to be high.

    Attributes
    ----------
    best_model_score : float or None
        As `ModelCheckpoint` has it; None before the first validation.
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
            assert isinstance(pl_module, LightningTask)
            state = pl_module.module.state_dict()
            self._weights = {name: tensor.to("cpu", copy=True) for name, tensor in state.items()}
            self.best_model_score = score

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of the task's module."""
        return self._weights


class Last(ModelCheckpoint):
    """The last checkpoint, which a run is resumed from."""


class Patience(EarlyStopping):
    """Early stopping by the patience that is asked for now, also of a run that had stopped."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the number of validations without improvement."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop a resumed run that had stopped before it was interrupted."""
        trainer.should_stop = self.wait_count >= self.patience


def gathered(value: Any) -> list[Any]:
    """Return the values of all processes, by rank, in each of them."""
    values = [None] * rank_and_world_size()[1]
    torch.distributed.all_gather_object(values, value)
    return values


def warmup_cosine(step: int, total: int, warmup: float) -> float:
    """Return the factor on the peak rate: a linear warm-up, then a cosine down to 2 %."""
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
    """See `genomix_cli.learning.loop.fit`."""
    kept = _kept(config, folder / "checkpoints", resumable)
    precision = _precision(config.precision, device)
    check_strategy(config, task.module, device, precision)
    plain = task.module
    if _sharded(config) or precision in ("bf16-true", "16-true"):
        # A module once shared among devices, or rounded, cannot be made whole again.
        task.module = copy.deepcopy(plain)
    try:
        module = LightningTask(task, train_loader, valid_loader, config, seed)
        # Lightning leaves a module in the mode that it finds it in.
        module.train()
        trainer = _trainer(config, task.module, folder, device, kept)
        _fit(trainer, module, resume)
    finally:
        task.module = plain
    best = kept[0]
    # The best weights, not the last: early stopping ends after them.
    plain.load_state_dict(best.weights())
    # Among several processes the first one's folder may be gone as soon as it has read its own.
    trainer.strategy.barrier()
    assert best.best_model_score is not None
    epochs = trainer.fit_loop.epoch_progress.total.ready
    return FitResult(float(best.best_model_score), epochs, tuple(module.history))


def _kept(config: FitConfig, folder: Path, resumable: bool) -> list[Any]:
    """Return what keeps the best weights, then what keeps the last, if a run may be resumed."""
    if not resumable and not _sharded(config):
        return [BestInMemory(config.monitor)]
    best = Best(
        folder, filename="best", monitor=config.monitor, mode="max", enable_version_counter=False
    )
    # After the best one, which it names.
    last = Last(folder, filename="last", enable_version_counter=False)
    return [best, last] if resumable else [best]


def _fit(trainer: pl.Trainer, module: LightningTask, resume: Path | None) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        # Nothing works in place on what a module gives.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
        try:
            trainer.fit(module, ckpt_path=resume, weights_only=True)
        except SystemExit as stop:
            # Lightning makes of Ctrl-C an exit of its own.
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
        # Loaders give each process its part; and a sharded module gathers in no inference mode.
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
        # Without one of ours, Lightning would write checkpoints of its own.
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
    """Return True if one kernel may update all weights: on one device, without a scaler of fp16."""
    precision = _precision(config.precision, device)
    one = device.type in ("cpu", "cuda") and config.devices == 1
    return one and not precision.startswith("16")


def _precision(name: str, device: torch.device) -> str:
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "32-true"
