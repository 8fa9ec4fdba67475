"""Codes and k-mer ids against letter-by-letter oracles."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.errors import UsageError
from genomix_cli.genome.alphabet import (
    canonical_kmers,
    decode,
    encode,
    kmer_ids,
    mask_id,
    reverse_complement,
    reverse_complement_ids,
    unknown_id,
    vocabulary_size,
)


def sliding_dot(codes: np.ndarray, k: int) -> np.ndarray:
    """The definition: base-4 number of every window, UNKNOWN where one holds an N."""
    windows = np.lib.stride_tricks.sliding_window_view(codes, k, axis=-1)
    ids = (windows.astype(np.int64) * 4 ** np.arange(k)[::-1]).sum(axis=-1)
    return np.where((windows > 3).any(axis=-1), 4**k + 1, ids)


def test_codes_of_bases_ignore_case() -> None:
    np.testing.assert_array_equal(encode("ACGTacgt"), [0, 1, 2, 3, 0, 1, 2, 3])


def test_everything_else_is_unknown() -> None:
    assert (encode("NRYSWKMBDHVUu-*.Xx é\r\n") == 4).all()
    assert (encode(bytes(set(range(256)) - set(b"ACGTacgt"))) == 4).all()


def test_one_code_per_letter_and_bytes_like_str() -> None:
    codes = encode("AéC")
    np.testing.assert_array_equal(codes, [0, 4, 1])
    np.testing.assert_array_equal(encode(b"ACGTN"), encode("ACGTN"))
    assert codes.dtype == np.uint8
    assert encode("").shape == (0,)


def test_codes_can_be_written_to() -> None:
    codes = encode(b"ACGT")
    codes[0] = 3
    assert decode(codes) == "TCGT"


def test_decode() -> None:
    assert decode([0, 1, 2, 3, 4, 200]) == "ACGTNN"


def test_reverse_complement() -> None:
    assert decode(reverse_complement(encode("AACGTN"))) == "NACGTT"
    batch = np.stack([encode("AAC"), encode("GGT")])
    np.testing.assert_array_equal(reverse_complement(batch), [encode("GTT"), encode("ACC")])
    np.testing.assert_array_equal(batch, [encode("AAC"), encode("GGT")])


def test_known_ids() -> None:
    np.testing.assert_array_equal(kmer_ids(encode("AAACT"), 3), [0, 1, 7])
    np.testing.assert_array_equal(kmer_ids(encode("ANACT"), 3), [unknown_id(3)] * 2 + [7])
    assert kmer_ids(encode("TTTTTT"), 6)[0] == 4**6 - 1


@pytest.mark.parametrize("k", range(3, 9))
def test_ids_are_those_of_the_sliding_window(k: int) -> None:
    rng = np.random.default_rng(k)
    codes = rng.choice(5, size=(2, 3, 200), p=[0.24, 0.24, 0.24, 0.24, 0.04]).astype(np.uint8)
    codes[0, 0, 50:120] = 4
    ids = kmer_ids(codes, k)
    np.testing.assert_array_equal(ids, sliding_dot(codes, k))
    assert ids.dtype == (np.uint32 if k == 8 else np.uint16)


@pytest.mark.parametrize("k", range(3, 9))
def test_short_sequences(k: int) -> None:
    for n in range(k):
        assert kmer_ids(np.zeros(n, np.uint8), k).shape == (0,)
        assert kmer_ids(np.full((2, n), 4, np.uint8), k).shape == (2, 0)
    assert kmer_ids(np.full(k, 3, np.uint8), k).tolist() == [4**k - 1]


@pytest.mark.parametrize("k", range(3, 9))
def test_special_ids_fit_and_differ(k: int) -> None:
    assert len({4**k - 1, mask_id(k), unknown_id(k)}) == 3
    assert vocabulary_size(k) == unknown_id(k) + 1
    assert unknown_id(k) <= np.iinfo(kmer_ids(np.zeros(k, np.uint8), k).dtype).max


@pytest.mark.parametrize("k", [-1, 0, 2, 9])
def test_other_lengths_are_refused(k: int) -> None:
    with pytest.raises(UsageError, match="expected 3 to 8"):
        kmer_ids(encode("ACGTACGTACGT"), k)


def test_input_is_left_alone() -> None:
    codes = encode("ACGNTACGT")
    codes.flags.writeable = False
    kmer_ids(codes, 6)
    kmer_ids(codes[::-1], 3)


@pytest.mark.parametrize("k", [3, 4])
def test_a_kmer_and_its_reverse_complement_share_a_column(k: int) -> None:
    column, number = canonical_kmers(k)
    assert (column == column[reverse_complement_ids(k)]).all()
    kmers = np.arange(4**k)[:, None] // 4 ** np.arange(k)[::-1] % 4
    mirrored = sliding_dot(reverse_complement(kmers), k)[:, 0]
    np.testing.assert_array_equal(column, column[mirrored])
    # Of even length, some are their own.
    assert number == len(set(column)) == (4**k + (4 ** (k // 2) if k % 2 == 0 else 0)) // 2
