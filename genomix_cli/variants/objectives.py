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
    """Mean binary cross-entropy; `weights` is 0 for padding. All float ``[W, G]``."""
    each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (each * weights).sum() / weights.sum().clamp(min=1e-8)


def ranknet(logits: Tensor, labels: Tensor, groups: Tensor, weights: Tensor) -> Tensor:
    """Mean of softplus(-(z_i - z_j)) over pairs of a group with label i above label j.

    RankNet (Burges et al. 2005, doi:10.1145/1102351.1102363). 0 where there is no such pair.

    Parameters
    ----------
    logits, labels, weights : Tensor
        float ``[W, G]``; a weight of 0 takes a variant out.
    groups : Tensor
        int64 ``[W, G]``; pairs are formed inside a group of a window only.
    """
    pairs = (labels[:, :, None] > labels[:, None, :]) & (groups[:, :, None] == groups[:, None, :])
    used = weights > 0
    pairs = pairs & used[:, :, None] & used[:, None, :]
    each = F.softplus(logits[:, None, :] - logits[:, :, None])
    return (each * pairs).sum() / pairs.sum().clamp(min=1)


def variant_loss(
    logits: Tensor, labels: Tensor, groups: Tensor, weights: Tensor, rank_weight: float
) -> Loss:
    """BCE + `rank_weight` x RankNet, computed in float32; arguments as in the parts."""
    logits = logits.float()
    bce = weighted_bce(logits, labels, weights)
    rank = ranknet(logits, labels, groups, weights) if rank_weight else torch.zeros_like(bce)
    return Loss(bce + rank_weight * rank, bce, rank)
