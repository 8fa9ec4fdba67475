"""Results of a study: verdicts, ceilings, controls, prediction sets and headlines."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from genomix_cli.comparison.intervals import BETTER, LEVEL, WORSE, Interval, resampled_interval
from genomix_cli.comparison.metrics.multiclass import METRICS
from genomix_cli.comparison.results import results
from genomix_cli.comparison.summaries import BatchCheck
from genomix_cli.comparison.tables import write_rows
from genomix_cli.comparison.words import verdict, weighed, with_batches
from tests.cohort_study import MODALITIES, softmax, study

DRAWS = 200


def _results(given=None, **fields):
    return results(given or study(**fields), draws=DRAWS)


@pytest.fixture(scope="module")
def made():
    return study(), results(study(), draws=DRAWS)


def test_values_are_the_metrics_of_the_first_seed_on_what_was_tested(made):
    given, found = made
    for outcome, row in zip(given.outcomes, found.outcomes, strict=True):
        p = outcome.probability[:, given.tested]
        label = given.label[given.tested]
        for name, score in row.metrics.items():
            values = [METRICS[name](label, each) for each in p]
            assert score.interval.value == pytest.approx(values[0], abs=1e-12)
            assert score.seed_mean == pytest.approx(np.mean(values))
            assert score.seed_sd == pytest.approx(np.std(values, ddof=1))
            assert score.interval.low <= score.interval.value <= score.interval.high


def repeated(n=900, **fields):
    """A study of two seeds, whose samples have another fold with the second."""
    given = study(n=n, **fields)
    folds = np.array([given.fold, given.fold])
    folds[1, given.tested] = np.random.default_rng(0).permutation(given.fold[given.tested])
    return replace(given, repeats=folds)


def test_repeats_are_averaged_on_the_same_draws():
    given = repeated()
    found = results(given, draws=DRAWS)
    alone = [
        results(
            replace(
                given,
                repeats=None,
                seeds=(0,),
                outcomes=tuple(
                    replace(o, probability=o.probability[[r]], uncalibrated=o.uncalibrated[[r]])
                    for o in given.outcomes
                ),
            ),
            draws=DRAWS,
        )
        for r in (0, 1)
    ]
    assert found.repeats == 2
    for i, row in enumerate(found.outcomes):
        for name in ("accuracy", "auroc", "nll"):
            own = row.metrics[name]
            parts = [each.outcomes[i].metrics[name].interval for each in alone]
            assert own.interval.value == pytest.approx(np.mean([part.value for part in parts]))
            assert own.seed_sd == pytest.approx(np.std([part.value for part in parts], ddof=1))
        recalls = [each.outcomes[i].classes[0].metrics["recall"].value for each in alone]
        assert row.classes[0].metrics["recall"].value == pytest.approx(np.mean(recalls))


def test_a_sample_is_one_however_often_it_is_predicted():
    """Identical repeats add no information, so the interval stays as wide."""
    given = repeated()
    same = tuple(
        replace(o, probability=o.probability[[0, 0]], uncalibrated=o.uncalibrated[[0, 0]])
        for o in given.outcomes
    )
    twice = results(replace(given, outcomes=same), draws=DRAWS)
    once = results(replace(given, outcomes=same, repeats=None), draws=DRAWS)
    for row, other in zip(twice.outcomes, once.outcomes, strict=True):
        for name, score in row.metrics.items():
            assert tuple(score.interval) == pytest.approx(tuple(other.metrics[name].interval))


def test_differences_over_splits_give_the_verdicts():
    given = repeated(gain=0.16)
    found = results(given, draws=DRAWS)
    (main, best), row = (0, 1), found.outcomes[0].against_best
    assert row.other == given.outcomes[best].name
    label, gaps = given.label, []
    for r in (0, 1):
        for name in ("fold 1", "fold 2", "fold 3"):
            own = given.repeats[r] == name
            right = [
                (o.probability[r, own].argmax(1) == label[own]).mean()
                for o in (given.outcomes[main], given.outcomes[best])
            ]
            gaps.append(right[0] - right[1])
    expected = resampled_interval(np.array(gaps), 270 / 540)
    assert tuple(row.over_splits["accuracy"]) == pytest.approx(tuple(expected))
    assert set(row.over_splits) == {"accuracy", "auroc", "nll"}
    for name, interval in row.over_splits.items():
        assert row.verdicts[name] == verdict(interval, name)
    assert row.verdicts["accuracy"] != verdict(row.differences["accuracy"], "accuracy")
    assert row.over_splits["accuracy"].text(sign=True) in found.headline
    assert _results().outcomes[0].against_best.over_splits == {}


def test_one_seed_has_no_spread():
    found = _results(seeds=1)
    assert np.isnan(found.outcomes[0].metrics["accuracy"].seed_sd)


def test_the_best_baseline_is_compared_with_by_all_others(made):
    _, found = made
    accuracy = {row.name: row.metrics["accuracy"].interval.value for row in found.outcomes}
    assert found.best == max(("logistic", "svm"), key=accuracy.__getitem__)
    for row in found.outcomes:
        if row.name == found.best:
            assert row.against_best is None
        else:
            gap = row.against_best.differences["accuracy"].value
            assert gap == pytest.approx(accuracy[row.name] - accuracy[found.best])


@pytest.mark.parametrize(
    ("low", "high", "metric", "expected"),
    [
        (0.01, 0.02, "accuracy", BETTER),
        (-0.01, 0.02, "accuracy", LEVEL),
        (0.0, 0.02, "accuracy", LEVEL),
        (-0.03, -0.01, "accuracy", WORSE),
        (-0.03, -0.01, "nll", BETTER),
        (0.01, 0.02, "nll", WORSE),
        (np.nan, np.nan, "accuracy", LEVEL),
    ],
)
def test_a_verdict_needs_an_interval_that_excludes_zero(low, high, metric, expected):
    assert verdict(Interval(0.0, low, high), metric) == expected


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        (0.9, "is better than the best baseline"),
        (0.0, "does not differ significantly from the best baseline"),
        (-3.0, "is worse than the best baseline"),
    ],
)
def test_the_headline_compares_the_model_with_the_best_baseline(gain, expected):
    found = _results(gain=gain, n=800, baselines=("logistic",), seed=3)
    assert expected in found.headline
    assert found.headline.count("the best baseline") == 1


def test_the_headline_counts_the_models_that_are_better_than_the_baseline():
    found = _results(mains=("one", "two"), gain=0.9, n=600)
    assert "Of 2 requested models, 2 are better than logistic." in found.headline


@pytest.mark.parametrize(
    ("sizes", "gain", "expected"),
    [
        ((9000, 20), -3.0, "), a smaller model: "),
        ((20, 9000), -3.0, "), a larger model: "),
        ((20, 20), -3.0, "): accuracy -"),
        ((9000, 20), 0.0, "omics-transformer is worth its size (9,000 parameters against 20)"),
        ((20, 9000), 0.0, "logistic is worth its size (9,000 parameters against 20)"),
    ],
)
def test_the_headline_says_which_model_is_smaller(sizes, gain, expected):
    given = study(gain=gain, n=600, baselines=("logistic",), seed=3)
    rows = zip(given.outcomes, sizes, strict=True)
    outcomes = tuple(replace(row, parameters=size) for row, size in rows)
    assert expected in _results(replace(given, outcomes=outcomes)).headline


def test_of_equal_baselines_the_smallest_is_the_best():
    given = study(baselines=("first", "second", "third"))
    main, first, second, third = given.outcomes
    same = [replace(row, probability=first.probability) for row in (first, second, third)]
    sizes = (500, 20, 90)
    outcomes = [replace(row, parameters=n) for row, n in zip(same, sizes, strict=True)]
    assert _results(replace(given, outcomes=(main, *outcomes))).best == "second"


def with_majority(given):
    """The study with the row that every contest has."""
    share = np.bincount(given.label[given.tested]) / given.tested.sum()
    p = np.where(given.tested[:, None], share, np.nan)[None].repeat(len(given.seeds), 0)
    row = replace(given.outcomes[-1], name="majority", model="majority", modalities=())
    row = replace(row, parameters=3, probability=p, uncalibrated=p, main=False, folds=())
    return replace(given, outcomes=(*given.outcomes, row))


def knowing_nothing(row, seed):
    noise = np.random.default_rng(seed).normal(0, 0.5, row.probability.shape)
    return replace(row, probability=np.where(np.isnan(row.probability), np.nan, softmax(noise)))


def test_no_model_is_called_better_unless_it_is_better_than_the_majority():
    """One of two models that know nothing may be better than the other."""
    given = study(n=600, baselines=("logistic",), shuffled=False)
    main, other = (knowing_nothing(row, i) for i, row in enumerate(given.outcomes))
    wrong = np.roll(np.eye(3), 1, 1)[given.label] * 0.6 + 0.4 / 3
    worse = replace(other, probability=np.where(np.isnan(other.probability), np.nan, wrong))
    found = _results(with_majority(replace(given, outcomes=(main, worse))))
    row = found.outcomes[0]
    assert set(row.against_best.verdicts.values()) == {BETTER}
    assert row.against_best.verdict == "not better than majority"
    assert not row.above_majority
    assert found.outcomes[-1].against_best.verdict == "no baseline is better"
    assert "is better than" not in found.headline
    assert "always predicting the most frequent class" in found.headline
    assert found.best == "logistic"


def test_a_model_that_is_better_than_the_majority_may_be_called_better():
    given = study(gain=0.9, n=600, baselines=("logistic",))
    found = _results(with_majority(given))
    assert found.outcomes[0].against_best.verdict == BETTER
    assert found.best == "logistic"
    majority = found.outcomes[-1]
    counts = np.bincount(given.label[given.tested])
    assert majority.metrics["accuracy"].interval.value == counts.max() / counts.sum()
    assert majority.metrics["auroc"].interval.value == 0.5
    assert majority.against_majority is None


def test_without_another_baseline_the_majority_is_the_rival():
    found = _results(with_majority(study(gain=0.9, n=600, baselines=())))
    assert found.best == "majority"
    assert "is better than always predicting the most frequent class: accuracy +" in found.headline
    assert "compared with nothing else" in found.headline


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("=++", BETTER),
        ("=--", WORSE),
        ("=-=", LEVEL),
        ("+==", BETTER),
        ("-==", WORSE),
        ("+=-", "metrics disagree"),
        ("-++", "metrics disagree"),
        ("=+-", LEVEL),
        ("===", LEVEL),
    ],
)
def test_a_verdict_weighs_accuracy_auroc_and_log_loss(words, expected):
    names = {"+": BETTER, "-": WORSE, "=": LEVEL}
    verdicts = dict(zip(("accuracy", "auroc", "nll"), map(names.get, words), strict=True))
    assert weighed(verdicts) == expected


def test_log_loss_and_auroc_speak_where_accuracy_is_silent():
    """Both models predict the same classes, but only the baseline is well calibrated."""
    given = study(n=800, baselines=("logistic",), gain=0.0, shuffled=False)
    sharp = given.outcomes[1].probability
    top = np.nan_to_num(sharp).argmax(-1)[..., None] == np.arange(3)
    blunt = np.where(np.isnan(sharp), np.nan, 0.97 * top + 0.01)
    main = replace(given.outcomes[0], probability=blunt)
    found = _results(replace(given, outcomes=(main, given.outcomes[1])))
    compared = found.outcomes[0].against_best
    assert compared.differences["accuracy"].value == 0
    assert compared.verdicts == {"accuracy": LEVEL, "auroc": WORSE, "nll": WORSE}
    assert compared.verdict == WORSE
    assert "is worse than the best baseline, logistic (accuracy" in found.headline
    assert "There is no significant difference in accuracy." in found.headline


def test_the_metric_that_is_asked_for_ranks_the_baselines_and_comes_first():
    given = study(n=400, baselines=("sharp", "blunt"), gain=0.0)
    main, first, second = given.outcomes
    top = np.nan_to_num(first.probability).argmax(-1)[..., None] == np.arange(3)
    blunt = np.where(np.isnan(first.probability), np.nan, 0.97 * top + 0.01)
    given = replace(given, outcomes=(main, replace(first, parameters=9), second))
    given = replace(given, outcomes=(main, replace(second, probability=blunt, parameters=1), first))
    by_accuracy, by_loss = (results(given, m, draws=DRAWS) for m in ("accuracy", "nll"))
    assert (by_accuracy.best, by_loss.best) == ("blunt", "sharp")
    assert list(by_loss.outcomes[0].against_best.verdicts) == ["nll", "accuracy", "auroc"]
    assert "log loss" in by_loss.headline


def test_the_headline_names_a_modality_that_alone_is_as_good():
    given = study(n=600, gain=0.9, baselines=("best-single",), shuffled=False)
    main, single = given.outcomes
    noise = softmax(np.random.default_rng(0).normal(0, 0.5, (600, 3)))
    parts = {MODALITIES[1]: noise, MODALITIES[0]: main.probability[0]}
    single = replace(single, alone=parts)
    found = _results(with_majority(replace(given, outcomes=(main, single))))
    assert [(each.modality, each.reaches) for each in found.alone] == [
        (MODALITIES[0], True),
        (MODALITIES[1], False),
    ]
    assert f"was not shown to be better than {MODALITIES[0]} alone (accuracy" in found.headline
    assert MODALITIES[1] not in found.headline
    first, second = (each.compared.differences["accuracy"] for each in found.alone)
    assert first == (0, 0, 0)
    assert second.low > 0
    json.dumps(found.to_dict(), allow_nan=False)
    of_one = replace(main, modalities=MODALITIES[:1])
    assert _results(replace(given, outcomes=(of_one, single))).alone == ()
    assert _results(given).alone == ()


def test_both_figures_stand_in_the_headline_where_classes_follow_batches():
    here, there = _results(gain=0.9, n=600), _results(gain=-3.0, n=600)
    found = with_batches(here, BatchCheck(0.6, there))
    for each in (here, there):
        assert each.outcomes[0].metrics["accuracy"].interval.text() in found.headline
    assert found.headline.startswith("Classes follow batches (Cramer's V 0.60)")
    assert found.headline.index("Batches held out:") < found.headline.index("is better than")
    assert "how well the batch is recognised" in found.warnings[0]
    rows = found.rows()
    assert rows[0]["batches_accuracy"] == there.outcomes[0].metrics["accuracy"].interval.value
    json.dumps(found.to_dict(), allow_nan=False)


def test_batches_of_one_class_each_are_said_to_settle_nothing():
    found = with_batches(_results(n=200), BatchCheck(1.0, None))
    assert "these data cannot show which" in found.headline
    assert "batches_accuracy" not in found.rows()[0]


def test_without_baselines_nothing_is_compared():
    found = _results(baselines=())
    assert found.best is None
    assert found.outcomes[0].against_best is None
    assert "no baseline" in found.headline


def test_equal_models_are_seldom_said_to_differ():
    """The verdict on two equally good models is wrong in about one of twenty studies."""
    wrong = 0
    for seed in range(100):
        given = study(n=250, seeds=1, baselines=("logistic",), gain=0.0, seed=seed, shuffled=False)
        wrong += _results(given).outcomes[0].against_best.verdict != LEVEL
    assert wrong <= 11


def test_a_model_at_its_ceiling_is_no_leak_and_one_above_it_is():
    given = study(n=1000, baselines=())
    row, bayes = given.outcomes[0], given.ceilings[MODALITIES]
    at = replace(row, probability=np.stack([bayes, bayes]))
    cheat = 0.7 * bayes + 0.3 * np.eye(3)[given.label]
    above = replace(row, probability=np.stack([cheat, cheat]))
    for outcome, expected in ((at, False), (above, True)):
        found = _results(replace(given, outcomes=(outcome,)))
        assert found.outcomes[0].ceiling.leak is expected
        assert any("leak" in text for text in found.warnings) is expected


def test_no_leak_is_reported_of_rules_as_good_as_the_ceiling():
    """Leaks are reported of rules within noise of Bayes no more often than the level allows."""
    leaks = 0
    for seed in range(60):
        given = study(n=300, seeds=1, baselines=(), seed=seed, shuffled=False)
        rng = np.random.default_rng(seed)
        near = softmax(np.log(given.ceilings[MODALITIES]) + rng.normal(0, 0.05, (300, 3)))
        outcome = replace(given.outcomes[0], probability=near[None])
        leaks += _results(replace(given, outcomes=(outcome,))).outcomes[0].ceiling.leak
    assert leaks <= 6


def test_the_ceiling_is_that_of_the_modalities_whatever_their_order():
    given = study(baselines=())
    turned = replace(given.outcomes[0], modalities=MODALITIES[::-1])
    assert _results(replace(given, outcomes=(turned,))).outcomes[0].ceiling is not None
    fewer = replace(given.outcomes[0], modalities=MODALITIES[:2])
    assert _results(replace(given, outcomes=(fewer,))).outcomes[0].ceiling is None


def test_the_control_is_judged_by_the_shuffled_labels():
    given = study(n=600, baselines=())
    row = given.outcomes[0]
    assert not _results(given).outcomes[0].shuffled.above
    knows = replace(row, shuffled=0.8 * np.eye(3)[given.shuffled_label] + 0.2 / 3)
    found = _results(replace(given, outcomes=(knows,)))
    assert found.outcomes[0].shuffled.above
    assert any("shuffled" in text for text in found.warnings)
    # The class 0 is always named, but ranks know the labels.
    ranks = replace(row, shuffled=0.1 * np.eye(3)[given.shuffled_label] + [0.5, 0.2, 0.2])
    assert _results(replace(given, outcomes=(ranks,))).outcomes[0].shuffled.above
    true = replace(row, shuffled=0.8 * np.eye(3)[given.label] + 0.2 / 3)
    assert not _results(replace(given, outcomes=(true,))).outcomes[0].shuffled.above


def test_sets_and_classes_are_counted():
    given = study(n=300, baselines=())
    sets = np.zeros((300, 3), bool)
    sets[:, 0] = True
    sets[:100] = False
    found = _results(replace(given, outcomes=(replace(given.outcomes[0], sets=sets),))).outcomes[0]
    label = given.label[given.tested]
    assert found.sets.singletons == pytest.approx(170 / 270)
    assert found.sets.coverage.value == pytest.approx((label[100:] == 0).sum() / 270)
    assert found.classes[1].coverage.value == 0
    assert [each.support for each in found.classes] == np.bincount(label).tolist()
    assert found.confusion.sum(1).tolist() == np.bincount(label).tolist()


def test_a_class_that_is_in_every_set_is_told_of_models_that_were_asked_for():
    given = study(n=300, baselines=("logistic",))
    kept = np.array([False, True, False])
    outcomes = [replace(outcome, kept=kept) for outcome in given.outcomes]
    text = "every prediction set of omics-transformer holds class B"
    found = _results(replace(given, outcomes=tuple(outcomes)))
    (told,) = [warning for warning in found.warnings if "every prediction set" in warning]
    assert told == f"{text}, because fewer than 9 samples of each calibrated the model"
    assert not any("every prediction set" in text for text in _results(given).warnings)


def test_a_class_that_was_not_tested_has_no_numbers():
    given = study(n=200, k=3, baselines=())
    found = _results(replace(given, label=np.minimum(given.label, 1)))
    assert found.counts[2] == 0
    assert np.isnan(found.outcomes[0].classes[2].metrics["auroc"].value)
    assert np.isnan(found.outcomes[0].classes[2].coverage.value)
    assert any("class C (0)" in text for text in found.warnings)


def test_patients_are_drawn_whole():
    """Ten copies of each sample under one patient give intervals as wide as single samples."""
    given = study(n=200, seeds=1, baselines=(), shuffled=False, ceiling=False)
    ten = np.repeat(np.arange(200), 10)
    row = given.outcomes[0]
    copied = replace(
        row,
        probability=row.probability[:, ten],
        uncalibrated=row.uncalibrated[:, ten],
        sets=row.sets[ten],
    )
    fields = ("names", "label", "shuffled_label", "unit", "fold", "tested")
    many = replace(given, outcomes=(copied,), **{f: getattr(given, f)[ten] for f in fields})
    one, other = _results(given), _results(many)
    assert other.units == one.units == 180
    assert other.samples == 1800
    for name in ("accuracy", "auroc", "nll"):
        expected = one.outcomes[0].metrics[name].interval
        assert other.outcomes[0].metrics[name].interval == pytest.approx(expected, abs=1e-9)


def test_plain_data_are_json_without_nan(made):
    _, found = made
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(text)["outcomes"][0]["metrics"]["auroc"]["interval"]["value"] > 0.5


def test_the_same_study_gives_the_same_numbers(made):
    given, found = made
    again = results(given, draws=DRAWS)
    assert json.dumps(again.to_dict()) == json.dumps(found.to_dict())


def test_rows_make_a_table(made, tmp_path):
    _, found = made
    write_rows(found.rows(), tmp_path / "table.tsv")
    lines = [line.split("\t") for line in (tmp_path / "table.tsv").read_text().splitlines()]
    assert {len(line) for line in lines} == {len(lines[0])}
    row = dict(zip(lines[0], lines[1], strict=True))
    assert row["name"] == "omics-transformer"
    assert float(row["accuracy"]) == pytest.approx(
        found.outcomes[0].metrics["accuracy"].interval.value, rel=1e-5
    )
    assert row["main"] == "true"
