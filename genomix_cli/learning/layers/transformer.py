"""Blocks of transformers over tokens, some of which may be hidden from all others.

Letters: B batch, N tokens, Q queries, d width, H heads, e = d/H.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.learning.layers.attention import MultiHeadAttention
from genomix_cli.learning.layers.positions import rotary


def feed_forward(width: int, hidden: int, out: int, dropout: float) -> nn.Sequential:
    """Two linear layers with a GELU between them."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, out)
    )


class GatedFeedForward(nn.Module):
    """SwiGLU, a feed-forward part with a gate and without biases (Shazeer 2020, arXiv:2002.05202).

    Parameters
    ----------
    width, hidden : int
    dropout : float
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(width, 2 * hidden, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.narrow = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., d]`` -> the same."""
        gate, value = self.widen(x).chunk(2, dim=-1)
        return self.narrow(self.dropout(F.silu(gate) * value))


def visible(mask: Tensor) -> Tensor:
    """Keys ``[B, N]`` that may be attended to, as a mask ``[B, 1, 1, N]`` of attention.

    Where none may, all may: a softmax over nothing has no value.
    """
    return (mask | ~mask.any(-1, keepdim=True))[:, None, None]


class SelfAttentionBlock(nn.Module):
    """Pre-norm transformer layer (Xiong et al. 2020, arXiv:2002.04745): ``[B, N, d]`` to the same.

    Parameters
    ----------
    width, heads : int
        d and H.
    dropout : float
        Dropout of the output of attention and of the feed-forward part.
    expansion : int
        Hidden width of the feed-forward part, in d.
    rotary : bool
        Whether queries and keys are turned by their positions.
    gated : bool
        Whether the feed-forward part is a SwiGLU.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float = 0.0,
        expansion: int = 2,
        *,
        rotary: bool = False,
        gated: bool = False,
    ) -> None:
        super().__init__()
        self.rotary = rotary
        self.norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, heads)
        self.dropout = nn.Dropout(dropout)
        hidden = expansion * width
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            GatedFeedForward(width, hidden, dropout)
            if gated
            else feed_forward(width, hidden, width, dropout),
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask`: bool ``[B, 1, 1, N]``, true for keys that may be attended to."""
        q, k, v = self.attention.project(self.norm(x))
        if self.rotary:
            q, k = rotary(q), rotary(k)
        heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.dropout(self.attention.merge(heads))
        return x + self.dropout(self.mlp(x))


class CrossAttentionBlock(nn.Module):
    """Queries ``[B, Q, d]`` read a context ``[B, N, c]``; then a feed-forward part, as above.

    Parameters
    ----------
    width, heads : int
        d and H.
    context : int
        c.
    dropout : float
    expansion : int
    """

    def __init__(
        self, width: int, context: int, heads: int, dropout: float = 0.0, expansion: int = 2
    ) -> None:
        super().__init__()
        self.n_heads = heads
        self.norm, self.context_norm = nn.LayerNorm(width), nn.LayerNorm(context)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(context, 2 * width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), feed_forward(width, expansion * width, width, dropout)
        )

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask`: bool ``[B, 1, 1, N]``, true for what may be read."""
        projected = (
            self.query(self.norm(x)),
            *self.key_value(self.context_norm(context)).chunk(2, dim=-1),
        )
        q, k, v = (t.unflatten(-1, (self.n_heads, -1)).transpose(-2, -3) for t in projected)
        heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # [B, H, Q, e]
        x = x + self.dropout(self.out(heads.transpose(-2, -3).flatten(-2)))
        return x + self.dropout(self.mlp(x))


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """Weights that scaled dot-product attention gives, written out, for few tokens only.

    Parameters
    ----------
    q, k : Tensor
        ``[B, H, Q, e]`` and ``[B, H, N, e]``.
    mask : Tensor, optional
        bool ``[B, 1, 1, N]``; at least one of each sample's is true.

    Returns
    -------
    Tensor
        float32 ``[B, H, Q, N]``; rows sum to 1.
    """
    # A softmax in half precision would lose digits.
    scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1)


class AttentionPool(nn.Module):
    """Tokens ``[B, N, d]`` to their mean under learned attention ``[B, d]``, a query per head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, heads)
        self.value = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """All tokens may be attended to."""
        x = self.norm(x)
        weight = self.score(x).softmax(-2)  # [B, N, H]
        value = self.value(x).unflatten(-1, (weight.shape[-1], -1))  # [B, N, H, e]
        return torch.einsum("bnh,bnhe->bhe", weight, value).flatten(-2)
