"""Platt and temperature scaling against general optimisers, and their guards."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax as scipy_log_softmax
from sklearn.linear_model import LogisticRegression

from genomix_cli.errors import DataError
from genomix_cli.learning.calibration import (
    Platt,
    at_temperature,
    fit_platt,
    fit_temperature,
    log_softmax,
)


def _logits(n: int, slope: float, intercept: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n) * 2
    return z, rng.random(n) < 1 / (1 + np.exp(-(slope * z + intercept)))


def test_finds_the_true_sigmoid():
    z, y = _logits(100_000, 0.6, -1.5)
    assert fit_platt(z, y) == pytest.approx((0.6, -1.5), abs=0.03)


def test_agrees_with_logistic_regression_on_soft_targets():
    """Soft targets are each item twice, as positive and negative, with weights t and 1 - t."""
    z, y = _logits(300, 0.8, 0.3)
    w = np.random.default_rng(1).random(300) + 0.5
    plus, minus = w[y].sum(), w[~y].sum()
    t = np.where(y, (plus + 1) / (plus + 2), 1 / (minus + 2))
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        np.tile(z, 2)[:, None], np.repeat([1, 0], 300), np.concatenate([w * t, w * (1 - t)])
    )
    expected = (oracle.coef_[0, 0], oracle.intercept_[0])
    assert fit_platt(z, y, w) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e6])
def test_separable_scores_give_a_finite_slope_at_any_scale(scale):
    z = np.array([-2.0, -1, 1, 2]) * scale
    p = fit_platt(z, [0, 0, 1, 1]).apply(z)
    assert p == pytest.approx([0.25, 0.25, 0.75, 0.75], abs=0.2)
    assert (np.diff(p) >= 0).all()


def test_constant_logits_give_the_prevalence():
    p = fit_platt(np.full(1000, 3.0), np.arange(1000) < 200).apply([3.0])
    assert p == pytest.approx(0.2, abs=0.002)


def test_extreme_logits_stay_finite():
    assert Platt(1, 0).apply([-1e9, 0, 1e9]).tolist() == [0, 0.5, 1]


def test_identity_by_default():
    assert Platt().apply([0.7]) == pytest.approx(1 / (1 + np.exp(-0.7)))


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 0, 0]])
def test_one_class_is_refused(labels):
    with pytest.raises(DataError, match="both classes"):
        fit_platt([0.1, 0.2, 0.3], labels)


def test_nan_logits_are_refused():
    with pytest.raises(DataError, match="not finite"):
        fit_platt([0.1, np.nan], [0, 1])


class TestTemperature:
    def samples(self, temperature: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
        """Logits that are `temperature` times too large, and labels drawn from the truth."""
        rng = np.random.default_rng(0)
        z = rng.normal(size=(n, 4)) * 2
        label = (z + rng.gumbel(size=z.shape)).argmax(1)
        return z * temperature, label

    @pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
    def test_finds_the_true_one(self, temperature):
        z, label = self.samples(temperature)
        assert fit_temperature(z, label) == pytest.approx(temperature, rel=0.03)

    def test_agrees_with_a_general_optimiser(self):
        z, label = self.samples(2.5, n=300)

        def loss(log_t: float) -> float:
            return float(-scipy_log_softmax(z / np.exp(log_t), 1)[np.arange(300), label].mean())

        oracle = minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-8})
        assert np.log(fit_temperature(z, label)) == pytest.approx(oracle.x, abs=1e-5)

    def test_a_constant_of_a_sample_changes_nothing(self):
        z, label = self.samples(2.0, n=300)
        shift = np.random.default_rng(1).normal(size=(300, 1)) * 50
        assert fit_temperature(z + shift, label) == pytest.approx(fit_temperature(z, label))

    def test_stays_within_bounds_where_all_or_none_are_right(self):
        z, _ = self.samples(1.0, n=50)
        assert fit_temperature(z, z.argmax(1)) == pytest.approx(0.05, rel=1e-4)
        assert fit_temperature(z, z.argmin(1)) == pytest.approx(20, rel=1e-4)

    def test_probabilities_at_a_temperature(self):
        z = np.array([[0.0, np.log(9)], [1000.0, -1000.0]])
        np.testing.assert_allclose(at_temperature(z, 2.0), [[0.25, 0.75], [1, 0]])
        np.testing.assert_allclose(log_softmax(z), scipy_log_softmax(z, 1))
