"""Decide which alleles can be used, and give the reason why others cannot.

`prepare`, `score` and `explain` share these rules, so a model can score any allele it could be
trained on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from genomix_cli.variants.records.inputs import MAX_ALLELE, trim_allele

if TYPE_CHECKING:
    from genomix_cli.variants.records.reference import Reference

MISSING_ALT = "missing_alt"
STAR = "star"
SYMBOLIC = "symbolic"
BREAKEND = "breakend"
IUPAC = "iupac"
ALT_EQUALS_REF = "alt_equals_ref"
TOO_LONG = "too_long"
CONTIG_ABSENT = "contig_absent"
OFF_CONTIG = "off_contig"
NOT_PREPARED = "not_prepared"
REF_MISMATCH = "ref_mismatch"

# Every reason, in the order of the checks, with its wording in reports and documentation.
REASONS = {
    MISSING_ALT: "no ALT, or '.'",
    STAR: "ALT is '*': another record deletes this site",
    SYMBOLIC: "symbolic ALT such as <DEL>",
    BREAKEND: "ALT is a breakend",
    IUPAC: "REF or ALT has letters other than A, C, G, T",
    ALT_EQUALS_REF: "ALT equals REF",
    TOO_LONG: f"more than {MAX_ALLELE} bases on one side once trimmed",
    CONTIG_ABSENT: "the contig is not in the FASTA",
    OFF_CONTIG: "the position lies off the contig",
    NOT_PREPARED: "the shard does not hold this place",
    REF_MISMATCH: "REF is not what the FASTA says",
}

_BASES = re.compile(r"[ACGTacgt]+")
_NO_BASE = re.compile(r"[^ACGT]")
_SINGLE = frozenset("ACGT")
# VCF 4.4, section 1.6.1: an ambiguity code of the FASTA becomes its first base in REF, as R to A.
_FIRST_BASE = str.maketrans("RYSWKMBDHV", "ACCAGACAAA")


class Stretch(NamedTuple):
    """Bases of the reference around some records.

    Attributes
    ----------
    letters : str
        Upper case.
    first : int
        0-based position of the first base.
    length : int
        Length of the contig.
    partial : bool
        True if N may also mean that the file does not cover the position.
    """

    letters: str
    first: int
    length: int
    partial: bool

    @classmethod
    def of(cls, reference: Reference, contig: str, start: int, end: int) -> Stretch:
        """Read an interval of `contig`, named as in the reference; it may reach off the contig."""
        length = reference.lengths[contig]
        first = min(max(start, 0), length)
        letters = reference.letters(contig, first, max(first, min(end, length)))
        return cls(letters.upper(), first, length, reference.partial)

    def site(self, pos: int, ref: str) -> str | None:
        """Return the reason why a site cannot be used, or None if the reference matches `ref`.

        An ambiguity code of the reference counts as its first base, as in the VCF specification;
        any other letter counts as N.

        Parameters
        ----------
        pos : int
            0-based; inside the stretch unless it is off the contig.
        ref : str
            Bases in either case.
        """
        end = pos + len(ref)
        if pos < 0 or end > self.length:
            return OFF_CONTIG
        expected = self.letters[pos - self.first : end - self.first]
        if expected == ref:
            return None
        ref = ref.upper()
        if (
            _NO_BASE.sub("N", expected) == _NO_BASE.sub("N", ref)
            or expected.translate(_FIRST_BASE) == ref
        ):
            return None
        return NOT_PREPARED if self.partial and not expected.strip("N") else REF_MISMATCH


def classify_allele(ref: str, alt: str) -> str | None:
    """Return the reason why an allele is unusable as spelled, or None.

    `ref` and `alt` are REF and one ALT as in the VCF, in either case.
    """
    if ref != alt and ref in _SINGLE and alt in _SINGLE:
        return None
    if alt in ("", "."):
        return MISSING_ALT
    if alt == "*":
        return STAR
    if alt[0] == "<":
        return SYMBOLIC
    if "[" in alt or "]" in alt or alt[0] == "." or alt[-1] == ".":
        return BREAKEND
    if not (_BASES.fullmatch(ref) and _BASES.fullmatch(alt)):
        return IUPAC
    if ref.upper() == alt.upper():
        return ALT_EQUALS_REF
    trimmed = trim_allele(0, ref, alt)
    if max(len(trimmed.ref), len(trimmed.alt)) > MAX_ALLELE:
        return TOO_LONG
    return None
