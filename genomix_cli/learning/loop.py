"""Fit loop of all domains: a `Task` defines losses and metrics, Lightning does the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from genomix_cli.errors import UsageError, from_extra
from genomix_cli.learning.fit_settings import FitConfig
from genomix_cli.learning.task import FitResult, Task
from genomix_cli.outputs import disk_errors


def fit(
    task: Task,
    train_loader: Callable[[int], Any],
    valid_loader: Any,
    config: FitConfig,
    folder: Path,
    device: torch.device,
    seed: int,
    resume: Path | None = None,
    *,
    resumable: bool = True,
) -> FitResult:
    """Train `task.module` and leave the weights with the best validation metric in it.

    Parameters
    ----------
    task : Task
    train_loader : callable
        Function from the number of an epoch to its data loader.
    valid_loader : iterable or callable
        Validation batches, or a function that returns them. The function is called in each training
        process, where it can ask for its rank.
    config : FitConfig
    folder : Path
        Folder for ``checkpoints/`` and ``logs/``.
    device : torch.device
    seed : int
        Seed of the random numbers drawn in each step; the global generator is restored afterwards.
    resume : Path, optional
        Checkpoint of the same run to resume from.
    resumable : bool
        If True, keep the last checkpoint as well as the best one.

    Returns
    -------
    FitResult

    Raises
    ------
    MissingExtraError
        If Lightning is not installed.
    UsageError
        If the checkpoint does not exist, or the strategy does not suit the model or the devices.
    DiskError
        If there is no disk space for checkpoints and logs.
    """
    with from_extra("lightning", "train"):
        import lightning.pytorch  # noqa: F401
    from genomix_cli.learning.lightning import run

    if resume is not None and not resume.is_file():
        raise UsageError("no such checkpoint", where=resume)
    with torch.random.fork_rng(), disk_errors(folder, folder):
        return run(
            task, train_loader, valid_loader, config, folder, device, seed, resume, resumable
        )
