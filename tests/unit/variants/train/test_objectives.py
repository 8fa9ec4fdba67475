"""Losses against their definitions."""

from __future__ import annotations

import math

import pytest
import torch

from genomix_cli.variants.train.objectives import (
    Loss,
    LossWeights,
    ranked_pairs,
    ranknet,
    variant_loss,
    weighted_bce,
)


def test_bce_ignores_padding() -> None:
    logits = torch.tensor([[2.0, -1.0, 50.0]])
    labels = torch.tensor([[1.0, 0.0, 0.0]])
    weights = torch.tensor([[1.0, 3.0, 0.0]])
    expected = (math.log1p(math.exp(-2)) + 3 * math.log1p(math.exp(-1))) / 4
    assert weighted_bce(logits, labels, weights).item() == pytest.approx(expected, rel=1e-6)


def test_a_label_that_is_not_known_is_not_learned_from() -> None:
    logits = torch.tensor([[2.0, -1.0]], requires_grad=True)
    labels, ones = torch.tensor([[1.0, math.nan]]), torch.ones(1, 2)
    loss = weighted_bce(logits, labels, ones)
    loss.backward()
    assert loss.item() == pytest.approx(math.log1p(math.exp(-2)), rel=1e-6)
    assert logits.grad is not None
    assert logits.grad[0, 1] == 0


NONE = torch.full((1, 4), math.nan)


def test_ranknet_counts_pairs_of_a_group_only() -> None:
    logits = torch.tensor([[1.0, 0.0, -3.0, 9.0]])
    labels = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    groups = torch.tensor([[7, 7, 8, 7]])
    weights = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    expected = math.log1p(math.exp(-1.0))
    pairs = ranked_pairs(labels, NONE, groups, weights)
    assert ranknet(logits, pairs).item() == pytest.approx(expected, rel=1e-6)


def test_effects_are_ranked_by_their_order() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    effects = torch.tensor([[0.1, 0.5, 0.3]])
    ones, zeros = torch.ones(1, 3), torch.zeros(1, 3, dtype=torch.long)
    gaps = [logits[0, i] - logits[0, j] for i, j in [(1, 0), (1, 2), (2, 0)]]
    expected = sum(math.log1p(math.exp(-g)) for g in gaps) / 3
    pairs = ranked_pairs(NONE[:, :3], effects, zeros, ones)
    assert ranknet(logits, pairs).item() == pytest.approx(expected, rel=1e-6)


def test_effects_within_the_margin_are_not_ranked() -> None:
    effects = torch.tensor([[0.1, 0.5, 0.3]])
    ones, zeros = torch.ones(1, 3), torch.zeros(1, 3, dtype=torch.long)
    pairs = ranked_pairs(NONE[:, :3], effects, zeros, ones, margin=0.25)
    assert pairs.nonzero().tolist() == [[0, 1, 0]]


def test_labels_rank_where_effects_are_not_both_known() -> None:
    labels = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    effects = torch.tensor([[0.2, 0.7, math.nan, math.nan]])
    ones, zeros = torch.ones(1, 4), torch.zeros(1, 4, dtype=torch.long)
    pairs = ranked_pairs(labels, effects, zeros, ones).nonzero()[:, 1:].tolist()
    # 0 and 1 by effect, against their labels; the others by label.
    assert pairs == [[0, 3], [1, 0], [2, 1], [2, 3]]


def test_no_pairs_give_zero_and_a_finite_gradient() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    labels, ones = torch.ones(1, 2), torch.ones(1, 2)
    zeros = torch.zeros(1, 2, dtype=torch.long)
    loss = variant_loss(logits, labels, NONE[:, :2], zeros, ones, LossWeights())
    loss.total.backward()
    assert loss.rank.item() == 0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_each_term_counts_by_its_weight() -> None:
    logits = torch.tensor([[0.3, -1.2, 2.0]], requires_grad=True)
    labels, ones = torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(1, 3)
    zeros = torch.zeros(1, 3, dtype=torch.long)
    theta = [torch.tensor([[1.0, 2.0]], requires_grad=True), torch.tensor([3.0])]

    def loss(**weights: float) -> Loss:
        known = (labels, NONE[:, :3], zeros, ones)
        return variant_loss(logits, *known, LossWeights(**weights), theta)

    every = loss(bce=2.0, rank=0.5, penalty=0.1)
    assert every.penalty.item() == 14.0
    parts = 2.0 * every.bce + 0.5 * every.rank + 0.1 * every.penalty
    assert every.total.item() == pytest.approx(parts.item())
    every.total.backward()
    # The penalty alone reaches the weights: 0.1 x 2 theta.
    assert theta[0].grad is not None
    torch.testing.assert_close(theta[0].grad, torch.tensor([[0.2, 0.4]]))
    assert loss(rank=0.0).total.item() == pytest.approx(every.bce.item())
    ranks = loss(bce=0.0, rank=1.0)
    assert (ranks.bce.item(), ranks.penalty.item()) == (0, 0)
    assert ranks.total.item() == pytest.approx(every.rank.item())
