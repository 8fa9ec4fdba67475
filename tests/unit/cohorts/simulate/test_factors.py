"""Factors that modalities share: the likelihood against brute force, and what a file may say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import logsumexp

from genomix_cli.cohorts.requests import CohortRequest
from genomix_cli.cohorts.simulate.cohort import draw_present, simulate_cohort
from genomix_cli.cohorts.simulate.factors import FactorLaw
from genomix_cli.cohorts.simulate.joint_model import JointModel
from genomix_cli.cohorts.simulate.parameters import parse
from genomix_cli.cohorts.simulate.shared import draw_samples
from genomix_cli.errors import UsageError
from genomix_cli.formats.cohort import open_cohort


def settings(features: int = 4, **more: Any) -> dict[str, Any]:
    """Three classes, two factors of expression and one of methylation, correlated."""
    rng = np.random.default_rng(7)
    root = rng.normal(0, 0.5, (3, 3, 3)) + np.eye(3)
    own = {
        "expression": {"loadings": rng.normal(0, 1, (4, 2)).tolist(), "first": 0},
        "methylation": {"loadings": rng.normal(0, 1, (4, 1)).tolist(), "first": 2},
    }
    for each in own.values():
        each |= {"base": [0.0, 1.0, -1.0, 0.5], "noise": [0.5, 1.0, 0.7, 0.9]}
        each |= {"features": features, "batch_sd": 0.5}
    return {
        "classes": {"a": 3, "b": 2, "c": 1},
        "batches": {"number": 2, "confounding": 0.3},
        "factors": {
            "means": rng.normal(0, 1, (3, 3)).tolist(),
            "covariances": (root @ root.swapaxes(1, 2)).tolist(),
        },
        "modalities": own,
        **more,
    }


def built(**more: Any) -> JointModel:
    return parse(settings(**more), "test").build()


def density(model: JointModel, shown: dict[str, np.ndarray], k: int, b: int) -> np.ndarray:
    """Log density ``[n]`` as the marginal normal law of the observed values, written out."""
    factors = model.processes["expression"].factors
    loadings = np.zeros((0, 3))
    base, noise, values = np.zeros(0), np.zeros(0), []
    for name, each in shown.items():
        emission = factors.readers[name]
        padded = np.zeros((len(emission.noise), 3))
        padded[:, emission.own] = emission.loadings
        loadings = np.vstack([loadings, padded])
        base = np.append(base, emission.base[:, b])
        noise = np.append(noise, emission.noise)
        values.append(each)
    mean = base + loadings @ factors.means[k]
    covariance = loadings @ factors.covariances[k] @ loadings.T + np.diag(noise**2)
    found = []
    for row in np.concatenate(values, 1):
        here = ~np.isnan(row)
        law = stats.multivariate_normal(mean[here], covariance[np.ix_(here, here)])
        found.append(law.logpdf(row[here]))
    return np.array(found)


def test_the_likelihood_is_the_marginal_normal_law() -> None:
    model = built()
    rng = np.random.default_rng(1)
    shown = {"expression": rng.normal(0, 2, (5, 4)), "methylation": rng.normal(0, 2, (5, 4))}
    shown["expression"][0, 1] = shown["methylation"][2, :3] = np.nan
    for names in (("expression",), ("methylation",), ("expression", "methylation")):
        some = {name: shown[name] for name in names}
        found = model.processes["expression"].log_likelihood(some, 5)
        assert found.shape == (5, 3, 1, 2)
        for k in range(3):
            for b in range(2):
                assert_allclose(found[:, k, 0, b], density(model, some, k, b), rtol=1e-9)


def test_the_posterior_is_that_of_brute_force() -> None:
    """The posterior equals Bayes' rule averaged over 100,000 drawn factors per class."""
    model = built(missing={"modalities": 0.1})
    rng = np.random.default_rng(2)
    samples = draw_samples(model.shared, 6, rng)
    absent = {name: np.zeros(6, bool) for name in model.modalities}
    absent["methylation"][0] = True
    observed = model.draw(samples, absent, rng)
    factors = model.processes["expression"].factors
    joint = np.zeros((6, 3, 2))
    for k in range(3):
        z = rng.multivariate_normal(factors.means[k], factors.covariances[k], 100_000)
        for b in range(2):
            total = np.zeros((len(z), 6))
            for name, each in observed.items():
                emission = factors.readers[name]
                mean = emission.base[:, b] + z[:, emission.own] @ emission.loadings.T
                for i, row in enumerate(each.data):
                    law = stats.norm.logpdf(row, mean, emission.noise)
                    total[:, i] += np.nansum(law, 1)
            joint[:, k, b] = logsumexp(total, axis=0) - np.log(len(z))
    weight = np.log(model.shared.prior)[:, None] + np.log(model.shared.batch)
    expected = np.exp(logsumexp(joint + weight, axis=2))
    expected /= expected.sum(1, keepdims=True)
    found = model.posteriors(observed)[model.modalities]
    assert_allclose(found, expected, atol=0.01)
    assert np.ptp(found, 0).max() > 0.2


def test_posteriors_of_every_subset_are_calibrated() -> None:
    model = built(features=30, missing={"values": 0.1, "modalities": 0.1})
    rng = np.random.default_rng(3)
    samples, absent = draw_present(model, 6000, rng)
    found = model.posteriors(model.draw(samples, absent, rng))
    for posterior in found.values():
        right = posterior.argmax(1) == samples.label
        error = np.sqrt((posterior.max(1) * (1 - posterior.max(1))).sum()) / 6000
        assert abs(right.mean() - posterior.max(1).mean()) < 3.5 * error
    alone = [found[(name,)].max(1).mean() for name in model.modalities]
    assert found[model.modalities].max(1).mean() > max(alone) + 0.01


def test_a_modality_alone_is_drawn_as_the_law_says() -> None:
    """Values of a class have the mean and covariance of the model, whatever their batch."""
    model = built(batches={"number": 1})
    rng = np.random.default_rng(4)
    samples = draw_samples(model.shared, 40_000, rng)
    absent = {name: np.zeros(40_000, bool) for name in model.modalities}
    values = model.draw(samples, absent, rng)["expression"].data[samples.label == 0]
    factors = model.processes["expression"].factors
    emission = factors.readers["expression"]
    mean = emission.base[:, 0] + emission.loadings @ factors.means[0, :2]
    assert_allclose(values.mean(0), mean, atol=0.05)
    spread = emission.loadings @ factors.covariances[0, :2, :2] @ emission.loadings.T
    assert_allclose(np.cov(values.T), spread + np.diag(emission.noise**2), atol=0.12)


def test_what_is_missing_says_nothing() -> None:
    model = built()
    nothing = {name: np.full((2, 4), np.nan) for name in model.modalities}
    assert_allclose(model.processes["expression"].log_likelihood(nothing, 2), 0, atol=1e-12)


def test_features_share_the_rows_evenly(tmp_path: Path) -> None:
    model = built(features=9)
    frame = model.processes["methylation"].features()
    assert frame["noise"].tolist() == [0.5] * 3 + [1.0] * 2 + [0.7] * 2 + [0.9] * 2
    assert [name for name in frame if name.startswith("factor")] == ["factor3"]
    parameters = replace(parse(settings(features=9), "test"), samples=30)
    simulate_cohort(CohortRequest(tmp_path / "a.h5mu", parameters, seed=1))
    simulate_cohort(CohortRequest(tmp_path / "b.h5mu", parameters, seed=1))
    assert (tmp_path / "a.h5mu").read_bytes() == (tmp_path / "b.h5mu").read_bytes()
    with open_cohort(tmp_path / "a.h5mu") as cohort:
        assert [name for name in cohort.latents() if "factor" in name] == [
            f"factor{i}" for i in (1, 2, 3)
        ]
        beta = cohort.matrix("methylation")
        assert 0 < beta.min() < beta.max() < 1


def changed(where: str, value: Any) -> dict[str, Any]:
    """Settings with a value replaced; `where` is a path of keys."""
    result = settings()
    table = result
    *way, last = where.split("/")
    for key in way:
        table = table[key]
    table[last] = value
    return result


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("factors", {}, "factors have no mean and covariance for each class"),
        ("factors/means", [[0.0] * 3] * 2, "factors have no mean and covariance for each class"),
        ("factors/covariances", [[[1.0]]] * 3, "no square matrices as wide as the means"),
        ("factors/covariances", [np.full((3, 3), 1.0).tolist()] * 3, "positive definite"),
        ("modalities/methylation/first", 3, "loadings that are not of the 3 factors"),
        ("modalities/methylation/base", [1.0], "no base and noise for each row"),
        ("modalities/methylation/noise", [1.0, 1.0, 1.0, 0.0], "'noise' is"),
        ("modalities/mutations", {"loadings": [[1.0]]}, "unknown key 'loadings'"),
        (
            "interactions",
            {"share": 0.5, "pairs": [["expression", "methylation"]]},
            "expression has loadings, so no interaction",
        ),
    ],
)
def test_contradictions_are_refused(where: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(changed(where, value), "test")


def test_a_law_is_of_as_many_factors_as_its_means() -> None:
    assert FactorLaw().width == 0
    assert parse(settings(), "test").factors.width == 3
