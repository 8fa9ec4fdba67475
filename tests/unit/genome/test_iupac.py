"""Bases as sets: the letters, their complements, and the way to and from single bases."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.errors import DataError
from genomix_cli.genome import alphabet, iupac

# Nomenclature Committee of IUB, doi:10.1093/nar/13.9.3021: the bases of each letter, and its
# complement.
IUPAC = {
    **{"A": ("A", "T"), "C": ("C", "G"), "G": ("G", "C"), "T": ("T", "A")},
    **{"R": ("AG", "Y"), "Y": ("CT", "R"), "S": ("CG", "S"), "W": ("AT", "W")},
    **{"K": ("GT", "M"), "M": ("AC", "K"), "B": ("CGT", "V"), "D": ("AGT", "H")},
    **{"H": ("ACT", "D"), "V": ("ACG", "B"), "N": ("ACGT", "N")},
}


def test_letters_are_the_sets_of_the_nomenclature() -> None:
    for letter, (bases, complement) in IUPAC.items():
        code = iupac.encode(letter)
        assert code == np.bitwise_or.reduce(iupac.encode(bases))
        assert iupac.encode(letter.lower()) == code
        assert iupac.decode(code) == letter
        assert iupac.decode(iupac.reverse_complement(code)) == complement


def test_what_is_no_base_is_named_with_its_place() -> None:
    assert iupac.decode(iupac.encode("acgu")) == "ACGT"
    for wrong, place in (("ACGTX", "'X' at position 5"), ("-A", "'-' at position 1")):
        with pytest.raises(DataError, match=f"file: a letter that is not a base.*{place}"):
            iupac.encode(wrong, "file")


def test_single_bases_and_back() -> None:
    bases = alphabet.encode("ACGTN")
    codes = iupac.from_bases(bases)
    assert iupac.decode(codes) == "ACGTN"
    assert np.array_equal(iupac.to_bases(codes), bases)
    assert iupac.to_bases(iupac.encode("R"))[0] == alphabet.UNKNOWN_BASE
    assert iupac.to_bases(iupac.HIDDEN) == alphabet.UNKNOWN_BASE


def test_composition_shares_a_set_evenly() -> None:
    shares = iupac.composition()
    assert shares[iupac.ANY].tolist() == [0.25] * 4
    assert shares[iupac.encode("Y")[0]].tolist() == [0, 0.5, 0, 0.5]
    assert shares[iupac.HIDDEN].tolist() == [0] * 4
    assert np.allclose(shares[1:].sum(1), 1)
    assert iupac.reverse_complement(np.zeros((2, 3), np.uint8)).tolist() == [[0] * 3] * 2
