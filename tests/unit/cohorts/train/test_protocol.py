from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomix_cli.cohorts.requests import Contest, Rules
from genomix_cli.cohorts.train.entrants import Entrant, check, entrants_of
from genomix_cli.cohorts.train.protocol import (
    judge,
    load_part,
    outcome,
    save_part,
    shuffled_labels,
    train_entrant,
)
from genomix_cli.cohorts.train.splits import folds_of
from genomix_cli.cohorts.train.tuning import candidates, tune
from genomix_cli.comparison.study import Importance
from genomix_cli.errors import MissingExtraError, UsageError
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.task import Epoch
from tests.toy_model import line_of_samples, relabelled, toy_registered

TOY = Entrant("toy", "toy", {}, modalities=("first", "second"))
RULES = Rules(trials=4, inner_folds=3)


@pytest.fixture
def seen() -> Iterator[list[Any]]:
    with toy_registered() as found:
        yield found


def test_the_default_is_tried_first_and_draws_are_repeatable(seen: list[Any]) -> None:
    first = candidates("toy", {"noise": 0.1}, frozenset(), 5, seed=3)
    assert first[0] == {"noise": 0.1}
    assert len(first) == 5
    assert first == candidates("toy", {"noise": 0.1}, frozenset(), 5, seed=3)
    assert len({tuple(sorted(c.items())) for c in first[1:]}) == 4


def test_what_the_user_fixed_is_not_tuned(seen: list[Any]) -> None:
    drawn = candidates("toy", {"noise": 0.1}, frozenset({"noise"}), 50, seed=0)
    assert {c["noise"] for c in drawn} == {0.1}
    # Two values of sharpness are all there is to draw.
    assert len(drawn) == 3


def test_one_trial_is_the_default_alone(seen: list[Any]) -> None:
    assert candidates("toy", {}, frozenset(), 1, seed=0) == [{}]


def test_tuning_finds_the_better_configuration_and_predicts_out_of_fold(seen: list[Any]) -> None:
    samples = line_of_samples()
    tuned = tune(samples, "toy", {"noise": 9.0}, trials=7, inner_folds=3, setting=FitSettings())
    assert tuned.arch["noise"] == 0.5
    assert tuned.trials == 7
    assert np.isfinite(tuned.log_probability).all()
    assert (tuned.log_probability.argmax(1) == samples.label).mean() > 0.8


def test_a_trial_that_has_fallen_behind_is_given_up(seen: list[Any]) -> None:
    space = 6
    tune(line_of_samples(), "toy", {}, trials=1 + space, inner_folds=3, setting=FitSettings())
    # The default, without noise, is never beaten, so that no other trial takes a second fold ...
    given_up = [config for config, _, _ in seen if config.noise > 1]
    assert len(given_up) == 4
    assert len(seen) < 3 * (1 + space)


def test_what_is_held_out_is_never_learned_from(seen: list[Any]) -> None:
    samples = line_of_samples()
    held_out = folds_of(samples, 4, 0) == 0
    for calibration in ("cross", "split"):
        seen.clear()
        part, _ = judge(
            samples, held_out, TOY, replace(RULES, calibration=calibration), FitSettings(), "1"
        )
        names = set(samples.names[held_out])
        assert seen
        assert all(not names & learned for _, learned, _ in seen)
        assert set(part.rows) == set(np.flatnonzero(held_out))


def test_labels_held_out_change_nothing(seen: list[Any]) -> None:
    samples = line_of_samples()
    held_out = folds_of(samples, 4, 0) == 0
    one, _ = judge(samples, held_out, TOY, RULES, FitSettings(), "1")
    other, _ = judge(relabelled(samples, held_out, 0), held_out, TOY, RULES, FitSettings(), "1")
    np.testing.assert_array_equal(one.log_probability, other.log_probability)
    assert one.fit == replace(other.fit, seconds=one.fit.seconds)
    np.testing.assert_array_equal(one.thresholds, other.thresholds)


def test_split_calibration_sets_samples_aside_for_good(seen: list[Any]) -> None:
    samples = line_of_samples(150)
    train_entrant(samples, TOY, replace(RULES, calibration="split"), FitSettings(), "1")
    learned = set().union(*(names for _, names, _ in seen))
    assert len(learned) == 120


def test_split_conformal_sets_cover_each_class(seen: list[Any]) -> None:
    rules = replace(RULES, trials=1, calibration="split", level=0.9)
    covered = []
    for seed in range(12):
        samples = line_of_samples(600, seed=seed, spread=1.0)
        held_out = np.arange(600) >= 300
        part, _ = judge(samples, held_out, TOY, rules, FitSettings(), "1")
        sets = outcome(samples, TOY, rules, [part]).sets
        rows = np.flatnonzero(held_out)
        covered.append([sets[rows, k][samples.label[rows] == k].mean() for k in range(3)])
    # Exact in expectation: between .9 and .9 + 1 / 21; SD of the mean about .012.
    mean = np.mean(covered, 0)
    assert (mean > 0.87).all()
    assert (mean < 0.98).all()


def test_every_seed_gets_its_fit_and_tuning_happens_once(seen: list[Any]) -> None:
    samples = line_of_samples()
    held_out = folds_of(samples, 4, 0) == 0
    rules = replace(RULES, seeds=(0, 1, 2))
    part, trained = judge(samples, held_out, TOY, rules, FitSettings(), "1")
    assert part.log_probability.shape == (3, held_out.sum(), 3)
    assert len(trained.models) == 3
    assert not np.array_equal(part.log_probability[0], part.log_probability[1])
    alone, _ = judge(samples, held_out, TOY, RULES, FitSettings(), "1")
    np.testing.assert_array_equal(part.log_probability[0], alone.log_probability[0])


def test_shuffled_labels_teach_nothing(seen: list[Any]) -> None:
    samples = line_of_samples(600)
    held_out = folds_of(samples, 2, 0) == 0
    part, _ = judge(samples, held_out, replace(TOY, control=True), RULES, FitSettings(), "1")
    assert part.shuffled is not None
    dealt = shuffled_labels(samples, 0)
    assert sorted(dealt) == sorted(samples.label)
    right = (part.shuffled.argmax(1) == dealt[part.rows]).mean()
    assert right < 0.45
    assert (part.log_probability[0].argmax(1) == samples.label[part.rows]).mean() > 0.8


def test_an_outcome_puts_every_fold_in_its_rows(seen: list[Any]) -> None:
    samples = line_of_samples()
    fold = folds_of(samples, 4, 0)
    parts = [judge(samples, fold == f, TOY, RULES, FitSettings(), str(f))[0] for f in (0, 1, 2)]
    found = outcome(samples, TOY, RULES, parts)
    assert np.isnan(found.probability[0, fold == 3]).all()
    assert not found.sets[fold == 3].any()
    np.testing.assert_allclose(found.probability[0, fold < 3].sum(1), 1)
    raw = np.exp(parts[1].log_probability[0])
    np.testing.assert_allclose(found.uncalibrated[0, fold == 1], raw / raw.sum(1, keepdims=True))
    assert found.shuffled is None
    assert [fit.fold for fit in found.folds] == ["0", "1", "2"]


def test_attention_is_the_mean_over_those_of_a_class_who_have_both(seen: list[Any]) -> None:
    samples = line_of_samples(6, classes=2)
    held_out = np.ones(6, bool)
    held_out[:4] = False
    fit = judge(line_of_samples(), np.arange(120) < 30, TOY, RULES, FitSettings(), "1")[0]
    attention = np.zeros((6, 2, 2), np.float32)
    attention[:, 0, 0] = [1, 2, 3, 4, np.nan, 6]
    part = replace(fit, rows=np.arange(6), attention=attention, log_probability=np.zeros((1, 6, 2)))
    part = replace(part, thresholds=np.zeros(2))
    found = outcome(samples, TOY, RULES, [part]).attention
    assert found is not None
    # Class 0 has samples 0, 2, 4 of which the last lacks a modality.
    np.testing.assert_allclose(found[:, 0, 0], [2, 4])


def test_a_part_is_kept_and_read_back(seen: list[Any], tmp_path: Path) -> None:
    samples = line_of_samples()
    part, _ = judge(
        samples, np.arange(120) < 30, replace(TOY, control=True), RULES, FitSettings(), "a b"
    )
    curve = (Epoch("joint", 0, 1, 0.5, float("nan"), 0.7),)
    part = replace(
        part,
        fit=replace(part.fit, curve=curve),
        attention=np.full((30, 2, 2), np.nan, np.float32),
        importances=(Importance("first", "a", 0.5, True),),
    )
    save_part(tmp_path / "part.npz", part)
    again = load_part(tmp_path / "part.npz")
    assert repr(again.fit) == repr(part.fit)
    assert again.importances == part.importances
    for name in ("rows", "log_probability", "thresholds", "attention", "shuffled"):
        np.testing.assert_array_equal(getattr(again, name), getattr(part, name))


def test_a_contest_lists_each_combination_then_the_baselines(seen: list[Any]) -> None:
    contest = Contest(
        "toy",
        arch={"sharpness": 2.0},
        vary={"noise": (0.0, 1.0), "modalities": ("first", "second+first")},
        baselines=("toy", "logistic"),
    )
    found = entrants_of(contest, line_of_samples())
    assert [entrant.name for entrant in found] == [
        "toy noise=0.0 first",
        "toy noise=1.0 first",
        "toy noise=0.0 first+second",
        "toy noise=1.0 first+second",
        "logistic",
    ]
    assert found[1].arch == {"sharpness": 2.0, "noise": 1.0}
    assert found[1].fixed == {"sharpness", "noise"}
    assert [entrant.control for entrant in found] == [True, False, False, False, False]
    assert [entrant.main for entrant in found] == [True] * 4 + [False]


def test_a_package_that_is_not_there_is_said_at_once(
    seen: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genomix_cli.cohorts.train.entrants.find_spec", lambda name: None)
    check(Contest("toy", baselines=("logistic",)))
    with pytest.raises(MissingExtraError, match=r"lightning is not installed.*\[train\]"):
        check(Contest("toy", baselines=("logistic", "mlp")))
    with pytest.raises(MissingExtraError, match="lightgbm is not installed"):
        check(Contest("lightgbm"))


@pytest.mark.parametrize(
    ("contest", "message"),
    [
        (Contest("toys"), "unknown cohort model"),
        (Contest("toy", preset="big"), "no preset 'big'"),
        (Contest("toy", arch={"nose": 1}), "unknown key 'nose'"),
        (Contest("toy", vary={"noise": ("loud",)}), "'noise' is 'loud'"),
        (Contest("toy", baselines=("forest",)), "unknown cohort model 'forest'"),
    ],
)
def test_what_does_not_exist_is_refused_before_any_file_is_read(
    seen: list[Any], contest: Contest, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check(contest)
