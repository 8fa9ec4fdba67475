"""Random sequences with the dinucleotide counts of a given one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

N_BASES = 4


def dinucleotide_shuffle(codes: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shuffle bases while preserving the count of every dinucleotide.

    The result is a random Eulerian walk over the dinucleotides, uniform over all such sequences
    (Altschul and Erickson 1985, doi:10.1093/oxfordjournals.molbev.a040370). The last exit of each
    base is drawn until the last exits form a tree into the final base; the other exits are in
    random order. Each run of A, C, G, T is shuffled separately; other codes stay in place.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[n]``.
    rng : numpy.random.Generator

    Returns
    -------
    NDArray
        uint8 ``[n]``; the first and the last base of each run are kept.
    """
    out = codes.copy()
    edges = np.flatnonzero(np.diff(codes < N_BASES, prepend=False, append=False))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        out[start:end] = _shuffle_run(codes[start:end], rng)
    return out


def _shuffle_run(run: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a random Eulerian walk from the first to the last base of `run`."""
    exits = [rng.permutation(run[1:][run[:-1] == base]).tolist() for base in range(N_BASES)]
    last = int(run[-1])
    final = _last_exits(exits, last, rng)
    for base, target in final.items():
        exits[base].remove(target)
        exits[base].append(target)
    walks = [iter(targets) for targets in exits]
    out = np.empty_like(run)
    base = int(run[0])
    for i in range(len(run) - 1):
        out[i] = base
        base = next(walks[base])
    out[-1] = base
    return out


def _last_exits(exits: list[list[int]], last: int, rng: np.random.Generator) -> dict[int, int]:
    """Draw the last exit of each base, such that following them leads to `last` from any base."""
    bases = [base for base in range(N_BASES) if exits[base] and base != last]
    while True:
        chosen = {base: exits[base][int(rng.integers(len(exits[base])))] for base in bases}
        if all(_reaches(base, last, chosen) for base in bases):
            return chosen


def _reaches(base: int, last: int, chosen: dict[int, int]) -> bool:
    for _ in range(N_BASES):
        if base == last:
            return True
        base = chosen[base]
    return base == last
