"""From variants to arrays: trimming, windows, haplotypes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from genomix_cli.genome.alphabet import decode, encode, reverse_complement
from genomix_cli.genome.signal import BRIDGED, MEASURED, MISSING, Signal
from genomix_cli.variants.records import inputs
from genomix_cli.variants.records.inputs import (
    MARGIN,
    MAX_ALLELE,
    MAX_SHIFT,
    WINDOW,
    Allele,
    centred_start,
    haplotypes,
    load_window,
    mirrored_haplotypes,
    mirrored_window,
    place_allele,
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
@pytest.mark.parametrize("core", [10_000, 50_000])
def test_a_variant_lies_in_the_middle_of_its_window(pos: int, core: int) -> None:
    start = window_start(pos, WINDOW, core)
    before = (WINDOW - core) // 2
    assert before <= pos - start < before + core
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


@given(
    st.text("AC", min_size=40, max_size=60),
    st.integers(10, 30),
    st.integers(1, 6),
    st.booleans(),
    st.integers(0, 9),
)
def test_every_spelling_of_an_indel_is_placed_alike(
    sequence: str, pos: int, size: int, deletion: bool, moved: int
) -> None:
    """In a repetitive sequence, every equivalent spelling of a change gets the same position."""
    bases = sequence[pos : pos + size]
    edited = sequence[:pos] + ("" if deletion else 2 * bases) + sequence[pos + size :]
    # Wherever else the same edit gives the same haplotype, it is the same allele.
    other = pos - moved
    again = sequence[other : other + size] if deletion else edited[other : other + size]
    same = (
        sequence[:other] + sequence[other + size :]
        if deletion
        else sequence[:other] + again + sequence[other:]
    )
    assume(same == edited)
    spelled = (bases, "") if deletion else ("", bases)
    others = (again, "") if deletion else ("", again)
    here = place_allele(pos, *spelled, sequence, 0)
    there = place_allele(other, *others, sequence, 0)
    assert (here.pos, decode(here.ref), decode(here.alt)) == (
        there.pos,
        decode(there.ref),
        decode(there.alt),
    )
    left = here.pos
    last = decode(here.ref if deletion else here.alt)[-1]
    assert left == 0 or sequence[left - 1] != last


def test_an_indel_moves_no_further_than_said() -> None:
    sequence = "C" + "A" * 3 * MAX_SHIFT
    allele = place_allele(2 * MAX_SHIFT, "A", "AA", sequence, 0)
    assert allele.pos == MAX_SHIFT
    # Nor beyond what is given of the reference.
    near = place_allele(2 * MAX_SHIFT, "A", "AA", sequence[-1500:], len(sequence) - 1500)
    assert near.pos == len(sequence) - 1500


class Contacts:
    """Contacts that grow along the contig, so that a mean of neighbours is in the middle."""

    def contacts(self, contig: str, start: int, n_bins: int) -> np.ndarray:
        assert start % 5_000 == 0
        at = start / 5_000 + np.arange(n_bins, dtype=np.float32)
        return at[:, None] + at


@pytest.mark.parametrize("start", [0, -5_000, 50, 4_950, -50, 123_450])
def test_contacts_of_a_window_off_the_grid_are_means_of_neighbours(start: int) -> None:
    found = inputs._contacts(Contacts(), "c", start, 20)
    at = start / 5_000 + np.arange(20)
    np.testing.assert_allclose(found, at[:, None] + at, atol=1e-4)


class Numbered(OneContig, Contacts):
    """Tracks whose value is the number of their bin."""

    def signal(self, contig: str, first: int, last: int) -> Signal:
        value = np.arange(first, last, dtype=np.float32)[None]
        return Signal(value, np.where(value < 0, MISSING, MEASURED).astype(np.uint8))


def test_a_window_and_its_margins_are_those_of_its_place() -> None:
    window = load_window(Numbered(), "c", -50, 100)
    assert decode(window.codes) == "N" * (50 + MARGIN) + SEQUENCE + "N" * (
        4950 + MARGIN - len(SEQUENCE)
    )
    assert window.signal[0].tolist() == list(range(-1, 99))
    assert window.state[0].tolist() == [MISSING] + [MEASURED] * 99
    assert window.contacts.shape == (1, 1)


def test_the_other_strand_of_a_window_is_turned_in_everything() -> None:
    window = load_window(Numbered(), "c", 0, 200)
    contacts = np.array([[1, 2], [3, 4]], np.float32)
    state = window.state.copy()
    state[0, 0] = BRIDGED
    window = window._replace(state=state)
    turned = mirrored_window(window._replace(contacts=contacts))
    assert decode(turned.codes) == decode(reverse_complement(window.codes))
    assert turned.signal[0].tolist() == list(range(199, -1, -1))
    assert turned.state.tolist() == window.state[:, ::-1].tolist()
    assert turned.contacts.tolist() == [[4, 3], [2, 1]]


@pytest.mark.parametrize("pos", [0, 49, 50, 123_456])
def test_a_centred_window_has_the_variant_in_its_middle_bin(pos: int) -> None:
    start = centred_start(pos, WINDOW)
    assert start % 50 == 0
    assert (pos - start) // 50 == WINDOW // 50 // 2


def test_the_other_strand_of_a_haplotype_is_its_reverse_complement() -> None:
    flank, pos = 20, 100
    for ref, alt in ((1, "T"), (3, ""), (0, "GAT"), (2, "GGGG")):
        allele = Allele(pos, encode(SEQUENCE[pos : pos + ref]), encode(alt))
        rows = mirrored_haplotypes(OneContig(), "c", [allele], flank)
        edited = SEQUENCE[:pos] + alt + SEQUENCE[pos + ref :]
        for row, sequence, size in ((rows.ref, SEQUENCE, ref), (rows.alt, edited, len(alt))):
            end = pos + size + flank
            expected = decode(reverse_complement(encode(sequence[:end])))
            assert decode(row[0]) == expected[: 2 * flank + MAX_ALLELE]
