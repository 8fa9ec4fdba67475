"""IUPAC letters as four-bit sets of bases, which can represent both alleles of a heterozygote.

A is 1, C 2, G 4, T 8; a letter for several bases is their sum, and N is 15. 0 is no letter; models
use it for a masked base.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genomix_cli.errors import DataError

# Letter of each set, by its number.
LETTERS = "-ACMGRSVTWYHKDBN"
HIDDEN, ANY = 0, 15
SETS = 16

_CODE_OF_BYTE = np.zeros(256, np.uint8)
for _code, _letter in enumerate(LETTERS[1:], 1):
    _CODE_OF_BYTE[ord(_letter)] = _CODE_OF_BYTE[ord(_letter.lower())] = _code
_CODE_OF_BYTE[ord("U")] = _CODE_OF_BYTE[ord("u")] = LETTERS.index("T")
_LETTER_OF_CODE = np.frombuffer(LETTERS.encode(), np.uint8)
# Complementing swaps A (bit 0) with T (bit 3), and C with G.
_COMPLEMENT = np.array(
    [sum(8 >> bit for bit in range(4) if code >> bit & 1) for code in range(SETS)], np.uint8
)
# Set of each code of `genomix_cli.genome.alphabet`, where unknown (4) means any base.
_OF_BASE = np.array([1, 2, 4, 8, ANY], np.uint8)
_BASE_OF = np.full(SETS, 4, np.uint8)
_BASE_OF[_OF_BASE[:4]] = np.arange(4)


def encode(sequence: bytes | str, where: object = None) -> NDArray[np.uint8]:
    """Return the sets of a sequence in either case; U counts as T.

    Parameters
    ----------
    sequence : bytes or str
    where : object, optional
        Source of the sequence, for error messages.

    Returns
    -------
    NDArray
        uint8 ``[len(sequence)]``, 1 to 15, writable.

    Raises
    ------
    DataError
        If a letter is not an IUPAC letter; the message names it and its position.
    """
    if isinstance(sequence, str):
        sequence = sequence.encode("utf-8", "replace")
    raw = np.frombuffer(sequence, np.uint8)
    codes = _CODE_OF_BYTE[raw]
    wrong = np.flatnonzero(codes == HIDDEN)
    if len(wrong):
        raise DataError(
            "a letter that is not a base",
            where=where,
            expected=f"IUPAC: {LETTERS[1:]} or U",
            found=f"{chr(raw[wrong[0]])!r} at position {wrong[0] + 1:,}",
        )
    return codes


def decode(codes: ArrayLike) -> str:
    """Return the letters of sets ``[n]``; a masked base becomes ``-``."""
    return _LETTER_OF_CODE[np.asarray(codes, np.uint8)].tobytes().decode("ascii")


def reverse_complement(codes: ArrayLike) -> NDArray[np.uint8]:
    """Return the opposite strand of sets uint8 ``[..., n]``, read 5' to 3'; masks stay masked."""
    return _COMPLEMENT[np.asarray(codes, np.uint8)[..., ::-1]]


def from_bases(bases: ArrayLike) -> NDArray[np.uint8]:
    """Return the sets of codes of `genomix_cli.genome.alphabet` (A0 C1 G2 T3, 4 unknown)."""
    return _OF_BASE[np.asarray(bases, np.uint8)]


def to_bases(codes: ArrayLike) -> NDArray[np.uint8]:
    """Return codes of `genomix_cli.genome.alphabet`; sets of several bases become unknown (4)."""
    return _BASE_OF[np.asarray(codes, np.uint8)]


def spelled(digits: ArrayLike, k: int, base: int) -> NDArray[np.int64]:
    """Return the number that the k digits from each position spell, int64 ``[n, L - k + 1]``.

    Parameters
    ----------
    digits : array_like
        ``[n, L]``: 0 to base - 1; the first digit is the most significant.
    k, base : int
        Number of digits, and base of the number system.
    """
    digits = np.asarray(digits)
    width = max(digits.shape[1] - k + 1, 0)
    numbers = np.zeros((len(digits), width), np.int64)
    for i in range(k):
        numbers = numbers * base + digits[:, i : i + width]
    return numbers


def kmer_numbers(codes: ArrayLike, k: int) -> NDArray[np.int64]:
    """Return the number of the k-mer at each position, int64 ``[n, L - k + 1]``.

    The number is -1 if a set of the k-mer is not exactly one base.

    Parameters
    ----------
    codes : array_like
        uint8 ``[n, L]``: sets of bases.
    k : int
    """
    bases = to_bases(codes)
    return np.where(spelled(bases < 4, k, 2) == 2**k - 1, spelled(bases, k, 4), -1)


def composition() -> NDArray[np.float32]:
    """Return the probability of A, C, G and T for each set, float32 ``[16, 4]``.

    All members of a set are equally likely. The row of the masked base is 0.
    """
    member = (np.arange(SETS)[:, None] >> np.arange(4) & 1).astype(np.float32)
    return member / np.maximum(member.sum(1, keepdims=True), 1)
