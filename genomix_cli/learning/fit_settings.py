"""Settings of a fit that do not change what is learned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from genomix_cli.options import Option, Precision

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
        Number of threads of libraries that take it as an argument.
    precision : str
        ``auto``: bf16 on a GPU that supports it, fp32 otherwise; or a precision of Lightning.
    logs : Path, optional
        Folder for TensorBoard logs; without it none are kept.
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

    The learning rate is the peak, reached after a linear warm-up over the share `warmup` of all
    steps, and followed by a cosine. `clip` is the maximum norm of the gradients. `monitor` is
    maximised. With several devices each process runs the whole command, and the task's loaders give
    each its share; strategy ``ddp``: each holds the whole model; ``fsdp``: each holds a shard of
    its weights, gradients and optimiser state, and layers are gathered while they compute. With
    `checkpoint_every` 0 only the best and the last checkpoint are kept. `quiet`, for many short
    fits: no line per epoch, and TensorBoard logs only at debug level.
    """

    epochs: Annotated[int, Option("Epochs, at most", min=1, panel=_TRAINING)] = 10
    learning_rate: Annotated[float, Option("Peak learning rate", min=0, panel=_TRAINING)] = 1e-3
    weight_decay: Annotated[float, Option("AdamW weight decay", min=0, panel=_TRAINING)] = 0.01
    warmup: float = 0.05
    clip: float = 1.0
    precision: Precision = "auto"
    patience: Annotated[
        int,
        Option("Validations without improvement before stopping; 0: never stop early", min=0,
               panel=_TRAINING),
    ] = 5  # fmt: skip
    monitor: Annotated[
        str,
        Option("Validation metric to stop by", choices=("auroc", "auprc", "ranking"),
               panel=_TRAINING),
    ] = "auroc"  # fmt: skip
    validations_per_epoch: Annotated[
        int, Option("Validations in each epoch", min=1, panel=_TRAINING)
    ] = 1
    checkpoint_every: Annotated[
        int, Option("Epochs between checkpoints that are kept", min=1, panel=_TRAINING)
    ] = 5
    accumulate: Annotated[int, Option("Batches per optimiser step", min=1, panel=_TRAINING)] = 1
    devices: Annotated[
        int,
        Option("GPUs, or processes on a CPU, that share the work", min=1, panel="Running"),
    ] = 1
    strategy: Annotated[
        str,
        Option("Among several devices; fsdp: each holds a part of the model", choices=STRATEGIES,
               panel="Running"),
    ] = "auto"  # fmt: skip
    quiet: bool = False
