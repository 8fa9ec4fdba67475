"""Errors that users can cause, and the exit codes of commands.

Only a :class:`GenomixError` becomes a one-line message. Any other exception is a bug in genomix and
keeps its traceback.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

log = logging.getLogger("genomix")

# Hint for a damaged file.
AGAIN = "copy it again, or make it again"
# System errors of a disk that refuses data, as opposed to a wrong path.
DISK_REFUSES = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CHECK = 3


class GenomixError(Exception):
    """Error that the user can fix.

    Parameters
    ----------
    what : str
        What is wrong.
    where : str, optional
        File, line, record or option at fault.
    expected, found : str, optional
        Expected and actual content.
    hint : str, optional
        Suggested remedy, ideally the next command.
    """

    exit_code = Exit.FAILED

    def __init__(
        self,
        what: str,
        *,
        where: object | None = None,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.expected = expected
        self.found = found
        self.hint = hint
        super().__init__(self.line())

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle all fields, so that the error can cross processes."""
        return _rebuilt, (type(self), self.__dict__)

    def line(self) -> str:
        """Return the whole message on one line."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        details = [
            f"{label} {value}"
            for label, value in (("expected", self.expected), ("found", self.found))
            if value
        ]
        if details:
            text += f" ({', '.join(details)})"
        if self.hint:
            text += f"; {self.hint}"
        return printable(" ".join(text.split()))


def _rebuilt(kind: type[GenomixError], state: dict[str, Any]) -> GenomixError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    Exception.__init__(error, error.line())
    return error


class UsageError(GenomixError):
    """The command line or a configuration file is wrong."""

    exit_code = Exit.USAGE


class DataError(GenomixError):
    """An input file cannot be read as what it claims to be."""


class DiskError(GenomixError):
    """The disk refuses an output because it is full, read-only, or rejects the name."""


class CheckError(GenomixError):
    """The data could be read but failed a check."""

    exit_code = Exit.CHECK


class MissingExtraError(GenomixError):
    """An optional dependency is not installed.

    Parameters
    ----------
    package : str
        Package that could not be imported.
    extra : str
        Extra of ``genomix-toolkit`` that installs it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed",
            hint=f"run: pip install 'genomix-toolkit[{extra}]'",
        )


@contextmanager
def from_extra(package: str, extra: str) -> Iterator[None]:
    """Turn a failed import into a `MissingExtraError`, in a block that only imports."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(package, extra) from error


def require_files(*paths: Path | None) -> None:
    """Refuse missing files, before importing anything heavy to read them.

    Raises
    ------
    UsageError
        If a file is missing; the message names the first one.
    """
    for path in paths:
        if path is not None and str(path) != "-" and not path.exists():
            raise UsageError("no such file", where=path)


@contextmanager
def guarded(where: object, what: str = "", hint: str = AGAIN) -> Iterator[None]:
    """Turn any exception of a library that reads a damaged file into a `DataError`.

    Use it only around calls that read: it catches every kind of exception, including bugs.

    Parameters
    ----------
    where : object
        The file.
    what : str
        Content being read.
    hint : str
        Suggested remedy.
    """
    try:
        yield
    except GenomixError:
        raise
    except Exception as error:
        log.debug("%s", where, exc_info=True)
        reason = str(error) or type(error).__name__
        if isinstance(error, MemoryError):
            reason = "it asks for more memory than there is"
        part = f"{what} cannot be read" if what else "cannot be read"
        raise DataError(f"{part}: {shortened(reason)}", where=where, hint=hint) from error


def first_few(names: Iterable[object], most: int = 5) -> str:
    """Return the first names, separated by commas, with dots if there are more."""
    shown = list(map(str, names))
    return ", ".join(shown[:most]) + (", ..." if len(shown) > most else "")


# Terminal control characters, marks of text direction, and undecodable bytes.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


def printable(text: str) -> str:
    """Return text with terminal controls and unprintable characters escaped.

    Names may come from untrusted files. All text for users passes through this function: errors,
    the log, progress, and the output of `genomix_cli.cli.output`.
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def check_text(texts: Iterable[Any], what: str) -> None:
    """Refuse names that output files cannot store: with NUL, or not valid UTF-8.

    Raises
    ------
    DataError
        If a name cannot be stored.
    """
    for text in texts:
        if _NO_TEXT.search(str(text)):
            raise DataError(
                f"the {what} {str(text)!r} is not valid text", expected="UTF-8 without NUL"
            )


def shortened(text: str) -> str:
    """Return a library's message on one line, shortened to at most 200 characters."""
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:197]}..."
