"""Folder of a training run: created once, resumed only with the same settings, read as a whole.

``train.json`` records the request when the run starts; ``model.safetensors`` and ``config.json``
are written last. Files appear whole or not at all, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.seen import Seen
from genomix_cli.outputs import atomic_path, file_errors, lock
from genomix_cli.provenance import Provenance, sha256

log = logging.getLogger("genomix")

FORMAT = "genomix-model"
# Version 2 added digests of the weights and of the configuration. Version 1 is still read.
FORMAT_VERSION = 2
# Domain of runs that do not name one, which are older than cohorts and sequences.
FIRST_DOMAIN = "variants"
CONFIG, WEIGHTS, DIGEST = "config.json", "model.safetensors", "weights_sha256"
# Digest of config.json without this entry.
OWN_DIGEST = "config_sha256"
REQUEST = "train.json"
# Results, written last; and the folder of intermediate results, which a finished run lacks.
METRICS, PARTS = "metrics.json", "parts"
# Settings, by their path in the request, that may differ on resuming: they change where and for how
# long a run works, but not what it learns in an epoch.
IGNORED_ON_RESUME = (
    *("resume", "output", "device", "threads", "workers", "setting", "checkpointing"),
    *("fit.epochs", "fit.patience"),
)

State = Mapping[str, NDArray[Any]]

# Open, locked request files of the run folders that this process writes, by folder.
_locks: dict[str, IO[bytes]] = {}


class Stored(NamedTuple):
    """Trained model as stored on disk.

    Attributes
    ----------
    config : dict
        Plain data for the configuration class of the domain.
    state : dict of str to NDArray
        Weights by name.
    sha256 : str
        Digest of the weights file.
    """

    config: dict[str, Any]
    state: dict[str, NDArray[Any]]
    sha256: str


class RunFolder:
    """Folder that a training run writes, or has written.

    Parameters
    ----------
    path : str or Path
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def open(
        cls,
        path: Path,
        provenance: Provenance,
        *,
        resume: bool,
        record: str = REQUEST,
    ) -> RunFolder:
        """Create the folder of a new run, or open that of a run to resume, and lock it.

        Parameters
        ----------
        path : Path
        provenance : Provenance
            Its `config` is the request of the run.
        resume : bool
            If True, open an existing folder.
        record : str
            Name of the file that records the request.

        Raises
        ------
        UsageError
            If the folder is in use, a new folder is not empty, there is nothing to resume, or the
            run to resume was started with other settings or inputs.
        """
        folder = cls(path)
        if resume:
            folder._check_same(provenance, record)
            folder._lock(record)
            if folder.is_finished and not folder._has_more_epochs(provenance, record):
                log.info("%s is a finished run: nothing is left to train", path)
            return folder
        if path.exists() and not path.is_dir():
            raise UsageError("is not a folder", where=path)
        # Hidden files may stay: a run killed while it wrote its record leaves a hidden draft.
        if path.exists() and any(not each.name.startswith(".") for each in path.iterdir()):
            same = (path / record).is_file() and not folder._differing(provenance, record)
            raise UsageError(
                "is not empty",
                where=path,
                hint="choose another -o"
                + (", or add --resume to continue that run" if same else ""),
            )
        with file_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        machine = {"python": platform.python_version(), "platform": platform.platform()}
        folder.write_json(record, {**provenance.to_dict(), "environment": machine})
        folder._lock(record)
        return folder

    @property
    def is_finished(self) -> bool:
        """True if the run has written its results and left no part of its work."""
        return (self.path / METRICS).is_file() and not (self.path / PARTS).exists()

    def _has_more_epochs(self, provenance: Provenance, record: str) -> bool:
        """Return True if the limits of training, which may change on resuming, have changed."""
        asked = json.loads(json.dumps(provenance.to_dict(), default=str))["config"]
        return bool(asked.get("fit") != read_json(self.path / record)["config"].get("fit"))

    def _lock(self, record: str) -> None:
        """Lock the folder until this process ends."""
        key = os.path.realpath(self.path)
        if key in _locks:
            _locks.pop(key).close()
        with file_errors(self.path):
            _locks[key] = lock(self.path / record, self.path)

    def _check_same(self, provenance: Provenance, record: str) -> None:
        if not (self.path / record).is_file():
            raise UsageError("no run to resume", where=self.path)
        if differing := self._differing(provenance, record):
            raise UsageError(
                f"was started with other settings: {', '.join(differing)}",
                where=self.path,
                hint="use the same settings, or a new -o",
            )

    def _differing(self, provenance: Provenance, record: str) -> list[str]:
        """Return the names of settings and inputs that differ from those of the run."""
        before = read_json(self.path / record)
        asked = json.loads(json.dumps(provenance.to_dict(), default=str))
        return [
            name
            for kind in ("config", "inputs")
            for name in _differing(before.get(kind, {}), asked[kind])
        ]

    def checkpoint(self, resume: bool) -> Path | None:
        """Return the last checkpoint to resume from, or None.

        A run that was killed before its first checkpoint starts over.
        """
        path = self.path / "checkpoints" / "last.ckpt"
        return path if resume and path.is_file() else None

    def write_json(self, name: str, data: Any) -> None:
        """Write plain data as JSON, one value per line."""
        self.write_text(name, json.dumps(data, indent=1, default=str) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file; it appears whole or not at all."""
        with atomic_path(self.path / name) as draft:
            draft.write_text(text)

    def write_weights(self, name: str, state: State) -> None:
        """Write arrays in the safetensors format."""
        # np.ascontiguousarray would add an axis to scalars, which batch norm has.
        arrays = {key: np.asarray(array, order="C") for key, array in state.items()}
        # The library's own writer makes files that only their owner can read.
        with atomic_path(self.path / name) as draft:
            draft.write_bytes(save(arrays))

    def save(
        self, domain: str, config: Mapping[str, Any], state: State, seen: Seen | None = None
    ) -> None:
        """Write the weights, then the digests of training data, and the configuration last.

        Only the configuration makes the folder a model, so an interrupted call leaves none.

        Parameters
        ----------
        domain : str
            ``variants``, ``cohorts`` or ``sequences``.
        config : mapping
            Plain data.
        state : mapping of str to NDArray
            Weights by name.
        seen : Seen, optional
            Digests of the items that the model has seen in training.
        """
        self.write_weights(WEIGHTS, state)
        if seen is not None:
            seen.write(self.path)
        data = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "domain": domain,
            **config,
            DIGEST: sha256(self.path / WEIGHTS),
        }
        data = json.loads(json.dumps(data, default=list))
        data[OWN_DIGEST] = _digest(data)
        self.write_text(CONFIG, json.dumps(data, indent=1) + "\n")

    @property
    def domain(self) -> str:
        """Domain of the run.

        Raises
        ------
        UsageError
            If this is not a run folder.
        DataError
            If its configuration cannot be read.
        """
        return str(self._said().get("domain", FIRST_DOMAIN))

    def _said(self) -> dict[str, Any]:
        path = self.path / CONFIG
        if not path.is_file():
            raise UsageError("is not a run folder", where=self.path, hint="make one: genomix train")
        return read_json(path)

    def is_of(self, domain: str, **fields: Any) -> bool:
        """Return True if the folder holds a run of `domain` whose configuration has these fields.

        A folder without a configuration gives False.
        """
        path = self.path / CONFIG
        said = read_json(path) if path.is_file() else {}
        return all(said.get(name) == value for name, value in {"domain": domain, **fields}.items())

    def config(self, domain: str) -> dict[str, Any]:
        """Return the configuration as plain data, for the configuration class of its domain.

        Raises
        ------
        UsageError
            If this is not a run folder.
        DataError
            If the configuration is damaged, of another domain, or of a newer version.
        """
        return {name: value for name, value in self._header(domain).items() if name != DIGEST}

    def _header(self, domain: str) -> dict[str, Any]:
        path, data = self.path / CONFIG, self._said()
        if data.get("format") != FORMAT:
            raise DataError("is not a genomix model", where=path, expected=f"format {FORMAT!r}")
        own = data.get("domain", FIRST_DOMAIN)
        if own != domain:
            raise DataError(f"is a model of {own}", where=path, expected=f"a model of {domain}")
        version = data.get("format_version", 0)
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise DataError(
                "was written by a newer genomix",
                where=path,
                expected=f"format version {FORMAT_VERSION} or less",
                found=str(version),
                hint="upgrade: pip install -U genomix-toolkit",
            )
        if OWN_DIGEST in data and data.pop(OWN_DIGEST) != _digest(data):
            raise DataError(
                "differs from what was saved",
                where=path,
                hint=f"copy it again; if you changed it yourself, remove {OWN_DIGEST} from it",
            )
        return {k: v for k, v in data.items() if k not in ("format", "format_version", "domain")}

    def load(self, domain: str) -> Stored:
        """Read configuration and weights, and check that they belong together.

        Raises
        ------
        UsageError
            If this is not a run folder.
        DataError
            If a file is damaged or missing, or the weights differ from those that were saved.
        """
        config = self._header(domain)
        digest = config.pop(DIGEST, None)
        path = self.weights
        own = sha256(path)
        if digest is not None and digest != own:
            raise DataError(
                "the weights do not belong to config.json",
                where=path,
                expected=f"sha256 {str(digest)[:12]}...",
                found=f"{own[:12]}...",
                hint="copy the run folder again, as a whole",
            )
        return Stored(config, read_weights(path), own)

    @property
    def weights(self) -> Path:
        """Path of the weights file.

        Raises
        ------
        DataError
            If it is missing.
        """
        path = self.path / WEIGHTS
        if not path.is_file():
            hint = "copy the run folder again, as a whole"
            raise DataError("the weights are missing", where=path, hint=hint)
        return path


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Read a safetensors file.

    Raises
    ------
    DataError
        If the file is damaged, or a value is not finite.
    """
    try:
        state: dict[str, NDArray[Any]] = load(path.read_bytes())
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise DataError(f"is damaged: {error}", where=path) from error
    for name, array in state.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DataError(f"has weights that are not finite: {name}", where=path)
    return state


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    DataError
        If the file cannot be read, or is not a JSON object.
    """
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot be read: {error}", where=path) from error
    if not isinstance(data, dict):
        raise DataError("is damaged", where=path, expected="a JSON object")
    return data


def _digest(config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _differing(before: Any, asked: Any, prefix: str = "") -> list[str]:
    """Return the paths of settings that differ, except those in `IGNORED_ON_RESUME`.

    A missing setting is equal to one that is null: it may be newer than the run.
    """
    if not (isinstance(before, dict) and isinstance(asked, dict)):
        return [] if before == asked else [prefix]
    paths = {name: f"{prefix}.{name}".lstrip(".") for name in {**before, **asked}}
    return [
        differing
        for name, path in paths.items()
        if path not in IGNORED_ON_RESUME
        for differing in _differing(before.get(name), asked.get(name), path)
    ]
