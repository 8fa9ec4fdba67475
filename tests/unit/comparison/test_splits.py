"""Folds: classes in like shares, patients whole."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from genomix_cli.comparison.splits import check_classes, folds_of
from genomix_cli.errors import DataError
from tests.cohort_samples import easy


def test_each_fold_has_each_class_in_its_share():
    samples = easy(n=101, n_classes=3)
    fold = folds_of(samples, 5, seed=0)
    table = np.array([np.bincount(samples.label[fold == i], minlength=3) for i in range(5)])
    assert (table.max(0) - table.min(0) <= 1).all()


def test_a_patient_is_never_on_both_sides_and_classes_stay_in_like_shares():
    rng = np.random.default_rng(0)
    patient = np.sort(rng.integers(0, 80, 240))
    label = (rng.random(80) < 0.3).astype(np.int64)[patient]
    fold = folds_of(replace(easy(n=240), patient=patient, label=label), 5, seed=0)
    assert all(len(set(fold[patient == p])) == 1 for p in np.unique(patient))
    shares = [label[fold == i].mean() for i in range(5)]
    assert max(shares) - min(shares) < 0.12
    assert np.bincount(fold).min() > 30


@pytest.mark.parametrize("grouped", [False, True])
def test_the_seed_alone_decides(grouped):
    samples = easy(n=60)
    if grouped:
        samples = replace(samples, patient=np.arange(60) // 2)
    first = folds_of(samples, 3, seed=1)
    np.random.seed(7)  # noqa: NPY002
    np.testing.assert_array_equal(folds_of(samples, 3, seed=1), first)
    assert (folds_of(samples, 3, seed=2) != first).any()


def test_a_class_with_fewer_members_than_folds_is_no_noise():
    label = np.array([0] * 20 + [1] * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fold = folds_of(replace(easy(n=22), label=label), 5, seed=0)
    assert sorted(set(fold)) == [0, 1, 2, 3, 4]


def test_there_are_no_more_folds_than_members_of_a_class():
    assert set(folds_of(easy(n=6), 7, seed=0)) == {0, 1, 2}
    twins = replace(easy(n=12), patient=np.arange(12) // 2, label=np.arange(12) // 2 % 2)
    assert set(folds_of(twins, 7, seed=0)) == {0, 1, 2}


def test_a_class_is_as_large_as_its_patients_are_many():
    twins = replace(easy(n=12), patient=np.arange(12) // 2, label=np.arange(12) // 2 % 2)
    check_classes(twins, "file", "patients", 3, "for three folds")
    with pytest.raises(DataError, match=r"too few patients of class 0 \(3\), 1 \(3\)"):
        check_classes(twins, "file", "patients", 4, "for four folds")
