"""Few-shot curves: examples, paired gains, words."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.comparison.intervals import Interval
from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.sequences.train.entrants import entrant
from genomix_cli.sequences.train.few_shot import (
    HELPS,
    UNCLEAR,
    FewShot,
    Gain,
    Plan,
    Row,
    examples,
    few_shot,
    paired,
    section,
)
from genomix_cli.sequences.train.splits import splits
from tests.sequence_samples import labelled, motifs

pytest.importorskip("sklearn")


def test_examples_are_so_many_of_each_class() -> None:
    label = np.array([0] * 10 + [1] * 3 + [2] * 7)
    rows = np.arange(20)[::-1]
    found = examples(label, rows, 5, np.random.default_rng(0))
    assert np.bincount(label[found]).tolist() == [5, 3, 5]
    assert list(found) == sorted(set(found))
    again = examples(label, rows, 5, np.random.default_rng(0))
    np.testing.assert_array_equal(found, again)


def test_more_examples_are_better_and_baselines_are_judged_alike() -> None:
    data = labelled(motifs(n=240))
    (split,) = splits(data.sequences, data.label, "auto", 0)[1]
    entrants = [entrant(name, aligned=False) for name in ("kmer-logistic:k3", "majority")]
    found = few_shot(entrants, data, split, Plan((1, 20), 3), FitSettings())
    accuracy = {(row.name, row.count): row.accuracy.mean() for row in found.rows}
    assert accuracy["kmer-logistic k3", 20] > accuracy["kmer-logistic k3", 1] + 0.1
    assert accuracy["majority", 20] == pytest.approx(1 / 3)
    assert found.rows[0].hits.shape == (3, len(split.test))
    assert found.gains == ()
    assert found.sentence() == ""
    assert [row["examples"] for row in found.table()] == [1, 1, 20, 20]


def test_a_gain_is_paired() -> None:
    rng = np.random.default_rng(0)
    hits = rng.random((5, 400)) < 0.6
    same = paired(hits, hits, 0)
    assert same == Interval(0, 0, 0)
    worse = hits & (rng.random(hits.shape) < 0.9)
    found = paired(hits, worse, 0)
    assert found.value == pytest.approx(hits.mean() - worse.mean())
    assert 0 < found.low < found.value < found.high


def test_what_is_said_of_pre_training() -> None:
    hits = np.ones((2, 4), bool)
    rows = (Row("t", 1, hits), Row("t from scratch", 1, hits), Row("t", 5, hits))
    gains = (Gain(1, Interval(0.1, 0.05, 0.2), HELPS), Gain(5, Interval(0.0, -0.1, 0.1), UNCLEAR))
    found = FewShot(rows, gains)
    assert found.sentence() == (
        "Pre-training helps with 1 (+0.100 [+0.050, +0.200]); it makes no significant difference "
        "with 5 (+0.000 [-0.100, +0.100]) examples per class (difference in accuracy)."
    )
    table = found.table()
    assert table[0]["pretraining"] == HELPS
    assert "gain" not in table[1]
    title, picture, body = section(found)
    assert title == "Few examples"
    assert "minus from scratch" in body
    assert picture is not None
    assert picture.name == "few_shot"


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(UsageError, match="examples and repeats must be positive"):
        Plan((0, 5))
    with pytest.raises(UsageError):
        Plan((1,), 0)
