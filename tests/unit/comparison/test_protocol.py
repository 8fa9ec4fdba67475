"""The protocol of a contest, the same for samples of a cohort and for sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomix_cli.comparison.calibrations import Calibration
from genomix_cli.comparison.classifier import Classifier
from genomix_cli.comparison.clustering import Encoding
from genomix_cli.comparison.contest import Contest
from genomix_cli.comparison.entrants import Entrant
from genomix_cli.comparison.fold_cache import load_result, save_result
from genomix_cli.comparison.protocol import judge, outcome, shuffled_labels, train_entrant
from genomix_cli.comparison.rules import VALIDATION, Rules
from genomix_cli.comparison.splits import NO_ROWS, Split, folds_of
from genomix_cli.comparison.study import Importance
from genomix_cli.comparison.tuning import candidates, tune_on_folds
from genomix_cli.errors import GenomixError
from genomix_cli.learning.calibration import at_temperature, cautious_temperature, fit_temperature
from genomix_cli.learning.conformal import class_thresholds
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.task import Epoch
from genomix_cli.registry import COHORT_MODELS, SEQUENCE_CLASSIFIERS
from tests.sequence_samples import labelled, motifs
from tests.toy_model import line_of_samples, toy_registered

TOY = Entrant("toy", "toy", COHORT_MODELS, {}, modalities=("first", "second"), control=False)
KMERS = Entrant("k", "kmer-logistic", SEQUENCE_CLASSIFIERS, {"k": 3}, control=False)
RULES = Rules(trials=4, inner_folds=3)


@dataclass(frozen=True)
class Case:
    """A domain's data, an entrant of it, and a split."""

    data: Any
    entrant: Entrant[Any]
    split: Split
    rules: Rules


def samples_case() -> Case:
    data = line_of_samples()
    return Case(data, TOY, holding_out(folds_of(data, 4, 0) == 0), RULES)


def sequences_case() -> Case:
    data = labelled(motifs(n=120))
    fold = folds_of(data, 4, 0)
    split = Split("1", *(np.flatnonzero(own) for own in (fold > 1, fold == 1, fold == 0)))
    return Case(data, KMERS, split, replace(RULES, calibration=VALIDATION))


DOMAINS = {"samples": samples_case, "sequences": sequences_case}


@pytest.fixture(params=list(DOMAINS))
def case(request: pytest.FixtureRequest, seen: list[Any]) -> Case:
    make: Callable[[], Case] = DOMAINS[request.param]
    return make()


def holding_out(held_out: Any, name: str = "1") -> Split:
    return Split(name, np.flatnonzero(~held_out), NO_ROWS, np.flatnonzero(held_out))


def toy_candidates(arch: dict[str, Any], fixed: set[str], trials: int, seed: int = 0) -> Any:
    return candidates(replace(TOY, arch=arch, fixed=frozenset(fixed)), trials, seed)


@pytest.fixture
def seen() -> Iterator[list[Any]]:
    with toy_registered() as found:
        yield found


def test_the_default_is_tried_first_and_draws_are_repeatable(seen: list[Any]) -> None:
    first = toy_candidates({"noise": 0.1}, set(), 5, seed=3)
    assert first[0] == {"noise": 0.1}
    assert len(first) == 5
    assert first == toy_candidates({"noise": 0.1}, set(), 5, seed=3)
    assert len({tuple(sorted(c.items())) for c in first[1:]}) == 4


def test_what_the_user_fixed_is_not_tuned(seen: list[Any]) -> None:
    drawn = toy_candidates({"noise": 0.1}, {"noise"}, 50)
    assert {c["noise"] for c in drawn} == {0.1}
    # Two values of sharpness are all there is to draw.
    assert len(drawn) == 3


def test_one_trial_is_the_default_alone(seen: list[Any]) -> None:
    assert toy_candidates({}, set(), 1) == [{}]


def test_tuning_finds_the_better_configuration_and_predicts_out_of_fold(seen: list[Any]) -> None:
    samples = line_of_samples()
    tuned = tune_on_folds(replace(TOY, arch={"noise": 9.0}), samples, 7, 3, FitSettings())
    assert tuned.arch["noise"] == 0.5
    assert tuned.trials == 7
    assert np.isfinite(tuned.log_probability).all()
    assert (tuned.log_probability.argmax(1) == samples.label).mean() > 0.8


def test_a_trial_that_has_fallen_behind_is_given_up(seen: list[Any]) -> None:
    space = 6
    tune_on_folds(TOY, line_of_samples(), 1 + space, 3, FitSettings())
    # The default, without noise, is never beaten, so that no other trial takes a second fold ...
    given_up = [config for config, _, _ in seen if config.noise > 1]
    assert len(given_up) == 4
    assert len(seen) < 3 * (1 + space)


def test_what_is_held_out_is_never_learned_from(seen: list[Any]) -> None:
    samples = line_of_samples()
    held_out = folds_of(samples, 4, 0) == 0
    for calibration in ("cross", "split"):
        seen.clear()
        rules = replace(RULES, calibration=calibration)
        result, _ = judge(TOY, samples, holding_out(held_out), rules, FitSettings())
        names = set(samples.names[held_out])
        assert seen
        assert all(not names & learned for _, learned, _ in seen)
        assert set(result.rows) == set(np.flatnonzero(held_out))


def test_labels_held_out_change_nothing(case: Case) -> None:
    changed = case.data.label.copy()
    changed[case.split.test] = 0
    one, _ = judge(case.entrant, case.data, case.split, case.rules, FitSettings())
    data = case.data.relabelled(changed)
    other, _ = judge(case.entrant, data, case.split, case.rules, FitSettings())
    np.testing.assert_array_equal(one.log_probability, other.log_probability)
    assert one.fit == replace(other.fit, seconds=one.fit.seconds)
    assert one.calibrations == other.calibrations


def test_split_calibration_sets_samples_aside_for_good(seen: list[Any]) -> None:
    samples = line_of_samples(150)
    train_entrant(TOY, samples, None, replace(RULES, calibration="split"), FitSettings())
    learned = set().union(*(names for _, names, _ in seen))
    assert len(learned) == 120


def test_a_single_trial_calibrated_by_samples_set_aside_is_fitted_once(seen: list[Any]) -> None:
    samples = line_of_samples(150)
    rules = replace(RULES, trials=1, calibration="split")
    trained = train_entrant(TOY, samples, None, rules, FitSettings())
    assert len(seen) == 1
    assert np.isfinite(trained.fit.tuning_nll)
    assert trained.trials == 1
    assert trained.fit.chosen == {}


def test_repeats_have_their_own_seeds_and_stand_beside_each_other(
    case: Case, tmp_path: Path
) -> None:
    """Repeat 1 equals the contest with the next seed, and is cached separately."""
    again = case.split._replace(name="2", repeat=1)
    played = contest(case, [case.split, again], tmp_path)
    entrants = [replace(entrant, control=True) for entrant in played.entrants]
    played = replace(played, entrants=entrants)
    judged = played.judge_all()
    study = played.study(judged, data="it", wording=None, held_out_by="it")
    assert study.seeds == (case.rules.seeds[0], case.rules.seeds[0] + 1)
    assert study.outcomes[0].probability.shape[0] == 2
    assert study.repeats is not None
    assert [set(fold[study.tested]) for fold in study.repeats] == [{"1"}, {"2"}]
    assert len(study.outcomes[0].folds) == 2
    later = replace(case.rules, seeds=tuple(seed + 1 for seed in case.rules.seeds))
    other, _ = judge(case.entrant, case.data, case.split, later, FitSettings(seed=1))
    np.testing.assert_array_equal(judged[0][1].log_probability, other.log_probability)
    assert judged[0][1].calibrations == other.calibrations
    assert judged[0][0].shuffled is not None
    assert judged[0][1].shuffled is None


def test_split_conformal_sets_cover_each_class(seen: list[Any]) -> None:
    rules = replace(RULES, trials=1, calibration="split", level=0.9)
    covered = []
    for seed in range(12):
        samples = line_of_samples(600, seed=seed, spread=1.0)
        held_out = np.arange(600) >= 300
        result, _ = judge(TOY, samples, holding_out(held_out), rules, FitSettings())
        sets = outcome(TOY, samples, 1, [result]).sets
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
    result, trained = judge(TOY, samples, holding_out(held_out), rules, FitSettings())
    assert result.log_probability.shape == (3, held_out.sum(), 3)
    assert len(trained.models) == 3
    assert not np.array_equal(result.log_probability[0], result.log_probability[1])
    alone, _ = judge(TOY, samples, holding_out(held_out), RULES, FitSettings())
    np.testing.assert_array_equal(result.log_probability[0], alone.log_probability[0])


def test_a_model_that_diverged_is_named(seen: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TOY.kind, "log_probability", lambda _, x: np.full((len(x), 3), np.nan))
    split = holding_out(np.arange(120) < 30, "2")
    with pytest.raises(GenomixError, match=f"not a number.*{TOY.name} did not learn in fold 2"):
        judge(TOY, line_of_samples(), split, RULES, FitSettings())


@pytest.mark.parametrize("control", [True, None])
def test_shuffled_labels_teach_nothing(case: Case, control: bool | None) -> None:
    """A control of None means that models without epochs are also fitted to shuffled labels."""
    entrant, data = replace(case.entrant, control=control), case.data
    result, _ = judge(entrant, data, case.split, case.rules, FitSettings())
    assert result.shuffled is not None
    dealt = shuffled_labels(data.label, 0)
    assert sorted(dealt) == sorted(data.label)
    right = (result.shuffled.argmax(1) == dealt[result.rows]).mean()
    assert right < 0.6
    assert (result.log_probability[0].argmax(1) == data.label[result.rows]).mean() > right


def test_an_outcome_puts_every_fold_in_its_rows(seen: list[Any]) -> None:
    samples = line_of_samples()
    fold = folds_of(samples, 4, 0)
    results = [
        judge(TOY, samples, holding_out(fold == f, str(f)), RULES, FitSettings())[0]
        for f in (0, 1, 2)
    ]
    found = outcome(TOY, samples, 1, results)
    assert np.isnan(found.probability[0, fold == 3]).all()
    assert not found.sets[fold == 3].any()
    np.testing.assert_allclose(found.probability[0, fold < 3].sum(1), 1)
    raw = np.exp(results[1].log_probability[0])
    np.testing.assert_allclose(found.uncalibrated[0, fold == 1], raw / raw.sum(1, keepdims=True))
    assert found.shuffled is None
    assert [fit.fold for fit in found.folds] == ["0", "1", "2"]


def test_classes_without_a_threshold_in_any_calibration_are_kept(seen: list[Any]) -> None:
    samples, fold = line_of_samples(), np.arange(120) // 60
    results = [
        replace(
            judge(TOY, samples, holding_out(fold == i), RULES, FitSettings())[0], calibrations=c
        )
        for i, c in enumerate(
            [
                (Calibration(None, 1.0, (0.0, 0.0, 0.1)), Calibration(None, 1.0, (0.0, 0.2, 0.1))),
                (Calibration(None, 1.0, (0.0, 0.0, 0.1)),),
            ]
        )
    ]
    kept = outcome(TOY, samples, 1, results).kept
    assert kept is not None
    assert kept.tolist() == [True, False, False]


def test_attention_is_the_mean_over_those_of_a_class_who_have_both(seen: list[Any]) -> None:
    samples = line_of_samples(6, classes=2)
    held_out = np.ones(6, bool)
    held_out[:4] = False
    fit = judge(TOY, line_of_samples(), holding_out(np.arange(120) < 30), RULES, FitSettings())[0]
    samples = samples.united(np.array([0, 1, 0, 1, 2, 2]))
    attention = np.zeros((6, 2, 2), np.float32)
    attention[:, 0, 0] = [1, 2, 3, 4, np.nan, 6]
    result = replace(
        fit, rows=np.arange(6), attention=attention, log_probability=np.zeros((1, 6, 2))
    )
    result = replace(result, calibrations=(Calibration(None, 1.0, (0.0, 0.0)),))
    found = outcome(TOY, samples, 1, [result]).attention
    assert found is not None
    # Class 0 has samples 0, 2, 4 of which the last lacks a modality; class 1 has 1, 3, 5.
    np.testing.assert_allclose(found.mean[:, 0, 0], [16 / 5, 2, 4])
    # Class 0 is seen in the one patient 0 alone, class 1 with 2, 4 in one and 6 in another.
    np.testing.assert_allclose([end[1:, 0, 0] for end in found[1:]], [[2, 3], [2, 6]])
    np.testing.assert_allclose([end[:, 1, 1] for end in found], 0)


def test_a_result_is_cached_and_read_back(case: Case, tmp_path: Path) -> None:
    entrant = replace(case.entrant, control=True)
    result, _ = judge(entrant, case.data, case.split, case.rules, FitSettings())
    curve = (Epoch("joint", 0, 1, 0.5, float("nan"), 0.7),)
    result = replace(
        result,
        fit=replace(result.fit, curve=curve),
        attention=np.full((30, 2, 2), np.nan, np.float32),
        importances=(Importance("first", "a", 0.5, True),),
        alone={"rna": np.full((30, 2), 0.25), "a/b": np.full((30, 2), 0.5)},
    )
    save_result(tmp_path / "result.npz", result)
    again = load_result(tmp_path / "result.npz")
    for field in fields(result):
        own, other = getattr(result, field.name), getattr(again, field.name)
        if isinstance(own, np.ndarray):
            np.testing.assert_array_equal(other, own)
        else:
            assert repr(other) == repr(own)


class Kept(Contest[Any]):
    """A contest that remembers which models it would store."""

    def save(self, entrant: Entrant[Any], trained: Any, split: Split) -> None:
        self.stored.append((entrant.name, len(split.train), trained.fit.tuning_nll))

    def final_split(self) -> Split:
        every = np.arange(len(self.data))
        if self.rules.calibration == VALIDATION:
            return Split("", every[::2], every[1::2], NO_ROWS)
        return Split("", every, NO_ROWS, NO_ROWS)

    stored: list[tuple[str, int, float]] = []  # noqa: RUF012


def contest(case: Case, splits: list[Split], folder: Path) -> Kept:
    Kept.stored.clear()
    mains = [replace(case.entrant, name=name, main=True) for name in ("a", "b")]
    return Kept(case.data, mains, splits, case.rules, FitSettings(), folder)


def test_the_model_of_a_single_split_is_kept_once(case: Case, tmp_path: Path) -> None:
    """The first of two equally good entrants is kept; a second run finds all of it in the cache."""
    judged = contest(case, [case.split], tmp_path).run()
    (stored,) = Kept.stored
    assert stored == ("a", len(case.split.train), judged[0][0].fit.tuning_nll)
    again = contest(case, [case.split], tmp_path).run()
    assert not Kept.stored
    np.testing.assert_array_equal(again[1][0].log_probability, judged[1][0].log_probability)


def test_what_the_first_model_makes_of_some_items_is_kept(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items held out in the first split are encoded once."""
    monkeypatch.setattr("genomix_cli.comparison.contest.ENCODED", 3)
    seen: list[Any] = []

    def encoded(self: Any, inputs: Any) -> Encoding:
        seen.append(inputs)
        return Encoding(np.eye(3, 2, dtype=np.float32), np.eye(3, dtype=np.float32))

    monkeypatch.setattr(Classifier, "encoded", encoded)
    for _ in range(2):  # the second time from the cache
        played = contest(case, [case.split], tmp_path)
        study = played.study(played.run(), data="it", wording=None, held_out_by="it")
        assert study.encoded is not None
        np.testing.assert_array_equal(study.encoded.rows, case.split.test[:3])
        np.testing.assert_array_equal(study.encoded.encoding.vectors, np.eye(3))
    assert len(seen) == 1


def test_after_several_splits_all_items_are_learned(case: Case, tmp_path: Path) -> None:
    fold = folds_of(case.data, 4, 0)
    valid = case.split.valid
    splits = [
        Split(str(f), np.setdiff1d(np.flatnonzero(fold != f), valid), valid, np.flatnonzero(own))
        for f, own in ((f, (fold == f) & ~np.isin(np.arange(len(fold)), valid)) for f in (0, 2))
    ]
    played = contest(case, splits, tmp_path)
    study = played.study(
        played.run(), data="it", wording=None, held_out_by="folds", settings={"seed": 0}
    )
    ((name, n_learned, _),) = Kept.stored
    assert name == "a"
    assert n_learned >= len(case.data) // 2
    assert set(study.fold[study.tested]) == {"0", "2"}
    assert np.isfinite(study.outcomes[0].probability[:, study.tested]).all()
    assert np.isnan(study.outcomes[0].probability[:, ~study.tested]).all()


def test_listed_trials_leave_alone_what_the_user_has_set() -> None:
    assert candidates(replace(KMERS, fixed=frozenset({"c"})), 5, 0) == [{"k": 3}]
    assert len(candidates(KMERS, 3, 0)) == 3


def test_a_temperature_is_not_certain_of_the_next() -> None:
    """After n correct predictions with the same margin, the next has probability n / (n + 1)."""
    margin = 7.0
    log_p = np.log([[1 / (1 + np.exp(-margin)), 1 / (1 + np.exp(margin))]] * 20)
    temperature = cautious_temperature(log_p, np.zeros(20, np.int64))
    assert 1 / (1 + np.exp(-margin / temperature)) == pytest.approx(20 / 21, abs=1e-4)


def test_a_fold_is_predicted_by_a_model_that_did_not_see_it(seen: list[Any]) -> None:
    samples = line_of_samples()
    tune_on_folds(TOY, samples, 1, 3, FitSettings())
    left_out = [set(samples.names) - learned for _, learned, _ in seen]
    assert sorted(name for names in left_out for name in names) == sorted(samples.names)


def test_calibration_is_by_predictions_out_of_fold(seen: list[Any]) -> None:
    entrant = replace(TOY, arch={"sharpness": 5.0}, fixed=frozenset({"sharpness", "noise"}))
    samples = line_of_samples(spread=1.5)
    tuned = tune_on_folds(entrant, samples, 1, RULES.inner_folds, FitSettings())
    trained = train_entrant(entrant, samples, None, RULES, FitSettings())
    temperature = fit_temperature(tuned.log_probability, samples.label)
    assert temperature > 2
    assert trained.fit.temperature == pytest.approx(temperature)
    p = at_temperature(tuned.log_probability, temperature)
    (calibration,) = trained.calibrations
    expected = class_thresholds(p, samples.label, RULES.level)
    np.testing.assert_allclose(calibration.thresholds, expected)


def test_the_control_learns_from_labels_that_were_dealt_anew(seen: list[Any]) -> None:
    samples, split = line_of_samples(), holding_out(np.arange(120) < 30)
    judge(replace(TOY, control=True), samples, split, RULES, FitSettings())
    _, _, labels = seen[-1]
    assert labels == tuple(shuffled_labels(samples.label, 0)[split.train])
    assert labels != tuple(samples.label[split.train])
