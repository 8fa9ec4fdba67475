"""Where and how a model learns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Setting:
    """Where and how a model learns; nothing in it may change what it learns, but for the seed.

    Attributes
    ----------
    seed : int
    device : str
        ``cpu``, ``cuda`` or ``cuda:N``.
    devices : int
        GPUs, or processes on a CPU, that share each batch.
    threads : int
        For libraries that ask.
    precision : str
        ``auto``: bf16 where a GPU has it, fp32 elsewhere; or a Lightning precision.
    logs : Path, optional
        Folder for TensorBoard logs; none are kept otherwise.
    """

    seed: int = 0
    device: str = "cpu"
    devices: int = 1
    threads: int = 1
    precision: str = "auto"
    logs: Path | None = None
