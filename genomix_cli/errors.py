"""The errors a user can cause, and the exit codes that go with them.

Only :class:`GenomixError` becomes a one-line message; anything else is a bug of ours and keeps
its traceback.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any


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
        return " ".join(text.split())


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
