"""Which alleles can be used, and why the others cannot.

`prepare` and `score` both ask :func:`classify`, so a variant that trains is one that scores.
"""

from __future__ import annotations

import re

import numpy as np

from genomix_cli.genome.alphabet import encode
from genomix_cli.genome.fasta import Fasta
from genomix_cli.variants.inputs import MAX_ALLELE, trim_allele

MISSING_ALT = "missing_alt"
STAR = "star"
SYMBOLIC = "symbolic"
BREAKEND = "breakend"
IUPAC = "iupac"
ALT_EQUALS_REF = "alt_equals_ref"
TOO_LONG = "too_long"
CONTIG_ABSENT = "contig_absent"
OFF_CONTIG = "off_contig"
REF_MISMATCH = "ref_mismatch"

# Every reason, in the order in which they are checked, as reports and documentation say it.
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
    REF_MISMATCH: "REF is not what the FASTA says",
}

_BASES = re.compile(r"[ACGTacgt]+")
# VCF 4.4, section 1.6.1: REF has the first base of an ambiguity code of the FASTA, as A for R.
_FIRST_BASE = str.maketrans("RYSWKMBDHV", "ACCAGACAAA")


def classify_allele(ref: str, alt: str) -> str | None:
    """Why an allele cannot be used, from its spelling alone, or None if nothing speaks against it.

    Parameters
    ----------
    ref, alt : str
        REF and one ALT as the VCF spells them; upper or lower case.
    """
    if alt in ("", "."):
        return MISSING_ALT
    if alt == "*":
        return STAR
    if alt.startswith("<"):
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


def classify_site(fasta: Fasta, contig: str, pos: int, ref: str) -> str | None:
    """Why a site cannot be used, or None if the FASTA has `ref` there.

    An ambiguity code of the FASTA counts as its first base, as the VCF specification has it.

    Parameters
    ----------
    fasta : Fasta
    contig : str
        As the VCF spells it; ``chr1`` and ``1`` are the same.
    pos : int
        0-based.
    ref : str
        Bases; upper or lower case.
    """
    name = fasta.names.find(contig)
    if name is None:
        return CONTIG_ABSENT
    end = pos + len(ref)
    if pos < 0 or end > fasta.lengths[name]:
        return OFF_CONTIG
    if np.array_equal(fasta.fetch(name, pos, end), encode(ref)):
        return None
    if fasta.letters(name, pos, end).upper().translate(_FIRST_BASE) == ref.upper():
        return None
    return REF_MISMATCH


def classify(fasta: Fasta, contig: str, pos: int, ref: str, alt: str) -> str | None:
    """Why one allele of a record cannot be used, or None if it can.

    Parameters
    ----------
    fasta : Fasta
    contig : str
        As the VCF spells it; ``chr1`` and ``1`` are the same.
    pos : int
        0-based position of `ref`.
    ref, alt : str
        As the VCF spells them.

    Returns
    -------
    str or None
        A key of `REASONS`.
    """
    return classify_allele(ref, alt) or classify_site(fasta, contig, pos, ref)
