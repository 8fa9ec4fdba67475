"""Losses against their definitions."""

from __future__ import annotations

import math

import pytest
import torch

from genomix_cli.variants.objectives import ranknet, variant_loss, weighted_bce


def test_bce_ignores_padding() -> None:
    logits = torch.tensor([[2.0, -1.0, 50.0]])
    labels = torch.tensor([[1.0, 0.0, 0.0]])
    weights = torch.tensor([[1.0, 3.0, 0.0]])
    expected = (math.log1p(math.exp(-2)) + 3 * math.log1p(math.exp(-1))) / 4
    assert weighted_bce(logits, labels, weights).item() == pytest.approx(expected, rel=1e-6)


def test_ranknet_counts_pairs_of_a_group_only() -> None:
    logits = torch.tensor([[1.0, 0.0, -3.0, 9.0]])
    labels = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    groups = torch.tensor([[7, 7, 8, 7]])
    weights = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    expected = math.log1p(math.exp(-1.0))
    assert ranknet(logits, labels, groups, weights).item() == pytest.approx(expected, rel=1e-6)


def test_ranknet_of_quantitative_labels_uses_their_order() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    labels = torch.tensor([[0.1, 0.5, 0.3]])
    ones, zeros = torch.ones(1, 3), torch.zeros(1, 3, dtype=torch.long)
    pairs = [(1, 0), (1, 2), (2, 0)]
    gaps = [logits[0, i] - logits[0, j] for i, j in pairs]
    expected = sum(math.log1p(math.exp(-g)) for g in gaps) / 3
    assert ranknet(logits, labels, zeros, ones).item() == pytest.approx(expected, rel=1e-6)


def test_no_pairs_give_zero_and_a_finite_gradient() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    labels, ones = torch.ones(1, 2), torch.ones(1, 2)
    loss = variant_loss(logits, labels, torch.zeros(1, 2, dtype=torch.long), ones, 0.3)
    loss.total.backward()
    assert loss.rank.item() == 0
    assert torch.isfinite(logits.grad).all()
