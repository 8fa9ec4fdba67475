"""Properties of the normalisation of any track."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genomix_cli.genome.signal import CLIP, MEASURED, MISSING, Normaliser, TrackSpec, bridge

VALUES = hnp.arrays(
    np.float64, st.integers(5, 200), elements=st.floats(-50, 1e4, allow_nan=False, width=32)
)
LEVELS = np.linspace(0, 1, 1001)


def quantiles(values: np.ndarray) -> np.ndarray:
    return np.quantile(values, LEVELS)


@given(reference=VALUES, own=VALUES, values=VALUES)
@settings(deadline=None)
def test_order_is_kept_and_scores_are_finite(
    reference: np.ndarray, own: np.ndarray, values: np.ndarray
) -> None:
    normaliser = Normaliser(
        TrackSpec.of("x", quantiles(reference)),
        quantiles(own),
        max_gap_bins=0,
        uncovered="missing",
    )
    scores = normaliser.scale(np.sort(values))
    assert np.isfinite(scores).all()
    assert np.abs(scores).max() <= CLIP
    assert (np.diff(scores) >= -1e-6).all()


@given(values=VALUES)
@settings(deadline=None)
def test_a_file_that_is_its_own_reference_is_only_standardised(values: np.ndarray) -> None:
    spec = TrackSpec.of("x", quantiles(values))
    told = Normaliser(spec, quantiles(values), max_gap_bins=0, uncovered="missing")
    levels = np.sign(values) * np.log1p(np.abs(values))
    expected = np.clip((levels - spec.mean) / spec.sd, -CLIP, CLIP)
    # Specs keep six decimals.
    assert np.allclose(told.scale(values), expected, atol=3e-6 / spec.sd + 1e-4)


@given(
    covered=hnp.arrays(np.bool_, st.integers(1, 60)),
    gap=st.integers(0, 8),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_bridging_is_what_a_plain_loop_does(covered: np.ndarray, gap: int, seed: int) -> None:
    value = np.where(covered, np.random.default_rng(seed).normal(size=len(covered)), 0)
    value = value.astype(np.float32)
    expected, seen = value.copy(), covered.copy()
    start = 0
    while start < len(covered):
        end = start
        while end < len(covered) and not covered[end]:
            end += 1
        if 0 < start < end < len(covered) and end - start <= gap:
            left, right = value[start - 1], value[end]
            share = np.arange(1, end - start + 1) / (end - start + 1)
            expected[start:end] = left + (right - left) * share
            seen[start:end] = True
        start = end + 1
    state = bridge(value, covered, gap)
    assert ((state != MISSING) == seen).all()
    assert ((state == MEASURED) == covered).all()
    assert np.allclose(value, expected, atol=1e-6)


@given(covered=hnp.arrays(np.bool_, st.integers(30, 80)), gap=st.integers(0, 5), data=st.data())
@settings(deadline=None)
def test_a_window_with_a_margin_is_bridged_like_the_whole(
    covered: np.ndarray, gap: int, data: st.DataObject
) -> None:
    value = np.where(covered, np.arange(len(covered)) ** 1.5, 0).astype(np.float32)
    whole = value.copy()
    observed = bridge(whole, covered, gap)
    margin = gap + 1
    start = data.draw(st.integers(margin, len(covered) - margin - 1))
    end = data.draw(st.integers(start + 1, len(covered) - margin))
    part = value[start - margin : end + margin].copy()
    seen = bridge(part, covered[start - margin : end + margin], gap)
    assert (seen[margin:-margin] == observed[start:end]).all()
    assert np.allclose(part[margin:-margin], whole[start:end], atol=1e-4)
