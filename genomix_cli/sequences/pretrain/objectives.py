"""Contrastive losses, which make matching pairs more similar than others.

Letters: B batch, p width of the compared vectors.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Largest factor on similarities, as in CLIP.
LARGEST_SCALE = 100.0


class Temperature(nn.Module):
    """Factor on similarities: a learned inverse temperature, clipped at 100.

    Its logarithm is learned (Radford et al. 2021, arXiv:2103.00020).
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self) -> Tensor:
        """Return the factor, a scalar."""
        return self.log_scale.clamp(max=math.log(LARGEST_SCALE)).exp()


def two_view_logits(a: Tensor, b: Tensor, scale: Tensor | float) -> tuple[Tensor, Tensor]:
    """Return the similarity of each view to all others ``[2B, 2B]``, and its partner.

    Parameters
    ----------
    a, b : Tensor
        float ``[B, p]``: unit vectors of the two views of each sequence.
    scale : Tensor or float
        Inverse temperature.

    Returns
    -------
    Tensor, Tensor
        Logits with ``-inf`` on the diagonal, and the index of each partner, int64 ``[2B]``.
    """
    both = torch.cat([a, b]).float()
    logits = both @ both.T * scale
    logits = logits.masked_fill(torch.eye(len(both), dtype=torch.bool, device=a.device), -torch.inf)
    partner = torch.arange(len(both), device=a.device).roll(len(a))
    return logits, partner


def info_nce(a: Tensor, b: Tensor, scale: Tensor | float) -> Tensor:
    """Return InfoNCE (van den Oord et al. 2018, arXiv:1807.03748) in the symmetric form of SimCLR.

    Each view is matched to its partner among the 2B - 1 other views of the batch (Chen et al. 2020,
    arXiv:2002.05709, NT-Xent). If several processes share a batch, only views of the same process
    are compared.

    Parameters
    ----------
    a, b, scale
        See :func:`two_view_logits`.

    Returns
    -------
    Tensor
        Scalar: mean of the 2B cross-entropies.
    """
    return F.cross_entropy(*two_view_logits(a, b, scale))


def symmetric_contrastive(
    a: Tensor,
    b: Tensor,
    scale: Tensor | float,
    positive: Tensor | None = None,
    ignored: Tensor | None = None,
) -> Tensor:
    """Return the loss of CLIP (Radford et al. 2021, arXiv:2103.00020) with several positives.

    It is the cross-entropy from `a` to all of `b` and from `b` to all of `a`. If an item has
    several positives, the target is spread evenly over them, as in supervised contrastive learning
    (Khosla et al. 2020, arXiv:2004.11362), since people with the same phenotype cannot be
    distinguished by it.

    Parameters
    ----------
    a, b : Tensor
        float ``[B, p]``: unit vectors.
    scale : Tensor or float
    positive : Tensor, optional
        bool ``[B, B]``: matching pairs, including the diagonal; by default only the diagonal.
    ignored : Tensor, optional
        bool ``[B, B]``: pairs that count neither as positive nor as negative.
    """
    logits = a.float() @ b.float().T * scale
    if positive is None:
        positive = torch.eye(len(a), dtype=torch.bool, device=a.device)
    if ignored is not None:
        # Use a finite value, since a target of 0 times infinity is NaN.
        logits = logits.masked_fill(ignored & ~positive, -1e4)
    return (_spread(logits, positive) + _spread(logits.T, positive.T)) / 2


def _spread(logits: Tensor, positive: Tensor) -> Tensor:
    target = positive / positive.sum(1, keepdim=True)
    return F.cross_entropy(logits, target)
