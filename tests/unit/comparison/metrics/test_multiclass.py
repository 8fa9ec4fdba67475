"""Metrics of several classes against scikit-learn, under weights, and their bootstrap."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import metrics as oracle

from genomix_cli.comparison.bootstrap import Bootstrap
from genomix_cli.comparison.intervals import lowest_auroc, wilson
from genomix_cli.comparison.metrics import binary as binary
from genomix_cli.comparison.metrics.multiclass import (
    CLASS_METRICS,
    METRICS,
    Ranked,
    calibration_floor,
    replicate,
)


def data(seed: int, n: int = 300, k: int = 4, decimals: int = 2) -> tuple[np.ndarray, ...]:
    """Labels, probabilities with many ties, and weights of which some are zero."""
    rng = np.random.default_rng(seed)
    label = rng.choice(k, n, p=np.arange(1, k + 1) / (k * (k + 1) / 2))
    logits = rng.normal(0, 1, (n, k)).round(decimals)
    logits[np.arange(n), label] += 1
    p = np.exp(logits)
    return label, p / p.sum(1, keepdims=True), rng.integers(0, 4, n).astype(float)


def _mean(name: str, average: str):
    function = getattr(oracle, f"{name}_score")

    def of(y, p, w):
        return function(y, p.argmax(1), average=average, sample_weight=w, zero_division=0)

    return of


def _rest(function):
    def of(y, p, w):
        return np.mean([function(y == k, p[:, k], sample_weight=w) for k in range(p.shape[1])])

    return of


ORACLES = {
    "accuracy": lambda y, p, w: oracle.accuracy_score(y, p.argmax(1), sample_weight=w),
    "balanced_accuracy": lambda y, p, w: oracle.balanced_accuracy_score(
        y, p.argmax(1), sample_weight=w
    ),
    "macro_f1": _mean("f1", "macro"),
    "weighted_f1": _mean("f1", "weighted"),
    "macro_precision": _mean("precision", "macro"),
    "weighted_precision": _mean("precision", "weighted"),
    "macro_recall": _mean("recall", "macro"),
    "weighted_recall": _mean("recall", "weighted"),
    "auroc": _rest(oracle.roc_auc_score),
    "auprc": _rest(oracle.average_precision_score),
    "nll": lambda y, p, w: oracle.log_loss(y, p, sample_weight=w, labels=range(p.shape[1])),
    "brier": lambda y, p, w: oracle.brier_score_loss(
        y, p, sample_weight=w, labels=range(p.shape[1]), scale_by_half=False
    ),
    "calibration_error": lambda y, p, w: binary.calibration_error(
        p.argmax(1) == y, p.max(1), weights=w
    ),
}


def test_every_metric_has_an_oracle():
    assert set(ORACLES) == set(METRICS)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("k", [2, 3, 10])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_scikit_learn(name, k, weighted):
    for seed in range(4):
        label, p, w = data(seed, k=k)
        weights = w if weighted else None
        expected = ORACLES[name](label, p, weights)
        assert METRICS[name](label, p, weights) == pytest.approx(expected, abs=1e-12)


def test_macro_auroc_is_what_scikit_learn_calls_one_against_the_rest():
    label, p, _ = data(0)
    expected = oracle.roc_auc_score(label, p, multi_class="ovr", average="macro")
    assert METRICS["auroc"](label, p) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("gone", ["label", "prediction", "both"])
@pytest.mark.parametrize("name", [n for n in METRICS if n not in ("auroc", "auprc")])
def test_an_absent_class_counts_as_in_scikit_learn(name, gone):
    label, p, w = data(1)
    if gone != "prediction":
        w[label == 3] = 0
    if gone != "label":
        p[:, 3] = 0
        p /= p.sum(1, keepdims=True)
    there = w > 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        expected = ORACLES[name](label[there], p[there], w[there])
    assert METRICS[name](label, p, w) == pytest.approx(expected, abs=1e-12)


def test_areas_leave_out_what_is_undefined():
    label, p, _ = data(2)
    only = label != 3
    areas = [binary.auroc(label[only] == k, p[only, k]) for k in range(3)]
    assert METRICS["auroc"](label[only], p[only]) == pytest.approx(np.mean(areas), abs=1e-12)
    one = np.zeros(len(label), int)
    assert np.isnan(METRICS["auroc"](one, p))
    assert METRICS["auprc"](one, p) == pytest.approx(1)


@pytest.mark.parametrize("name", [n for n in METRICS if n != "calibration_error"])
def test_weights_mean_copies(name):
    label, p, w = data(3)
    copies = np.repeat(np.arange(len(label)), w.astype(int))
    expected = METRICS[name](label[copies], p[copies])
    assert METRICS[name](label, p, w) == pytest.approx(expected, abs=1e-12)


def test_many_weights_at_once_are_each_alone():
    label, p, _ = data(4)
    weights = np.random.default_rng(0).integers(0, 3, (7, len(label)))
    together = Ranked(label, p).under(weights)
    for name, metric in METRICS.items():
        alone = [metric(label, p, w) for w in weights]
        assert metric.function(together) == pytest.approx(alone, abs=1e-12), name


@pytest.mark.parametrize("name", CLASS_METRICS)
def test_a_class_has_its_own_metrics(name):
    label, p, w = data(5)
    found = CLASS_METRICS[name](Ranked(label, p).under(w))[0]
    for k in range(4):
        own, said = label == k, p.argmax(1) == k
        expected = {
            "precision": lambda o=own, s=said: oracle.precision_score(o, s, sample_weight=w),
            "recall": lambda o=own, s=said: oracle.recall_score(o, s, sample_weight=w),
            "f1": lambda o=own, s=said: oracle.f1_score(o, s, sample_weight=w),
            "auroc": lambda o=own, k=k: oracle.roc_auc_score(o, p[:, k], sample_weight=w),
            "auprc": lambda o=own, k=k: oracle.average_precision_score(o, p[:, k], sample_weight=w),
        }[name]()
        assert found[k] == pytest.approx(expected, abs=1e-12)


def test_a_certain_mistake_costs_no_infinity():
    assert METRICS["nll"]([0], [[0.0, 1.0]]) == pytest.approx(-np.log(np.finfo(float).eps))


def test_replicates_are_the_metrics_of_what_was_drawn():
    label, p, _ = data(6, n=60)
    patient = np.arange(60) // 2
    found = replicate(label, [p, p**2 / (p**2).sum(1, keepdims=True)], Bootstrap(patient, 5, 11))
    rng = np.random.default_rng(11)
    for d in range(5):
        times = np.bincount(rng.integers(0, 30, 30), minlength=30)[patient]
        for name, metric in METRICS.items():
            expected = metric(label, p, times)
            assert found.of_all[name][0, 1 + d] == pytest.approx(expected, abs=1e-12), name
    assert found.difference(0, 0, "auroc") == (0, 0, 0)
    assert found.interval(0, "nll").value == pytest.approx(METRICS["nll"](label, p))


def test_no_draws_give_values_without_an_interval():
    label, p, _ = data(7, n=40)
    found = replicate(label, [p], Bootstrap(np.arange(40), 0))
    assert np.isnan(found.interval(0, "accuracy").low)
    assert found.interval(0, "accuracy").value == METRICS["accuracy"](label, p)
    assert found.of_class["f1"].shape == (1, 1, 4)


def test_a_share_that_is_1_or_0_in_every_draw_has_an_interval():
    """Two items named B, both rightly, say little about the precision of B."""
    label = np.array([0] * 10 + [1] * 4)
    named = np.array([0] * 10 + [1, 1, 0, 0])
    p = np.where(named[:, None] == np.arange(2), 0.9, 0.1)
    found = replicate(label, [p], Bootstrap(np.arange(14), 200))
    precision, recall = (
        found.class_interval(0, k, m) for k, m in ((1, "precision"), (0, "recall"))
    )
    assert precision == pytest.approx((1.0, *wilson(1.0, 2)))
    assert recall == pytest.approx((1.0, *wilson(1.0, 10)))
    # Of one patient, ten items are no more than one.
    patients = replicate(label, [p], Bootstrap([0] * 10 + [1, 2, 3, 4], 200))
    assert patients.class_interval(0, 0, "recall").low == pytest.approx(wilson(1.0, 1)[0])
    perfect = replicate(label, [np.eye(2)[label]], Bootstrap(np.arange(14), 200))
    assert perfect.interval(0, "accuracy") == pytest.approx((1.0, *wilson(1.0, 14)))
    assert perfect.averaged([1]).interval(0, "accuracy").low == pytest.approx(wilson(1.0, 14)[0])


def test_areas_and_means_over_classes_that_are_1_in_every_draw():
    label = np.array([0] * 10 + [1] * 4 + [2] * 5)
    found = replicate(label, [np.eye(3)[label]], Bootstrap(np.arange(19), 200))
    areas = [lowest_auroc(own, 19 - own) for own in (10, 4, 5)]
    assert found.class_interval(0, 1, "auroc") == pytest.approx((1.0, areas[1], 1.0))
    assert found.interval(0, "auroc") == pytest.approx((1.0, np.mean(areas), 1.0))
    shares = np.mean([wilson(1.0, own)[0] for own in (10, 4, 5)])
    for metric in ("balanced_accuracy", "macro_recall", "macro_precision"):
        assert found.interval(0, metric) == pytest.approx((1.0, shares, 1.0))
    # No formula gives an interval of these.
    for metric in ("macro_f1", "weighted_f1", "weighted_precision", "auprc"):
        assert found.interval(0, metric).text() == "1.000"
    # The opposite of a perfect score.
    wrong = replicate(label[:14], [np.eye(2)[1 - label[:14]]], Bootstrap(np.arange(14), 200))
    low = lowest_auroc(10, 4)
    assert wrong.interval(0, "auroc") == pytest.approx((0.0, 0.0, 1 - low))
    # Samples of one patient are no more than one.
    patients = replicate(label, [np.eye(3)[label]], Bootstrap(label, 200))
    assert patients.interval(0, "auroc").low == pytest.approx(lowest_auroc(1, 2))


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Intervals of three metrics cover the truth for patients with two similar samples."""
    hits = {"accuracy": 0, "macro_f1": 0, "difference": 0}
    truth = _population(np.random.default_rng(0), 200_000)
    value = {m: METRICS[m](truth[0], truth[1]) for m in ("accuracy", "macro_f1")}
    gap = value["accuracy"] - METRICS["accuracy"](truth[0], truth[2])
    for seed in range(200):
        label, p, q, patient = _population(np.random.default_rng(seed + 1), 150)
        found = replicate(label, [p, q], Bootstrap(patient, 200, 11), ("accuracy", "macro_f1"))
        for m in value:
            low, high = found.interval(0, m)[1:]
            hits[m] += low <= value[m] <= high
        low, high = found.difference(0, 1, "accuracy")[1:]
        hits["difference"] += low <= gap <= high
    assert all(0.9 <= count / 200 <= 0.985 for count in hits.values()), hits


def _population(rng: np.random.Generator, patients: int) -> tuple[np.ndarray, ...]:
    """Two samples of a patient have the same label and nearly the same probabilities."""
    label = rng.integers(0, 3, patients)
    logits = rng.normal(0, 1, (patients, 3)) + 1.2 * np.eye(3)[label]
    other = logits + rng.normal(0, 1, (patients, 3))
    twice = np.repeat(np.arange(patients), 2)
    found = []
    for z in (logits, other):
        p = np.exp(z[twice] + rng.normal(0, 0.1, (2 * patients, 3)))
        found.append(p / p.sum(1, keepdims=True))
    return label[twice], found[0], found[1], twice


def test_the_floor_is_the_error_of_a_calibrated_model():
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.ones(3), 400)
    draws = (rng.random((200, 400, 1)) > p.cumsum(1)).sum(2).clip(0, 2)
    expected = np.mean([METRICS["calibration_error"](label, p) for label in draws])
    assert calibration_floor(p) == pytest.approx(expected, rel=0.05)


def test_the_interval_of_a_calibration_error_is_not_all_above_it():
    """Bootstrap draws are noisier than the data, so their errors are larger."""
    rng = np.random.default_rng(4)
    p = rng.dirichlet(np.ones(3), 400)
    label = (rng.random((400, 1)) > p.cumsum(1)).sum(1).clip(0, 2)
    found = replicate(label, [p], Bootstrap(np.arange(400), 200, 4), ("calibration_error",))
    value, low, high = found.interval(0, "calibration_error")
    assert 0 <= low < value <= high
    assert np.mean(found.of_all["calibration_error"][0, 1:]) > value
