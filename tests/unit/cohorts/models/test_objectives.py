"""Losses of cohort networks against closed forms."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from genomix_cli.cohorts.models.objectives import class_weights, focal_loss


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(40, 3, generator=torch.Generator().manual_seed(0)) * 2


@pytest.fixture
def label() -> torch.Tensor:
    return torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 1.0, 3.0])])
def test_without_focus_it_is_cross_entropy(logits, label, weight, smoothing):
    expected = F.cross_entropy(logits, label, weight, reduction="none", label_smoothing=0)
    if smoothing:
        log_p = F.log_softmax(logits, -1)
        each = torch.ones(40) if weight is None else weight[label]
        spread = -(each * log_p.mean(-1)).sum() / each.sum()
        expected = (1 - smoothing) * F.cross_entropy(logits, label, weight) + smoothing * spread
    elif weight is None:
        expected = expected.mean()
    else:
        expected = F.cross_entropy(logits, label, weight)
    torch.testing.assert_close(focal_loss(logits, label, 0.0, weight, smoothing), expected)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_the_focal_loss_by_its_formula(logits, label, gamma):
    p = F.softmax(logits.double(), -1)[torch.arange(40), label]
    expected = (-((1 - p) ** gamma) * p.log()).mean().float()
    torch.testing.assert_close(focal_loss(logits, label, gamma), expected)


def test_two_classes_by_hand():
    """p = 3/4 of the right class: -(1/4)^2 log(3/4)."""
    logits = torch.tensor([[0.0, torch.log(torch.tensor(3.0))]])
    found = focal_loss(logits, torch.tensor([1]), gamma=2.0)
    assert float(found) == pytest.approx(0.0625 * 0.2876821, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("sure", [30.0, -200.0])
def test_gradients_are_finite_where_the_network_is_sure(gamma, sure):
    logits = torch.tensor([[sure, 0.0]], requires_grad=True)
    focal_loss(logits, torch.tensor([0]), gamma).backward()
    assert torch.isfinite(logits.grad).all()


def test_half_precision_is_computed_in_single():
    logits = torch.tensor([[8.0, 0.0]], dtype=torch.bfloat16)
    found = focal_loss(logits, torch.tensor([0]))
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(3.3541e-4, rel=1e-3)


def test_class_weights_give_each_class_the_same():
    label = torch.tensor([0, 0, 0, 1, 3, 3])
    weight = class_weights(label, 4)
    torch.testing.assert_close(weight, torch.tensor([0.5, 1.5, 0.0, 0.75]))
