"""Rows that the alleles of a batch share, so that a model computes them once.

Alternates of one place share the reference haplotype, and what no change would do there; the start
and the end of a substitution are one and the same. It is found from the input on the CPU: a GPU
that told us would have to be waited for.

Letters: W windows, G variants per window, R rows, U rows that differ, P places, S
substitutions, O other variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomix_cli.variants.records.inputs import Haplotypes

#: On a GPU, numbers of rows come in this many steps up to a chunk's size, so that few differ.
STEPS = 8


class Once(NamedTuple):
    """Rows that differ, and which of them each row is.

    Attributes
    ----------
    rows : Tensor
        int64 ``[W, U]``: the rows to compute.
    of : Tensor
        int64 ``[W, R]``: for each row the one of these that is the same.
    """

    rows: Tensor
    of: Tensor

    def pick(self, x: Tensor) -> Tensor:
        """Return the rows to compute, ``[W, R, ...]`` -> ``[W, U, ...]``."""
        return take(x, self.rows)

    def spread(self, y: Tensor) -> Tensor:
        """Give each row what was computed for it, ``[W, U, ...]`` -> ``[W, R, ...]``."""
        return take(y, self.of)


class Kinds(NamedTuple):
    """Substitutions of one base and other variants, which some networks read in other ways.

    Attributes
    ----------
    substitutions, others : Tensor
        int64 ``[W, S]`` and ``[W, O]``: rows of the variants.
    of : Tensor
        int64 ``[W, G]``: each variant's row among the substitutions and, behind them, the others.
    """

    substitutions: Tensor
    others: Tensor
    of: Tensor


class Shared(NamedTuple):
    """Places, ends and kinds of variants: what they have in common.

    Attributes
    ----------
    places : Once
        Of the G variants: those with the same position and reference allele are of one place.
    ref_ends, alt_ends : Once
        Of the 2 G ends of their alleles, start and end in turn, on either haplotype.
    """

    places: Once
    ref_ends: Once
    alt_ends: Once
    kinds: Kinds


def take(x: Tensor, rows: Tensor) -> Tensor:
    """Return rows of each window, ``[W, R, ...]`` and int64 ``[W, U]`` -> ``[W, U, ...]``."""
    return x[torch.arange(len(x), device=x.device)[:, None], rows]


class _Rows(NamedTuple):
    """Rows that the variants of one window have to compute, and which of them each row is."""

    computed: tuple[NDArray[np.int64], ...]
    of: tuple[NDArray[np.int64], ...]
    is_substitution: NDArray[np.bool_]


def shared_rows(
    offset: NDArray[np.int64], haplotypes: Haplotypes, *, stepped: bool = False
) -> list[NDArray[np.int64]]:
    """Return the fields of `Shared`, one after another, int64 ``[W, ...]`` each.

    Parameters
    ----------
    offset : NDArray
        int64 ``[W, G]``.
    haplotypes : Haplotypes
        ``[W, G, ...]``. Variants of one place are looked for among neighbours.
    stepped : bool
        Compute some rows twice, so that their number is one of `STEPS`.
    """
    windows = [_rows(offset[w], haplotypes.at(w)) for w in range(len(offset))]
    step = max(1, offset.shape[1] // STEPS) if stepped else 1
    places, ref_ends, alt_ends, substitutions, others = (
        _padded(rows, step) for rows in zip(*(window.computed for window in windows), strict=True)
    )
    place, of_ref, of_alt, of_kind = map(np.stack, zip(*(w.of for w in windows), strict=True))
    is_other = ~np.stack([window.is_substitution for window in windows])
    of_kind = of_kind + is_other * substitutions.shape[1]
    return [places, place, ref_ends, of_ref, alt_ends, of_alt, substitutions, others, of_kind]


def _rows(offset: NDArray[np.int64], haplotypes: Haplotypes) -> _Rows:
    ref, _, ref_len, alt_len = haplotypes
    new = np.ones(len(offset), bool)
    new[1:] = (np.diff(offset) != 0) | (np.diff(ref_len) != 0) | (ref[1:] != ref[:-1]).any(1)
    single, all_starts = ref_len == 1, np.ones_like(new)
    substitution = single & (alt_len == 1)
    # An end that is no row of its own is the one before it: the start.
    place, places = _numbered(new)
    number, ref_ends = _numbered(np.stack([new, new & ~single], 1).ravel())
    of_alt, alt_ends = _numbered(np.stack([all_starts, ~substitution], 1).ravel())
    of_ref = number.reshape(-1, 2)[places[place]].ravel()
    of_substitution, substitutions = _numbered(substitution)
    of_other, others = _numbered(~substitution)
    return _Rows(
        (places, ref_ends, alt_ends, substitutions, others),
        (place, of_ref, of_alt, np.where(substitution, of_substitution, of_other)),
        substitution,
    )


def shared(fields: Sequence[Tensor]) -> Shared:
    """Return the fields that :func:`shared_rows` gives, by their names."""
    return Shared(Once(*fields[:2]), Once(*fields[2:4]), Once(*fields[4:6]), Kinds(*fields[6:]))


def _numbered(is_new: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of each row's last new one, and the new rows."""
    return np.cumsum(is_new) - 1, np.flatnonzero(is_new)


def _padded(windows: Sequence[NDArray[np.int64]], step: int) -> NDArray[np.int64]:
    """Return the rows of each window, as many of each as a multiple of `step`; 0 fills them up."""
    most = max(map(len, windows))
    found = np.zeros((len(windows), most + -most % step), np.int64)
    for out, rows in zip(found, windows, strict=True):
        out[: len(rows)] = rows
    return found
