"""Folds hold out whole contigs, and say what is wrong with them."""

from __future__ import annotations

import pytest

from genomix_cli.errors import DataError, UsageError
from genomix_cli.training.folds import Split, check_classes, contig_folds, split_contigs

CONTIGS = ("chr1", "chr2", "chr3", "chrM")


def test_the_rest_trains_in_the_order_of_the_data():
    split = split_contigs(CONTIGS, ["chr3"], ["chr2"])
    assert split == Split(("chr1", "chrM"), ("chr3",), ("chr2",))


def test_names_are_reconciled():
    assert split_contigs(CONTIGS, ["3"], ["MT"]) == Split(("chr1", "chr2"), ("chr3",), ("chrM",))


def test_every_unknown_contig_is_named():
    with pytest.raises(UsageError, match=r"unknown valid contigs: chr8, chr9.*chr1, chr2"):
        split_contigs(CONTIGS, ["chr8", "chr2", "chr9"])


def test_a_contig_in_both_parts_is_refused_even_under_two_names():
    with pytest.raises(UsageError, match="chr2 cannot be in both"):
        split_contigs(CONTIGS, ["chr2"], ["2"])


def test_nothing_left_to_train_on():
    with pytest.raises(UsageError, match="no contig is left"):
        split_contigs(["a", "b"], ["a"], ["b"])


def test_parts_need_both_classes():
    split = Split(("a",), ("b",), ("c",))
    contig = ["a", "a", "b", "b", "c", "c"]
    check_classes(split, contig, [0, 1, 0, 1, 1, 0])
    with pytest.raises(DataError, match=r"valid \(b\) has no positives of 2 .*test \(c\)"):
        check_classes(split, contig, [0, 1, 0, 0, float("nan"), 1])


def test_an_empty_part_is_no_problem():
    check_classes(Split(("a",), (), ()), ["a", "a"], [0, 1])


def test_folds_share_out_every_contig_once_and_evenly():
    sizes = {"c1": 100, "c2": 90, "c3": 80, "c4": 30, "c5": 20, "c6": 10}
    folds = contig_folds(3, sizes)
    assert sorted(name for fold in folds for name in fold) == sorted(sizes)
    assert [sum(sizes[n] for n in fold) for fold in folds] == [110, 110, 110]
    assert folds == contig_folds(3, sizes)


def test_no_fold_is_empty_even_without_sizes():
    assert all(contig_folds(3, {"a": 0, "b": 0, "c": 5}))


@pytest.mark.parametrize("n_folds", [1, 3])
def test_more_folds_than_contigs(n_folds):
    with pytest.raises(UsageError, match="2 to 2 folds for 2 contigs"):
        contig_folds(n_folds, {"a": 1, "b": 1})
