"""Records of how an output was made, and outputs that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from genomix_cli import __version__
from genomix_cli.errors import GenomixError, UsageError

#: Start of the lines that say how a table or a VCF was made: ``##genomixKey=value``.
LINE = "##genomix"
#: Key of the metadata of Parquet that holds the same.
METADATA = "genomix"
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}


def command_line() -> str:
    """The command as the user typed it, quoted for a shell."""
    return shlex.join(["genomix", *sys.argv[1:]])


def sha256(path: Path) -> str:
    """Hex digest of a file, or of a folder's files in name order."""
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
    """Record of how an output was made, which it carries.

    Attributes
    ----------
    command : str
        The command line.
    config : dict
        The resolved settings, as plain data.
    seed : int or None
        The seed, where randomness was used.
    inputs : dict of str to str
        File name (no folder, so that the same input gives the same bytes anywhere) to sha256.
    version : str
        Version of genomix.
    model : str
        Name and sha256 of the model whose answers it holds.
    warnings : tuple of str
        What its reader has to know.
    """

    command: str
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    version: str = __version__
    model: str = ""
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any],
        inputs: Mapping[str, Path],
        seed: int | None = None,
        *,
        command: Iterable[object] = (),
        model: str = "",
        warnings: Iterable[str] = (),
    ) -> Provenance:
        """Provenance of the running command.

        Parameters
        ----------
        config : mapping
            Resolved settings, plain data.
        inputs : mapping of str to Path
            Role of each input (``"fasta"``, ``"track ATAC"``) to its file.
        seed : int, optional
        command : iterable, optional
            Words of a command that gives the same, where the one that runs also says what does
            not change the output, such as its name.
        model : str, optional
        warnings : iterable of str, optional
        """
        digests = {f"{role} {Path(p).name}": sha256(p) for role, p in inputs.items()}
        words = shlex.join(map(str, command)) or command_line()
        made = cls(words, dict(config), seed, digests)
        return replace(made, model=model, warnings=tuple(warnings))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON and HDF5 attributes."""
        data = {"version": self.version, **vars(self)}
        return {k: v for k, v in data.items() if k not in ("model", "warnings") or v}

    def lines(self, *more: tuple[str, object]) -> list[str]:
        """The ``##`` lines before a table, or of a VCF's header; `more` are further facts."""
        facts = [
            ("Version", self.version),
            ("Command", self.command),
            ("Config", json.dumps(self.config, default=str)),
            *([] if self.seed is None else [("Seed", self.seed)]),
            *([("Model", self.model)] if self.model else []),
            *(("Input", f"{role} sha256:{digest}") for role, digest in self.inputs.items()),
            *more,
            *(("Warning", text) for text in self.warnings),
        ]
        lines = [f"{LINE}{key}={' '.join(str(value).splitlines())}" for key, value in facts]
        # A file's name may be no UTF-8.
        return [line.encode("utf-8", "backslashreplace").decode() for line in lines]


def facts_of(lines: Iterable[str]) -> dict[str, list[str]]:
    """Return what the ``##`` lines of a file of ours say, by key."""
    facts: dict[str, list[str]] = {}
    for line in lines:
        key, equals, value = line.removeprefix(LINE).partition("=")
        if equals and line.startswith(LINE):
            facts.setdefault(key, []).append(value)
    return facts


def environment() -> dict[str, str]:
    """Interpreter and platform, for run folders (never in files that must be reproducible)."""
    return {"python": platform.python_version(), "platform": platform.platform()}


def check_output(target: Path, *, force: bool = True) -> None:
    """Refuse an output without a folder, or one that exists and may not be replaced.

    Raises
    ------
    UsageError
    """
    parent = target.resolve().parent
    if not parent.is_dir():
        raise UsageError("no such folder", where=parent, hint="create it first")
    if target.exists() and not force:
        raise UsageError("already exists", where=target, hint="add --force to replace it")


def check_folder(folder: Path, record: str, format: str, what: str, *, force: bool) -> None:
    """Refuse an output as `check_output` does, and to replace a folder that is not our own.

    Parameters
    ----------
    folder : Path
    record, format : str
        JSON file in it, and the ``"format"`` that it states.
    what : str
        Name of such a folder, for the message.
    force : bool
    """
    check_output(folder, force=force)
    if folder.exists():
        try:
            ours = json.loads((folder / record).read_text()).get("format") == format
        except (OSError, ValueError, AttributeError):
            ours = False
        if not ours:
            raise UsageError(f"is not {what}, so --force does not replace it", where=folder)


@contextmanager
def atomic_path(target: Path, *, force: bool = True) -> Iterator[Path]:
    """A path to write aside, renamed to `target` when the block ends without an error.

    The file (or folder) lies beside the target under a hidden name, so that the rename stays on
    one file system; on any error, interrupt or full disk it is removed. A link keeps pointing to
    its file, and what is neither file nor folder (``/dev/null``, a pipe) is written to directly.

    Raises
    ------
    UsageError
        If the folder of `target` does not exist, or `target` exists and `force` is false.
    """
    target = Path(os.path.realpath(target))
    if target.exists() and not (target.is_file() or target.is_dir()):
        yield target
        return
    check_output(target, force=force)
    try:
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        problem = f"cannot be written to: {error.strerror}"
        raise GenomixError(problem, where=target.parent) from error
    # The suffix is kept: pysam, pandas and h5py choose formats and compression by it.
    draft = aside / target.name
    try:
        yield draft
        _replace(draft, target)
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        raise GenomixError(f"cannot be written: {error.strerror}", where=target) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _replace(draft: Path, target: Path) -> None:
    """Rename, replacing an existing folder as a whole."""
    if target.is_dir():
        os.rename(target, draft.parent / "replaced")
    os.replace(draft, target)
