"""Pre-training hides spans so that nothing of them can be read elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genomix_cli.errors import UsageError
from genomix_cli.genome.alphabet import HIDDEN_BASE, kmer_ids, mask_id, unknown_id
from genomix_cli.genome.signal import MEASURED, MISSING, bridge
from genomix_cli.variants.models.allele_tokens import KmerEmbedding
from genomix_cli.variants.requests.train import Masking
from genomix_cli.variants.train.pretrain.masking import (
    draw_spans,
    hide_bases,
    hide_tracks,
    interpolate,
    span_kmers,
    visible,
)

K = 6
LENGTH = 20_000


def spelled(visible: np.ndarray, length: int) -> np.ndarray:
    """Which bases a reader of the visible k-mers knows, bool ``[length]``."""
    known = np.zeros(length, bool)
    for j in range(K):
        known[j : j + len(visible)] |= visible
    return known


def test_masked_single_kmers_leak_and_masked_spans_do_not() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, LENGTH).astype(np.uint8)
    masked = rng.random(LENGTH - K + 1) < 0.15
    known = spelled(~masked, LENGTH)
    whole = np.stack([known[j : j + len(masked)] for j in range(K)]).all(0)
    assert whole[masked].mean() > 0.999  # neighbours spell every base of a masked k-mer

    starts = draw_spans(LENGTH, 12, 0.15, K, rng)
    hidden = hide_bases(codes, starts, 12)
    ids = KmerEmbedding(K, 4).ids(torch.from_numpy(hidden)).numpy()
    known = spelled(ids < mask_id(K), LENGTH)
    inside = hidden == HIDDEN_BASE
    assert inside.mean() == pytest.approx(0.15, abs=0.001)
    assert not known[inside].any()  # nothing of what is asked for
    assert known[~inside].all()  # and nothing else is lost
    np.testing.assert_array_equal(ids[ids < mask_id(K)], kmer_ids(codes, K)[ids < mask_id(K)])


def test_six_masked_kmers_in_a_row_leave_hardly_a_base_unknown() -> None:
    visible = np.ones(LENGTH - K + 1, bool)
    visible[1000 : 1000 + K] = False
    assert (~spelled(visible, LENGTH)).sum() == 1


@settings(max_examples=40, deadline=None)
@given(
    st.integers(200, 3000),
    st.integers(6, 40),
    st.floats(0.01, 0.5),
    st.integers(0, 8),
    st.integers(0, 2**32),
)
def test_spans_lie_inside_and_apart(
    length: int, span: int, share: float, apart: int, seed: int
) -> None:
    starts = draw_spans(length, span, share, apart, np.random.default_rng(seed))
    assert len(starts) <= round(share * length / span)
    assert (np.diff(starts) >= span + apart).all()
    assert not len(starts) or (starts[0] >= 0 and starts[-1] + span <= length)


def test_spans_are_as_likely_anywhere() -> None:
    rng = np.random.default_rng(1)
    hits = np.zeros(300)
    for _ in range(2000):
        for start in draw_spans(300, 12, 0.15, K, rng):
            hits[start : start + 12] += 1
    inner = hits[30:-30]
    assert inner.std() / inner.mean() < 0.15


def test_a_kmer_with_n_is_unknown_and_one_that_is_also_hidden_is_masked() -> None:
    codes = np.array([0, 1, 2, 3, 0, 1, 4, 1, 2, 3, 0, 1, 2, 5, 0], np.uint8)
    ids = KmerEmbedding(K, 4).ids(torch.from_numpy(codes)).tolist()
    assert ids[0] < mask_id(K)
    assert ids[1:7] == [unknown_id(K)] * 6
    assert ids[8:] == [mask_id(K)] * 2
    assert ids[7] < mask_id(K)


def test_kmers_of_a_span() -> None:
    codes = np.tile(np.array([0, 1, 2, 3], np.uint8), 10)
    codes[33] = 4
    ids = span_kmers(codes, np.array([4, 25]), 12, K)
    np.testing.assert_array_equal(ids[0], kmer_ids(codes[4:16], K))
    assert ids.shape == (2, 7)
    assert (ids[1, 3:] == -1).all()
    assert (ids[1, :3] >= 0).all()


@pytest.mark.parametrize(
    ("masking", "says"),
    [
        (Masking(span=5), "shorter than a 6-mer"),
        (Masking(share=0.6), "not between 0 and 0.5"),
        (Masking(share=0, track_share=0), "nothing is hidden"),
        (Masking(shortest=5, longest=4), "no spans of 5 to 4"),
    ],
    ids=["span", "share", "nothing", "bins"],
)
def test_what_leaks_is_refused(masking: Masking, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        masking.check(K)


def test_tracks_are_hidden_in_spans_alone_and_whole() -> None:
    rng = np.random.default_rng(0)
    measured = np.array([True, False, True])
    kinds = {"joint": 0, "alone": 0, "whole": 0}
    for _ in range(200):
        bins = hide_tracks(measured, 400, Masking(), rng)
        whole = bins.all(1)
        if whole.any():
            kinds["whole"] += 1
            assert whole.sum() == 1
            assert measured[whole].all()
        elif (bins == bins[0]).all():
            kinds["joint"] += 1
            assert 0.15 <= bins[0].mean() < 0.21
        else:
            kinds["alone"] += 1
            assert bins.any(1).sum() == 1
    assert min(kinds.values()) > 20
    assert not hide_tracks(np.zeros(3, bool), 400, Masking(), rng).any()


def test_a_line_between_the_nearest_known_bins() -> None:
    signal = np.array([[1, 0, 0, 4, 9], [5, 5, 5, 5, 5]], np.float32)
    known = np.array([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0]], bool)
    np.testing.assert_allclose(interpolate(signal, known), [[1, 2, 3, 4, 4], [0] * 5])


rows = st.integers(5, 60).flatmap(
    lambda n: st.tuples(*[st.lists(st.booleans(), min_size=n, max_size=n)] * 2)
)


@given(rows, st.integers(0, 6), st.integers(0, 9))
def test_bridged_gaps_say_nothing_of_hidden_bins(
    row: tuple[list[bool], list[bool]], gap: int, seed: int
) -> None:
    covered, hidden = np.array(row)
    rng = np.random.default_rng(seed)
    measured = rng.normal(size=len(covered)).astype(np.float32)
    other = np.where(hidden, measured + 1, measured)
    seen = []
    for values in (measured, other):
        signal = np.where(covered, values, 0).astype(np.float32)
        state = bridge(signal, covered, gap)
        known = visible(state[None], hidden[None])[0]
        seen.append(np.where(known, signal, 0))
    np.testing.assert_array_equal(*seen)
    # Nothing measured is withheld but what is hidden, and nothing is made up.
    np.testing.assert_array_equal(known[state == MEASURED], ~hidden[state == MEASURED])
    assert not known[(state == MISSING) | hidden].any()
    # Where nothing is hidden, it is what a model sees when it scores.
    np.testing.assert_array_equal(visible(state[None], hidden[None] & False)[0], state != MISSING)
