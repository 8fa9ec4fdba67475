"""Metrics against scikit-learn, or against plain loops."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from genomix_cli.comparison.metrics.binary import (
    auprc,
    auroc,
    brier,
    calibration_error,
    grouped_pearson,
    pearson,
    ranking_accuracy,
    spearman,
)

ORACLES = [
    (auroc, roc_auc_score),
    (auprc, average_precision_score),
    (brier, brier_score_loss),
]


def _data(seed: int, n: int = 200, decimals: int = 2) -> tuple[np.ndarray, ...]:
    """Labels, probabilities with many ties, and weights of which some are zero."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.3
    score = np.clip(0.3 * y + 0.6 * rng.random(n), 0, 1).round(decimals)
    return y.astype(float), score, rng.integers(0, 4, n).astype(float)


@pytest.mark.parametrize(("metric", "oracle"), ORACLES)
@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn(metric, oracle, seed):
    y, score, _ = _data(seed)
    assert metric(y, score) == pytest.approx(oracle(y, score), abs=1e-12)


@pytest.mark.parametrize(("metric", "oracle"), ORACLES)
@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn_under_weights(metric, oracle, seed):
    y, score, w = _data(seed)
    expected = oracle(y, score, sample_weight=w)
    assert metric(y, score, weights=w) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", [auroc, auprc, brier, calibration_error])
def test_weights_mean_copies(metric):
    """An item of weight k counts as k copies, which the bootstrap relies on."""
    y, score, w = _data(3)
    copies = np.repeat(np.arange(len(y)), w.astype(int))
    expected = metric(y[copies], score[copies])
    # Copies of one item fall into one bin or on both sides of its edge.
    tolerance = 0.02 if metric is calibration_error else 1e-12
    assert metric(y, score, weights=w) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("metric", [auroc, ranking_accuracy])
def test_one_class_is_undefined(metric):
    assert np.isnan(metric([1, 1, 1], [0.1, 0.2, 0.3]))
    assert np.isnan(metric([0, 0], [0.1, 0.2]))
    assert np.isnan(metric([], []))


def test_auprc_without_positives_is_undefined():
    assert np.isnan(auprc([0, 0], [0.1, 0.2]))


def test_auprc_of_constant_scores_is_the_prevalence():
    assert auprc([1, 0, 0, 0], [0.5] * 4) == pytest.approx(0.25)


def _calibration_oracle(y: np.ndarray, p: np.ndarray, n_bins: int) -> float:
    """Equal-mass bins of distinct probabilities, by array_split."""
    parts = np.array_split(np.argsort(p), n_bins)
    return sum(len(b) * abs(p[b].mean() - y[b].mean()) for b in parts) / len(y)


def test_calibration_error_of_equal_mass_bins():
    rng = np.random.default_rng(0)
    p = rng.permutation(np.arange(1500) / 1500) ** 2
    y = (rng.random(1500) < p**0.5).astype(float)
    assert calibration_error(y, p) == pytest.approx(_calibration_oracle(y, p, 15), abs=1e-12)


def test_calibration_error_vanishes_for_true_probabilities():
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    assert calibration_error(rng.random(200_000) < p, p) < 0.006


def test_calibration_error_of_a_constant_does_not_depend_on_the_order():
    y = np.array([1.0] * 30 + [0.0] * 70)
    assert calibration_error(y, np.full(100, 0.3)) == pytest.approx(0, abs=1e-12)


def _pairs(y, score, groups, min_difference=0.0):
    """Pairs by two loops."""
    right = total = 0.0
    for i in range(len(y)):
        for j in range(len(y)):
            if groups[i] == groups[j] and y[i] - y[j] > min_difference:
                total += 1
                right += (score[i] > score[j]) + 0.5 * (score[i] == score[j])
    return right / total


@pytest.mark.parametrize("seed", range(4))
def test_ranking_accuracy_of_binary_labels(seed):
    y, score, _ = _data(seed, n=80, decimals=1)
    groups = np.random.default_rng(seed).integers(0, 9, 80)
    assert ranking_accuracy(y, score, groups) == pytest.approx(_pairs(y, score, groups))


@pytest.mark.parametrize("seed", range(4))
def test_ranking_accuracy_of_quantitative_labels(seed):
    rng = np.random.default_rng(seed)
    y, score, groups = rng.random(60), rng.random(60).round(1), rng.integers(0, 5, 60)
    expected = _pairs(y, score, groups, 0.2)
    assert ranking_accuracy(y, score, groups, min_difference=0.2) == pytest.approx(expected)


def test_ranking_accuracy_in_one_group_is_the_auroc():
    y, score, _ = _data(0)
    assert ranking_accuracy(y, score) == pytest.approx(auroc(y, score))


def test_a_group_drawn_twice_counts_its_pairs_twice():
    y, score = np.array([1.0, 0, 1, 0]), np.array([0.9, 0.1, 0.2, 0.3])
    metric = partial(ranking_accuracy, groups=[0, 0, 1, 1])
    assert metric(y, score, weights=[2, 2, 1, 1]) == pytest.approx(2 / 3)


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5), st.integers(0, 3)), min_size=3))
def test_weights_of_correlations_are_copies(items: list[tuple[int, int, int]]) -> None:
    a, b, n = np.array(items).T
    for metric in (pearson, spearman):
        assert metric(a, b, weights=n) == pytest.approx(
            metric(np.repeat(a, n), np.repeat(b, n)), nan_ok=True
        )


def test_a_spearman_of_a_monotone_function_is_one() -> None:
    x = np.linspace(0, 3, 20)
    assert spearman(x, np.exp(x)) == pytest.approx(1)
    assert pearson(x, np.exp(x)) < 0.95
    assert np.isnan(pearson(x, np.ones(20)))


def test_spearman_with_ties_is_scipys() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 4, 50), rng.integers(0, 3, 50)
    expected = pytest.importorskip("scipy.stats").spearmanr(x, y).statistic
    assert spearman(x, y) == pytest.approx(expected)


def test_a_correlation_in_groups_is_the_mean_of_theirs() -> None:
    rng = np.random.default_rng(3)
    group = np.repeat([0, 1, 2, 3], [40, 25, 12, 9])
    y = rng.normal(size=len(group)) * (1 + group) + 5 * group
    score = y * np.array([1, -1, 1, 1])[group] + rng.normal(size=len(group)) - 20 * group
    alone = [pearson(y[group == g], score[group == g]) for g in range(3)]  # 9 items are too few
    assert grouped_pearson(y, score, group) == pytest.approx(np.mean(alone), abs=1e-12)
    # Drawn twice, a group counts twice.
    weights = np.where(group == 1, 2.0, np.where(group == 2, 0.0, 1.0))
    expected = (alone[0] + 2 * alone[1]) / 3
    assert grouped_pearson(y, score, group, weights=weights) == pytest.approx(expected, abs=1e-12)
    # Weights inside a group are copies, as in a draw of loci that cuts a group.
    uneven = rng.integers(0, 3, len(group)).astype(float)
    parts = [
        pearson(y[group == g], score[group == g], weights=uneven[group == g]) for g in (0, 1, 2)
    ]
    mass = [uneven[group == g].mean() for g in (0, 1, 2)]
    found = grouped_pearson(y, score, group, weights=uneven)
    assert found == pytest.approx(np.average(parts, weights=mass), abs=1e-12)


def test_a_score_that_says_nothing_in_a_group_has_0_there() -> None:
    group = np.repeat([0, 1], 20)
    y = np.tile(np.arange(20.0), 2)
    silent = np.where(group == 1, 7.0, y)
    assert grouped_pearson(y, silent, group) == pytest.approx(0.5)
    flat = np.where(group == 1, 7.0, y)  # an effect that does not vary is no group
    assert grouped_pearson(flat, y, group) == pytest.approx(1.0)
    assert np.isnan(grouped_pearson(y[:5], y[:5], group[:5]))
