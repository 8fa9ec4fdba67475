"""What every task of ``genomix train SEQUENCES.h5`` is asked, and the folder it writes to."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from genomix_cli.config import from_dict
from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.processes import first_process
from genomix_cli.provenance import Provenance, environment

log = logging.getLogger("genomix")
T = TypeVar("T")

# What a run may differ in and still be the same.
_FREE = ("resume", "setting")


@dataclass(frozen=True)
class TrainRequest:
    """What was asked for.

    Attributes
    ----------
    data : Path
        File of sequences.
    output : Path
        Run folder.
    task : str
        Name in the registry.
    preset : str
        Of the task's model; empty: its first.
    arch : dict
        Fields of the model's configuration, over the preset.
    label : str
        Phenotype to learn or to condition on; empty: the file's.
    hold_out : str
        ``auto``: the file's splits, or else a quarter; a share as ``0.25``; ``splits``;
        ``folds:5``.
    init : Path, optional
        Run folder whose encoder to start from.
    setting : FitSettings
    resume : bool
        Go on from the folder's last checkpoint.
    options : dict
        What only this task takes.
    """

    data: Path
    output: Path
    task: str
    preset: str = ""
    arch: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    hold_out: str = "auto"
    init: Path | None = None
    setting: FitSettings = field(default_factory=FitSettings)
    resume: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON has it, names of files without their folders."""
        plain = {name: value for name, value in asdict(self).items() if name not in _FREE}
        for name in ("data", "output", "init"):
            plain[name] = plain[name] and Path(plain[name]).name
        return json.loads(json.dumps({**plain, "seed": self.setting.seed}))

    def provenance(self) -> Provenance:
        """Of everything the run writes."""
        return Provenance.of(self.plain(), {"sequences": self.data}, self.setting.seed)

    def config(self, kind: type[T], presets: Mapping[str, Mapping[str, Any]], **known: Any) -> T:
        """The model's configuration: what is `known` of the data, the preset, and `arch` over it.

        Raises
        ------
        UsageError
            If preset or fields do not exist.
        """
        preset = self.preset or next(iter(presets))
        if preset not in presets:
            raise UsageError("no such preset", expected=" or ".join(presets), found=preset)
        return from_dict(kind, {**known, **presets[preset], **self.arch}, where="--set")


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
