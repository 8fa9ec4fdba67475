"""Ridge regression on k-mers, against its closed form."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.genome.iupac import ANY, reverse_complement
from genomix_cli.sequences.activity import ridge
from genomix_cli.sequences.activity.ridge import Counts, fit_ridge, solve
from tests.activity_runs import activity, drawn


def test_counts_are_those_of_k_mers() -> None:
    codes = drawn(7, 20)
    codes[2, 5] = ANY
    counts = Counts(codes, 3)
    assert counts.d == 32
    known = np.delete(np.arange(7), 2)
    total = counts @ np.ones(32)
    assert total[known].tolist() == [18] * 6
    assert total[2] == 15
    # The sum over sequences of the value of each k-mer.
    values = np.arange(7.0)
    weights = np.random.default_rng(0).normal(size=32)
    assert counts.sums(values) @ weights == pytest.approx(values @ (counts @ weights))


def test_the_solution_is_the_closed_form() -> None:
    codes = drawn(120, 30)
    y = activity(codes).astype(float)
    y -= y.mean()
    counts = Counts(codes, 3)
    found = solve(counts, y, 1.0, np.zeros(counts.d))
    x = np.stack([counts @ row for row in np.eye(counts.d)], 1)
    x -= x.mean(0)
    alpha = 120 * float(counts.mean.mean())
    exact = np.linalg.solve(x.T @ x + alpha * np.eye(counts.d), x.T @ y)
    np.testing.assert_allclose(found, exact, atol=2e-3 * np.abs(exact).max())


def test_it_finds_what_was_planted_on_either_strand() -> None:
    train, valid, test = (drawn(300, seed=seed) for seed in range(3))
    fitted = fit_ridge(train, activity(train).astype(float), valid, activity(valid).astype(float))
    predicted = fitted.predict(test)
    assert np.corrcoef(predicted, activity(test))[0, 1] > 0.9
    np.testing.assert_allclose(fitted.predict(reverse_complement(test)), predicted, atol=1e-9)


def test_k_and_penalty_are_those_that_answer_best_for_the_validation_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, valid = drawn(200, seed=0), drawn(200, seed=1)
    y, valid_y = activity(train).astype(float), activity(valid).astype(float)
    found = {}
    for k in ridge.LENGTHS:
        for penalty in ridge.PENALTIES:
            monkeypatch.setattr(ridge, "LENGTHS", (k,))
            monkeypatch.setattr(ridge, "PENALTIES", (penalty,))
            error = fit_ridge(train, y, valid, valid_y).predict(valid) - valid_y
            found[k, penalty] = (error**2).mean()
    monkeypatch.undo()
    best = fit_ridge(train, y, valid, valid_y)
    least = min(found.values())
    assert ((best.predict(valid) - valid_y) ** 2).mean() == pytest.approx(least, rel=1e-2)


def test_noise_is_answered_by_the_mean() -> None:
    rng = np.random.default_rng(0)
    train, valid = drawn(100, seed=0), drawn(100, seed=1)
    fitted = fit_ridge(train, rng.normal(5, 1, 100), valid, rng.normal(5, 1, 100))
    assert fitted.penalty == max(ridge.PENALTIES)
    assert np.abs(fitted.predict(valid) - 5).max() < 0.7


def test_with_nothing_to_choose_by_the_answer_is_the_mean() -> None:
    train = drawn(20, 60)
    fitted = fit_ridge(train, np.arange(20.0), train[:0], np.zeros(0))
    assert fitted.predict(train[:3]).tolist() == [9.5] * 3


def test_sequences_shorter_than_a_k_mer_are_answered_by_the_mean() -> None:
    train = drawn(20, 60)[:, :4]
    y = np.arange(20.0)
    assert fit_ridge(train, y, train, y).predict(train[:3]).tolist() == [9.5] * 3
