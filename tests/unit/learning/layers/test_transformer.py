"""Masked attention blocks against the definition written out."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from genomix_cli.learning.layers.positions import rotary
from genomix_cli.learning.layers.transformer import (
    AttentionPool,
    CrossAttentionBlock,
    GatedFeedForward,
    SelfAttentionBlock,
    attention_weights,
    visible,
)

B, N, Q, D, H = 3, 7, 4, 8, 2


def some(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mask() -> torch.Tensor:
    keys = torch.ones(B, N, dtype=torch.bool)
    keys[0, 3:] = keys[1, 0] = False
    return keys


def split(x: torch.Tensor) -> torch.Tensor:
    return x.unflatten(-1, (H, -1)).transpose(1, 2)


def test_written_out_weights_give_what_the_fused_kernel_gives() -> None:
    q, k, v = (some(B, H, N, D, seed=i) for i in range(3))
    weights = attention_weights(q, k, visible(mask()))
    fused = F.scaled_dot_product_attention(q, k, v, attn_mask=visible(mask()))
    torch.testing.assert_close(weights @ v, fused, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, H, N))
    assert (weights[0, :, :, 3:] == 0).all()


def test_where_nothing_may_be_attended_to_everything_may() -> None:
    keys = torch.zeros(1, N, dtype=torch.bool)
    assert visible(keys).shape == (1, 1, 1, N)
    assert visible(keys).all()


def test_a_self_attention_block_is_its_two_residual_steps() -> None:
    block, x = SelfAttentionBlock(D, H, dropout=0.5).eval(), some(B, N, D)
    q, k, v = (split(t) for t in block.attention.qkv(block.norm(x)).chunk(3, -1))
    scores = q @ k.transpose(-1, -2) / (D // H) ** 0.5
    scores = scores.masked_fill(~mask()[:, None, None], -1e9)
    heads = (scores.softmax(-1) @ v).transpose(1, 2).flatten(-2)
    wanted = x + block.attention.out(heads)
    wanted = wanted + block.mlp(wanted)
    torch.testing.assert_close(block(x, visible(mask())), wanted, atol=1e-5, rtol=1e-5)


def test_a_hidden_token_reaches_no_other() -> None:
    block, x = SelfAttentionBlock(D, H).eval(), some(B, N, D)
    changed = torch.where(mask()[..., None], x, 9.0)
    kept = mask()
    assert torch.equal(block(x, visible(kept))[kept], block(changed, visible(kept))[kept])


def test_a_cross_attention_block_is_its_two_residual_steps() -> None:
    block = CrossAttentionBlock(D, 5, H, dropout=0.5).eval()
    x, context = some(B, Q, D), some(B, N, 5, seed=1)
    k, v = (split(t) for t in block.key_value(block.context_norm(context)).chunk(2, -1))
    scores = split(block.query(block.norm(x))) @ k.transpose(-1, -2) / (D // H) ** 0.5
    scores = scores.masked_fill(~mask()[:, None, None], -1e9)
    wanted = x + block.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(-2))
    wanted = wanted + block.mlp(wanted)
    torch.testing.assert_close(block(x, context, visible(mask())), wanted, atol=1e-5, rtol=1e-5)


def test_a_pool_is_a_weighted_mean_of_values_in_each_head() -> None:
    pool, x = AttentionPool(D, H), some(B, N, D)
    normed = pool.norm(x)
    weight, value = pool.score(normed).softmax(1), pool.value(normed)
    wanted = [
        (weight[:, :, h, None] * value[:, :, h * D // H : (h + 1) * D // H]).sum(1)
        for h in range(H)
    ]
    torch.testing.assert_close(pool(x), torch.cat(wanted, -1), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(pool(x), pool(x.flip(1)), atol=1e-6, rtol=1e-5)


def test_turned_queries_and_keys_meet_by_their_distance_alone() -> None:
    q, k = some(1, 1, 1, D, seed=1).expand(1, 1, N, D), some(1, 1, 1, D, seed=2).expand(1, 1, N, D)
    products = (rotary(q) @ rotary(k).transpose(-1, -2))[0, 0]
    for distance in range(-N + 1, N):
        alike = products.diagonal(distance)
        torch.testing.assert_close(alike, alike[:1].expand_as(alike))
    assert products[0].unique().numel() == N
    torch.testing.assert_close(rotary(q)[..., 0, :], q[..., 0, :])
    torch.testing.assert_close(rotary(q).norm(dim=-1), q.norm(dim=-1))


def test_only_a_block_that_is_told_so_knows_the_order() -> None:
    x, turned = some(B, N, D), torch.arange(N).flip(0)
    for knows in (False, True):
        block = SelfAttentionBlock(D, H, rotary=knows).eval()
        assert torch.allclose(block(x)[:, turned], block(x[:, turned]), atol=1e-5) is not knows


def test_a_gated_part_is_its_formula() -> None:
    part, x = GatedFeedForward(D, 2 * D, 0.0), some(B, N, D)
    gate, value = part.widen.weight.chunk(2)
    wanted = (F.silu(x @ gate.T) * (x @ value.T)) @ part.narrow.weight.T
    torch.testing.assert_close(part(x), wanted)
    assert isinstance(SelfAttentionBlock(D, H, gated=True).mlp[1], GatedFeedForward)
