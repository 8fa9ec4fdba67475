"""Exhausted memory becomes advice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from genomix_cli.errors import DataError
from genomix_cli.learning.loop import fit
from genomix_cli.learning.memory import explain_out_of_memory
from tests.shared_training import ONCE, Batches, StepsTask

pytest.importorskip("lightning")

ADVICE = "with --windows-per-batch 4; try --windows-per-batch 2"


class Failing(StepsTask):
    """Fails in its first step."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def losses(self, batch: list[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        raise self.error


def train(error: Exception, folder: Path) -> None:
    with explain_out_of_memory(ADVICE):
        fit(
            Failing(error),
            lambda epoch: Batches([1]),
            Batches([2]),
            ONCE,
            folder,
            torch.device("cpu"),
            0,
        )


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: out of memory"),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "driver", "python"],
)
def test_it_says_what_to_change(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        train(error, tmp_path)
    assert str(caught.value) == f"ran out of memory {ADVICE}"
    assert caught.value.exit_code == 1
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ValueError("out of memory")])
def test_other_errors_pass(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught:
        train(error, tmp_path)
    assert caught.value is error


def test_what_the_allocator_really_says() -> None:
    with pytest.raises(DataError, match="ran out of memory"), explain_out_of_memory(ADVICE):
        torch.empty(1 << 60, dtype=torch.uint8)
