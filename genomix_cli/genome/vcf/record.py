"""One line of a VCF."""

from __future__ import annotations

from typing import NamedTuple

_INFO = 7


class Record(NamedTuple):
    """One line.

    Attributes
    ----------
    line : int
        Where it stands in the file, from 1; 0 where this is not known, as in a BCF.
    pos : int
        1-based, as the file has it.
    fields : list of str
        The eight fixed columns and, if there are more, the rest of the line.
    """

    line: int
    pos: int
    fields: list[str]

    @property
    def chrom(self) -> str:
        """Contig."""
        return self.fields[0]

    @property
    def ref(self) -> str:
        """REF as spelled."""
        return self.fields[3]

    @property
    def alts(self) -> list[str]:
        """ALT as spelled; ``["."]`` when there is none."""
        return self.fields[4].split(",")

    def info(self, key: str) -> str | None:
        """The value of an INFO key: None when absent, empty for a flag."""
        for entry in self.fields[_INFO].split(";"):
            name, _, value = entry.partition("=")
            if name == key:
                return value
        return None
