"""Prediction sets: exact ranks, and the coverage they promise."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.learning.conformal import class_thresholds, fewest, prediction_sets


def two(p: list[float]) -> np.ndarray:
    return np.column_stack([p, 1 - np.asarray(p)])


def test_the_threshold_is_an_exact_rank():
    """With nine items at 0.8, the threshold is the 8th smallest 1 - p, the second smallest p."""
    p = np.array([0.9, 0.1, 0.5, 0.3, 0.8, 0.7, 0.6, 0.4, 0.2])
    assert class_thresholds(two(p), np.zeros(9, int), 0.8)[0] == 0.2
    assert class_thresholds(two(p), np.zeros(9, int), 0.9)[0] == 0.1
    assert class_thresholds(two(p), np.zeros(9, int), 0.5)[0] == 0.5


@pytest.mark.parametrize(("n", "level"), [(9, 0.9), (19, 0.95), (4, 0.8), (99, 0.99)])
def test_the_least_number_of_samples_that_can_promise_anything(n, level):
    """``level / (1 - level)`` items give the smallest p as threshold, and fewer give none."""
    p = np.linspace(0.3, 0.9, n)
    assert fewest(level) == n
    assert class_thresholds(two(p), np.zeros(n, int), level)[0] == 0.3
    assert class_thresholds(two(p[1:]), np.zeros(n - 1, int), level)[0] == 0


def test_a_class_without_samples_is_always_in_the_set():
    thresholds = class_thresholds(two([0.9] * 50), np.zeros(50, int), 0.9)
    assert thresholds.tolist() == [0.9, 0.0]
    assert prediction_sets([[0.3, 0.7], [0.9, 0.1]], thresholds).tolist() == [
        [False, True],
        [True, True],
    ]


def test_a_set_never_contradicts_the_prediction_and_is_never_empty():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 500)
    sets = prediction_sets(p, [0.9, 0.5, 0.0, 0.6])
    assert sets[np.arange(500), p.argmax(1)].all()
    rest = np.arange(4) != p.argmax(1)[:, None]
    assert (sets == (p >= [0.9, 0.5, 0.0, 0.6]))[rest].all()
    assert prediction_sets(np.empty((0, 4)), np.zeros(4)).shape == (0, 4)


def test_each_class_is_covered_as_often_as_promised_however_poor_the_model():
    """Averaged over calibration sets, coverage is exactly ceil((n + 1) level) / (n + 1)."""
    rng = np.random.default_rng(0)
    level, n, covered, in_sets = 0.85, 30, np.zeros(3), np.zeros(3)
    repeats = 3000
    for _ in range(repeats):
        y = np.repeat(np.arange(3), n + 1)
        # Class 2 is hard, and the model is far too sure.
        z = rng.normal(size=(len(y), 3)) * 3
        z[np.arange(len(y)), y] += np.array([4.0, 2.0, 0.2])[y]
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        new = np.arange(len(y)) % (n + 1) == n
        thresholds = class_thresholds(p[~new], y[~new], level)
        covered += (p[new] >= thresholds)[np.arange(3), y[new]]
        in_sets += prediction_sets(p[new], thresholds)[np.arange(3), y[new]]
    exact = np.ceil((n + 1) * level) / (n + 1)
    np.testing.assert_allclose(covered / repeats, exact, atol=4 * np.sqrt(0.13 / repeats))
    # The predicted class joins the set, so that it covers more where the model is good.
    assert (in_sets >= covered).all()
