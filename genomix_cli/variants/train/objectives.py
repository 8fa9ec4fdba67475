"""Losses for variants: binary cross-entropy, and ranking within a locus.

Letters: W windows, G variants per window.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Loss(NamedTuple):
    """The loss and its parts, each a scalar."""

    total: Tensor
    bce: Tensor
    rank: Tensor


def weighted_bce(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Mean binary cross-entropy; `weights` is 0 for padding. All float ``[W, G]``.

    A label that is NaN is not learned from.
    """
    known = ~labels.isnan()
    each = F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), reduction="none")
    weights = weights * known
    return (each * weights).sum() / weights.sum().clamp(min=1e-8)


def ranked_pairs(
    labels: Tensor, effects: Tensor, groups: Tensor, weights: Tensor, margin: float = 0.0
) -> Tensor:
    """Which variant i of a group ranks above which j, bool ``[W, G, G]``.

    By effect where both have one, by label where both have that and not both an effect.

    Parameters
    ----------
    labels, effects, weights : Tensor
        float ``[W, G]``; NaN where there is none. A weight of 0 takes a variant out.
    groups : Tensor
        int64 ``[W, G]``; pairs are formed inside a group of a window only.
    margin : float
        Effects that differ by no more than this are not ranked.
    """
    measured = ~effects.isnan()
    both = measured[:, :, None] & measured[:, None, :]
    # Comparisons with NaN are false.
    by_effect = effects[:, :, None] - effects[:, None, :] > margin
    by_label = (labels[:, :, None] > labels[:, None, :]) & ~both
    used = weights > 0
    together = groups[:, :, None] == groups[:, None, :]
    return (by_effect | by_label) & together & used[:, :, None] & used[:, None, :]


def ranknet(logits: Tensor, pairs: Tensor) -> Tensor:
    """Mean of softplus(-(z_i - z_j)) over pairs where i ranks above j; 0 where there is none.

    RankNet (Burges et al. 2005, doi:10.1145/1102351.1102363).

    Parameters
    ----------
    logits : Tensor
        float ``[W, G]``.
    pairs : Tensor
        bool ``[W, G, G]``, see :func:`ranked_pairs`.
    """
    each = F.softplus(logits[:, None, :] - logits[:, :, None])
    return (each * pairs).sum() / pairs.sum().clamp(min=1)


def variant_loss(
    logits: Tensor,
    labels: Tensor,
    effects: Tensor,
    groups: Tensor,
    weights: Tensor,
    *,
    rank_weight: float,
    margin: float = 0.0,
) -> Loss:
    """BCE + `rank_weight` x RankNet, computed in float32; arguments as in the parts."""
    logits = logits.float()
    bce = weighted_bce(logits, labels, weights)
    if not rank_weight:
        return Loss(bce, bce, torch.zeros_like(bce))
    rank = ranknet(logits, ranked_pairs(labels, effects, groups, weights, margin))
    return Loss(bce + rank_weight * rank, bce, rank)
