"""Loss of networks of cohorts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def focal_loss(
    logits: Tensor,
    label: Tensor,
    gamma: float = 0.0,
    weight: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Return the focal loss ``-(1 - p)^gamma log p``, which gives easy samples less weight.

    Lin et al. 2017, Focal loss for dense object detection. doi:10.1109/ICCV.2017.324

    Parameters
    ----------
    logits : Tensor
        ``[B, K]``.
    label : Tensor
        int64 ``[B]``.
    gamma : float
        0 is cross-entropy.
    weight : Tensor, optional
        Weight of each class ``[K]``; the loss is the weighted mean.
    smoothing : float
        Share of each label that is spread over all classes (Szegedy et al. 2016,
        doi:10.1109/CVPR.2016.308).
    """
    log_p = F.log_softmax(logits.float(), dim=-1)
    own = log_p.gather(1, label[:, None])[:, 0]
    loss = -(1 - smoothing) * own - smoothing * log_p.mean(-1)
    if gamma:
        # Compute 1 - p as -expm1(log p): near p = 1 the plain difference loses all digits, and its
        # root has no gradient.
        loss = loss * (-torch.expm1(own)).clamp_min(1e-12) ** gamma
    each = torch.ones_like(loss) if weight is None else weight[label]
    return (each * loss).sum() / each.sum()


def class_weights(label: Tensor, n_classes: int) -> Tensor:
    """Return balanced class weights ``n / (K n_k)``, float32 ``[K]``; 0 for an absent class."""
    count = torch.bincount(label, minlength=n_classes).float()
    return torch.where(count > 0, count.sum() / (n_classes * count.clamp_min(1)), 0.0)
