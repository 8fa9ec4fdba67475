"""From variants to arrays: trimming, windows, haplotypes."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.genome.alphabet import decode, encode
from genomix_cli.variants.inputs import (
    MAX_ALLELE,
    STRIDE,
    WINDOW,
    Allele,
    haplotypes,
    trim_allele,
    window_start,
)

SEQUENCE = "ACGTTGCAAGGCTTACCGATTGCAGCATCGATCGGATTACCAGT" * 8


class OneContig:
    """A source with a sequence and nothing else."""

    def codes(self, contig: str, start: int, end: int) -> np.ndarray:
        out = np.full(end - start, 4, np.uint8)
        low, high = max(start, 0), min(end, len(SEQUENCE))
        out[low - start : high - start] = encode(SEQUENCE[low:high])
        return out


@pytest.mark.parametrize(
    ("ref", "alt", "pos", "trimmed"),
    [
        ("A", "G", 10, (10, "A", "G")),
        ("a", "g", 10, (10, "A", "G")),
        ("AC", "AT", 10, (11, "C", "T")),
        ("A", "ATT", 10, (11, "", "TT")),
        ("GTT", "G", 10, (11, "TT", "")),
        ("ATAT", "AT", 10, (10, "AT", "")),
        ("CAG", "CTG", 10, (11, "A", "T")),
    ],
)
def test_trimming(ref: str, alt: str, pos: int, trimmed: tuple[int, str, str]) -> None:
    allele = trim_allele(pos, ref, alt)
    assert (allele.pos, decode(allele.ref), decode(allele.alt)) == trimmed


@pytest.mark.parametrize("pos", [0, 1, 24_999, 25_000, 50_000, 123_456, 99_999_999])
def test_a_variant_lies_in_the_central_half_of_its_window(pos: int) -> None:
    start = window_start(pos)
    assert WINDOW // 4 <= pos - start < WINDOW // 4 + STRIDE
    assert start % 5_000 == 0


@pytest.mark.parametrize(("ref", "alt"), [("C", "T"), ("GG", ""), ("", "TTAA"), ("GGC", "A")])
def test_haplotypes_are_the_edited_sequence(ref: str, alt: str) -> None:
    flank, pos = 30, SEQUENCE.index("GGCTTACC", 60)
    pos += 2 if ref == "C" else 0
    rows = haplotypes(OneContig(), "c", [Allele(pos, encode(ref), encode(alt))], flank)
    edited = SEQUENCE[:pos] + alt + SEQUENCE[pos + len(ref) :]
    width = 2 * flank + MAX_ALLELE
    assert decode(rows.ref[0]) == SEQUENCE[pos - flank : pos - flank + width]
    assert decode(rows.alt[0]) == edited[pos - flank : pos - flank + width]
    assert (rows.ref_len[0], rows.alt_len[0]) == (len(ref), len(alt))


def test_haplotypes_off_the_contig_are_n() -> None:
    rows = haplotypes(OneContig(), "c", [Allele(3, encode("T"), encode("A"))], 10)
    assert decode(rows.ref[0])[:12] == "N" * 7 + SEQUENCE[:5]
