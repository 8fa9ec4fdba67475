"""Bases as sets: IUPAC letters in four bits, so that a heterozygote is both of its alleles.

A is 1, C 2, G 4, T 8; a letter for several bases is their sum, N is 15. 0 is no letter: models use
it for a base that is hidden.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genomix_cli.errors import DataError

# The letter of each set, in the order of its number.
LETTERS = "-ACMGRSVTWYHKDBN"
HIDDEN, ANY = 0, 15
SETS = 16

_CODE_OF_BYTE = np.zeros(256, np.uint8)
for _code, _letter in enumerate(LETTERS[1:], 1):
    _CODE_OF_BYTE[ord(_letter)] = _CODE_OF_BYTE[ord(_letter.lower())] = _code
_CODE_OF_BYTE[ord("U")] = _CODE_OF_BYTE[ord("u")] = LETTERS.index("T")
_LETTER_OF_CODE = np.frombuffer(LETTERS.encode(), np.uint8)
# A (bit 0) and T (bit 3) trade places, and so do C and G.
_COMPLEMENT = np.array(
    [sum(8 >> bit for bit in range(4) if code >> bit & 1) for code in range(SETS)], np.uint8
)
# Set of one base by its number in `genomix_cli.genome.alphabet`, whose unknown is any base.
_OF_BASE = np.array([1, 2, 4, 8, ANY], np.uint8)
_BASE_OF = np.full(SETS, 4, np.uint8)
_BASE_OF[_OF_BASE[:4]] = np.arange(4)


def encode(sequence: bytes | str, where: object = None) -> NDArray[np.uint8]:
    """Sets of a sequence, whatever its case; U is T.

    Parameters
    ----------
    sequence : bytes or str
    where : object, optional
        For the message.

    Returns
    -------
    NDArray
        uint8 ``[len(sequence)]``, 1 to 15, writable.

    Raises
    ------
    DataError
        If a letter is not IUPAC's; the message says which and where.
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
    """Letters of sets ``[n]``; a hidden one becomes ``-``."""
    return _LETTER_OF_CODE[np.asarray(codes, np.uint8)].tobytes().decode("ascii")


def reverse_complement(codes: ArrayLike) -> NDArray[np.uint8]:
    """The opposite strand of sets uint8 ``[..., n]``, read 5' to 3'; hidden ones stay hidden."""
    return _COMPLEMENT[np.asarray(codes, np.uint8)[..., ::-1]]


def from_bases(bases: ArrayLike) -> NDArray[np.uint8]:
    """Sets of bases as `genomix_cli.genome.alphabet` numbers them (A0 C1 G2 T3, 4 unknown)."""
    return _OF_BASE[np.asarray(bases, np.uint8)]


def to_bases(codes: ArrayLike) -> NDArray[np.uint8]:
    """Numbers of `genomix_cli.genome.alphabet`; what is not exactly one base is unknown (4)."""
    return _BASE_OF[np.asarray(codes, np.uint8)]


def spelled(digits: ArrayLike, k: int, base: int) -> NDArray[np.int64]:
    """Return the number of the k digits at each position ``[n, L - k + 1]``, the first largest.

    Parameters
    ----------
    digits : array_like
        ``[n, L]``: 0 to base - 1.
    k, base : int
    """
    digits = np.asarray(digits)
    width = max(digits.shape[1] - k + 1, 0)
    numbers = np.zeros((len(digits), width), np.int64)
    for i in range(k):
        numbers = numbers * base + digits[:, i : i + width]
    return numbers


def kmer_numbers(codes: ArrayLike, k: int) -> NDArray[np.int64]:
    """Return the number of the k-mer at each position ``[n, L - k + 1]``; -1 if not all are known.

    Parameters
    ----------
    codes : array_like
        uint8 ``[n, L]``: sets of bases.
    k : int
    """
    bases = to_bases(codes)
    return np.where(spelled(bases < 4, k, 2) == 2**k - 1, spelled(bases, k, 4), -1)


def composition() -> NDArray[np.float32]:
    """Probability of A, C, G and T for each set, all members alike: float32 ``[16, 4]``.

    The row of the hidden one is 0.
    """
    member = (np.arange(SETS)[:, None] >> np.arange(4) & 1).astype(np.float32)
    return member / np.maximum(member.sum(1, keepdims=True), 1)
