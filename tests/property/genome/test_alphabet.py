"""Properties of every sequence."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from genomix_cli.genome.alphabet import decode, encode, kmer_ids, reverse_complement, unknown_id

LENGTHS = st.integers(3, 8)
CODES = arrays.arrays(np.uint8, st.integers(0, 60), elements=st.integers(0, 4))


@given(st.text("ACGTN"))
def test_letters_survive(sequence: str) -> None:
    assert decode(encode(sequence)) == sequence


@given(st.text())
def test_any_text_has_one_code_per_character(text: str) -> None:
    codes = encode(text)
    assert len(codes) == len(text)
    assert (codes <= 4).all()


@given(CODES)
def test_both_strands_of_both_strands_are_the_first(codes: np.ndarray) -> None:
    np.testing.assert_array_equal(reverse_complement(reverse_complement(codes)), codes)


@given(CODES, LENGTHS)
def test_each_id_spells_its_bases(codes: np.ndarray, k: int) -> None:
    ids = kmer_ids(codes, k)
    assert len(ids) == max(len(codes) - k + 1, 0)
    for start, number in enumerate(ids.tolist()):
        bases = codes[start : start + k].tolist()
        if 4 in bases:
            assert number == unknown_id(k)
        else:
            assert number == int("".join(map(str, bases)), 4)


@given(CODES, LENGTHS, st.integers(0, 60))
def test_a_part_has_the_ids_of_the_part(codes: np.ndarray, k: int, start: int) -> None:
    whole = kmer_ids(codes, k)
    np.testing.assert_array_equal(kmer_ids(codes[start:], k), whole[start:])


@given(arrays.arrays(np.uint8, (2, 3, 20), elements=st.integers(0, 4)), LENGTHS)
def test_a_batch_is_its_rows(codes: np.ndarray, k: int) -> None:
    ids = kmer_ids(codes, k)
    for row in np.ndindex(2, 3):
        np.testing.assert_array_equal(ids[row], kmer_ids(codes[row], k))
