"""Factors of MOFA+: where their projection ends, and what it does without values."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from genomix_cli.cohorts.models.mofa import Factors, learn_factors, project
from genomix_cli.cohorts.models.preprocessing import Encoded, fit_preprocessor
from genomix_cli.errors import MissingExtraError
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.registry import COHORT_MODELS
from tests.cohort_samples import easy, with_gaps

pytest.importorskip("mofapy2")


def encoded(values: np.ndarray, observed: np.ndarray) -> Encoded:
    """Return one modality."""
    there = observed.any(1, keepdims=True)
    return Encoded((np.where(observed, values, 0).astype(np.float32),), (observed,), there)


def test_projection_is_the_least_squares_of_what_is_there() -> None:
    """The projection solves each sample's normal equations: weighted by noise, ridge of 1."""
    rng = np.random.default_rng(0)
    weight, precision = rng.normal(size=(6, 2)), rng.uniform(0.5, 3, 6)
    values, observed = rng.normal(size=(4, 6)).astype("f4"), rng.random((4, 6)) < 0.7
    observed[3] = False
    found = project(encoded(values, observed), [Factors(weight, 0 * weight, precision)])
    for row, there, z in zip(values, observed, found, strict=True):
        w, t = weight[there], np.diag(precision[there])
        expected = np.linalg.solve(w.T @ t @ w + np.eye(2), w.T @ t @ row[there])
        np.testing.assert_allclose(z, expected, atol=1e-9)
    assert (found[3] == 0).all()


def test_uncertain_weights_say_less() -> None:
    one = np.ones((1, 1))
    seen = encoded(np.full((1, 1), 2.0), np.ones((1, 1), bool))
    assert project(seen, [Factors(one, 0 * one, np.ones(1))]) == pytest.approx(1.0)
    assert project(seen, [Factors(one, one, np.ones(1))]) == pytest.approx(2 / 3)


def test_training_samples_are_projected_to_where_the_library_has_them(monkeypatch) -> None:
    from mofapy2.run.entry_point import entry_point

    kept = []

    class Kept(entry_point):
        def run(self) -> None:
            kept.append(self)
            super().run()

    monkeypatch.setattr("genomix_cli.cohorts.models.mofa._mofapy2", lambda: Kept)
    samples = with_gaps(easy(n=120, shift=3.0, widths=(20, 16)))
    inputs = fit_preprocessor(samples).transform(samples)
    z = project(inputs, learn_factors(inputs, 3, 1000, seed=1))
    theirs = kept[0].model.getNodes()["Z"].getExpectations()["E"]
    np.testing.assert_allclose(z, theirs, atol=0.02)


def test_labels_have_no_part_in_the_factors() -> None:
    samples = easy(n=80)
    model, other = (COHORT_MODELS.load("mofa").of({}) for _ in range(2))
    model.fit(samples, FitSettings(seed=1))
    other.fit(samples.relabelled(samples.label[::-1].copy()), FitSettings(seed=1))
    np.testing.assert_array_equal(model._factors[0].weight, other._factors[0].weight)


def test_a_package_that_is_not_there_is_one_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "mofapy2.run.entry_point", None)
    with pytest.raises(MissingExtraError, match=r"genomix-toolkit\[mofa\]"):
        COHORT_MODELS.load("mofa").of({}).fit(easy(n=40), FitSettings())
