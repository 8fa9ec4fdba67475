"""Records of how an output was made, and outputs that appear whole or not at all."""

from __future__ import annotations

import errno
import fcntl
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
from typing import IO, Any

from genomix_cli import __version__
from genomix_cli.errors import DISK_REFUSES, DiskError, GenomixError, UsageError

#: Start of the lines that say how a table or a VCF was made: ``##genomixKey=value``.
LINE = "##genomix"
#: Key of the metadata of Parquet that holds the same.
METADATA = "genomix"
_TAKEN = {errno.EWOULDBLOCK, errno.EACCES}
# Bytes that a full disk has no room for.
_PROBE = 1 << 20
# Bytes that a name may have.
_LONGEST_NAME = 255


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
    seen : tuple of str
        What the model has seen of the items in training, which an evaluation heeds itself.
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
        inputs: Mapping[str, Path],
        seed: int | None = None,
        *,
        command: Iterable[object] = (),
        model: str = "",
        warnings: Iterable[str] = (),
        seen: Iterable[str] = (),
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
        warnings, seen : iterable of str, optional
        """
        digests = {f"{role} {Path(p).name}": sha256(p) for role, p in inputs.items()}
        words = shlex.join(map(str, command)) or command_line()
        made = cls(words, dict(config), seed, digests)
        return replace(made, model=model, warnings=tuple(warnings), seen=tuple(seen))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON and HDF5 attributes."""
        data = {"version": self.version, **vars(self)}
        return {k: v for k, v in data.items() if k not in ("model", "warnings", "seen") or v}

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
            *(("Seen", text) for text in self.seen),
        ]
        lines = [f"{LINE}{key}={' '.join(str(value).splitlines())}" for key, value in facts]
        # A file's name may be no UTF-8.
        return [line.encode("utf-8", "backslashreplace").decode() for line in lines]


def named(model: Path, digest: str) -> str:
    """Return how outputs name a model: its folder's name and the digest of its weights."""
    return f"{model.resolve().name} sha256:{digest}"


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
    """Refuse an output without a folder to write in, or one that may not be replaced.

    A device (``/dev/null``, a pipe) may be anything but HDF5.

    Raises
    ------
    UsageError
    DiskError
    """
    if is_device(target):
        return
    parent = target.resolve().parent
    if not parent.is_dir():
        raise UsageError("no such folder", where=parent, hint="create it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise DiskError("cannot be written to", where=parent, hint="choose another -o")
    if target.exists() and not force:
        raise UsageError("already exists", where=target, hint="add --force to overwrite it")


def check_notes(stats: Path | None, multiqc: Path | None) -> None:
    """Refuse what is written beside an output, a file and a folder, before hours of work.

    Raises
    ------
    UsageError
    DiskError
    """
    for path in filter(None, (stats, multiqc)):
        check_output(path)
    if multiqc is not None and multiqc.exists() and not multiqc.is_dir():
        raise UsageError("is not a folder", where=multiqc)


def check_room(target: Path, size: int) -> None:
    """Refuse an output of about `size` bytes where the disk has less.

    Raises
    ------
    DiskError
    """
    free = shutil.disk_usage(target.resolve().parent).free
    if free < size:
        expected, found = f"{size / 1e6:,.1f} MB", f"{free / 1e6:,.1f} MB"
        raise DiskError(
            "not enough space on the disk", where=target, expected=expected, found=found
        )


def is_device(target: Path) -> bool:
    """Return True for what is neither file nor folder: ``/dev/null``, a pipe."""
    return target.exists() and not (target.is_file() or target.is_dir())


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
def atomic_path(target: Path, *, force: bool = True, shared: bool = False) -> Iterator[Path]:
    """A path to write aside, renamed to `target` when the block ends without an error.

    The file (or folder) lies beside the target in a hidden folder, so that the rename stays on
    one file system; on any error, interrupt or full disk it is removed. A link keeps pointing to
    its file, and what is neither file nor folder (``/dev/null``, a pipe) is written to directly.

    Parameters
    ----------
    target : Path
    force : bool
        Replace what exists.
    shared : bool
        Several runs may make it at a time, and whichever ends last counts: it is of the input
        (an index), and the same in all.

    Raises
    ------
    UsageError
        If the folder of `target` does not exist, or `target` exists and `force` is false.
    GenomixError
        If another run is writing it.
    DiskError
        If the disk refuses.
    """
    target = Path(os.path.realpath(target))
    if is_device(target):
        with disk_errors(target):
            yield target
        return
    check_output(target, force=force)
    with _aside(target, shared) as aside, disk_errors(target, aside):
        # The suffix is kept: pysam, pandas and h5py choose formats and compression by it.
        draft = aside / target.name
        yield draft
        _replace(draft, target)


@contextmanager
def _aside(target: Path, shared: bool) -> Iterator[Path]:
    """Folder for a draft, removed in the end with what earlier runs left when they were killed."""
    claim = None
    with file_errors(target):
        if shared:
            aside = Path(tempfile.mkdtemp(prefix=".genomix-", dir=target.parent))
        else:
            claim = Claim(target)
            claim.clear()
            aside = Path(tempfile.mkdtemp(dir=claim.folder))
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if claim is not None:
            claim.remove()


def _replace(draft: Path, target: Path) -> None:
    """Rename, replacing an existing folder as a whole."""
    if target.is_dir():
        os.rename(target, draft.parent / "replaced")
    os.replace(draft, target)


class Claim:
    """The hidden folder for the draft of an output, locked against a second run.

    Parameters
    ----------
    target : Path
        In a folder that exists.

    Attributes
    ----------
    folder : Path
    journal : IO
        File in it that carries the lock; empty for those who keep none.

    Raises
    ------
    GenomixError
        If another run has it.
    OSError
    """

    def __init__(self, target: Path) -> None:
        self.folder = target.with_name(draft_name(target.name))
        self._journal = self.folder / "journal"
        while True:
            self.folder.mkdir(exist_ok=True)
            try:
                self.journal = lock(self._journal, target)
            except FileNotFoundError:
                continue  # another run has just ended and taken the folder with it
            if _is_named(self.journal, self._journal):
                return
            self.journal.close()

    def clear(self) -> None:
        """Remove what runs left in the folder that were killed."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path != self._journal:
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.journal.close()


def lock(path: Path, target: Path) -> IO[bytes]:
    """Open a file, and lock it against every other run that would write `target`.

    File systems without locks do without.

    Raises
    ------
    GenomixError
        If another run has it.
    OSError
    """
    file = path.open("a+b", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            file.close()
            raise GenomixError(
                "another run is writing to it", where=target, hint="wait until it has finished"
            ) from error
    return file


def safe_name(text: str) -> str:
    """Return a text as part of the name of a file, with characters that any file system accepts."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in text)


def draft_name(name: str) -> str:
    """Return the name of the hidden folder of an output's draft, which is never too long."""
    whole = f".{name}.partial"
    if len(os.fsencode(whole)) <= _LONGEST_NAME:
        return whole
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.partial"


def _is_named(file: IO[bytes], path: Path) -> bool:
    """Return True if an open file is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def file_errors(target: object) -> Iterator[None]:
    """Say in our words what the disk refuses, in a block that only deals with files."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DiskError(f"cannot be written: {error.strerror}", where=target) from error


@contextmanager
def disk_errors(target: object, folder: Path | None = None) -> Iterator[None]:
    """Say in our words that the disk refuses, in a block that may fail for other reasons too.

    Parameters
    ----------
    target : object
        Output, for the message.
    folder : Path, optional
        Place that is written to. Libraries raise errors of their own when a disk is full, without
        the system's reason: whether it is, is then tried there.
    """
    try:
        yield
    except DiskError as error:
        # Of a file within, under a name that the user does not know.
        raise DiskError(error.what, where=target) from error
    except GenomixError:
        raise
    except Exception as error:
        reason = _refusal(error, folder)
        if reason is None:
            raise
        raise DiskError(f"cannot be written: {reason}", where=target) from error


def _refusal(error: Exception, folder: Path | None) -> str | None:
    """Return the reason why the disk refuses; None if an error is about something else."""
    if isinstance(error, OSError) and error.errno in DISK_REFUSES:
        return error.strerror
    if folder is None:
        return None
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE))
    except OSError as refused:
        if refused.errno in DISK_REFUSES:
            return refused.strerror
    return None
