"""Losses for variants: binary cross-entropy, and ranking within a locus.

Letters in shapes: W windows, G variants per window.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Loss(NamedTuple):
    """Loss and its terms, each a scalar."""

    total: Tensor
    bce: Tensor
    rank: Tensor


def weighted_bce(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the mean binary cross-entropy; all arguments are float ``[W, G]``.

    Entries with weight 0 (padding) or label NaN are ignored.
    """
    known = ~labels.isnan()
    each = F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), reduction="none")
    weights = weights * known
    return (each * weights).sum() / weights.sum().clamp(min=1e-8)


def ranked_pairs(
    labels: Tensor, effects: Tensor, groups: Tensor, weights: Tensor, margin: float = 0.0
) -> Tensor:
    """Return the pairs (i, j) of a group in which i ranks above j, bool ``[W, G, G]``.

    Pairs are ranked by effect if both have one, else by label if both have one.

    Parameters
    ----------
    labels, effects, weights : Tensor
        float ``[W, G]``; NaN if missing. A weight of 0 excludes a variant.
    groups : Tensor
        int64 ``[W, G]``; pairs are formed only inside a group of a window.
    margin : float
        Effects that differ by no more than this are not ranked.
    """
    measured = ~effects.isnan()
    both = measured[:, :, None] & measured[:, None, :]
    # Comparisons with NaN are false, so a missing effect ranks nothing.
    by_effect = effects[:, :, None] - effects[:, None, :] > margin
    by_label = (labels[:, :, None] > labels[:, None, :]) & ~both
    used = weights > 0
    together = groups[:, :, None] == groups[:, None, :]
    return (by_effect | by_label) & together & used[:, :, None] & used[:, None, :]


def ranknet(logits: Tensor, pairs: Tensor) -> Tensor:
    """Return the mean of softplus(-(z_i - z_j)) over pairs where i ranks above j; 0 if none.

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
    """Return BCE + `rank_weight` x RankNet, computed in float32."""
    logits = logits.float()
    bce = weighted_bce(logits, labels, weights)
    if not rank_weight:
        return Loss(bce, bce, torch.zeros_like(bce))
    rank = ranknet(logits, ranked_pairs(labels, effects, groups, weights, margin))
    return Loss(bce + rank_weight * rank, bce, rank)
