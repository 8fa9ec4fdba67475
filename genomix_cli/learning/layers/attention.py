"""Multi-head attention with an additive bias between blocks, and read-only queries.

Letters: B batch, N keys, Q queries, d width, H heads, e = d/H, R blocks of the bias.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.errors import UsageError

# Fused kernels want the head width to be a multiple of 8.
HEAD_MULTIPLE = 8
LOG2_E = math.log2(math.e)
# Number of attention scores that fit into the cache of one core.
CACHED_SCORES = 1 << 20


def check_heads(width: int, heads: int, name: str = "width") -> None:
    """Refuse a number of heads that does not divide the width.

    Raises
    ------
    UsageError
        The message calls the width `name`.
    """
    if width % heads:
        raise UsageError(f"{name} {width} is not a multiple of heads {heads}")


class KeyValue(NamedTuple):
    """Keys and values of one layer, ``[B, H, N, e]`` each."""

    key: Tensor
    value: Tensor


class MultiHeadAttention(nn.Module):
    """Projections of scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762).

    Attention itself is left to the functions below, because GMT's two streams share these weights
    but attend to different tokens.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values: ``[..., N, d]`` -> three of ``[..., H, N, e]``."""
        q, k, v = self.split(self.qkv(x), 3)
        return q, k, v

    def project_keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values as `project` does, without computing the queries."""
        first = x.shape[-1]
        k, v = self.split(F.linear(x, self.qkv.weight[first:], self.qkv.bias[first:]), 2)
        return k, v

    def split(self, projected: Tensor, n: int) -> Sequence[Tensor]:
        """Split n projections into heads: ``[..., N, n d]`` -> n of ``[..., H, N, e]``."""
        return projected.unflatten(-1, (n, self.n_heads, -1)).transpose(-2, -4).unbind(-3)

    def merge(self, heads: Tensor) -> Tensor:
        """Merge heads and project: ``[..., H, N, e]`` -> ``[..., N, d]``."""
        return self.out(heads.transpose(-2, -3).flatten(-2))

    def forward(self, x: Tensor) -> Tensor:
        """Apply plain self-attention over the tokens of ``[..., N, d]``."""
        return self.merge(F.scaled_dot_product_attention(*self.project(x)))


def biased_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, blocks: Tensor | None = None
) -> Tensor:
    """Compute fused attention with an additive bias between blocks of queries and of keys.

    Parameters
    ----------
    q, k, v : Tensor
        ``[B, H, N, e]``.
    bias : Tensor, optional
        ``[B, H, R, R]``: bias of each block of queries towards each block of keys.
    blocks : Tensor, optional
        int64 ``[N]``, ascending: block of each query and key; needed with `bias`.

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
    """Add the bias inside the dot product, which lets gradients reach it.

    With a dense bias that needs a gradient, the fused kernel falls back to the slow path, and flash
    attention takes no bias at all. Instead, each query is extended by its row of the bias and each
    key by the one-hot of its block. This adds exactly the same bias with no ``[H, N, N]`` array in
    memory.
    """
    width, rank = q.shape[-1], bias.shape[-1]
    total = math.ceil((width + rank) / HEAD_MULTIPLE) * HEAD_MULTIPLE
    pad = total - width
    # The kernel divides scores by sqrt(total) instead of sqrt(width); these factors undo that.
    rows = F.pad(bias[:, :, blocks], (0, pad - rank)) * math.sqrt(total)
    onehot = F.one_hot(blocks, pad).to(k.dtype).expand(*k.shape[:-1], pad)
    q = torch.cat([q * math.sqrt(total / width), rows.to(q.dtype)], dim=-1)
    k = torch.cat([k, onehot], dim=-1)
    return F.scaled_dot_product_attention(q, k, F.pad(v, (0, pad)))[..., :width]


def _blocked_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, blocks: Tensor) -> Tensor:
    """Attend with one block of queries at a time, since they share one row of the bias.

    On a CPU, this is a third faster than appended columns, which widen both products.
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
    """Let the tokens of each group attend to shared keys and to themselves, under one softmax.

    The groups (variants) do not see each other, and the shared tokens see none of them, so the
    output of a group does not depend on the other groups in the batch. The shared keys are never
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
        ``[B, H, G, R]``: bias of each group towards each block of shared keys, the same for all
        tokens of the group.
    blocks : Tensor, optional
        int64 ``[N]``: block of each shared key; needed with `bias`.

    Returns
    -------
    Tensor
        ``[B, G, H, Q, e]``.
    """
    by_key = None if bias is None else LOG2_E * bias[..., blocks]
    if torch.is_grad_enabled() or q.device.type != "cpu":
        return _read(q, own, shared, by_key)
    # A CPU is three times faster if the scores stay in its cache.
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
    """Compute :func:`read_only_attention` of all groups at once.

    The bias is ``[B, H, G, N]``, one value per shared key, in units of log 2.
    """
    # Scores are in units of log 2: on a CPU, exp2 takes half the time of exp.
    q = (q * (LOG2_E * q.shape[-1] ** -0.5)).transpose(1, 2)  # [B, H, G, Q, e]
    shape = q.shape[:-1]
    # inner: scores of the group's own tokens; outer: scores of shared keys, as one large product.
    inner = q @ own.key.transpose(1, 2).transpose(-1, -2)  # [B, H, G, Q, T]
    # In half precision, the softmax would lose the small differences between variants.
    inner = inner.float()
    outer = (q.flatten(2, 3) @ shared.key.transpose(-1, -2)).float()  # [B, H, G Q, N]
    if bias is not None:
        each = outer.view(*shape, -1)
        each += bias[:, :, :, None]
    # In place, since `outer` is by far the largest array.
    top = torch.maximum(outer.detach().amax(-1).view(shape), inner.detach().amax(-1))[..., None]
    outer = outer.sub_(top.flatten(2, 3)).exp2_()
    inner = (inner - top).exp2()
    # One softmax over both: the weighted values are summed separately, then share a denominator.
    total = outer.sum(-1).view(shape) + inner.sum(-1)
    mixed = (outer.to(shared.value.dtype) @ shared.value).view(*shape, -1)
    mixed = mixed + inner.to(own.value.dtype) @ own.value.transpose(1, 2)
    return (mixed / total[..., None]).to(q.dtype).transpose(1, 2)
