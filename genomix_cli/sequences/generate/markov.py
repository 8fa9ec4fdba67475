"""Markov chains of bases, the baseline for generators of DNA: fit, sample and posterior.

Letters in shapes: n sequences, L bases, k order, S = 4^k contexts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.genome import iupac
from genomix_cli.sequences.generate.chain import BASES, chain_posterior

ORDER = 5
# Weight of the next lower order, as a number of observations.
STRENGTH = 10.0
# Number of sequences whose forward probabilities are held at once.
CHUNK = 32
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MarkovChain:
    """Chain of order k, with all lower orders for short or unknown contexts.

    Attributes
    ----------
    tables : tuple of NDArray
        For order 0 to k: float64 ``[4^j, 4]``, probability of A, C, G, T after a context; the last
        base of the context is the least significant.
    """

    tables: tuple[Floats, ...]

    @property
    def order(self) -> int:
        """Order of the chain."""
        return len(self.tables) - 1

    def lower(self, order: int) -> MarkovChain:
        """Return the chain of a lower order, fitted to the same data."""
        return MarkovChain(self.tables[: order + 1])

    def log_likelihood(self, codes: NDArray[np.uint8]) -> Floats:
        """Return the log-probability of each sequence's known bases: nats, float64 ``[n]``.

        After an unknown base, the context starts again.

        Parameters
        ----------
        codes : NDArray
            uint8 ``[n, L]``: sets of bases.
        """
        bases = iupac.to_bases(codes)
        total = np.zeros(len(bases))
        for i in range(bases.shape[1]):
            known = bases[:, i] < BASES
            for order, rows, context in _contexts(bases, i, self.order):
                rows = rows & known
                total[rows] += np.log(self.tables[order][context[rows], bases[rows, i]])
        return total

    def sample(self, n: int, length: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Draw sequences: sets of one base each, uint8 ``[n, length]``."""
        bases = np.zeros((n, length), np.int64)
        context = np.zeros(n, np.int64)
        for i in range(length):
            order = min(i, self.order)
            cumulative = self.tables[order][context].cumsum(1)
            bases[:, i] = (cumulative[:, :-1] < rng.random((n, 1))).sum(1)
            context = (context * BASES + bases[:, i]) % BASES ** min(i + 1, self.order)
        return iupac.from_bases(bases)

    def posterior(self, evidence: Floats) -> Floats:
        """Return the exact probability of each base given all observations.

        Parameters
        ----------
        evidence : NDArray
            float64 ``[n, L, 4]``: probability of the observation, for each possible true base.

        Returns
        -------
        NDArray
            float64 ``[n, L, 4]``.
        """
        tables = [torch.from_numpy(table)[None].float() for table in self.tables]
        chunks = torch.from_numpy(evidence).float().split(CHUNK)
        found = [chain_posterior(tables, chunk) for chunk in chunks]
        return torch.cat(found).double().numpy() if found else np.empty(evidence.shape)


def _contexts(
    bases: NDArray[np.uint8], i: int, highest: int
) -> Iterable[tuple[int, NDArray[np.bool_], NDArray[np.int64]]]:
    """Yield order, rows and number of the longest known context before position i."""
    context = np.zeros(len(bases), np.int64)
    open_rows = np.ones(len(bases), bool)
    for order in range(min(i, highest) + 1):
        more = open_rows & (bases[:, i - order - 1] < BASES) if order < min(i, highest) else None
        yield order, (open_rows if more is None else open_rows & ~more), context
        if more is not None:
            context = context + np.where(more, bases[:, i - order - 1], 0).astype(np.int64) * (
                BASES**order
            )
            open_rows = more


def fit_markov(
    codes: NDArray[np.uint8],
    order: int = ORDER,
    *,
    strands: bool = False,
    prior: MarkovChain | None = None,
) -> MarkovChain:
    """Fit a chain to sequences; rare contexts are smoothed towards the next lower order.

    ``p_j(b | c) = (count(c b) + a p_{j-1}(b | c')) / (count(c) + a)`` with c' the context without
    its first base: MacKay & Peto 1995, doi:10.1017/S1351324900000218.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n, L]``: sets of bases.
    order : int
    strands : bool
        Count reverse complements too.
    prior : MarkovChain, optional
        Chain to smooth towards instead, such as the chain of all classes for one class.
    """
    counts = _counts(codes, order)
    if strands:
        others = _counts(iupac.reverse_complement(codes), order)
        counts = [a + b for a, b in zip(counts, others, strict=True)]
    tables: list[Floats] = []
    lean = np.full((1, BASES), 1 / BASES)
    for j, count in enumerate(counts):
        if prior is not None:
            lean = prior.tables[j]
        elif j:
            lean = np.tile(tables[-1], (BASES, 1))
        table = count + STRENGTH * lean
        tables.append(table / table.sum(1, keepdims=True))
    return MarkovChain(tuple(tables))


def _counts(codes: NDArray[np.uint8], order: int) -> list[Floats]:
    """Return the counts of each base after each context of order 0 to k: ``[4^j, 4]`` each."""
    counts = []
    for j in range(order + 1):
        word = iupac.kmer_numbers(codes, j + 1)
        count = np.bincount(word[word >= 0], minlength=BASES ** (j + 1))
        counts.append(count.reshape(-1, BASES).astype(np.float64))
    return counts
