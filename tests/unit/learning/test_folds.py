"""Folds of whole contigs, or of anything that has a size."""

from __future__ import annotations

import pytest

from genomix_cli.errors import UsageError
from genomix_cli.learning.folds import contig_folds


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
