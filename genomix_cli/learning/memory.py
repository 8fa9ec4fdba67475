"""Advice for training that runs out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from genomix_cli.errors import DataError

# What allocators and libraries say in a RuntimeError that has no type of its own.
SIGNS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


class OutOfMemoryError(DataError):
    """The work does not fit into the memory of the device, or of the machine."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an error means that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


@contextmanager
def explain_out_of_memory(advice: str) -> Iterator[None]:
    """Turn the many errors of exhausted memory into one line; other errors pass.

    Also a decorator.

    Parameters
    ----------
    advice : str
        Continuation of "ran out of memory": the batch in use and what to use instead, as in
        ``"with --windows-per-batch 4; try --windows-per-batch 2"``.

    Raises
    ------
    OutOfMemoryError
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(f"ran out of memory {advice}") from error
