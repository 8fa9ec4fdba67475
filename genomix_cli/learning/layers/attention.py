"""Multi-head attention with an additive bias between blocks, and queries that only read.

Letters: B batch, N keys, Q queries, d width, H heads, e = d/H, R blocks of the bias.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.errors import UsageError

# Fused kernels want the head width to be a multiple of 8.
HEAD_MULTIPLE = 8
LOG2_E = math.log2(math.e)
# Attention scores, in numbers, that fit the cache of one core.
CACHED_SCORES = 1 << 20


def check_heads(width: int, heads: int, name: str = "width") -> None:
    """Refuse heads that cannot share the width in equal parts.

    Raises
    ------
    UsageError
    """
    if width % heads:
        raise UsageError(f"{name} {width} is not a multiple of heads {heads}")


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


def biased_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, blocks: Tensor | None = None
) -> Tensor:
    """Fused attention with an additive bias between blocks of queries and of keys.

    Parameters
    ----------
    q, k, v : Tensor
        ``[B, H, N, e]``.
    bias : Tensor, optional
        ``[B, H, R, R]``: of each block of queries towards each block of keys.
    blocks : Tensor, optional
        int64 ``[N]``: the block of each query, and key, ascending; needed with `bias`.

    Returns
    -------
    Tensor
        ``[B, H, N, e]``.
    """
    if bias is None or blocks is None:
        return F.scaled_dot_product_attention(q, k, v)
    if bias.requires_grad or q.device.type != "cpu":
        return _appended_attention(q, k, v, bias, blocks)
    return _blocked_attention(q, k, v, bias, blocks)


def _appended_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, blocks: Tensor) -> Tensor:
    """The bias inside the product, with its gradient.

    A dense bias that needs a gradient drops the fused kernel to the slow path, and flash attention
    refuses any. Appending a query's row of the bias to it, and a one-hot of its block to each key,
    adds the same bias exactly, with no ``[H, N, N]`` in memory.
    """
    width, rank = q.shape[-1], bias.shape[-1]
    total = math.ceil((width + rank) / HEAD_MULTIPLE) * HEAD_MULTIPLE
    pad = total - width
    # Scores are divided by sqrt(total) instead of sqrt(width), which the factors here undo.
    rows = F.pad(bias[:, :, blocks], (0, pad - rank)) * math.sqrt(total)
    onehot = F.one_hot(blocks, pad).to(k.dtype).expand(*k.shape[:-1], pad)
    q = torch.cat([q * math.sqrt(total / width), rows.to(q.dtype)], dim=-1)
    k = torch.cat([k, onehot], dim=-1)
    return F.scaled_dot_product_attention(q, k, F.pad(v, (0, pad)))[..., :width]


def _blocked_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, blocks: Tensor) -> Tensor:
    """Each block of queries by itself, since its queries share one row of the bias.

    On a CPU a third faster than appended columns, which widen both products.
    """
    rows = bias[..., blocks].to(q.dtype)  # [B, H, R, N]
    parts = [
        F.scaled_dot_product_attention(block, k, v, attn_mask=rows[:, :, i : i + 1])
        for i, block in enumerate(q.split(torch.bincount(blocks).tolist(), dim=2))
    ]
    return torch.cat(parts, dim=2)


def read_only_attention(
    q: Tensor,
    own: KeyValue,
    shared: KeyValue,
    bias: Tensor | None = None,
    blocks: Tensor | None = None,
) -> Tensor:
    """Each group's tokens attend to shared keys and to themselves, one softmax over both.

    The groups (variants) do not see each other, and the shared tokens see none of them, so the
    answer for a group does not depend on which others come with it. The shared keys are never
    copied per group.

    Parameters
    ----------
    q : Tensor
        ``[B, G, H, Q, e]``: Q of the T tokens in each of G groups.
    own : KeyValue
        ``[B, G, H, T, e]``.
    shared : KeyValue
        ``[B, H, N, e]``.
    bias : Tensor, optional
        ``[B, H, G, R]``: of each group towards each block of shared keys, the same for all of its
        tokens.
    blocks : Tensor, optional
        int64 ``[N]``: the block of each shared key; needed with `bias`.

    Returns
    -------
    Tensor
        ``[B, G, H, Q, e]``.
    """
    by_key = None if bias is None else LOG2_E * bias[..., blocks]
    if torch.is_grad_enabled() or q.device.type != "cpu":
        return _read(q, own, shared, by_key)
    # A CPU is three times faster where the scores stay in its cache.
    size = max(1, CACHED_SCORES // (q.shape[2] * q.shape[3] * shared.key.shape[2]))
    parts = range(0, q.shape[1], size)
    return torch.cat(
        [
            _read(
                q[:, i : i + size],
                KeyValue(own.key[:, i : i + size], own.value[:, i : i + size]),
                shared,
                None if by_key is None else by_key[:, :, i : i + size],
            )
            for i in parts
        ],
        dim=1,
    )


def _read(q: Tensor, own: KeyValue, shared: KeyValue, bias: Tensor | None) -> Tensor:
    """:func:`read_only_attention` of all groups at once; bias ``[B, H, G, N]`` in log 2."""
    # Scores in units of log 2: on a CPU powers of 2 take half the time of powers of e.
    q = (q * (LOG2_E * q.shape[-1] ** -0.5)).transpose(1, 2)  # [B, H, G, Q, e]
    shape = q.shape[:-1]
    # inner: to the tokens of the group itself; outer: to the shared keys, as one large product.
    inner = q @ own.key.transpose(1, 2).transpose(-1, -2)  # [B, H, G, Q, T]
    # A softmax in half precision would lose what tells variants apart.
    inner = inner.float()
    outer = (q.flatten(2, 3) @ shared.key.transpose(-1, -2)).float()  # [B, H, G Q, N]
    if bias is not None:
        each = outer.view(*shape, -1)
        each += bias[:, :, :, None]
    # In place, since this is the one large array.
    top = torch.maximum(outer.detach().amax(-1).view(shape), inner.detach().amax(-1))[..., None]
    outer = outer.sub_(top.flatten(2, 3)).exp2_()
    inner = (inner - top).exp2()
    # One softmax over both: numerators are mixed separately and divided by the common total.
    total = outer.sum(-1).view(shape) + inner.sum(-1)
    mixed = (outer.to(shared.value.dtype) @ shared.value).view(*shape, -1)
    mixed = mixed + inner.to(own.value.dtype) @ own.value.transpose(1, 2)
    return (mixed / total[..., None]).to(q.dtype).transpose(1, 2)
