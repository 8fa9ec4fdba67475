"""Exact similarity of each sequence to the nearest one in a collection, by shared k-mers.

Letters in shapes: n sequences, N sequences in the collection, L bases, k word length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome import iupac
from genomix_cli.progress import track
from genomix_cli.sequences.generate.markov import Floats

# Long enough that few words are shared by chance: 4^12 exceeds the words in most collections.
WORD = 12
# Number of sequences to look up at a time.
ASKED = 64


class Collection:
    """Collection of sequences with an inverted index of their words.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[N, L]``: sets of bases.
    word : int
        k.
    """

    def __init__(self, codes: NDArray[np.uint8], word: int = WORD) -> None:
        self._word = word
        self._size = len(codes)
        row, number = words(codes, word)
        order = number.argsort(kind="stable")
        self._number, self._row = number[order], row[order].astype(np.int32)

    def nearest(self, codes: NDArray[np.uint8]) -> Floats:
        """Return the largest fraction of a sequence's words in one sequence of the collection.

        1 for a copy on either strand, at any offset; a substitution loses at most k words, a gap
        few. Chance gives a few per cent.

        Parameters
        ----------
        codes : NDArray
            uint8 ``[n, L]``.

        Returns
        -------
        NDArray
            float64 ``[n]``; 0 for a sequence without a complete word.
        """
        shares = np.zeros(len(codes))
        for low in track(range(0, len(codes), ASKED), "looking for copies"):
            shares[low : low + ASKED] = self._nearest(codes[low : low + ASKED])
        return shares

    def _nearest(self, codes: NDArray[np.uint8]) -> Floats:
        row, number = words(codes, self._word)
        first = self._number.searchsorted(number, "left")
        many = self._number.searchsorted(number, "right") - first
        # Concatenate the index entries of these words: entry i of a word is at its first + i.
        start = np.repeat(first - np.append(0, many.cumsum()[:-1]), many)
        owner = self._row[start + np.arange(len(start))]
        shared = np.bincount(
            np.repeat(row, many) * self._size + owner, minlength=len(codes) * self._size
        )
        most = shared.reshape(len(codes), -1).max(1, initial=0)
        return most / np.maximum(np.bincount(row, minlength=len(codes)), 1)


def words(codes: NDArray[np.uint8], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and number of the distinct words of each sequence, in canonical form."""
    forward = iupac.kmer_numbers(codes, k)
    backward = iupac.kmer_numbers(iupac.reverse_complement(codes), k)[:, ::-1]
    number = np.sort(np.minimum(forward, backward), 1)
    new = number >= 0
    new[:, 1:] &= number[:, 1:] != number[:, :-1]
    return np.nonzero(new)[0], number[new]
