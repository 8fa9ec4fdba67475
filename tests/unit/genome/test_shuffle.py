"""Dinucleotide shuffles keep what they promise, and shuffle."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.genome.alphabet import decode, encode
from genomix_cli.genome.shuffle import dinucleotide_shuffle


def _dinucleotides(codes: np.ndarray) -> np.ndarray:
    return np.bincount(codes[:-1].astype(int) * 5 + codes[1:], minlength=25)


@pytest.mark.parametrize("seed", range(20))
def test_dinucleotides_and_ends_are_kept(seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2 + seed % 3, int(rng.integers(2, 400))).astype(np.uint8)
    shuffled = dinucleotide_shuffle(codes, rng)
    assert shuffled.dtype == np.uint8
    assert (_dinucleotides(shuffled) == _dinucleotides(codes)).all()
    assert (shuffled[0], shuffled[-1]) == (codes[0], codes[-1])


def test_long_sequences_do_change():
    codes = np.random.default_rng(0).integers(0, 4, 2000).astype(np.uint8)
    shuffled = dinucleotide_shuffle(codes, np.random.default_rng(1))
    assert 0.6 < (shuffled != codes).mean() < 0.85


def test_runs_are_shuffled_apart_and_n_stays():
    codes = encode("ACGTACGATNNNNGGCATTACGN")
    shuffled = dinucleotide_shuffle(codes, np.random.default_rng(0))
    assert ((shuffled == 4) == (codes == 4)).all()
    for part in (slice(0, 9), slice(13, 22)):
        assert (_dinucleotides(shuffled[part]) == _dinucleotides(codes[part])).all()


def test_every_sequence_with_these_dinucleotides_comes_as_often():
    """For a short sequence, all shuffles are equally frequent (Altschul and Erickson 1985)."""
    codes, rng = encode("ACATAGATCA"), np.random.default_rng(0)
    seen: dict[str, int] = {}
    for _ in range(6000):
        text = decode(dinucleotide_shuffle(codes, rng))
        seen[text] = seen.get(text, 0) + 1
    expected = 6000 / len(seen)
    assert len(seen) > 10
    chi2 = sum((n - expected) ** 2 / expected for n in seen.values())
    assert chi2 < len(seen) + 5 * (2 * len(seen)) ** 0.5


@pytest.mark.parametrize("text", ["", "A", "N", "NN", "AN", "AAAA"])
def test_nothing_to_shuffle(text):
    assert decode(dinucleotide_shuffle(encode(text), np.random.default_rng(0))) == text
