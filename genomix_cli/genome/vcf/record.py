"""Record of a VCF as text."""

from __future__ import annotations

from typing import NamedTuple

_INFO = 7


class Record(NamedTuple):
    """Record of a VCF, split into columns.

    Attributes
    ----------
    line : int
        Line number in the file, from 1; 0 if unknown, as in a BCF.
    pos : int
        POS, 1-based.
    fields : list of str
        The eight fixed columns and, if there are more, the rest of the line as one string.
    """

    line: int
    pos: int
    fields: list[str]

    @property
    def chrom(self) -> str:
        """Name of the contig."""
        return self.fields[0]

    @property
    def ref(self) -> str:
        """REF as spelled in the file."""
        return self.fields[3]

    @property
    def alts(self) -> list[str]:
        """ALT alleles as spelled in the file; ``["."]`` if there are none."""
        return self.fields[4].split(",")

    def info(self, key: str) -> str | None:
        """Return the value of an INFO key: None if absent, empty for a flag."""
        for entry in self.fields[_INFO].split(";"):
            name, _, value = entry.partition("=")
            if name == key:
                return value
        return None
