"""Bases as small integers, and the overlapping k-mers that the models read.

A is 0, C 1, G 2, T 3 and everything else 4. A k-mer's id is its base-4 number with the first base
most significant; ``4**k`` is kept for MASK and ``4**k + 1`` for a k-mer with an unknown base.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genomix_cli.errors import UsageError

BASES = "ACGT"
UNKNOWN_BASE = 4
# Code of a base hidden by pre-training; no genome contains it.
HIDDEN_BASE = 5
MIN_K, MAX_K = 3, 8

_CODE_OF_BYTE = bytes(
    BASES.index(chr(byte).upper()) if chr(byte).upper() in BASES else UNKNOWN_BASE
    for byte in range(256)
)
_LETTER_OF_CODE = np.frombuffer(b"ACGTN", np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, UNKNOWN_BASE], np.uint8)


def encode(sequence: bytes | str) -> NDArray[np.uint8]:
    """Return the codes of a sequence in either case.

    Parameters
    ----------
    sequence : bytes or str
        Letters; soft-masked (lower-case) bases count as bases, IUPAC codes and U as unknown.

    Returns
    -------
    NDArray
        uint8 ``[len(sequence)]``, writable.
    """
    if isinstance(sequence, str):
        sequence = sequence.encode("ascii", "replace")
    # A bytearray gives a writable array; bytes would give a read-only one.
    return np.frombuffer(bytearray(sequence).translate(_CODE_OF_BYTE), np.uint8)


def decode(codes: ArrayLike) -> str:
    """Return the letters of codes; unknown bases become ``N``.

    Parameters
    ----------
    codes : array_like
        uint8 ``[n]``.
    """
    letters = _LETTER_OF_CODE.take(np.asarray(codes, np.uint8), mode="clip")
    return letters.tobytes().decode("ascii")


def reverse_complement(codes: ArrayLike) -> NDArray[np.uint8]:
    """Return the opposite strand, read 5' to 3'; unknown bases stay unknown.

    Parameters
    ----------
    codes : array_like
        uint8 ``[..., n]``.

    Returns
    -------
    NDArray
        uint8 ``[..., n]``, a new array.
    """
    return _COMPLEMENT.take(np.asarray(codes, np.uint8)[..., ::-1], mode="clip")


def mask_id(k: int) -> int:
    """Return the id of a hidden k-mer."""
    return 4**k


def unknown_id(k: int) -> int:
    """Return the id of a k-mer with an unknown base."""
    return 4**k + 1


def vocabulary_size(k: int) -> int:
    """Return the number of ids: every k-mer, MASK and UNKNOWN."""
    return 4**k + 2


def kmer_ids(codes: ArrayLike, k: int) -> NDArray[Any]:
    """Return the ids of the overlapping k-mers at stride 1.

    Joining neighbouring k-mers doubles their length, so the work is logarithmic in `k`.

    Parameters
    ----------
    codes : array_like
        uint8 ``[..., n]``.
    k : int
        Length, 3 to 8.

    Returns
    -------
    NDArray
        ``[..., n - k + 1]`` (``[..., 0]`` when n < k); uint16, or uint32 for k = 8, where MASK and
        UNKNOWN exceed uint16.

    Raises
    ------
    UsageError
        If `k` is not 3 to 8.
    """
    if not MIN_K <= k <= MAX_K:
        raise UsageError("k-mer length out of range", expected=f"{MIN_K} to {MAX_K}", found=str(k))
    codes = np.asarray(codes, np.uint8)
    # Unknown bases count as A here; their k-mers are overwritten below.
    ids = _over_runs(codes & 3, k, _join).astype(np.uint32 if k == MAX_K else np.uint16, copy=False)
    unknown = codes >= UNKNOWN_BASE
    if unknown.any():
        ids[_over_runs(unknown, k, lambda left, right, _: left | right)] = unknown_id(k)
    return ids


def _over_runs(
    values: NDArray[Any], k: int, join: Callable[[NDArray[Any], NDArray[Any], int], NDArray[Any]]
) -> NDArray[Any]:
    """Combine the values of each run of `k` neighbours: ``[..., n] -> [..., n - k + 1]``."""
    if k == 1:
        return values
    half = k // 2
    halves = _over_runs(values, half, join)
    runs = join(halves[..., :-half], halves[..., half:], half)
    if k % 2:
        runs = join(runs[..., :-1], values[..., k - 1 :], 1)
    return runs


def _join(left: NDArray[Any], right: NDArray[Any], right_length: int) -> NDArray[np.uint16]:
    """Return the ids of `left` followed by `right`, which has `right_length` bases."""
    ids = np.left_shift(left, 2 * right_length, dtype=np.uint16)
    ids |= right
    return ids


def canonical_kmers(k: int) -> tuple[NDArray[np.int64], int]:
    """Return the column of each of the 4^k k-mers, int64 ``[4^k]``, and the number of columns.

    A k-mer and its reverse complement share a column.
    """
    smaller = np.minimum(np.arange(4**k), reverse_complement_ids(k))
    kept, column = np.unique(smaller, return_inverse=True)
    return column, len(kept)


def reverse_complement_ids(k: int) -> NDArray[np.int64]:
    """Return the id of the reverse complement of each of the 4^k k-mers, int64 ``[4^k]``."""
    digits = np.arange(4**k)[:, None] // 4 ** np.arange(k) % 4
    # The complement of base b is 3 - b, and the order of the bases is reversed.
    return ((3 - digits) * 4 ** np.arange(k)[::-1]).sum(1)
