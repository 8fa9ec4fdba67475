"""Properties of any sequence of IUPAC letters."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from genomix_cli.genome import iupac

LETTERS = st.text(alphabet=iupac.LETTERS[1:], max_size=60)


@given(LETTERS)
def test_there_and_back(text: str) -> None:
    codes = iupac.encode(text)
    assert iupac.decode(codes) == text
    assert iupac.encode(text.encode()).tolist() == iupac.encode(text.lower()).tolist()
    assert codes.dtype == np.uint8
    assert codes.flags.writeable


@given(LETTERS, LETTERS)
def test_the_other_strand(first: str, second: str) -> None:
    a, b = iupac.encode(first), iupac.encode(second)
    both = iupac.reverse_complement(np.concatenate([a, b]))
    parts = [iupac.reverse_complement(b), iupac.reverse_complement(a)]
    assert np.array_equal(both, np.concatenate(parts))
    assert np.array_equal(iupac.reverse_complement(both), np.concatenate([a, b]))


@given(LETTERS)
def test_the_complement_of_a_set_is_the_set_of_complements(text: str) -> None:
    codes = iupac.encode(text)
    shares = iupac.composition()
    other = shares[iupac.reverse_complement(codes)]
    assert np.array_equal(other[::-1, ::-1], shares[codes])
