"""Batches of sequences for networks, and a call to the fit loop.

Letters: B batch, L bases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.config import Share
from genomix_cli.genome.iupac import SETS, reverse_complement
from genomix_cli.learning import networks
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.task import FitResult, Task

PREDICT_BATCH = 256

_COMPLEMENT = torch.from_numpy(reverse_complement(np.arange(SETS)[:, None])[:, 0])


@dataclass(frozen=True)
class Learning(networks.Learning):
    """Training options of a sequence network.

    Attributes
    ----------
    warmup : float
        Share of all steps in which the learning rate warms up.
    """

    warmup: Share = 0.1


def opposite(codes: Tensor) -> Tensor:
    """Return the reverse complement of sets of bases ``[B, L]``."""
    return _COMPLEMENT.to(codes.device)[codes.flip(-1).long()]


def turned(codes: Tensor, generator: torch.Generator) -> Tensor:
    """Return items ``[B, ..., L]``, each reverse-complemented with probability 1/2."""
    shape = (len(codes), *[1] * (codes.ndim - 1))
    turn = torch.rand(shape, generator=generator, device=generator.device) < 0.5
    return torch.where(turn.to(codes.device), opposite(codes), codes)


class Batch(NamedTuple):
    """A batch of sequences.

    Attributes
    ----------
    codes : Tensor
        uint8 ``[B, L]``: sets of bases.
    rows : Tensor
        int64 ``[B]``: indices of the sequences in the data.
    target : Tensor
        ``[B, ...]``: targets such as labels; ``[B, 0]`` without targets.
    """

    codes: Tensor
    rows: Tensor
    target: Tensor


@dataclass(frozen=True)
class Part:
    """Training or validation sequences; the codes may be a memory map.

    Attributes
    ----------
    codes : NDArray
        uint8 ``[n, L]``.
    target : NDArray, optional
        ``[n, ...]``: targets.
    """

    codes: NDArray[np.uint8]
    target: NDArray[np.generic] | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Return the sequences in `rows` as tensors."""
        target = np.empty((len(rows), 0), np.float32) if self.target is None else self.target[rows]
        codes = torch.from_numpy(self.codes[rows])
        return Batch(codes, torch.from_numpy(rows.copy()), torch.from_numpy(target))


def learn(
    task: Task, train: Part, valid: Part, config: Learning, setting: FitSettings, **options: Any
) -> FitResult:
    """Train `task.module`; `options` go to `genomix_cli.learning.networks.learn`."""
    fixed: dict[str, Any] = {
        "predict_batch": PREDICT_BATCH,
        "warmup": config.warmup,
        "folder": setting.logs,
    }
    return networks.learn(task, train, valid, config, setting, **{**fixed, **options})
