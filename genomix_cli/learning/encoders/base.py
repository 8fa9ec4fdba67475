"""Frozen pre-trained networks that turn bases into features.

Nothing is downloaded or unpickled, and code that comes with weights runs only if the user names
its folder in ``GENOMIX_TRUST_CODE``.

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

#: Environment variable with the comma-separated names of folders whose own code may run.
TRUST = "GENOMIX_TRUST_CODE"
# Suffixes of files that affect the features.
READ = {".safetensors", ".json", ".txt", ".model", ".py", ".pt", ".pt2"}
# Bases in a batch, over all rows.
BASES_AT_ONCE = 1 << 17


class Encoder(ABC):
    """Frozen network that turns windows of bases into features.

    It is not a submodule of the model that uses it, so it is neither saved nor counted with it. It
    moves to the device of its input.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the names and contents of all files that affect the features."""
        files = sorted(path for path in self.folder.iterdir() if path.suffix in READ)
        lines = "".join(f"{path.name}\0{sha256(path)}\n" for path in files)
        return hashlib.sha256(lines.encode()).hexdigest()

    @abstractmethod
    def window(self, bases: int) -> int:
        """Return the window in bases; `bases` is the one requested, or 0 for the default.

        Raises
        ------
        UsageError
            If the network cannot read a window of `bases`.
        """

    @abstractmethod
    def features(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return features of the middle base and of the mean: ``[V, B]`` -> two of ``[V, F]``."""

    def __call__(self, codes: Tensor) -> Tensor:
        """Return both features side by side: uint8 ``[V, B]`` -> float32 ``[V, 2 F]``."""
        rows = max(1, BASES_AT_ONCE // codes.shape[-1])
        with torch.no_grad():
            parts = [torch.cat(self.features(part), dim=-1) for part in codes.split(rows)]
        return torch.cat(parts).float()

    def width(self, bases: int) -> int:
        """Return F, which is found by encoding two windows of `bases`.

        Raises
        ------
        DataError
            If the encoder does not return finite features for each window.
        """
        with torch.device("cpu"), guarded(self.folder, "the encoder"):
            given = self(some_codes(2, bases))
            finite = len(given) == 2 and bool(given.isfinite().all())
        if not finite:
            raise DataError("returns features that are not finite", where=self.folder)
        return given.shape[1] // 2


def is_trusted(folder: Path) -> bool:
    """Return True if ``GENOMIX_TRUST_CODE`` lists the name of this folder."""
    return folder.resolve().name in os.environ.get(TRUST, "").split(",")


def code_refused(folder: Path, what: str) -> UsageError:
    """Return the error for code that is not run, with a hint on how to allow it."""
    return UsageError(
        f"{what}, which is not run",
        where=folder,
        hint=f"if you have read it and trust it: export {TRUST}={folder.resolve().name}",
    )


def some_codes(rows: int, bases: int) -> Tensor:
    """Return fixed pseudo-random bases for probing a network, uint8 ``[rows, bases]``."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 4, (rows, bases), dtype=np.uint8))
