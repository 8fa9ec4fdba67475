"""Check that all sequences of a file have one length."""

from __future__ import annotations

from genomix_cli.errors import DataError


class OneLength:
    """Remembers the first length, and refuses any other.

    Attributes
    ----------
    length : int
        0 before the first sequence.
    """

    def __init__(self, hint: str | None = None) -> None:
        self.length = 0
        self._first = ""
        self._hint = hint

    def check(self, name: str, length: int, where: object) -> None:
        """Check the length of a sequence.

        Raises
        ------
        DataError
            If it is empty, or of another length than the first.
        """
        if not length:
            raise DataError(f"{name} has no bases", where=where)
        if not self.length:
            self.length, self._first = length, name
        if length != self.length:
            raise DataError(
                "sequences of unequal length",
                where=where,
                expected=f"{self.length:,} bases as {self._first} has",
                found=f"{name} with {length:,}",
                hint=self._hint,
            )
