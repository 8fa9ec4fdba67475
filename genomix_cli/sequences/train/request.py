"""What every task of ``genomix train SEQUENCES.h5`` is asked, and the folder it writes to."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from genomix_cli.errors import UsageError
from genomix_cli.learning.processes import first_process
from genomix_cli.provenance import environment
from genomix_cli.sequences.requests import TrainRequest

log = logging.getLogger("genomix")


def open_folder(request: TrainRequest) -> Path:
    """Create the run folder, say in ``train.json`` what is run, and give the folder.

    Raises
    ------
    UsageError
        If it is in use, or there is nothing to resume.
    """
    folder, plain = request.output, request.plain()
    before = folder / "train.json"
    if not first_process():
        log.setLevel(logging.ERROR)
        return folder
    if request.resume:
        if not before.is_file():
            raise UsageError("there is no run to resume", where=folder)
        if json.loads(before.read_text())["config"] != plain:
            raise UsageError(
                "was started with other settings", where=folder, hint="give the same, or a new -o"
            )
    elif folder.exists() and any(folder.iterdir()):
        raise UsageError(
            "is not empty", where=folder, hint="choose another -o, or add --resume to go on with it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(before, {**request.provenance().to_dict(), "environment": environment()})
    return folder


def last_checkpoint(request: TrainRequest) -> Path | None:
    """The checkpoint to go on from, if one is asked for and there."""
    path = request.output / "checkpoints" / "last.ckpt"
    return path if request.resume and path.is_file() else None


def write_json(path: Path, value: Any) -> None:
    """Plain data, readable."""
    path.write_text(json.dumps(value, indent=1, default=str) + "\n")
