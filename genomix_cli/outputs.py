"""Writing of outputs: an output appears complete or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from genomix_cli.errors import DISK_REFUSES, DiskError, GenomixError, UsageError

_TAKEN = {errno.EWOULDBLOCK, errno.EACCES}
# Bytes to write when probing for a full disk.
_PROBE = 1 << 20
# Largest number of bytes in a file name.
_LONGEST_NAME = 255


def check_output(target: Path, *, force: bool = True) -> None:
    """Refuse an output whose folder does not exist, or that may not be replaced.

    A device (``/dev/null``, a pipe) can take any format except HDF5.

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
        raise DiskError("cannot be written to", where=parent, hint="choose another folder")
    if target.exists() and not force:
        raise UsageError("already exists", where=target, hint="add --force to overwrite it")


def check_makeable(folder: Path) -> None:
    """Refuse a folder of several outputs that cannot be made or written to, before hours of work.

    Raises
    ------
    UsageError
    DiskError
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UsageError("is not a folder", where=there)
    if not os.access(there, os.W_OK | os.X_OK):
        raise DiskError("cannot be written to", where=there, hint="choose another folder")


def make_folder(folder: Path) -> None:
    """Make a folder for several outputs, with its parents, unless it is there.

    Raises
    ------
    UsageError
    DiskError
    """
    check_makeable(folder)
    with file_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def check_notes(stats: Path | None, multiqc: Path | None) -> None:
    """Check the statistics file and the MultiQC folder of an output, before hours of work.

    Raises
    ------
    UsageError
    DiskError
    """
    for path in filter(None, (stats, multiqc)):
        check_output(path)
    if multiqc is not None and multiqc.exists() and not multiqc.is_dir():
        raise UsageError("is not a folder", where=multiqc)


def is_device(target: Path) -> bool:
    """Return True for a path that is neither file nor folder, such as ``/dev/null`` or a pipe."""
    return target.exists() and not (target.is_file() or target.is_dir())


def check_folder(folder: Path, record: str, format: str, what: str, *, force: bool) -> None:
    """Refuse an output as `check_output` does, and refuse to replace a foreign folder.

    Parameters
    ----------
    folder : Path
    record, format : str
        JSON file in the folder, and its ``"format"`` that identifies a folder of genomix.
    what : str
        Name of such a folder, for messages.
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
    """Yield a draft path, which is renamed to `target` when the block ends without an error.

    The draft is in a hidden folder beside the target, so the rename stays on one file system. On
    any error, interrupt or full disk it is removed. A link keeps pointing to its file. A device
    (``/dev/null``, a pipe) is written to directly.

    Parameters
    ----------
    target : Path
    force : bool
        Replace an existing target.
    shared : bool
        Allow several runs to write the target at a time; the last one wins. This suits an index,
        which depends only on the input and is the same in all runs.

    Raises
    ------
    UsageError
        If the folder of `target` does not exist, or `target` exists and `force` is false.
    GenomixError
        If another run is writing it.
    DiskError
        If the disk refuses the output.
    """
    # First, because the real path of /dev/stdout, where that is a pipe, cannot be opened.
    if is_device(target):
        with disk_errors(target):
            yield target
        return
    target = Path(os.path.realpath(target))
    check_output(target, force=force)
    with _aside(target, shared) as aside, disk_errors(target, aside):
        # Keep the suffix, from which pysam, pandas and h5py choose format and compression.
        draft = aside / target.name
        yield draft
        _replace(draft, target)


@contextmanager
def _aside(target: Path, shared: bool) -> Iterator[Path]:
    """Yield a folder for a draft; remove it at the end, with any leftovers of killed runs."""
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
    """Rename a draft to its target, replacing an existing folder as a whole."""
    if target.is_dir():
        os.rename(target, draft.parent / "replaced")
    os.replace(draft, target)


class Claim:
    """Hidden folder for the draft of an output, locked against other runs.

    Parameters
    ----------
    target : Path
        Output path in an existing folder.

    Attributes
    ----------
    folder : Path
    journal : IO
        Locked file in the folder; empty if the caller keeps no journal.

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
        """Remove the leftovers of killed runs from the folder."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path != self._journal:
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder and release the lock."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.journal.close()


def lock(path: Path, target: Path) -> IO[bytes]:
    """Open a file and lock it against other runs that would write `target`.

    On file systems without locks, nothing is locked.

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
    """Return a text as part of a file name, with characters that any file system accepts."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in text)


def draft_name(name: str) -> str:
    """Return the name of the hidden folder for a draft, shortened if it would be too long."""
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
    """Turn system errors into a `DiskError`, in a block that only handles files."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DiskError(f"cannot be written: {error.strerror}", where=target) from error


@contextmanager
def disk_errors(target: object, folder: Path | None = None) -> Iterator[None]:
    """Turn refusals of the disk into a `DiskError`, in a block that may fail for other reasons.

    Parameters
    ----------
    target : object
        Output, for the message.
    folder : Path, optional
        Folder being written to. Libraries raise their own errors for a full disk, without the
        system's reason, so the disk is then probed there.
    """
    try:
        yield
    except DiskError as error:
        # The error names an inner file that the user does not know.
        raise DiskError(error.what, where=target) from error
    except GenomixError:
        raise
    except Exception as error:
        reason = _refusal(error, folder)
        if reason is None:
            raise
        raise DiskError(f"cannot be written: {reason}", where=target) from error


def _refusal(error: Exception, folder: Path | None) -> str | None:
    """Return why the disk cannot be written to; None if the error has another cause."""
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
