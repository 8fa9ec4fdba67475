"""Probes and baselines: known answers, and parity with plain code."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from genomix_cli.genome.iupac import decode, encode
from genomix_cli.sequences.pretrain.probes import (
    ByPart,
    Candidate,
    baselines,
    components,
    few_shots,
    judged,
    kmer_shares,
    linear_probe,
    majority,
    nearest,
    plain,
)
from tests.sequence_phenotypes import aligned, unaligned

K = 3


def blobs(apart: float, n: int = 150, d: int = 6, seed: int = 0) -> tuple[ByPart, ByPart]:
    """Classes around means that are `apart` standard deviations from 0."""
    rng = np.random.default_rng(seed)
    y = [rng.permutation(np.arange(n) % K) for _ in range(3)]
    x = [(np.eye(K, d)[label] * apart + rng.normal(size=(n, d))).astype(np.float32) for label in y]
    return ByPart(*x), ByPart(*y)


@pytest.mark.parametrize("probe", [linear_probe, nearest])
def test_probes_find_classes_that_are_there_and_none_that_are_not(probe):
    x, y = blobs(6)
    log_p = probe(x, y, K)
    assert log_p.shape == (150, K)
    np.testing.assert_allclose(np.exp(log_p).sum(1), 1, rtol=1e-6)
    assert (log_p.argmax(1) == y.test).mean() > 0.95
    x, y = blobs(0)
    assert (probe(x, y, K).argmax(1) == y.test).mean() < 0.5


def test_scale_and_offset_of_features_do_not_matter_to_a_linear_probe():
    x, y = blobs(1.5)
    moved = ByPart(*(part * np.float32(300) + 1000 for part in x))
    np.testing.assert_allclose(linear_probe(x, y, K), linear_probe(moved, y, K), atol=0.02)


def test_nearest_neighbours_written_out():
    """One neighbour decides where k = 1 is best: each test point lies on a training point."""
    rng = np.random.default_rng(0)
    train, label = rng.normal(size=(30, 5)), rng.integers(0, K, 30)
    scaled = train * rng.uniform(0.5, 2, (30, 1))
    log_p = nearest(ByPart(train, scaled, scaled), ByPart(label, label, label), K)
    assert (log_p.argmax(1) == label).all()


def test_majority_is_the_share_in_training():
    y = ByPart(np.array([0, 0, 0, 1]), np.zeros(1, int), np.zeros(2, int))
    p = np.exp(majority(y, 2))
    np.testing.assert_allclose(p, [[0.7, 0.3]] * 2)


@pytest.mark.parametrize("k", [3, 6])
def test_kmers_are_counted(k):
    codes = unaligned(20).codes
    shares = kmer_shares(codes, k)
    text = [decode(row) for row in codes]
    names = ["".join(letters) for letters in product("ACGT", repeat=k)]
    for row, own in zip(shares, text, strict=True):
        kmers = [own[i : i + k] for i in range(len(own) - k + 1)]
        for i in np.flatnonzero(row):
            assert row[i] == pytest.approx(kmers.count(names[i]) / len(kmers))
        assert row.sum() == pytest.approx(1)


def test_sets_count_in_part_for_3_mers_and_not_for_longer_ones():
    codes = encode("AAR")[None]
    shares = kmer_shares(codes, 3)[0]
    assert shares[0] == pytest.approx(0.5)
    assert shares[2] == pytest.approx(0.5)
    assert kmer_shares(encode("AAAAAAR")[None], 6)[0, 0] == pytest.approx(1)
    assert not kmer_shares(encode("NNNNNN")[None], 6).any()


def test_dosages_of_aligned_sequences_and_the_unknown():
    sequences = aligned(10)
    codes = sequences.codes.copy()
    codes[0, 0] = 15
    sequences = replace(sequences, codes=codes)
    rows = ByPart(np.arange(6), np.arange(6, 8), np.arange(8, 10))
    x = plain(sequences, rows)
    assert x.train[0, 0] == -1
    expected = {1: 0.0, 5: 0.5, 4: 1.0}
    for place, code in np.ndenumerate(codes[1:6]):
        assert x.train[1 + place[0], place[1]] == expected[int(code)]
    sizes = components(x, (2, 100), 0)
    assert set(sizes) == {2}
    assert abs(sizes[2].train.mean(0)).max() < 1e-5


def test_components_are_those_of_a_plain_svd():
    rng = np.random.default_rng(0)
    x = rng.random((60, 20)).astype(np.float32) * np.linspace(1, 4, 20, dtype=np.float32)
    found = components(ByPart(x, x[:5], x[5:9]), (3,), 0)[3]
    centred = x - x.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    cosine = np.abs((u[:, :3] * s[:3] * found.train).sum(0)) / (
        s[:3] * np.linalg.norm(found.train, axis=0)
    )
    assert (cosine > 0.99).all()


def test_baselines_depend_on_whether_columns_are_places():
    rows = ByPart(np.arange(120), np.arange(120, 160), np.arange(160, 240))
    assert set(baselines(unaligned(), rows, 0)) == {
        *("3-mer counts", "6-mer counts", "PCA 30", "PCA 100")
    }
    assert set(baselines(aligned(), rows, 0)) == {"3-mer counts", "PCA 30"}


def test_differences_are_taken_on_the_same_draws():
    x, y = blobs(2)
    good, bad = linear_probe(x, y, K), majority(y, K)
    group = np.arange(len(y.test)) // 2
    rows = judged(
        [
            *(Candidate("a", "linear", 6, good, False), Candidate("b", "linear", 6, bad, True)),
            *(Candidate("c", "linear", 6, good, True), Candidate("d", "linear", 6, good, False)),
        ],
        y.test,
        group,
        0,
    )
    # The better of the two baselines is what all are compared with.
    assert rows[2].less_linear is None
    assert rows[0].less_linear == (0, 0, 0)
    assert rows[1].less_linear is not None
    assert rows[1].less_linear.high < 0
    assert rows[0].accuracy == rows[3].accuracy
    assert rows[0].accuracy.low < rows[0].accuracy.value < rows[0].accuracy.high


def test_more_labels_say_more():
    x, y = blobs(2)
    found = few_shots({"x": x}, y, K, 0)
    assert [each.shots for each in found] == [1, 5, 10, 50]
    assert found[0].mean < found[-1].mean
    assert found == few_shots({"x": x}, y, K, 0)
