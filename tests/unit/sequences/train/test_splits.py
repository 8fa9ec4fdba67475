"""Parts of sequences: groups stay together, classes in shares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomix_cli.comparison.splits import divide
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.sequences import Sequences
from genomix_cli.genome.iupac import reverse_complement
from genomix_cli.sequences.train.splits import joined, splits
from tests.sequence_samples import genotypes, motifs

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


def with_copies(n: int = 40) -> Sequences:
    """Return `DATA` in which sequence i and `n` + i are the same but for the strand."""
    codes = DATA.codes.copy()
    codes[n : 2 * n : 2] = codes[:n:2]
    codes[n + 1 : 2 * n : 2] = reverse_complement(codes[1:n:2])
    return replace(DATA, codes=codes)


@pytest.mark.parametrize("how", ["auto", "folds:3"])
def test_copies_are_on_one_side(how: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "genomix"):
        found = splits(with_copies(), LABEL, how, 0)[1]
    for split in found:
        for rows in split.parts:
            once = {row % 40 for row in rows if row < 80}
            assert len(once) == sum(row < 80 for row in rows) / 2
    assert "80 sequences have the bases of another one" in caplog.text


def test_a_split_of_the_file_that_parts_copies_is_told(caplog: pytest.LogCaptureFixture) -> None:
    named = np.where(np.arange(120) < 40, "test", "train")
    splits(replace(with_copies(), split=named), LABEL, "auto", 0)
    assert "34 of 40 sequences to test have the bases of a training sequence" in caplog.text


def test_people_may_be_alike_at_few_sites(caplog: pytest.LogCaptureFixture) -> None:
    people = genotypes(n=40, sites=3)
    with caplog.at_level("INFO", "genomix"):
        splits(people, people.label()[1], "auto", 0)
    assert "bases" not in caplog.text


def test_copies_join_the_groups_that_they_are_in() -> None:
    found = joined(np.array([7, 7, 5, 5, 3, 2]), np.array([0, 1, 1, 2, 3, 4]))
    assert found.tolist() == [2, 2, 2, 2, 1, 0]


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


def test_a_part_without_sequences_is_not_put_down_to_classes() -> None:
    data = replace(DATA, split=np.where(np.arange(len(DATA)) % 2, "val", "test"))
    for label in (None, LABEL):
        with pytest.raises(DataError, match=r"no sequence is in the train part.*--split"):
            splits(data, label, "auto", 0)


def test_a_class_in_too_few_groups_is_said() -> None:
    label = LABEL.copy()
    label[label == 2] = 0
    label[:1] = 2
    with pytest.raises(DataError, match="1 class has no sequence in the"):
        splits(DATA, label, "auto", 0)
