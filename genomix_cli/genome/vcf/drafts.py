"""Outputs in the making that outlive the process: bytes beside the target, and a journal of them.

The draft of ``NAME`` is the hidden folder ``.NAME.partial`` (a shorter one for a name that is
nearly too long) with two files: ``data``, what was
written, and ``journal``, one line per commit after a first line that says what is being made. Each
line is a checksum and JSON. Data reach the disk before the line that vouches for them, so whatever
happens, what the last good line counts is there.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple

from genomix_cli.errors import UsageError
from genomix_cli.provenance import Claim, file_errors

FORMAT_VERSION = 1


class Commit(NamedTuple):
    """A line of the journal.

    Attributes
    ----------
    size : int
        Bytes of data that belong to it and to those before.
    state : dict
        What the writer wants to know when it goes on from there.
    """

    size: int
    state: dict[str, Any]


class Draft:
    """The draft of one output, locked against a second run that would write it.

    Parameters
    ----------
    target : Path
        In a folder that exists.
    identity : str
        Whatever the bytes depend on.
    resume : bool
        Whether to go on from what is there; otherwise it is discarded.

    Attributes
    ----------
    folder : Path
        For other files too that are to be removed in the end.
    data : IO
        To append to, unbuffered.
    last : Commit or None

    Raises
    ------
    UsageError
        If what is there was made from something else.
    GenomixError
        If another run has it, or the disk refuses.
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
                # Interrupted at the start there is nothing to keep, unless it was to go on.
                if not resume and not isinstance(error, Exception):
                    self._claim.remove()
                self._journal.close()
                raise

    @property
    def path(self) -> Path:
        """The file of the data."""
        return self.folder / "data"

    def commit(self, state: dict[str, Any]) -> None:
        """Make everything that was written so far last."""
        with file_errors(self.target):
            os.fsync(self.data.fileno())
            self.last = Commit(self.data.tell(), state)
            self._note(self.last._asdict())

    def close(self) -> None:
        """Leave the draft as it is, for another run."""
        self.data.close()
        self._journal.close()

    def remove(self) -> None:
        """Remove the draft."""
        self._claim.remove()
        self.close()

    def _take_up(self, identity: str) -> Commit | None:
        """The last commit of the journal, which is cut behind it; None if there is none."""
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
    """The first line, and each commit with the byte its line ends at, up to the first bad line."""
    journal.seek(0)
    header: dict[str, Any] = {}
    commits: list[tuple[int, Commit]] = []
    end = 0
    for line in journal.read().splitlines(keepends=True):
        checksum, _, text = line.removesuffix(b"\n").partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
            break  # torn by a crash
        entry, end = json.loads(text), end + len(line)
        if header:
            commits.append((end, Commit(entry["size"], entry["state"])))
        elif entry.get("draft") != FORMAT_VERSION:
            return entry, [(end, Commit(0, {}))]
        else:
            header = entry
    return header, commits
