"""Find rows that alleles of a batch share, so that a model computes them only once.

Alternate alleles at one place share the reference haplotype and the "no change" result; the start
and the end of a substitution are identical. Sharing is determined on the CPU from the input, since
asking the GPU would force a synchronisation.

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

#: On a GPU, row counts are rounded up to one of this many steps, to keep distinct shapes few.
STEPS = 8


class Once(NamedTuple):
    """Distinct rows, and the index of the distinct row that equals each row.

    Attributes
    ----------
    rows : Tensor
        int64 ``[W, U]``: the rows to compute.
    of : Tensor
        int64 ``[W, R]``: for each row, the index in `rows` of its equal.
    """

    rows: Tensor
    of: Tensor

    def pick(self, x: Tensor) -> Tensor:
        """Return the rows to compute, ``[W, R, ...]`` -> ``[W, U, ...]``."""
        return take(x, self.rows)

    def spread(self, y: Tensor) -> Tensor:
        """Copy the computed results to all rows, ``[W, U, ...]`` -> ``[W, R, ...]``."""
        return take(y, self.of)


class Kinds(NamedTuple):
    """Row indices of single-base substitutions and of other variants.

    Some networks have a faster method for the former.

    Attributes
    ----------
    substitutions, others : Tensor
        int64 ``[W, S]`` and ``[W, O]``: rows of the variants.
    of : Tensor
        int64 ``[W, G]``: each variant's row in the substitutions followed by the others.
    """

    substitutions: Tensor
    others: Tensor
    of: Tensor


class Shared(NamedTuple):
    """Places, allele ends and kinds that the variants of a batch share.

    Attributes
    ----------
    places : Once
        Distinct places of the G variants; variants with the same position and reference allele
        share a place.
    ref_ends, alt_ends : Once
        Distinct rows of the 2 G allele ends, start and end in turn, on either haplotype.
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
    """Return the fields of `Shared` as a flat list, int64 ``[W, ...]`` each.

    Parameters
    ----------
    offset : NDArray
        int64 ``[W, G]``.
    haplotypes : Haplotypes
        ``[W, G, ...]``. Only neighbouring variants are compared to find shared places.
    stepped : bool
        Repeat some rows to round their number up to one of `STEPS`.
    """
    ref, _, ref_len, alt_len = haplotypes
    new, single = np.ones(offset.shape, bool), ref_len == 1
    new[:, 1:] = (np.diff(offset) != 0) | (np.diff(ref_len) != 0)
    new[:, 1:] |= (ref[:, 1:] != ref[:, :-1]).any(2)
    substitution = single & (alt_len == 1)
    if new.all() and substitution.all():
        return _nothing_but_ends(*offset.shape)
    return _rows(new, single, substitution, max(1, offset.shape[1] // STEPS) if stepped else 1)


@cache  # few sizes occur, and most batches are of this kind
def _nothing_but_ends(n_windows: int, n_variants: int) -> list[NDArray[np.int64]]:
    """Return the fields for a batch of substitutions, each at a place of its own."""
    every = np.ones((n_windows, n_variants), bool)
    return _rows(every, every, every, 1)


def _rows(
    new: NDArray[np.bool_],
    single: NDArray[np.bool_],
    substitution: NDArray[np.bool_],
    step: int,
) -> list[NDArray[np.int64]]:
    """Return the fields from properties of the variants, bool ``[W, G]`` each.

    Parameters
    ----------
    new : NDArray
        True for the first variant of its place.
    single : NDArray
        True if the reference allele has one base.
    substitution : NDArray
        True if the alternate allele has one base as well.
    step : int
        Round the number of rows to compute up to a multiple of this.
    """
    # An end without a row of its own equals the row before it, the start.
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
    """Return the list from :func:`shared_rows` as a `Shared`."""
    return Shared(Once(*fields[:2]), Once(*fields[2:4]), Once(*fields[4:6]), Kinds(*fields[6:]))


def _ends(start: NDArray[np.bool_], end: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return starts and ends in turn, ``[W, G]`` each -> ``[W, 2 G]``."""
    return np.stack([start, end], 2).reshape(len(start), -1)


def _numbered(is_new: NDArray[np.bool_], step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the new rows of each window, and for each row the index of its latest new row.

    The number of new rows is padded with 0 to a multiple of `step`.
    """
    number = is_new.cumsum(1) - 1
    most = int(number[:, -1].max()) + 1
    found = np.zeros((len(is_new), most + -most % step), np.int64)
    windows, rows = np.nonzero(is_new)
    found[windows, number[windows, rows]] = rows
    return found, number
