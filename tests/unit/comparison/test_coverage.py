"""Prediction sets hold the right class as often as they promise, over many small tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from genomix_cli.cohorts.dataset import Modality
from genomix_cli.comparison import tuning
from genomix_cli.comparison.calibrations import calibrate, calibrated
from genomix_cli.comparison.entrants import Entrant
from genomix_cli.comparison.protocol import train_entrant
from genomix_cli.comparison.rules import CROSS, VALIDATION, Rules
from genomix_cli.comparison.splits import unit_folds
from genomix_cli.learning.calibration import cautious_temperature, log_softmax
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.registry import COHORT_MODELS, SEQUENCE_CLASSIFIERS
from tests.sequence_samples import genotypes, labelled
from tests.toy_model import line_of_samples

pytest.importorskip("sklearn")

LEVEL, CLASSES = 0.9, 3
# Of 19 items the threshold of a class is the second: 18 of 20 places are covered, exactly LEVEL.
OWN, LATER = 19, 150


def covers(coverage: list[float]) -> bool:
    """The mean over the tasks is LEVEL or above, within three standard errors."""
    mean, error = np.mean(coverage), np.std(coverage, ddof=1) / len(coverage) ** 0.5
    return bool(mean + 3 * error > LEVEL)


def noisy_trials(seed: int, n_trials: int) -> tuple[list[np.ndarray], ...]:
    """Answers of several models whose errors have nothing in common, on known and later items."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CLASSES), OWN), rng.integers(0, CLASSES, LATER)
    signals = [
        1.3 * (rng.normal(size=(len(y), CLASSES)) + 1.3 * np.eye(CLASSES)[y]) for y in labels
    ]
    trials = [
        [log_softmax(signal + rng.normal(size=signal.shape)) for _ in range(n_trials)]
        for signal in signals
    ]
    return (*trials, *labels)


def coverage_of_the_best(seed: int, n_trials: int, honest: bool) -> float:
    known, later, label, y = noisy_trials(seed, n_trials)
    best = min(range(n_trials), key=lambda t: tuning.tempered_nll(known[t], label))
    held = known[best]
    if honest:
        held = tuning._unchosen(held, known, label, unit_folds(np.arange(len(label)), 5, seed))
    measured = np.ones((len(label), 1), bool), np.ones((LATER, 1), bool)
    calibrations = calibrate(held, label, measured[0], LEVEL, cautious_temperature)
    return float(
        calibrated(later[best], measured[1], calibrations).sets[np.arange(LATER), y].mean()
    )


def test_the_best_of_several_trials_promises_no_more_than_it_keeps() -> None:
    """Thresholds from the items that chose the trial would mistake its luck for skill."""
    coverage = {
        honest: [coverage_of_the_best(seed, 5, honest) for seed in range(150)]
        for honest in (False, True)
    }
    assert covers(coverage[True])
    assert not covers(coverage[False])


def sequences_task(seed: int) -> float:
    """Genotypes of six sites, discriminants, five trials chosen on the part that calibrates."""
    people = labelled(genotypes(n=60 + CLASSES * OWN + LATER, sites=6, seed=1000 + seed))
    ends = np.cumsum([0, 60, CLASSES * OWN, LATER])
    train, valid, test = (people.take(np.arange(*each)) for each in pairwise(ends))
    entrant = Entrant("lda", "lda", SEQUENCE_CLASSIFIERS, {})
    rules = Rules(5, level=LEVEL, calibration=VALIDATION)
    trained = train_entrant(entrant, train, valid, rules, FitSettings(seed=seed))
    log_p = trained.models[0].log_probability(test.inputs)
    sets = calibrated(log_p, test.measured, trained.calibrations).sets
    return float(sets[np.arange(LATER), test.label].mean())


def cohort_task(seed: int) -> float:
    """A cohort of thirty features, discriminants, five trials by predictions out of fold."""
    n = CLASSES * OWN
    samples, rng = line_of_samples(n + LATER, seed=seed), np.random.default_rng(seed)
    centre = 0.35 * np.random.default_rng(5).normal(size=(CLASSES, 30))
    values = (centre[samples.label] + rng.normal(size=(n + LATER, 30))).astype(np.float32)
    genes = Modality("first", "expression", tuple(f"g{i}" for i in range(30)))
    samples = replace(
        samples,
        modalities=(genes, samples.modalities[1]),
        values={**samples.values, "first": values},
    )
    entrant = Entrant("lda", "lda", COHORT_MODELS, {}, modalities=("first", "second"))
    train, test = samples.take(np.arange(n)), samples.take(np.arange(n, n + LATER))
    rules = Rules(5, inner_folds=3, level=LEVEL, calibration=CROSS, seeds=(seed,))
    trained = train_entrant(entrant, train, None, rules, FitSettings(seed=seed))
    log_p = trained.models[0].log_probability(test.inputs)
    sets = calibrated(log_p, test.measured, trained.calibrations).sets
    return float(sets[np.arange(LATER), test.label].mean())


@pytest.mark.slow
@pytest.mark.parametrize("task", [sequences_task, cohort_task])
def test_sets_of_a_contest_keep_their_level(task: Callable[[int], float]) -> None:
    assert covers([task(seed) for seed in range(60)])
