"""Losses for variants: binary cross-entropy, ranking within a locus, and a penalty on weights.

Letters in shapes: W windows, G variants per window.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Loss(NamedTuple):
    """Loss and its unweighted terms, all scalars.

    Attributes
    ----------
    total, bce, rank, penalty : Tensor
    """

    total: Tensor
    bce: Tensor
    rank: Tensor
    penalty: Tensor

    def terms(self) -> dict[str, Tensor]:
        """Return the total as ``loss``, and each term by name."""
        return {"loss": self.total, "bce": self.bce, "rank": self.rank, "penalty": self.penalty}


class LossWeights(NamedTuple):
    """Weights of the terms: lambda 1, 2 and 3 in the GMT paper.

    Attributes
    ----------
    bce, rank, penalty : float
    margin : float
        Effects that differ by no more than this are not ranked.
    """

    bce: float = 1.0
    rank: float = 0.3
    penalty: float = 0.0
    margin: float = 0.0


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
    """Return the pairs (i, j) of a group where i ranks above j, bool ``[W, G, G]``.

    Pairs are ranked by effect if both variants have one, otherwise by label if both have one.

    Parameters
    ----------
    labels, effects, weights : Tensor
        float ``[W, G]``; NaN if missing. A weight of 0 excludes a variant.
    groups : Tensor
        int64 ``[W, G]``; pairs are formed only within a group of a window.
    margin : float
        Effects that differ by no more than this are not ranked.
    """
    measured = ~effects.isnan()
    both = measured[:, :, None] & measured[:, None, :]
    # Comparisons with NaN are false, so a missing effect forms no pair.
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
    of_terms: LossWeights,
    parameters: Iterable[Tensor] = (),
) -> Loss:
    """Return the weighted sum of BCE, RankNet and the squared weights, computed in float32.

    A term of weight 0 is not computed. The third term is a penalty in the loss, as in the paper. It
    differs from weight decay, which AdamW applies in addition, because Adam scales its gradient
    like any other (Loshchilov and Hutter 2019, arXiv:1711.05101).

    Parameters
    ----------
    logits, labels, effects, groups, weights : Tensor
        See :func:`weighted_bce` and :func:`ranked_pairs`.
    of_terms : LossWeights
    parameters : iterable of Tensor
        Trainable weights of the model.
    """
    logits = logits.float()
    # A zero that depends on the logits keeps the backward pass defined if all terms are off.
    zero = logits.sum() * 0
    bce = weighted_bce(logits, labels, weights) if of_terms.bce else zero
    rank = penalty = zero
    if of_terms.rank:
        rank = ranknet(logits, ranked_pairs(labels, effects, groups, weights, of_terms.margin))
    if of_terms.penalty:
        penalty = torch.stack([p.float().square().sum() for p in parameters]).sum()
    total = of_terms.bce * bce + of_terms.rank * rank + of_terms.penalty * penalty
    return Loss(total, bce, rank, penalty)
