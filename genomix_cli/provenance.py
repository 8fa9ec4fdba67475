"""Provenance of outputs: what made a file, of which inputs, as lines, JSON and attributes."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from genomix_cli import __version__

#: Prefix of the provenance lines in a table or VCF: ``##genomixKey=value``.
LINE = "##genomix"


def command_line() -> str:
    """Return the command as typed by the user, quoted for a shell."""
    return shlex.join(["genomix", *sys.argv[1:]])


def sha256(path: Path) -> str:
    """Return the hex digest of a file, or of a folder's files in name order."""
    stat = Path(path).stat()
    return _sha256(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _sha256(path: str, mtime: int, size: int) -> str:
    if not os.path.isdir(path):
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(p for p in Path(path).rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path)}\0{sha256(file)}\n".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Provenance:
    """Record of how an output was made, stored in the output.

    Attributes
    ----------
    command : str
        The command line.
    config : dict
        Resolved settings, as plain data.
    seed : int or None
        Seed, if randomness was used.
    inputs : dict of str to str
        SHA-256 of each input by file name. Folders are omitted, so that the same input gives the
        same bytes anywhere.
    version : str
        Version of genomix.
    model : str
        Name and SHA-256 of the model that made the output.
    warnings : tuple of str
        Warnings for readers of the output.
    seen : tuple of str
        Notes on items that the model has seen in training; evaluations take these into account.
    """

    command: str
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    version: str = __version__
    model: str = ""
    warnings: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any],
        inputs: Mapping[str, Path | None],
        seed: int | None = None,
        *,
        command: Iterable[object] = (),
        model: str = "",
        warnings: Iterable[str] = (),
        seen: Iterable[str] = (),
    ) -> Provenance:
        """Return the provenance of the running command.

        Parameters
        ----------
        config : mapping
            Resolved settings, plain data.
        inputs : mapping of str to Path or None
            Role of each input (``"fasta"``, ``"track ATAC"``) to its file. What is no regular file
            is left out: None, a stream, which can be read only once, and a file that is missing,
            of which its reader tells.
        seed : int, optional
        command : iterable, optional
            Words of an equivalent command, used if the actual one has options that do not affect
            the content, such as the name of the output.
        model : str, optional
        warnings, seen : iterable of str, optional
        """
        digests = {
            f"{role} {path.name}": sha256(path)
            for role, path in inputs.items()
            if path is not None and path.is_file()
        }
        words = shlex.join(map(str, command)) or command_line()
        made = cls(words, dict(config), seed, digests)
        return replace(made, model=model, warnings=tuple(warnings), seen=tuple(seen))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON and HDF5 attributes."""
        data = {"version": self.version, **vars(self)}
        return {k: v for k, v in data.items() if k not in ("model", "warnings", "seen") or v}

    def lines(self, *more: tuple[str, object]) -> list[str]:
        """Return the ``##`` lines for a table or VCF header; `more` are further facts."""
        facts = [
            ("Version", self.version),
            ("Command", self.command),
            ("Config", json.dumps(self.config, default=str)),
            *([] if self.seed is None else [("Seed", self.seed)]),
            *([("Model", self.model)] if self.model else []),
            *(("Input", f"{role} sha256:{digest}") for role, digest in self.inputs.items()),
            *more,
            *(("Warning", text) for text in self.warnings),
            *(("Seen", text) for text in self.seen),
        ]
        lines = [f"{LINE}{key}={' '.join(str(value).splitlines())}" for key, value in facts]
        # A file name may be invalid UTF-8.
        return [line.encode("utf-8", "backslashreplace").decode() for line in lines]


def settings_of(request: Any, leave_out: Iterable[str] = ()) -> dict[str, Any]:
    """Return a request as JSON data, with file names instead of paths, without some fields."""
    left_out = set(leave_out)
    kept = {name: value for name, value in asdict(request).items() if name not in left_out}
    return json.loads(json.dumps(kept, default=lambda path: path.name))


def named(model: Path, digest: str) -> str:
    """Return the name of a model in outputs: its folder's name and the digest of its weights."""
    return f"{model.resolve().name} sha256:{digest}"


def facts_of(lines: Iterable[str]) -> dict[str, list[str]]:
    """Return the values of the provenance lines (``##``) of a genomix file, by key."""
    facts: dict[str, list[str]] = {}
    for line in lines:
        key, equals, value = line.removeprefix(LINE).partition("=")
        if equals and line.startswith(LINE):
            facts.setdefault(key, []).append(value)
    return facts
