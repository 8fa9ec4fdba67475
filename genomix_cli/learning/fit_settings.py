"""Settings of a fit that do not change what is learned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FitSettings:
    """Where and how to fit; only the seed may change what is learned.

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
