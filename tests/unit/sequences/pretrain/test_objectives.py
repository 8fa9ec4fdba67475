"""Contrastive losses against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from genomix_cli.sequences.pretrain.objectives import (
    LARGEST_SCALE,
    Temperature,
    info_nce,
    symmetric_contrastive,
    two_view_logits,
)


def units(n: int, p: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(n, p, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.mark.parametrize(("n", "scale"), [(2, 1.0), (5, 3.0), (8, 20.0)])
def test_info_nce_of_orthogonal_pairs(n, scale):
    """The partner has similarity 1, and the 2B - 2 others have 0."""
    a = torch.eye(n)
    expected = math.log(math.exp(scale) + 2 * n - 2) - scale
    assert float(info_nce(a, a, scale)) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_info_nce_of_vectors_that_are_all_alike_is_that_of_guessing():
    a = torch.ones(6, 1)
    assert float(info_nce(a, a, 7.0)) == pytest.approx(math.log(11), rel=1e-5)


def test_info_nce_written_out():
    a, b, scale = units(4, 3), units(4, 3, 1), 2.5
    both = torch.cat([a, b]).tolist()
    losses = []
    for i, own in enumerate(both):
        similar = [scale * sum(x * y for x, y in zip(own, other, strict=True)) for other in both]
        others = [math.exp(s) for j, s in enumerate(similar) if j != i]
        losses.append(math.log(sum(others)) - similar[(i + 4) % 8])
    assert float(info_nce(a, b, scale)) == pytest.approx(sum(losses) / 8, rel=1e-5)
    assert float(info_nce(a, b, scale)) == pytest.approx(float(info_nce(b, a, scale)), rel=1e-6)


def test_nothing_is_its_own_partner():
    logits, partner = two_view_logits(units(3, 4), units(3, 4, 1), 1.0)
    assert torch.isinf(logits.diagonal()).all()
    assert partner.tolist() == [3, 4, 5, 0, 1, 2]


def test_with_one_right_answer_each_it_is_the_loss_of_clip():
    a, b = units(5, 4), units(5, 4, 1)
    logits, place = 3 * a @ b.T, torch.arange(5)
    expected = (F.cross_entropy(logits, place) + F.cross_entropy(logits.T, place)) / 2
    assert float(symmetric_contrastive(a, b, 3.0)) == pytest.approx(float(expected), rel=1e-6)


def test_two_of_one_profile_are_not_told_apart():
    """With two perfectly separated profiles, twice each, only the choice between equals is left."""
    a = torch.eye(2).repeat_interleave(2, 0)
    positive = a @ a.T > 0.5
    assert float(symmetric_contrastive(a, a, 60.0, positive)) == pytest.approx(
        math.log(2), rel=1e-4
    )
    assert float(symmetric_contrastive(a, a, 60.0)) == pytest.approx(math.log(2), rel=1e-4)
    # To tell them apart is a gain only where they count as negatives.
    moved = torch.tensor([[1.0, 0.05], [1.0, -0.05], [0.05, 1.0], [-0.05, 1.0]])
    moved = F.normalize(moved, dim=-1)
    assert symmetric_contrastive(moved, moved, 60.0, positive) > math.log(2)
    assert symmetric_contrastive(moved, moved, 60.0) < math.log(2)


def test_what_is_ignored_is_neither_right_nor_wrong():
    a, b = units(4, 3), units(4, 3, 1)
    ignored = torch.zeros(4, 4, dtype=torch.bool)
    ignored[0, 1] = ignored[1, 0] = True
    other = b.clone()
    other[1] = units(1, 3, 5)[0]
    rows = [
        F.cross_entropy((3 * a @ v.T).masked_fill(ignored, -torch.inf), torch.arange(4))
        + F.cross_entropy((3 * v @ a.T).masked_fill(ignored, -torch.inf), torch.arange(4))
        for v in (b, other)
    ]
    for v, expected in zip((b, other), rows, strict=True):
        found = symmetric_contrastive(a, v, 3.0, None, ignored)
        assert float(found) == pytest.approx(float(expected) / 2, rel=1e-5)


def test_the_temperature_is_learned_and_clipped():
    temperature = Temperature(0.1)
    assert temperature().item() == pytest.approx(10, rel=1e-5)
    info_nce(units(4, 3), units(4, 3, 1), temperature()).backward()
    assert temperature.log_scale.grad is not None
    assert float(temperature.log_scale.grad) != 0
    assert float(Temperature(1e-6)()) == pytest.approx(LARGEST_SCALE, rel=1e-4)
