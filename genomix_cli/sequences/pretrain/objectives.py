"""Contrastive losses: pairs that belong together are to be more alike than others.

Letters: B batch, p width of the compared vectors.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# As in CLIP: similarities are multiplied by this at most.
LARGEST_SCALE = 100.0


class Temperature(nn.Module):
    """Factor on similarities: the learned inverse of a temperature, clipped at 100.

    Learned as a logarithm (Radford et al. 2021, arXiv:2103.00020).
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self) -> Tensor:
        """Return the factor, a scalar."""
        return self.log_scale.clamp(max=math.log(LARGEST_SCALE)).exp()


def two_view_logits(a: Tensor, b: Tensor, scale: Tensor | float) -> tuple[Tensor, Tensor]:
    """Return similarities of 2B views to all others ``[2B, 2B]``, and each view's partner.

    Parameters
    ----------
    a, b : Tensor
        float ``[B, p]``: the two views of each sequence, of length 1.
    scale : Tensor or float
        Inverse temperature.

    Returns
    -------
    Tensor, Tensor
        Logits with ``-inf`` on the diagonal, and int64 ``[2B]``.
    """
    both = torch.cat([a, b]).float()
    logits = both @ both.T * scale
    logits = logits.masked_fill(torch.eye(len(both), dtype=torch.bool, device=a.device), -torch.inf)
    partner = torch.arange(len(both), device=a.device).roll(len(a))
    return logits, partner


def info_nce(a: Tensor, b: Tensor, scale: Tensor | float) -> Tensor:
    """InfoNCE (van den Oord et al. 2018, arXiv:1807.03748) in the symmetric form of SimCLR.

    Each view has to find its partner among the 2B - 1 others of the batch (Chen et al. 2020,
    arXiv:2002.05709, NT-Xent). Where several processes share a batch, the others are those of the
    own process.

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
    """The loss of CLIP (Radford et al. 2021, arXiv:2103.00020), with several right answers each.

    Cross-entropy from `a` to all of `b` and from `b` to all of `a`. Where several are right, the
    target is spread over them alike, as in supervised contrastive learning (Khosla et al. 2020,
    arXiv:2004.11362): two people of one phenotype are not told apart by it.

    Parameters
    ----------
    a, b : Tensor
        float ``[B, p]``, of length 1.
    scale : Tensor or float
    positive : Tensor, optional
        bool ``[B, B]``, true on the diagonal; default: only there.
    ignored : Tensor, optional
        bool ``[B, B]``: neither right nor wrong.
    """
    logits = a.float() @ b.float().T * scale
    if positive is None:
        positive = torch.eye(len(a), dtype=torch.bool, device=a.device)
    if ignored is not None:
        # Finite, since a target of 0 times infinity has no value.
        logits = logits.masked_fill(ignored & ~positive, -1e4)
    return (_spread(logits, positive) + _spread(logits.T, positive.T)) / 2


def _spread(logits: Tensor, positive: Tensor) -> Tensor:
    target = positive / positive.sum(1, keepdim=True)
    return F.cross_entropy(logits, target)
