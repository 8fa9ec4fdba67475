"""Classes that follow batches: when that is said, and what is held out then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from genomix_cli.cohorts.train.batches import (
    batch_effect,
    batch_folds,
    keeps_batches,
    whole_batches,
)
from genomix_cli.comparison.splits import NO_ROWS, Split
from genomix_cli.formats.cohort import open_cohort
from tests.cohort_files import modality, write_cohort
from tests.cohort_samples import easy


def _cohort(path, share, n=240, **obs):
    """A cohort whose sites have these shares of cases."""
    rng = np.random.default_rng(0)
    site = np.arange(n) % len(share)
    case = rng.random(n) < np.array(share)[site]
    rows = [f"S{i:03d}" for i in range(n)]
    columns = {"sample": rows, "label": np.where(case, "case", "control").tolist()}
    columns["batch"] = [f"site {s}" for s in site]
    values = modality(rng.normal(size=(n, 3)), "expression", rows)
    return write_cohort(path, {"rna": values}, {**columns, **obs})


@pytest.mark.parametrize(
    ("share", "follows"),
    [(np.linspace(0.05, 0.95, 8), True), ([0.3, 0.7], True), ([0.5] * 8, False)],
)
def test_classes_that_follow_batches_are_noticed(share, follows, tmp_path):
    with open_cohort(_cohort(tmp_path / "c.h5mu", share)) as cohort:
        v = batch_effect(cohort)
    assert (v is not None) is follows
    assert v is None or 0.3 < v < 1


def test_a_cohort_without_batches_has_no_effect_of_them(tmp_path):
    rows = [f"S{i}" for i in range(20)]
    values = modality(np.random.default_rng(0).normal(size=(20, 3)), "expression", rows)
    obs = {"sample": rows, "label": ["a", "b"] * 10}
    with open_cohort(write_cohort(tmp_path / "c.h5mu", {"rna": values}, obs)) as cohort:
        assert batch_effect(cohort) is None


def _samples(batch, patient=None):
    n = len(batch)
    patient = np.arange(n) if patient is None else np.array(patient)
    return replace(easy(n), batch=np.array(batch), patient=patient)


def test_batches_that_share_a_patient_are_one():
    found = whole_batches(_samples([0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 3, 4]))
    assert found[0] == found[1] == found[2] == found[3]
    assert found[4] == found[5] != found[0]
    assert len(np.unique(whole_batches(_samples(np.arange(60) % 5)))) == 5


def test_folds_keep_batches_whole_and_are_as_many_as_there_can_be():
    samples = _samples(np.arange(120) % 7)
    united = samples.united(whole_batches(samples))
    for wanted, made in ((5, 5), (10, 7)):
        splits = batch_folds(united, wanted, 0)
        assert len(splits) == made
        assert keeps_batches(samples, splits)
        assert sorted(np.concatenate([s.test for s in splits])) == list(range(120))


def test_batches_that_are_the_classes_cannot_be_held_out():
    samples = easy(60)
    samples = replace(samples, batch=samples.label)
    assert batch_folds(samples.united(whole_batches(samples)), 5, 0) == []
    one = replace(samples, batch=np.zeros(60, np.int64))
    assert batch_folds(one.united(whole_batches(one)), 5, 0) == []


def test_a_split_that_divides_a_batch_does_not_keep_it():
    samples = _samples([0, 0, 1, 1])
    whole = Split("a", np.array([0, 1]), NO_ROWS, np.array([2, 3]))
    divided = Split("b", np.array([0, 2]), NO_ROWS, np.array([1, 3]))
    assert keeps_batches(samples, [whole])
    assert not keeps_batches(samples, [whole, divided])
    assert not keeps_batches(_samples([0, 0, 0, 0]), [whole])
