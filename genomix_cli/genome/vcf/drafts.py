"""Drafts of outputs that survive the process, so an interrupted run can be resumed.

The draft of ``NAME`` is the hidden folder ``.NAME.partial`` beside it (shortened if the name is
nearly too long) with two files. ``data`` holds the bytes written so far. ``journal`` has one line
per commit, after a first line that identifies the output; each line is a checksum and JSON. Data
reach the disk before the line that counts them, so the bytes counted by the last valid line are
always there.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple

from genomix_cli.errors import UsageError
from genomix_cli.outputs import Claim, file_errors

FORMAT_VERSION = 1


class Commit(NamedTuple):
    """Commit, stored as a line of the journal.

    Attributes
    ----------
    size : int
        Total bytes of data up to this commit.
    state : dict
        State that the writer needs to continue from there.
    """

    size: int
    state: dict[str, Any]


class Draft:
    """Draft of one output, locked against other runs that would write it.

    Parameters
    ----------
    target : Path
        Output, in an existing folder.
    identity : str
        Everything the bytes depend on: inputs, settings, version.
    resume : bool
        If True, continue from an existing draft; otherwise discard it.

    Attributes
    ----------
    folder : Path
        Folder of the draft; other files in it are removed with it.
    data : IO
        Unbuffered file to append to.
    last : Commit or None
        Last commit.

    Raises
    ------
    UsageError
        If the existing draft has another identity.
    GenomixError
        If another run uses the draft, or the disk cannot be written.
    """

    def __init__(self, target: Path, identity: str, *, resume: bool) -> None:
        self.target = target
        with file_errors(target):
            self._claim = Claim(target)
            self.folder, self._journal = self._claim.folder, self._claim.journal
            try:
                self.last = self._take_up(identity) if resume else None
                if self.last is None:
                    self._begin(identity)
                self.data = self._open_data()
            except BaseException as error:
                # After an interrupt this early, a new draft has nothing worth keeping.
                if not resume and not isinstance(error, Exception):
                    self._claim.remove()
                self._journal.close()
                raise

    @property
    def path(self) -> Path:
        """Path of the data file."""
        return self.folder / "data"

    def commit(self, state: dict[str, Any]) -> None:
        """Make everything written so far durable, and record `state` with it."""
        with file_errors(self.target):
            os.fsync(self.data.fileno())
            self.last = Commit(self.data.tell(), state)
            self._note(self.last._asdict())

    def close(self) -> None:
        """Close the draft, and leave it for another run."""
        self.data.close()
        self._journal.close()

    def remove(self) -> None:
        """Remove the draft and release its lock."""
        self._claim.remove()
        self.close()

    def _take_up(self, identity: str) -> Commit | None:
        """Return the last valid commit, or None, and truncate the journal after it."""
        header, commits = _read_journal(self._journal)
        size = self.path.stat().st_size if self.path.exists() else 0
        good = [(end, commit) for end, commit in commits if commit.size <= size]
        if not good:
            return None
        if header != _header(identity):
            raise UsageError(
                "was started with other inputs, other settings or another version",
                where=self.target,
                hint="remove --resume to start over",
            )
        end, last = good[-1]
        self._journal.truncate(end)
        return last

    def _begin(self, identity: str) -> None:
        self._journal.truncate(0)
        self.path.unlink(missing_ok=True)
        self._note(_header(identity))
        sync(self.folder)

    def _open_data(self) -> IO[bytes]:
        data = self.path.open("ab", buffering=0)
        data.truncate(self.last.size if self.last else 0)
        data.seek(0, os.SEEK_END)
        return data

    def _note(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry).encode()
        line = b"%08x %s\n" % (zlib.crc32(line), line)
        while line:
            line = line[self._journal.write(line) :]
        os.fsync(self._journal.fileno())


def sync(path: Path) -> None:
    """Wait until a file or folder has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _header(identity: str) -> dict[str, Any]:
    return {"draft": FORMAT_VERSION, "identity": identity}


def _read_journal(journal: IO[bytes]) -> tuple[dict[str, Any], list[tuple[int, Commit]]]:
    """Return the first line and the commits, each with the offset at which its line ends.

    Reading stops at the first damaged line.
    """
    journal.seek(0)
    header: dict[str, Any] = {}
    commits: list[tuple[int, Commit]] = []
    end = 0
    for line in journal.read().splitlines(keepends=True):
        checksum, _, text = line.removesuffix(b"\n").partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
            break  # incomplete after a crash
        entry, end = json.loads(text), end + len(line)
        if header:
            commits.append((end, Commit(entry["size"], entry["state"])))
        elif entry.get("draft") != FORMAT_VERSION:
            return entry, [(end, Commit(0, {}))]
        else:
            header = entry
    return header, commits
