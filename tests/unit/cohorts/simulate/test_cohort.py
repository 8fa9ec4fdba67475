"""Simulated cohorts as files, and the Bayes-optimal posterior they carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from genomix_cli.cohorts.requests import CohortRequest
from genomix_cli.cohorts.simulate.ceiling import wilson
from genomix_cli.cohorts.simulate.cohort import draw_present, simulate_cohort
from genomix_cli.cohorts.simulate.joint_model import JointModel
from genomix_cli.cohorts.simulate.parameters import (
    CohortParameters,
    parse,
    presets,
    read_parameters,
)
from genomix_cli.errors import UsageError
from genomix_cli.formats.cohort import open_cohort

SMALL: dict[str, Any] = {
    "samples": 300,
    "classes": {"a": 0.5, "b": 0.3, "c": 0.2},
    "penetrance": 0.5,
    "batches": {"number": 3, "confounding": 0.3},
}
CASES: dict[str, dict[str, Any]] = {
    "array": {"modalities": {"methylation": {"features": 20}}},
    "sequencing": {
        "modalities": {"methylation": {"features": 20, "mode": "sequencing", "depth": 6.0}}
    },
    "precisions": {"modalities": {"methylation": {"features": 20, "precision_spread": 1.0}}},
    "mnar": {
        "missing": {"values": 0.2, "modalities": 0.3, "mechanism": "mnar", "strength": 2.0},
        "modalities": {"methylation": {"features": 10}, "chromatin": {"features": 10}},
    },
    "mar": {
        "missing": {"values": 0.2, "modalities": 0.3, "mechanism": "mar", "strength": 2.0},
        "modalities": {
            "methylation": {"features": 10},
            "copy_number": {"features": 45, "drivers": 5},
        },
    },
    "each": {
        "missing": {
            **{"modalities": 0.1, "mechanism": "mnar", "strength": 2.0},
            "by_modality": {"methylation": 0.5},
        },
        "modalities": {
            **{name: {"features": 10} for name in ("methylation", "chromatin", "mutations")}
        },
    },
    "fragments": {
        "modalities": {
            "fragmentomics": {
                "width": 3,
                "last": 379,
                "concentration": 500.0,
            }
        }
    },
    "delfi": {
        "modalities": {
            "fragmentomics": {
                "delfi": True,
                "delfi_bin": 50_000_000,
                "concentration": 300.0,
                "bin_concentration": 500.0,
            }
        }
    },
    "tied": {
        "modalities": {
            "methylation": {"features": 20},
            "copy_number": {"features": 45, "noise": 0.4},
            "expression": {"features": 30, "dosage": 0.5, "silenced": 0.3, "drivers": 3},
        }
    },
    "synergy": {
        "interactions": {
            "share": 0.7,
            "pairs": [["methylation", "mutations"], ["chromatin", "methylation"]],
        },
        "modalities": {
            "methylation": {"features": 25},
            "mutations": {"features": 20},
            "chromatin": {"features": 20},
        },
    },
}


def parameters(**over: Any) -> CohortParameters:
    return parse({**SMALL, **over}, "test")


def posteriors(
    model: JointModel, n: int, seed: int
) -> tuple[np.ndarray, dict[tuple[str, ...], np.ndarray]]:
    rng = np.random.default_rng(seed)
    samples, absent = draw_present(model, n, rng)
    return samples.label, model.posteriors(model.draw(samples, absent, rng))


@pytest.mark.parametrize("case", CASES)
def test_the_posterior_is_calibrated_for_every_set_of_modalities(case: str) -> None:
    """Accuracy, classes and log-loss are what the posterior itself says, within 4 errors.

    A posterior that is not the one of the model fails one of these: the number of right answers,
    the number of samples of each class, and the sum of log posteriors of the true classes are sums
    of independent terms whose means and variances the posterior gives.
    """
    label, found = posteriors(parameters(**CASES[case]).build(), 3000, seed=11)
    for subset, posterior in found.items():
        n, classes = posterior.shape
        assert_allclose(posterior.sum(1), 1, atol=1e-9)
        best = posterior.max(1)
        right = posterior.argmax(1) == label
        assert abs(_z(right - best, best * (1 - best))) < 4, subset
        for k in range(classes):
            p = posterior[:, k]
            assert abs(_z((label == k) - p, p * (1 - p))) < 4, (subset, k)
        log = np.log(np.maximum(posterior, 1e-300))
        mean = (posterior * log).sum(1)
        variance = (posterior * log**2).sum(1) - mean**2
        assert abs(_z(log[np.arange(n), label] - mean, variance)) < 4, subset


def _z(difference: np.ndarray, variance: np.ndarray) -> float:
    return float(difference.sum() / np.sqrt(variance.sum()))


@pytest.mark.parametrize("case", ["array", "tied", "mnar"])
def test_a_calibrated_posterior_is_not_calibrated_after_a_change(case: str) -> None:
    """The test above fails for a posterior that is sharper than it should be."""
    label, found = posteriors(parameters(**CASES[case]).build(), 3000, seed=11)
    posterior = list(found.values())[-1] ** 1.5
    posterior /= posterior.sum(1, keepdims=True)
    best = posterior.max(1)
    assert abs(_z((posterior.argmax(1) == label) - best, best * (1 - best))) > 4


@pytest.mark.filterwarnings("error")
def test_drivers_without_exception_leave_no_doubt_and_no_warning() -> None:
    sure = {"penetrance": 1.0, "background": 0.0}
    case = {"methylation": {**sure, "precision": 300.0}, "copy_number": {**sure, "noise": 0.02}}
    label, found = posteriors(parameters(modalities=case).build(), 300, seed=3)
    for posterior in found.values():
        assert np.isfinite(posterior).all()
        assert (posterior.argmax(1) == label).mean() > 0.95


def test_more_modalities_never_lower_the_expected_accuracy() -> None:
    _, found = posteriors(parameters(**CASES["synergy"]).build(), 3000, seed=3)
    accuracy = {frozenset(subset): p.max(1).mean() for subset, p in found.items()}
    for small, low in accuracy.items():
        for large, high in accuracy.items():
            if small < large:
                assert high > low - 0.005


def test_interactions_are_invisible_to_late_fusion() -> None:
    """If all drivers interact, each modality alone says nothing, and both together do."""
    case = {**CASES["synergy"], "batches": {"number": 1}, "classes": {"a": 0.5, "b": 0.5}}
    case["interactions"] = {"share": 1.0, "pairs": [["methylation", "chromatin"]]}
    case["modalities"] = {
        "methylation": {"features": 30, "penetrance": 0.9},
        "chromatin": {"features": 30, "penetrance": 0.9},
    }
    _, found = posteriors(parameters(**case).build(), 1000, seed=3)
    assert_allclose(found[("methylation",)], 0.5, atol=1e-9)
    assert_allclose(found[("chromatin",)], 0.5, atol=1e-9)
    assert found[("methylation", "chromatin")].max(1).mean() > 0.9


def test_a_missing_modality_says_nothing_when_it_is_missing_at_random() -> None:
    case = {**CASES["mnar"], "missing": {"modalities": 0.4}}
    model = parameters(**case).build()
    rng = np.random.default_rng(2)
    samples, absent = draw_present(model, 500, rng)
    found = model.posteriors(model.draw(samples, absent, rng))
    lacks = absent["chromatin"]
    assert 0.2 < lacks.mean() < 0.6
    both, one = found[("methylation", "chromatin")], found[("methylation",)]
    assert_allclose(both[lacks], one[lacks], atol=1e-9)
    assert_allclose(found[("chromatin",)][lacks], np.tile(model.shared.prior, (lacks.sum(), 1)))


def simulate(path: Path, seed: int = 1, threads: int = 2, **over: Any) -> Path:
    simulate_cohort(CohortRequest(path, parameters(**over), seed=seed, threads=threads))
    return path


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(tmp_path: Path) -> None:
    case = {**CASES["mar"], "samples": 2300}
    one = simulate(tmp_path / "one.h5mu", threads=1, **case)
    three = simulate(tmp_path / "three.h5mu", threads=3, **case)
    other = simulate(tmp_path / "other.h5mu", seed=2, **case)
    assert one.read_bytes() == three.read_bytes()
    assert one.read_bytes() != other.read_bytes()


def test_other_samples_of_the_same_world_have_the_same_drivers(tmp_path: Path) -> None:
    first = simulate(tmp_path / "a.h5mu", **CASES["mar"])
    second = simulate(tmp_path / "b.h5mu", seed=9, **CASES["mar"])
    with open_cohort(first) as a, open_cohort(second) as b:
        for name in a.modalities:
            assert a.features(name).equals(b.features(name))
        assert not np.array_equal(a.labels, b.labels)


def test_the_file_holds_the_truth(tmp_path: Path) -> None:
    with open_cohort(simulate(tmp_path / "c.h5mu", **CASES["mar"])) as cohort:
        assert cohort.truth is not None
        latents = cohort.latents()
        assert latents is not None
        assert {"purity", "ploidy", "gc_amplitude"} <= set(latents)
        assert cohort.truth["mask"]["mechanism"] == "mar"
        assert cohort.truth["seed"] == 1
        for entry in cohort.truth["bayes"]:
            posterior = cohort.posterior(tuple(entry["modalities"]))
            assert posterior is not None
            right = posterior.argmax(1) == cohort.labels
            assert_allclose(entry["accuracy"], right.mean(), atol=1e-9)
            assert_allclose(entry["expected"], posterior.max(1).mean(), atol=1e-6)
            assert entry["low"] < entry["accuracy"] < entry["high"]
        assert [len(e["modalities"]) for e in cohort.truth["bayes"]] == [1, 1, 2]
        assert cohort.present("methylation").mean() < 0.95
        values = cohort.matrix("methylation")
        here = cohort.present("methylation")
        assert np.isnan(values[~here]).all()
        assert 0.05 < np.isnan(values[here]).mean() < 0.6
        state = cohort.layer("copy_number", "state")[cohort.present("copy_number")]
        assert set(np.unique(state)) <= set(range(6))


def test_modalities_are_called_as_asked(tmp_path: Path) -> None:
    names = {"methylation": "meth", "copy_number": "cna"}
    plain = simulate(tmp_path / "plain.h5mu", **CASES["mar"])
    called = simulate(tmp_path / "called.h5mu", **CASES["mar"], names=names)
    with open_cohort(plain) as a, open_cohort(called) as b:
        assert b.modalities == ("meth", "cna")
        assert b.kinds["cna"].name == "copy_number"
        for name, other in names.items():
            np.testing.assert_array_equal(a.matrix(name), b.matrix(other))
        both = [c.posterior(c.modalities) for c in (a, b)]
        np.testing.assert_array_equal(*both)
        assert b.truth is not None
        assert b.truth["bayes"][-1]["modalities"] == ["meth", "cna"]


def test_sequencing_keeps_its_depth(tmp_path: Path) -> None:
    with open_cohort(simulate(tmp_path / "s.h5mu", **CASES["sequencing"])) as cohort:
        values, depth = cohort.matrix("methylation"), cohort.layer("methylation", "depth")
        counts = values * depth
        assert_allclose(counts[depth > 0], np.rint(counts[depth > 0]), atol=1e-4)
        assert np.isnan(values[depth == 0]).all()
        assert_allclose(depth.mean(), 6, rtol=0.1)


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
@pytest.mark.parametrize("synergy", [False, True])
@pytest.mark.parametrize("preset", presets())
def test_every_preset_is_a_cohort(preset: str, difficulty: str, synergy: bool) -> None:
    chosen = read_parameters(preset, difficulty=difficulty, synergy=synergy, samples=40)
    model = chosen.build()
    label, found = posteriors(model, 40, seed=1)
    assert len(found) == 2 ** len(model.modalities) - 1
    assert bool(model.shared.interactions) == synergy
    assert set(label) <= set(range(len(chosen.classes)))


@pytest.mark.parametrize("synergy", [False, True])
def test_stillwell_can_be_solved_to_96_percent(synergy: bool) -> None:
    """110 features of four modalities; the expected accuracy is that of 3,000 samples."""
    model = read_parameters("stillwell", synergy=synergy).build()
    assert sum(len(p.features()) for p in model.processes.values()) == 110
    model.subsets = lambda: iter([model.modalities])  # type: ignore[method-assign]
    _, found = posteriors(model, 3000, seed=4)
    assert_allclose(found[model.modalities].max(1).mean(), 0.96, atol=0.006)


def test_difficulties_are_in_order() -> None:
    for preset in presets():
        accuracy = []
        for difficulty in ("easy", "medium", "hard"):
            model = read_parameters(preset, difficulty=difficulty).build()
            model.subsets = lambda model=model: iter([model.modalities])  # type: ignore[misc]
            accuracy.append(posteriors(model, 300, seed=4)[1][model.modalities].max(1).mean())
        assert accuracy[0] > accuracy[1] + 0.02 > accuracy[2] + 0.04, preset


def test_wilson_interval_against_the_published_example() -> None:
    """81 of 263: Newcombe RG. Stat Med 1998, 17, 857, table I."""
    low, high = wilson(81 / 263, 263)
    assert_allclose([low, high], [0.2553, 0.3662], atol=5e-5)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"modalities": {}}, "no modalities"),
        ({"modalities": {"methylation": {"featurs": 3}}}, "unknown key 'featurs'"),
        ({"modalities": {"proteome": {}}}, "unknown modality"),
        ({"modalities": {"copy_number": {"features": 10}}}, "fewer copy-number bins"),
        ({"modalities": {"methylation": {"penetrance": 1.5}}}, "float from 0 to 1"),
        ({"modalities": {"methylation": {"precision": 0}}}, "float above 0"),
        ({"modalities": {"methylation": {"mode": "arry"}}}, "'array' or 'sequencing'"),
        ({"modalities": {"methylation": {"means": [0.1, 0.9]}}}, "'means' is"),
        ({"modalities": {"fragmentomics": {"stage": "mid"}}}, "'early' or 'late'"),
        ({"modalities": {"fragmentomics": {"last": 40}}}, "fewer than two lengths"),
        ({"modalities": {"copy_number": {"ploidy": [2]}}}, "one per ploidy"),
        ({"modalities": {"copy_number": {"offsets": [0, 1]}}}, "first weight above 0"),
        ({"classes": {"a": 1.0}}, "fewer than two classes"),
        ({"classes": {"a": 1.0, "b": -1.0}}, "frequency above 0"),
        ({"missing": {"mechanism": "sometimes"}}, "'mcar' or 'mar' or 'mnar'"),
        ({"missing": {"values": 1.0}}, "float from 0 to 0.99"),
        ({"missing": {"by_modality": {"chromatine": 0.1}}}, "chromatine: 0.1 is no rate"),
        ({"missing": {"by_modality": {"methylation": 1}}}, "methylation: 1 is no rate"),
        ({"batches": {"confounding": 2.0}}, "'confounding' is 2.0"),
        (
            {"interactions": {"share": 0.5, "pairs": [["methylation", "expression"]]}},
            "no pair of two modalities",
        ),
        ({"modalities": {"methylation": 3}}, "is not a table"),
        (
            {
                "modalities": {
                    "copy_number": {},
                    "expression": {"dosage": 0.9, "features": 4},
                    "methylation": {},
                }
            },
            "no gene is left",
        ),
        ({"samples": 0}, "int 1 or more"),
        ({"names": {"methylation": "a/b"}}, "without / and"),
        ({"names": {"expression": "mrna"}}, "not one each for modalities"),
        ({"interactions": {"share": 0.5}}, "there are no pairs"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(over: dict[str, Any], message: str) -> None:
    settings = {"modalities": {"methylation": {"features": 20}}, **over}
    with pytest.raises(UsageError, match=message):
        parameters(**settings).build()


def test_all_wrong_parameters_of_a_table_are_named_together() -> None:
    wrong = {"methylation": {"featurs": 3, "penetrance": "high"}}
    with pytest.raises(UsageError, match=r"featurs.*penetrance"):
        parameters(modalities=wrong)
