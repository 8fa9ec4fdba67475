"""Rows that the alleles of a batch share, so that a model computes them once.

Alternates of one place share the reference haplotype, and what no change would do there; the start
and the end of a substitution are one and the same. It is found from the input on the CPU: a GPU
that told us would have to be waited for.

Letters: W windows, G variants per window, R rows, U rows that differ, P places, S
substitutions, O other variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
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
    ref, _, ref_len, alt_len = haplotypes
    new, single = np.ones(offset.shape, bool), ref_len == 1
    new[:, 1:] = (np.diff(offset) != 0) | (np.diff(ref_len) != 0)
    new[:, 1:] |= (ref[:, 1:] != ref[:, :-1]).any(2)
    substitution = single & (alt_len == 1)
    if new.all() and substitution.all():
        return _nothing_but_ends(*offset.shape)
    return _rows(new, single, substitution, max(1, offset.shape[1] // STEPS) if stepped else 1)


@cache  # of few sizes; most batches are like this
def _nothing_but_ends(n_windows: int, n_variants: int) -> list[NDArray[np.int64]]:
    """Return the fields for substitutions of as many places."""
    every = np.ones((n_windows, n_variants), bool)
    return _rows(every, every, every, 1)


def _rows(
    new: NDArray[np.bool_],
    single: NDArray[np.bool_],
    substitution: NDArray[np.bool_],
    step: int,
) -> list[NDArray[np.int64]]:
    """Return the fields from what each variant is, bool ``[W, G]`` each.

    Parameters
    ----------
    new : NDArray
        The first of its place.
    single : NDArray
        The reference allele has one base.
    substitution : NDArray
        So has the other.
    step : int
        Rows to compute are a multiple of it.
    """
    # An end that is no row of its own is the one before it: the start.
    places, place = _numbered(new, step)
    ref_ends, of_ref = _numbered(_ends(new, new & ~single), step)
    alt_ends, of_alt = _numbered(_ends(np.ones_like(new), ~substitution), step)
    first = np.take_along_axis(places, place, 1)[..., None] * 2 + np.arange(2)
    of_ref = np.take_along_axis(of_ref, first.reshape(of_ref.shape), 1)
    substitutions, of_kind = _numbered(substitution, step)
    others, of_other = _numbered(~substitution, step)
    of_kind = np.where(substitution, of_kind, of_other + substitutions.shape[1])
    return [places, place, ref_ends, of_ref, alt_ends, of_alt, substitutions, others, of_kind]


def shared(fields: Sequence[Tensor]) -> Shared:
    """Return the fields that :func:`shared_rows` gives, by their names."""
    return Shared(Once(*fields[:2]), Once(*fields[2:4]), Once(*fields[4:6]), Kinds(*fields[6:]))


def _ends(start: NDArray[np.bool_], end: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return starts and ends in turn, ``[W, G]`` each -> ``[W, 2 G]``."""
    return np.stack([start, end], 2).reshape(len(start), -1)


def _numbered(is_new: NDArray[np.bool_], step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the new rows of each window, and the number of each row's last new one.

    Of new rows there are as many as a multiple of `step`; 0 fills them up.
    """
    number = is_new.cumsum(1) - 1
    most = int(number[:, -1].max()) + 1
    found = np.zeros((len(is_new), most + -most % step), np.int64)
    windows, rows = np.nonzero(is_new)
    found[windows, number[windows, rows]] = rows
    return found, number
