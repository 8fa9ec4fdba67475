"""Error messages with advice for work that runs out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from genomix_cli.errors import DataError

# Phrases by which allocators and libraries report it in a plain RuntimeError.
SIGNS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


class OutOfMemoryError(DataError):
    """Error for work that does not fit into the memory of the GPU or of the machine."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an error means that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


@contextmanager
def explain_out_of_memory(advice: str) -> Iterator[None]:
    """Turn any error of exhausted memory into one line of advice; other errors pass.

    Works as a context manager and as a decorator.

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
