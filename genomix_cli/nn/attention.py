"""Multi-head attention with an additive low-rank bias, and queries that only read.

Letters: B batch, N keys, Q queries, d width, H heads, e = d/H, R rank of the bias.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Fused kernels want the head width to be a multiple of 8.
HEAD_MULTIPLE = 8


class LowRankBias(NamedTuple):
    """An additive attention bias ``bias[b, h, i, j] = rows[b, h, i, column[j]]``.

    Attributes
    ----------
    rows : Tensor
        float ``[B, H, Q, R]``: a query's bias towards each group of keys.
    column : Tensor
        int64 ``[N]``: the group of each key, in ``0..R-1``.
    """

    rows: Tensor
    column: Tensor


class KeyValue(NamedTuple):
    """Keys and values of one layer, ``[B, H, N, e]`` each."""

    key: Tensor
    value: Tensor


class MultiHeadAttention(nn.Module):
    """Projections of scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762).

    The attention itself is done by the functions below, because GMT's two streams share these
    weights and differ in what they attend to.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values: ``[..., N, d]`` -> three of ``[..., H, N, e]``."""
        q, k, v = (
            t.unflatten(-1, (self.n_heads, -1)).transpose(-2, -3)
            for t in self.qkv(x).chunk(3, dim=-1)
        )
        return q, k, v

    def merge(self, heads: Tensor) -> Tensor:
        """``[..., H, N, e]`` -> ``[..., N, d]``."""
        return self.out(heads.transpose(-2, -3).flatten(-2))

    def forward(self, x: Tensor) -> Tensor:
        """Plain self-attention over the last but one axis of ``[..., N, d]``."""
        return self.merge(F.scaled_dot_product_attention(*self.project(x)))


def biased_attention(q: Tensor, k: Tensor, v: Tensor, bias: LowRankBias | None) -> Tensor:
    """Fused attention with a low-rank additive bias that may need a gradient.

    A dense bias that needs a gradient drops the fused kernel to the slow path. Appending
    ``sqrt(e') rows`` to the queries and a one-hot of ``column`` to the keys adds the same bias
    inside the product, exactly, with no ``[H, N, N]`` in memory.

    Parameters
    ----------
    q, k, v : Tensor
        ``[B, H, N, e]``.
    bias : LowRankBias, optional

    Returns
    -------
    Tensor
        ``[B, H, N, e]``.
    """
    if bias is None:
        return F.scaled_dot_product_attention(q, k, v)
    width, rank = q.shape[-1], bias.rows.shape[-1]
    total = math.ceil((width + rank) / HEAD_MULTIPLE) * HEAD_MULTIPLE
    pad = total - width
    rows = F.pad(bias.rows, (0, pad - rank)) * math.sqrt(total)
    onehot = F.one_hot(bias.column, pad).to(k.dtype).expand(*k.shape[:-1], pad)
    q = torch.cat([q * math.sqrt(total / width), rows.to(q.dtype)], dim=-1)
    k = torch.cat([k, onehot], dim=-1)
    return F.scaled_dot_product_attention(q, k, F.pad(v, (0, pad)))[..., :width]


def read_only_attention(
    q: Tensor, own: KeyValue, shared: KeyValue, bias: LowRankBias | None
) -> Tensor:
    """Each group's tokens attend to shared keys and to themselves, one softmax over both.

    The groups (variants) do not see each other, and the shared tokens see none of them, so the
    answer for a group does not depend on which others come with it. The shared keys are never
    copied per group.

    Parameters
    ----------
    q : Tensor
        ``[B, G, H, T, e]``: T tokens in each of G groups.
    own : KeyValue
        ``[B, G, H, T, e]``.
    shared : KeyValue
        ``[B, H, N, e]``.
    bias : LowRankBias, optional
        Towards the shared keys; rows ``[B, H, G, R]``, the same for a group's T tokens.

    Returns
    -------
    Tensor
        ``[B, G, H, T, e]``.
    """
    groups, tokens, n_keys = q.shape[1], q.shape[3], shared.key.shape[2]
    q = q * q.shape[-1] ** -0.5
    inner = (q @ own.key.transpose(-1, -2)).transpose(1, 2)  # [B, H, G, T, T]
    flat, key = q.transpose(1, 2).flatten(2, 3), shared.key  # [B, H, G T, e]
    if bias is not None:
        rows = bias.rows.repeat_interleave(tokens, dim=2).to(q.dtype)  # [B, H, G T, R]
        onehot = F.one_hot(bias.column, rows.shape[-1]).to(key.dtype)
        flat = torch.cat([flat, rows], dim=-1)
        key = torch.cat([key, onehot.expand(*key.shape[:-1], -1)], dim=-1)
    outer = (flat @ key.transpose(-1, -2)).unflatten(2, (groups, tokens))  # [B, H, G, T, N]
    weights = torch.cat([outer, inner], dim=-1).softmax(dim=-1)
    mixed = weights[..., :n_keys].flatten(2, 3) @ shared.value  # [B, H, G T, e]
    mixed = mixed.unflatten(2, (groups, tokens))
    return (mixed + weights[..., n_keys:] @ own.value.transpose(1, 2)).transpose(1, 2)
