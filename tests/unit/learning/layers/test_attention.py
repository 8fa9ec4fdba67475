"""Attention blocks against the definition written out."""

from __future__ import annotations

import pytest
import torch

from genomix_cli.learning.layers import attention
from genomix_cli.learning.layers.attention import (
    KeyValue,
    MultiHeadAttention,
    biased_attention,
    read_only_attention,
)

B, H, N, E, R, G, T = 2, 3, 40, 8, 5, 4, 6
# Blocks of unequal size.
EACH = torch.tensor([5, 5, 20, 8, 2])
BLOCKS = torch.arange(R).repeat_interleave(EACH)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def explicit(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | float):
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + bias
    return scores.softmax(-1) @ v


def dense(bias: torch.Tensor) -> torch.Tensor:
    return bias.repeat_interleave(EACH, -1).repeat_interleave(EACH, -2)


@pytest.mark.parametrize("learned", [True, False])
def test_block_bias_equals_a_dense_additive_bias(rng: torch.Generator, learned: bool) -> None:
    q, k, v = (torch.randn(B, H, N, E, generator=rng) for _ in range(3))
    bias = torch.randn(B, H, R, R, generator=rng, requires_grad=learned)
    got = biased_attention(q, k, v, bias, BLOCKS)
    torch.testing.assert_close(got, explicit(q, k, v, dense(bias)), atol=1e-5, rtol=1e-5)


def test_block_bias_has_the_dense_gradient(rng: torch.Generator) -> None:
    q, k, v = (torch.randn(B, H, N, E, generator=rng) for _ in range(3))
    bias = torch.randn(B, H, R, R, generator=rng, requires_grad=True)
    biased_attention(q, k, v, bias, BLOCKS).square().sum().backward()
    got, bias.grad = bias.grad, None
    explicit(q, k, v, dense(bias)).square().sum().backward()
    torch.testing.assert_close(got, bias.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("biased", [True, False])
def test_read_only_attention_is_one_softmax_over_window_and_own_tokens(
    rng: torch.Generator, biased: bool
) -> None:
    q, own_k, own_v = (torch.randn(B, G, H, T, E, generator=rng) for _ in range(3))
    k, v = (torch.randn(B, H, N, E, generator=rng) for _ in range(2))
    rows = torch.randn(B, H, G, R, generator=rng)
    own, shared = KeyValue(own_k, own_v), KeyValue(k, v)
    got = read_only_attention(q, own, shared, *((rows, BLOCKS) if biased else ()))
    for b in range(B):
        for g in range(G):
            keys = torch.cat([k[b], own_k[b, g]], dim=1)
            values = torch.cat([v[b], own_v[b, g]], dim=1)
            extra = torch.zeros(H, T, N + T)
            if biased:
                extra[..., :N] = rows[b, :, g].repeat_interleave(EACH, -1)[:, None]
            expected = explicit(q[b, g], keys, values, extra)
            torch.testing.assert_close(got[b, g], expected, atol=1e-5, rtol=1e-5)


def test_what_is_cut_to_fit_the_cache_reads_the_same(
    rng: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    q, own_k, own_v = (torch.randn(B, G, H, T, E, generator=rng) for _ in range(3))
    k, v = (torch.randn(B, H, N, E, generator=rng) for _ in range(2))
    bias = torch.randn(B, H, G, R, generator=rng)
    whole = read_only_attention(q, KeyValue(own_k, own_v), KeyValue(k, v), bias, BLOCKS)
    monkeypatch.setattr(attention, "CACHED_SCORES", 3 * H * T * N)  # three groups, then one
    with torch.no_grad():
        parts = read_only_attention(q, KeyValue(own_k, own_v), KeyValue(k, v), bias, BLOCKS)
        few = read_only_attention(
            q[..., :2, :], KeyValue(own_k, own_v), KeyValue(k, v), bias, BLOCKS
        )
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(few, whole[..., :2, :], atol=1e-6, rtol=1e-5)


def test_keys_and_values_are_projected_without_queries(rng: torch.Generator) -> None:
    attention, x = MultiHeadAttention(24, 4), torch.randn(2, N, 24, generator=rng)
    for got, expected in zip(attention.project_keys(x), attention.project(x)[1:], strict=True):
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)


def test_plain_self_attention_matches_pytorch() -> None:
    ours = MultiHeadAttention(24, 4).eval()
    theirs = torch.nn.MultiheadAttention(24, 4, batch_first=True).eval()
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.qkv.weight,
            "in_proj_bias": ours.qkv.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    x = torch.randn(2, 10, 24, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0], atol=1e-6, rtol=1e-5)
