"""Run folder of a task of ``genomix train SEQUENCES.h5``."""

from __future__ import annotations

import logging
from pathlib import Path

from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.learning.processes import first_process
from genomix_cli.sequences.requests import TrainRequest

log = logging.getLogger("genomix")


def open_folder(request: TrainRequest) -> Path:
    """Open the run folder, in the first of the processes that train together.

    Raises
    ------
    UsageError
        If it is in use, or there is nothing to resume.
    """
    if first_process():
        RunFolder.open(request.output, request.provenance(), resume=request.resume)
    else:
        log.setLevel(logging.ERROR)
    return request.output


def last_checkpoint(request: TrainRequest) -> Path | None:
    """Return the checkpoint to go on from, if one is asked for and there."""
    return RunFolder(request.output).checkpoint(request.resume)
