"""The three standard streams of a command, which may be closed or full."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from genomix_cli.errors import GenomixError

STDIN, STDOUT, STDERR = 0, 1, 2


class _Data(io.FileIO):
    """Standard output that reports a failed write in one line."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            problem = f"cannot be written: {error.strerror}"
            raise GenomixError(problem, where="standard output") from error


class _Messages(io.FileIO):
    """Standard error that drops messages it cannot write, so that work continues."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Open streams that the caller closed, and report a full device clearly."""
    open_closed()
    before = sys.stdout, sys.stderr
    # Keep streams that a test or a notebook has replaced.
    if sys.stdout in (None, sys.__stdout__):
        sys.stdout = _text(_Data, STDOUT, sys.stdout)
    if sys.stderr in (None, sys.__stderr__):
        sys.stderr = _text(_Messages, STDERR, sys.stderr)
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def open_closed() -> None:
    """Open closed descriptors (``2>&-``), so that no other file gets their numbers.

    Otherwise the next opened file would get their numbers, and with them messages of libraries.
    Reading and writing data still fails; messages are lost.
    """
    for number, way in ((STDIN, os.O_WRONLY), (STDOUT, os.O_RDONLY), (STDERR, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, way)
            os.dup2(opened, number)
            if opened != number:
                os.close(opened)
            else:
                os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = open(STDIN, closefd=False)  # noqa: SIM115  # as long as the process


def _text(kind: type[io.FileIO], number: int, like: Any) -> io.TextIOWrapper:
    """Return a text stream on a descriptor, encoded as another one."""
    raw = kind(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(like, "encoding", "utf-8"),
        errors="backslashreplace" if number == STDERR else getattr(like, "errors", "strict"),
        line_buffering=number == STDERR or raw.isatty(),
    )
