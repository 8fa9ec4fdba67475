"""Parts of sequences: groups stay together, classes in shares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomix_cli.comparison.splits import divide
from genomix_cli.errors import DataError, UsageError
from genomix_cli.sequences.train.splits import splits
from tests.sequence_samples import motifs

DATA = motifs(n=120)
LABEL = DATA.label()[1]


def test_a_quarter_of_every_class_is_held_out_by_default() -> None:
    by, (split,) = splits(DATA, LABEL, "auto", 0)
    assert by == "a stratified share of 0.25"
    assert np.bincount(LABEL[split.test]).tolist() == [10, 10, 10]
    every = np.sort(np.concatenate(split.parts))
    np.testing.assert_array_equal(every, np.arange(120))


@given(
    groups=st.lists(st.integers(0, 9), min_size=2, max_size=60),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
)
def test_groups_stay_whole(groups: list[int], share: float, seed: int) -> None:
    group = np.array(groups)
    label = np.arange(len(groups)) % 3
    rows = np.arange(len(groups))
    rest, taken = divide(group, label, rows, share, seed)
    assert not set(group[rest]) & set(group[taken])
    np.testing.assert_array_equal(np.sort(np.concatenate([rest, taken])), rows)


def test_relatives_are_on_one_side() -> None:
    related = replace(DATA, group=np.arange(120) // 4)
    _, found = splits(related, LABEL, "folds:4", 0)
    assert len(found) == 4
    for split in found:
        train, test = (set(related.group[rows]) for rows in (split.train, split.test))
        assert not train & test
    every = np.concatenate([split.test for split in found])
    np.testing.assert_array_equal(np.sort(every), np.arange(120))


def test_the_files_own_split_comes_first() -> None:
    named = np.where(np.arange(120) % 4 == 0, "test", "train")
    own = replace(DATA, split=named)
    by, (split,) = splits(own, LABEL, "auto", 0)
    assert by == "the file's own split"
    np.testing.assert_array_equal(split.test, np.arange(0, 120, 4))
    assert not set(split.valid) & set(split.test)
    _, (share,) = splits(own, LABEL, "0.1", 0)
    assert len(share.test) == 12


def test_sequences_without_a_label_are_in_no_part() -> None:
    label = np.where(np.arange(120) < 20, -1, LABEL)
    _, (split,) = splits(DATA, label, "auto", 0)
    assert min(np.concatenate(split.parts)) == 20


@pytest.mark.parametrize("how", ["half", "0", "1.5", "folds:1", "folds:x", "splits"])
def test_ways_that_are_none(how: str) -> None:
    with pytest.raises(UsageError):
        splits(DATA, LABEL, how, 0)


def test_a_class_in_too_few_groups_is_said() -> None:
    label = LABEL.copy()
    label[label == 2] = 0
    label[:1] = 2
    with pytest.raises(DataError, match="1 classes have no sequence in the"):
        splits(DATA, label, "auto", 0)
