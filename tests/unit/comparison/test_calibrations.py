"""A calibration holds for items of which the same modalities were measured."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.cohorts.dataset import Samples
from genomix_cli.comparison.calibrations import Calibration, Scores, calibrate, calibrated
from genomix_cli.learning.calibration import at_temperature, cautious_temperature, fit_temperature
from genomix_cli.learning.conformal import class_thresholds
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.registry import COHORT_MODELS
from tests.cohort_samples import easy, without

LEVEL = 0.9
BOTH, FIRST, SECOND = (True, True), (True, False), (False, True)


def some_lack(samples: Samples, rows: np.ndarray) -> Samples:
    """A copy in which these samples lack ``rna``."""
    result = samples.take(np.arange(len(samples)))
    result.values["rna"][rows] = np.nan
    result.present[rows, 0] = False
    return result


def coverage(scores: Scores, samples: Samples) -> list[float]:
    return [float(scores.sets[samples.label == k, k].mean()) for k in range(2)]


def scores_without_rna(seed: int, *, some_lack_it: bool) -> tuple[Scores, Scores, Samples]:
    """Scores of a table without ``rna``: as if all items were alike, and by what was measured."""
    samples = easy(2400, seed, shift=1.0)
    later = without(easy(2400, seed, shift=1.0).take(np.arange(1600, 2400)), "rna")
    if some_lack_it:
        samples = some_lack(samples, np.arange(len(samples)) % 4 == 0)
    learned, held = samples.take(np.arange(800)), samples.take(np.arange(800, 1600))
    model = COHORT_MODELS.load("late-fusion").of({})
    model.fit(learned, FitSettings(seed=1))
    log_p, answers = model.log_probability(held), model.log_probability(later)
    alike = calibrate(log_p, held.label, np.ones((800, 1), bool), LEVEL)
    own = calibrate(log_p, held.label, held.measured, LEVEL)
    pooled = calibrated(answers, np.ones((800, 1), bool), alike)
    return pooled, calibrated(answers, later.measured, own), later


def test_complete_samples_say_nothing_of_a_table_that_lacks_a_modality() -> None:
    pooled, own, later = scores_without_rna(0, some_lack_it=False)
    # Of 400 samples of a class, with thresholds from 400, coverage of .9 has an SD of .021.
    assert min(coverage(pooled, later)) < LEVEL - 3 * 0.021
    assert not own.calibrated.any()
    assert own.uncalibrated == own.abstained == 800
    assert own.sets.all()
    np.testing.assert_array_equal(own.probability, pooled.probability)


def test_samples_that_lack_it_too_make_the_coverage_right() -> None:
    covered = []
    for seed in range(8):
        pooled, own, later = scores_without_rna(seed, some_lack_it=True)
        assert own.calibrated.all()
        assert own.sets.sum(1).mean() < 1.5
        covered.append((coverage(pooled, later), coverage(own, later)))
    # Of 400 samples, with thresholds from 100, the SD is .034, that of the mean .012.
    as_if_alike, by_what_is_measured = np.mean(covered, 0)
    assert (as_if_alike < LEVEL - 3 * 0.012).all()
    assert (abs(by_what_is_measured - LEVEL) < 3 * 0.012).all()


def answers(counts: dict[tuple[bool, ...], int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-probabilities of two classes, labels, and so many items of each combination."""
    rng = np.random.default_rng(0)
    measured = np.repeat(np.array(list(counts)), list(counts.values()), axis=0)
    label = np.arange(len(measured)) % 2
    logits = rng.normal(size=(len(label), 2)) + 2 * np.eye(2)[label]
    return logits - np.logaddexp.reduce(logits, 1, keepdims=True), label, measured


def test_a_combination_of_few_items_has_none() -> None:
    """A combination needs 9 items of each class at 90 %."""
    found = calibrate(*answers({BOTH: 40, FIRST: 18, SECOND: 16}), LEVEL)
    assert [each.measured for each in found] == [(BOTH,), (FIRST,)]


def test_combinations_of_few_items_have_one_together() -> None:
    found = calibrate(*answers({FIRST: 10, BOTH: 40, SECOND: 10}), LEVEL)
    assert [each.measured for each in found] == [(BOTH,), (SECOND, FIRST)]


def test_of_too_few_items_all_are_together() -> None:
    """Combinations with too few items share a calibration, also if only one class has too few."""
    log_p, label, measured = answers({BOTH: 16, FIRST: 16})
    assert len(calibrate(log_p, label, measured, LEVEL)) == 1
    log_p, label, measured = answers({BOTH: 40, FIRST: 40})
    rare = np.where((np.arange(80) % 2 == 1) & (np.arange(80) % 40 > 4), 0, label)
    found = calibrate(log_p, rare, measured, LEVEL)
    assert [each.measured for each in found] == [(FIRST,), (BOTH,)]
    assert [each.thresholds[1] for each in found] == [0, 0]


def test_each_is_fitted_to_its_own_items() -> None:
    log_p, label, measured = answers({BOTH: 60, FIRST: 40})
    ways = fit_temperature, cautious_temperature
    rows = measured[:, 1], ~measured[:, 1]
    for found, own, way in zip(calibrate(log_p, label, measured, LEVEL), rows, ways, strict=True):
        temperature = way(log_p[own], label[own])
        p = at_temperature(log_p[own], temperature)
        assert found.temperature == temperature
        assert found.thresholds == tuple(class_thresholds(p, label[own], LEVEL))


@pytest.mark.parametrize(("others", "holds"), [((), [1, 1, 0]), ((None,), [1, 1, 1])])
def test_the_calibration_that_holds_is_used(others: tuple[None, ...], holds: list[int]) -> None:
    log_p = np.log([[0.8, 0.2]] * 3)
    calibrations = [
        Calibration((BOTH,), 1.0, (0.5, 0.5)),
        Calibration((FIRST,), 2.0, (0.5, 0.3)),
        *(Calibration(other, 4.0, (0.5, 0.5)) for other in others),
    ]
    scores = calibrated(log_p, np.array([FIRST, BOTH, SECOND]), calibrations)
    assert scores.calibrated.tolist() == list(map(bool, holds))
    np.testing.assert_allclose(scores.probability[:2, 0], [2 / 3, 0.8])
    assert scores.sets[:2].tolist() == [[True, True], [True, False]]
    assert scores.sets[2].tolist() == ([True, False] if others else [True, True])
    assert scores.probability[2, 0] == pytest.approx(4**0.25 / (1 + 4**0.25) if others else 0.8)
