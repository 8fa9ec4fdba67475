"""Networks that others have trained: they turn bases into features, and stay as they are.

Nothing is downloaded, nothing is unpickled, and code that comes with weights runs only where the
user names the folder in ``GENOMIX_TRUST_CODE``.

Letters: V haplotypes, B bases, F features.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genomix_cli.errors import DataError, UsageError, guarded
from genomix_cli.provenance import sha256

#: Environment variable with the names of folders whose own code may run, between commas.
TRUST = "GENOMIX_TRUST_CODE"
# Files that decide what an encoder gives.
READ = {".safetensors", ".json", ".txt", ".model", ".py", ".pt", ".pt2"}
# Bases that go through a network at once.
BASES_AT_ONCE = 1 << 17


class Encoder(ABC):
    """A network without gradient, and how it reads bases.

    It is no part of the module that uses it: neither saved nor counted with it, and moved to the
    device of what it reads.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def digest(self) -> str:
        """SHA-256 of every file that decides what it gives."""
        files = sorted(path for path in self.folder.iterdir() if path.suffix in READ)
        lines = "".join(f"{path.name}\0{sha256(path)}\n" for path in files)
        return hashlib.sha256(lines.encode()).hexdigest()

    @abstractmethod
    def window(self, bases: int) -> int:
        """Return the bases to read where `bases` are asked for, 0 for its own choice.

        Raises
        ------
        UsageError
            If it cannot read so many.
        """

    @abstractmethod
    def features(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of the middle base and their mean: ``[V, B]`` -> 2 of ``[V, F]``."""

    def __call__(self, codes: Tensor) -> Tensor:
        """Return both features side by side: uint8 ``[V, B]`` -> float32 ``[V, 2 F]``."""
        rows = max(1, BASES_AT_ONCE // codes.shape[-1])
        with torch.no_grad():
            parts = [torch.cat(self.features(part), dim=-1) for part in codes.split(rows)]
        return torch.cat(parts).float()

    def width(self, bases: int) -> int:
        """Return F, by reading two windows.

        Raises
        ------
        DataError
            If it does not give finite features of each.
        """
        with torch.device("cpu"), guarded(self.folder, "the encoder"):
            given = self(some_codes(2, bases))
            finite = len(given) == 2 and bool(given.isfinite().all())
        if not finite:
            raise DataError("gives features that are not finite", where=self.folder)
        return given.shape[1] // 2


def is_trusted(folder: Path) -> bool:
    """Return True if the user has named this folder as one whose code may run."""
    return folder.resolve().name in os.environ.get(TRUST, "").split(",")


def code_refused(folder: Path, what: str) -> UsageError:
    """Return the error that says what code is not run, and how the user may let it."""
    return UsageError(
        f"{what}, which is not run",
        where=folder,
        hint=f"if you have read it and trust it: export {TRUST}={folder.resolve().name}",
    )


def some_codes(rows: int, bases: int) -> Tensor:
    """Bases to try a network with, always the same: uint8 ``[rows, bases]``."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 4, (rows, bases), dtype=np.uint8))
