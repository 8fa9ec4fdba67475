"""Silhouettes and projections against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.comparison.clustering import EVERY, Encoding, projected, silhouettes

# Two pairs on a line, 1 wide and 9 to 11 apart; in the vectors the classes are mixed.
APART = np.array([[0.0], [1.0], [10.0], [11.0]], np.float32)
MIXED = np.array([[0.0], [10.0], [1.0], [11.0]], np.float32)
LABEL = np.array([0, 0, 1, 1])
UNIT = np.arange(4)


def test_a_silhouette_is_the_distance_to_the_nearest_other_class_less_the_own() -> None:
    found = silhouettes(Encoding(MIXED, APART), LABEL, UNIT, ("a", "b"))
    assert [each.name for each in found] == [EVERY, "a", "b"]
    assert [each.items for each in found] == [4, 2, 2]
    # Of 0 and 1, of 10 and 11: to their own 1, to the others 10.5 or 9.5.
    ends = (1 - 1 / 10.5, 1 - 1 / 9.5)
    for each in found:
        assert each.vectors.value == pytest.approx(np.mean(ends))
    # Mixed: to their own 10, to the others 6 (of 0 and 11) or 5 (of 10 and 1).
    assert found[1].features.value == pytest.approx((6 / 10 - 1 + 5 / 10 - 1) / 2)
    assert found[0].gain.value == pytest.approx(found[0].vectors.value - found[0].features.value)


def test_intervals_draw_units_and_gains_are_paired() -> None:
    found = silhouettes(Encoding(MIXED, APART), LABEL, np.array([0, 1, 0, 1]), ("a", "b"))
    low, high = found[1].vectors.low, found[1].vectors.high
    assert (low, high) == pytest.approx((1 - 1 / 9.5, 1 - 1 / 10.5))
    # A class of one patient has no other to draw.
    found = silhouettes(Encoding(MIXED, APART), LABEL, np.array([0, 0, 1, 1]), ("a", "b"))
    assert found[1].vectors.low == pytest.approx(found[1].vectors.high)
    same = silhouettes(Encoding(APART, APART), LABEL, UNIT, ("a", "b"))
    assert all(each.gain == (0, 0, 0) for each in same)


def test_a_class_without_a_sample_has_none() -> None:
    found = silhouettes(Encoding(MIXED, APART), LABEL, UNIT, ("a", "b", "c"))
    assert found[3].items == 0
    assert np.isnan(found[3].gain.value)


@pytest.mark.parametrize("label", [[0, 0, 0, 0], [0, 1, 2, 3]])
def test_one_class_or_a_class_each_has_no_clusters(label: list[int]) -> None:
    assert silhouettes(Encoding(MIXED, APART), np.array(label), UNIT, tuple("abcd")) == ()


def test_components_are_those_of_the_covariance() -> None:
    x = np.random.default_rng(0).normal(size=(60, 5)) * [5, 3, 1, 0.5, 0.1] + 7
    points, shares = projected(x)
    values = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    np.testing.assert_allclose(points.var(0, ddof=1), values[:2], rtol=1e-6)
    np.testing.assert_allclose(shares, values[:2] / values.sum(), rtol=1e-6)
    np.testing.assert_allclose(points.mean(0), 0, atol=1e-9)
    np.testing.assert_array_equal(projected(x).points, points)


@pytest.mark.parametrize("x", [np.ones((5, 3)), np.arange(5.0)[:, None], np.ones((1, 4))])
def test_what_has_no_two_components_stays_at_0(x: np.ndarray) -> None:
    assert projected(x).points.shape == (len(x), 2)
    assert not projected(x).points.any()
