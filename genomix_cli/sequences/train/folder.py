"""The run folder of ``genomix train SEQUENCES.h5``."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from genomix_cli.config import to_dict
from genomix_cli.errors import UsageError
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.learning.activity import Predicted
from genomix_cli.learning.processes import first_process
from genomix_cli.sequences.requests.train import TrainRequest

log = logging.getLogger("genomix")


def open_folder(request: TrainRequest) -> Path:
    """Open the run folder in the main process of a training.

    Raises
    ------
    UsageError
        If the folder is in use, or there is nothing to resume.
    """
    if first_process():
        RunFolder.open(request.output, request.provenance(), resume=request.resume)
    else:
        log.setLevel(logging.ERROR)
    return request.output


def last_checkpoint(request: TrainRequest) -> Path | None:
    """Return the checkpoint to resume from, if requested and present."""
    return RunFolder(request.output).checkpoint(request.resume)


def shape_to_take(
    start: Predicted, free: Collection[str], request: TrainRequest, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the architecture of the run to start from, and refuse conflicting options.

    Parameters
    ----------
    start : Predicted
        Architecture of the run to start from.
    free : collection of str
        Fields in which the new run may differ.
    request : TrainRequest
    asked : mapping
        Fields of the architecture that the user has set.

    Raises
    ------
    UsageError
        If a field or preset that the user has set conflicts with that architecture.
    """
    shape = {name: v for name, v in to_dict(start).items() if name not in free}
    clash = sorted(name for name in shape if asked.get(name, shape[name]) != shape[name])
    if clash or request.preset:
        what = ", ".join(clash) or "the preset"
        raise UsageError(f"cannot change {what} of the run given by --init", where="--init")
    return shape
