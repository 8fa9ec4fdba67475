"""The errors a user can cause, and the exit codes that go with them.

Only :class:`GenomixError` becomes a one-line message; anything else is a bug of ours and keeps
its traceback.
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

# What to do about a damaged file.
AGAIN = "copy it again, or make it again"
# What the system says of a disk that takes no more, rather than of a wrong path.
DISK_REFUSES = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CHECK = 3


class GenomixError(Exception):
    """Something the user can put right.

    Parameters
    ----------
    what : str
        What is wrong.
    where : str, optional
        File, line, record or option at fault.
    expected, found : str, optional
        What was expected there, and what was found.
    hint : str, optional
        What to do, most usefully the next command.
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
        """Whole, also out of another process."""
        return _rebuilt, (type(self), self.__dict__)

    def line(self) -> str:
        """The whole message on one line."""
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
    """The disk refuses an output: it is full, read-only, or has no such name."""


class CheckError(GenomixError):
    """The data were read, and did not pass a check."""

    exit_code = Exit.CHECK


class MissingExtraError(GenomixError):
    """An optional dependency is not installed.

    Parameters
    ----------
    package : str
        The package that could not be imported.
    extra : str
        The extra of ``genomix-toolkit`` that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed",
            hint=f"run: pip install 'genomix-toolkit[{extra}]'",
        )


def require_files(*paths: Path | None) -> None:
    """Refuse what is not there before anything heavy is imported to read it.

    Raises
    ------
    UsageError
        Naming the first that is missing.
    """
    for path in paths:
        if path is not None and str(path) != "-" and not path.exists():
            raise UsageError("no such file", where=path)


@contextmanager
def guarded(where: object, what: str = "", hint: str = AGAIN) -> Iterator[None]:
    """Turn whatever a library raises at a damaged file into a `DataError`.

    Only around calls that read: libraries raise every kind of error there is, and so do bugs.

    Parameters
    ----------
    where : object
        The file.
    what : str
        What is read from it.
    hint : str
        What to do.
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


# Controls of a terminal, marks that turn the direction of text, and bytes that are no text.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


def printable(text: str) -> str:
    """Return text with escapes for what would act on a terminal, or cannot be written at all.

    Names come from files of strangers. All that a person reads goes through here: errors, the log,
    progress, and what `genomix_cli.cli.output` prints.
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def check_text(texts: Iterable[Any], what: str) -> None:
    """Refuse names that no file of ours can hold: with NUL, or of bytes that are no UTF-8.

    Raises
    ------
    DataError
    """
    for text in texts:
        if _NO_TEXT.search(str(text)):
            raise DataError(f"the {what} {str(text)!r} is no text", expected="UTF-8 without NUL")


def shortened(text: str, most: int = 200) -> str:
    """Return what a library says on one line, at most so long."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
