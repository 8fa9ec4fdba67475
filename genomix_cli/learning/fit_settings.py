"""Settings of a fit that do not change what is learned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from genomix_cli.options import RARE, option
from genomix_cli.shared_options import RUNNING, Precision

STRATEGIES = ("auto", "ddp", "fsdp")
_TRAINING = "Training"


@dataclass(frozen=True)
class FitSettings:
    """Settings of a fit; only the seed may change what is learned.

    Attributes
    ----------
    seed : int
    device : str
        ``cpu``, ``cuda`` or ``cuda:N``.
    devices : int
        GPUs, or processes on a CPU, that share each batch.
    threads : int
        Number of threads, for libraries that take it as an argument.
    precision : str
        A precision of Lightning; or ``auto``: fp32 on a CPU, and on a GPU bf16, or fp16 if it does
        not support bf16.
    logs : Path, optional
        Folder for TensorBoard logs; by default, none are kept.
    """

    seed: int = 0
    device: str = "cpu"
    devices: int = 1
    threads: int = 1
    precision: str = "auto"
    logs: Path | None = None


@dataclass(frozen=True)
class FitConfig:
    """Settings of the fit loop.

    `learning_rate` is the peak, reached after a linear warm-up over the fraction `warmup` of all
    steps and followed by a cosine. `clip` is the maximum norm of the gradients. `monitor` is
    maximised. With several devices, each process runs the whole command and the task's loaders give
    it a share of the data. With strategy ``ddp``, each process holds the whole model; with
    ``fsdp``, each holds a shard of the weights, gradients and optimiser state, and layers are
    gathered while they compute. If `checkpoint_every` is 0, only the best and the last checkpoint
    are kept. `quiet` suits many short fits: it logs no line per epoch, and writes TensorBoard logs
    only at debug level.
    """

    epochs: int = option(10, "Maximum number of epochs", min=1, panel=_TRAINING)
    learning_rate: float = option(1e-3, "Peak learning rate", min=0)
    weight_decay: float = option(0.01, "AdamW weight decay", min=0, rare=True)
    warmup: float = 0.05
    clip: float = 1.0
    precision: Annotated[Precision, RARE] = "auto"
    patience: int = option(
        5, "Validations without improvement before stopping; 0: never stop early", min=0
    )
    monitor: str = option(
        "auroc",
        "Validation metric for early stopping",
        choices=("auroc", "auprc", "ranking"),
        rare=True,
    )
    validations_per_epoch: int = option(1, "Validations in each epoch", min=1, rare=True)
    checkpoint_every: int = option(5, "Keep a checkpoint every N epochs", min=1, rare=True)
    accumulate: int = option(1, "Batches per optimiser step", min=1, rare=True)
    devices: int = option(
        1, "GPUs, or CPU processes, that share the work", min=1, panel=RUNNING, rare=True
    )
    strategy: str = option(
        "auto",
        "How several devices share the work; fsdp: each holds a part of the model",
        choices=STRATEGIES,
        rare=True,
    )
    quiet: bool = False
