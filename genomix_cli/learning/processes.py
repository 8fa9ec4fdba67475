"""Processes that train one model together, started by DDP or FSDP."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def first_process() -> bool:
    """Return True if this process is the one that writes files and logs."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def own_folder(folder: Path) -> Path:
    """Return the run folder in the first process, and a temporary folder in the others.

    In the other processes, this also silences all log messages except errors.
    """
    if first_process():
        return folder
    logging.getLogger("genomix").setLevel(logging.ERROR)
    return Path(tempfile.mkdtemp(prefix="genomix-"))


def rank_and_world_size() -> tuple[int, int]:
    """Return the rank of this process and the number of processes; 0 and 1 without others."""
    import torch  # here, since requests ask for `first_process` and must import fast

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def share(items: Sequence[T], rank: int, world_size: int, *, pad: bool) -> list[T]:
    """Return one process's share of the items: every `world_size`-th, starting at `rank`.

    In each round, the processes together take the next `world_size` items of `items`.

    Parameters
    ----------
    items : sequence
    rank, world_size : int
        See :func:`rank_and_world_size`.
    pad : bool
        If True, repeat the first items until every process gets the same number, which training
        needs because processes step together. If False, repeat nothing, which validation needs.
    """
    items = list(items)
    if pad and items:
        missing = -len(items) % world_size
        items += (items * (missing // len(items) + 1))[:missing]
    return items[rank::world_size]
