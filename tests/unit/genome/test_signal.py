"""Normalisation of tracks: scale, gaps, and what uncovered means."""

from __future__ import annotations

import numpy as np
import pytest

from genomix_cli.config import from_dict, to_dict
from genomix_cli.genome.signal import (
    BRIDGED,
    CLIP,
    MEASURED,
    MISSING,
    Normaliser,
    TrackSpec,
    bridge,
    log_signal,
)

QUANTILES = np.linspace(1.0, 20.0, 1001)
SPEC = TrackSpec.of("ATAC", QUANTILES)


def normaliser(own: np.ndarray | None = None, gap: int = 2, uncovered: str = "missing"):
    return Normaliser(SPEC, own, max_gap_bins=gap, uncovered=uncovered)  # type: ignore[arg-type]


def test_the_spec_holds_mean_and_sd_of_the_distribution() -> None:
    values = np.random.default_rng(0).gamma(2.0, 3.0, 200_000)
    spec = TrackSpec.of("x", np.quantile(values, np.linspace(0, 1, 1001)))
    assert spec.mean == pytest.approx(np.log1p(values).mean(), abs=1e-3)
    assert spec.sd == pytest.approx(np.log1p(values).std(), abs=3e-3)
    assert len(spec.quantiles) == 1001
    assert from_dict(TrackSpec, to_dict(spec)) == spec


def test_its_own_reference_gives_plain_z_scores() -> None:
    values = np.array([1.5, 7.0, 19.0])
    expected = (np.log1p(values) - SPEC.mean) / SPEC.sd
    assert np.allclose(normaliser().scale(values), expected, atol=1e-5)
    assert np.allclose(normaliser(QUANTILES).scale(values), expected, atol=1e-5)


def test_a_file_sequenced_deeper_comes_to_the_same_scale() -> None:
    values = np.array([2.0, 5.0, 15.0])
    deeper = normaliser(QUANTILES * 7)
    # Between quantiles the map is linear in log1p, which is not quite the same after scaling.
    assert np.allclose(deeper.scale(values * 7), normaliser().scale(values), atol=1e-3)


def test_beyond_its_own_largest_value_a_file_meets_the_reference_end() -> None:
    top = normaliser(QUANTILES * 2).scale(np.array([40.0, 4000.0]))
    assert top[0] == top[1] == pytest.approx((np.log1p(20.0) - SPEC.mean) / SPEC.sd, abs=1e-5)


def test_scores_are_clipped() -> None:
    flat = TrackSpec("x", tuple(np.linspace(0, 9, 1001)), 0.0, 0.01)
    values = Normaliser(flat, max_gap_bins=0, uncovered="missing").scale(np.array([0.0, 1e6]))
    assert values.tolist() == [0.0, CLIP]


def test_tied_values_share_the_mean_of_their_reference() -> None:
    own = np.concatenate([np.ones(500), np.linspace(1.1, 20, 501)])
    levels = np.array(SPEC.quantiles)
    expected = (levels[:500].mean() - SPEC.mean) / SPEC.sd
    assert normaliser(own).scale(np.array([1.0]))[0] == pytest.approx(expected, abs=1e-5)


def test_log_ratios_keep_their_sign() -> None:
    assert np.allclose(log_signal(np.array([-3.0, 0.0, 3.0])), np.log(4) * np.array([-1, 0, 1]))


def test_short_gaps_are_bridged_and_long_ones_masked() -> None:
    mean = np.array([3.0, 0, 0, 9.0, 0, 0, 0, 3.0])
    covered = mean > 0
    value, state = normaliser(gap=2).apply(mean, covered)
    assert state.tolist() == [MEASURED, BRIDGED, BRIDGED, MEASURED, *[MISSING] * 3, MEASURED]
    assert np.allclose(np.diff(value[:4], 2), 0, atol=1e-6)
    assert value[1] > value[0]
    assert (value[4:7] == 0).all()


def test_a_gap_at_the_end_of_what_is_seen_is_not_bridged() -> None:
    covered = np.array([False, True, True, False])
    value = np.array([0, 2, 3, 0], np.float32)
    assert bridge(value, covered, 5).tolist() == covered.tolist()
    assert value.tolist() == [0, 2, 3, 0]


def test_nothing_covered_is_nothing_observed() -> None:
    value, state = normaliser().apply(np.zeros(5), np.zeros(5, bool))
    assert not state.any()
    assert not value.any()


def test_uncovered_as_zero_is_observed_and_lies_under_the_least_signal() -> None:
    value, state = normaliser(uncovered="zero").apply(
        np.array([0.0, 1.0, 5.0]), np.array([False, True, True])
    )
    assert (state == MEASURED).all()
    assert value[0] == pytest.approx((0 - SPEC.mean) / SPEC.sd, abs=1e-5)
    assert value[0] < value[1] < value[2]


def test_a_constant_track_does_not_divide_by_zero() -> None:
    spec = TrackSpec.of("x", np.full(1001, 4.0))
    flat = Normaliser(spec, max_gap_bins=0, uncovered="missing").scale(np.array([4.0]))
    assert flat[0] == pytest.approx(0, abs=1e-3)


def test_a_reference_that_is_no_distribution() -> None:
    levels = tuple(np.linspace(0, 9, 1001).tolist())
    TrackSpec("x", levels, 0.5, 0.3)
    for quantiles, mean, sd in (
        (levels[:-1], 0.5, 0.3),
        (levels[::-1], 0.5, 0.3),
        ((*levels[:-1], float("nan")), 0.5, 0.3),
        (levels, float("inf"), 0.3),
        (levels, 0.5, 0.0),
    ):
        with pytest.raises(ValueError, match="the reference of x is no distribution"):
            TrackSpec("x", quantiles, mean, sd)
