"""Gapped k-mers by their features against all pairs of words, counted one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from genomix_cli.errors import UsageError
from genomix_cli.genome.iupac import ANY, encode, reverse_complement
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.sequences.models.gkm import (
    GkmSVM,
    norms,
    reversed_words,
    strengths,
    walsh,
    words_of,
)
from tests.sequence_samples import labelled, motifs

pytest.importorskip("sklearn")
SEQUENCES = ("ACGTACGGTA", "TTTTACGGTA", "GATTACAGAT", "CCCCCCCCCC")


def gapped(sequence: str, l: int, k: int) -> np.ndarray:  # noqa: E741
    """Count each set of k places of a word with what they hold, in both strands."""
    other = sequence.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    column = {
        each: i
        for i, each in enumerate(product(combinations(range(l), k), product("ACGT", repeat=k)))
    }
    count = np.zeros(len(column))
    for strand in (sequence, other):
        for start in range(len(strand) - l + 1):
            word = strand[start : start + l]
            for places in combinations(range(l), k):
                count[column[places, tuple(word[p] for p in places)]] += 1
    return count


def fitted(l: int, k: int, **fields) -> tuple[GkmSVM, np.ndarray]:  # noqa: E741
    """Return a machine that knows two sides of `motifs`, and its data's bases."""
    known = motifs(n=60, length=20)
    data = labelled(replace(known, codes=np.where(known.codes == ANY, encode("A"), known.codes)))
    model = GkmSVM.of({"l": l, "k": k, **fields})
    model.fit(data, FitSettings(), data)
    return model, data


@pytest.mark.parametrize(("l", "k"), [(1, 1), (3, 2), (4, 2), (5, 5)])
def test_products_of_features_are_the_kernel_of_gapped_kmers(l: int, k: int) -> None:  # noqa: E741
    brute = np.array([gapped(each, l, k) for each in SEQUENCES])
    brute /= np.linalg.norm(brute, axis=1, keepdims=True)
    model = GkmSVM.of({"l": l, "k": k})
    model._both = True
    counts = model._counts(np.array([encode(each) for each in SEQUENCES])).toarray()
    features = np.array([strengths(l, k) * walsh(each) for each in counts])
    np.testing.assert_allclose(features @ features.T, brute @ brute.T, atol=1e-12)


def test_few_of_the_features_have_any_strength() -> None:
    """Only features of at most k bases have strength: 1 + 4 * 3 + 6 * 9 for l = 4 and k = 2."""
    assert (strengths(4, 2) > 0).sum() == 67


def test_the_machine_is_scikit_learns_on_counts_of_gapped_kmers() -> None:
    from sklearn.svm import LinearSVC

    model, data = fitted(4, 2, c=3.0)
    letters = np.array(list("-ACMGRSVTWYHKDBN"))
    brute = np.array([gapped("".join(letters[row]), 4, 2) for row in data.inputs])
    brute /= np.linalg.norm(brute, axis=1, keepdims=True)
    oracle = LinearSVC(C=3.0, tol=1e-8, max_iter=200_000, dual=True).fit(brute, data.label)
    distance = oracle.decision_function(brute)
    found = model._counts(data.inputs) @ model._table + model._intercept
    np.testing.assert_allclose(found, distance, atol=5e-3)


def test_a_heterozygote_is_half_of_each_word() -> None:
    words = words_of(encode("ARC")[None], 2)
    assert words.number.tolist() == [0, 2, 1, 9]  # AA or AG, then AC or GC
    assert words.share.tolist() == [0.5] * 4
    assert words_of(encode("NNNN")[None], 4).start.tolist() == [0, 0]
    assert words_of(encode("AC")[None], 4).start.tolist() == [0, 0]


def test_the_other_strand_of_a_word_is_its_reverse_complement() -> None:
    codes = np.array([encode("ACGGT")])
    forward = words_of(codes, 5).number
    assert reversed_words(forward, 5) == words_of(reverse_complement(codes), 5).number


def test_the_norm_of_one_strand_counts_no_other() -> None:
    words = words_of(encode("AAAA")[None], 3)
    # Two words that are the same: four pairs, each with C(3, 2) gapped 2-mers.
    np.testing.assert_allclose(norms(words, None, 3, 2), np.sqrt(4 * 3))
    np.testing.assert_allclose(norms(words, reversed_words(words.number, 3), 3, 2), np.sqrt(24))


def test_more_bases_than_a_word_has_are_refused() -> None:
    with pytest.raises(UsageError, match="k is 5, but words have 4 bases"):
        GkmSVM.of({"l": 4, "k": 5})
