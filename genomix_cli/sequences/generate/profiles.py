"""Profiles of sets of sequences, and distances between sets.

Every distance takes weights: a bootstrap draw is the same data, weighted by how often each sequence
was drawn.

Letters: n, m sequences, L bases, D distinct k-mers, R replicates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome import iupac
from genomix_cli.genome.alphabet import canonical_kmers
from genomix_cli.sequences.generate.markov import Floats

# Number of sequences whose k-mers are counted at once.
CHUNK = 1024


def kmer_counts(codes: NDArray[np.uint8], k: int) -> NDArray[np.float32]:
    """Count each k-mer in each sequence, on both strands.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n, L]``: sets of bases; k-mers with an unknown base do not count.
    k : int

    Returns
    -------
    NDArray
        float32 ``[n, D]``: a k-mer and its reverse complement share a column.
    """
    column, size = canonical_kmers(k)
    counts = np.zeros((len(codes), size), np.float32)
    for low in range(0, len(codes), CHUNK):
        number = iupac.kmer_numbers(codes[low : low + CHUNK], k)
        row, start = np.nonzero(number >= 0)
        flat = row * size + column[number[row, start]]
        own = np.bincount(flat, minlength=len(number) * size)
        counts[low : low + CHUNK] = own.reshape(-1, size)
    return counts


def frequencies(counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each sequence's counts ``[n, D]`` as frequencies, which sum to 1."""
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def jensen_shannon(p: Floats, q: Floats) -> Floats:
    """Return the Jensen-Shannon divergence of spectra ``[..., D]``, in bits, 0 to 1.

    Lin 1991, doi:10.1109/18.61115. The spectra need not be normalised.
    """
    p, q = (x / x.sum(-1, keepdims=True) for x in (p, q))
    return _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2


def _entropy(p: Floats) -> Floats:
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(-1)


def distances(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Euclidean distances of rows ``[n, D]`` to rows ``[m, D]``, float32 ``[n, m]``."""
    square = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    return np.sqrt(np.maximum(square, 0, out=square), out=square)


def distances_inside(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return distances of rows ``[n, D]`` to each other ``[n, n]``, exactly 0 to themselves."""
    between = distances(x, x)
    np.fill_diagonal(between, 0)
    return between


def energy(
    between: NDArray[np.float32],
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    weight: Floats,
    other: Floats,
) -> Floats:
    """Return the energy distance of two sets, as a fraction of its maximum.

    ``(2 E|X - Y| - E|X - X'| - E|Y - Y'|) / 2 E|X - Y|`` over pairs of different sequences, so that
    its mean is 0 for two samples of one distribution: Szekely & Rizzo 2013,
    doi:10.1016/j.jspi.2013.03.018. It is 1 for two distributions that are single points.
    It is 0 only if the distributions of sequences agree, not just their means.

    Parameters
    ----------
    between, first, second : NDArray
        ``[n, m]`` from :func:`distances`; ``[n, n]`` and ``[m, m]`` from :func:`distances_inside`.
    weight, other : NDArray
        ``[R, n]`` and ``[R, m]``.

    Returns
    -------
    NDArray
        float64 ``[R]``.
    """
    across = _mean_pair(between, weight, other)
    inside = _mean_pair(first, weight) + _mean_pair(second, other)
    return 1 - inside / (2 * across)


def _mean_pair(distance: NDArray[np.float32], w: Floats, v: Floats | None = None) -> Floats:
    right = w if v is None else v
    total = ((w.astype(np.float32) @ distance) * right).sum(1, dtype=np.float64)
    pairs = w.sum(1) * right.sum(1)
    if v is None:
        # A sequence drawn twice does not form a pair of different sequences.
        pairs = pairs - (w**2).sum(1)
    return total / pairs


def gc(codes: NDArray[np.uint8]) -> Floats:
    """Return the share of G and C among the known bases of each sequence ``[n]``."""
    bases = iupac.to_bases(codes)
    known = (bases < 4).sum(1)
    return ((bases == 1) | (bases == 2)).sum(1) / np.maximum(known, 1)


def wasserstein(x: Floats, y: Floats, weight: Floats, other: Floats) -> Floats:
    """Return Wasserstein distances of ``[n]`` and ``[m]`` under weights ``[R, n]``, ``[R, m]``.

    Float64 ``[R]``: the area between the two cumulative distributions.
    """
    values = np.concatenate([x, y])
    order = values.argsort(kind="stable")
    step = np.diff(values[order])
    left = np.concatenate([weight / weight.sum(1, keepdims=True), np.zeros(other.shape)], 1)
    right = np.concatenate([np.zeros(weight.shape), other / other.sum(1, keepdims=True)], 1)
    apart = np.abs((left - right)[:, order].cumsum(1)[:, :-1])
    return (apart * step).sum(1)
