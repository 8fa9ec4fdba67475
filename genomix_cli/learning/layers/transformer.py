"""Transformer blocks, with optional masks of tokens that may not be attended to.

Letters: B batch, N tokens, Q queries, d width, H heads, e = d/H.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.learning.layers.attention import MultiHeadAttention
from genomix_cli.learning.layers.positions import rotary


def feed_forward(width: int, hidden: int, out: int, dropout: float) -> nn.Sequential:
    """Return two linear layers with a GELU and dropout between them."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, out)
    )


class GatedFeedForward(nn.Module):
    """Gated feed-forward block without biases, SwiGLU (Shazeer 2020, arXiv:2002.05202).

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
        """Apply the block: ``[..., d]`` -> ``[..., d]``."""
        gate, value = self.widen(x).chunk(2, dim=-1)
        return self.narrow(self.dropout(F.silu(gate) * value))


def visible(mask: Tensor) -> Tensor:
    """Return an attention mask ``[B, 1, 1, N]`` of the visible keys in `mask`, bool ``[B, N]``.

    If a sample has no visible key, all of its keys become visible, since a softmax over none is
    undefined.
    """
    return (mask | ~mask.any(-1, keepdim=True))[:, None, None]


class SelfAttentionBlock(nn.Module):
    """Pre-norm transformer layer (Xiong et al. 2020, arXiv:2002.04745) on ``[B, N, d]``.

    Parameters
    ----------
    width, heads : int
        d and H.
    dropout : float
        Dropout after attention, and within and after the feed-forward block.
    expansion : int
        Hidden width of the feed-forward block, as a multiple of d.
    rotary : bool
        If True, apply rotary positions to queries and keys.
    gated : bool
        If True, use a SwiGLU as feed-forward block.
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
        """Apply the layer; `mask` is bool ``[B, 1, 1, N]``, True for keys to attend to."""
        q, k, v = self.attention.project(self.norm(x))
        if self.rotary:
            q, k = rotary(q), rotary(k)
        heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.dropout(self.attention.merge(heads))
        return x + self.dropout(self.mlp(x))


class CrossAttentionBlock(nn.Module):
    """Cross-attention block: queries ``[B, Q, d]`` attend to a context ``[B, N, c]``.

    Parameters
    ----------
    width, heads : int
        d and H.
    context : int
        Width of the context, c.
    dropout, expansion : float, int
        As in `SelfAttentionBlock`.
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
        """Apply the block; `mask` is bool ``[B, 1, 1, N]``, True for tokens to attend to."""
        projected = (
            self.query(self.norm(x)),
            *self.key_value(self.context_norm(context)).chunk(2, dim=-1),
        )
        q, k, v = (t.unflatten(-1, (self.n_heads, -1)).transpose(-2, -3) for t in projected)
        heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # [B, H, Q, e]
        x = x + self.dropout(self.out(heads.transpose(-2, -3).flatten(-2)))
        return x + self.dropout(self.mlp(x))


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the weights of scaled dot-product attention.

    They need memory for every pair of query and key, so this is for few tokens only.

    Parameters
    ----------
    q, k : Tensor
        ``[B, H, Q, e]`` and ``[B, H, N, e]``.
    mask : Tensor, optional
        bool ``[B, 1, 1, N]``, True for keys to attend to; each sample needs at least one.

    Returns
    -------
    Tensor
        float32 ``[B, H, Q, N]``; rows sum to 1.
    """
    # In half precision, the softmax would lose digits.
    scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1)


class AttentionPool(nn.Module):
    """Attention pooling, ``[B, N, d]`` -> ``[B, d]``, with one learned query per head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, heads)
        self.value = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Pool all tokens; none is masked."""
        x = self.norm(x)
        weight = self.score(x).softmax(-2)  # [B, N, H]
        value = self.value(x).unflatten(-1, (weight.shape[-1], -1))  # [B, N, H, e]
        return torch.einsum("bnh,bnhe->bhe", weight, value).flatten(-2)
