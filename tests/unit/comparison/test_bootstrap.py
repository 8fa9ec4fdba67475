"""Bootstrap draws against what has a closed form, and intervals against what they must cover."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest

from genomix_cli.comparison.bootstrap import MIN_UNITS, Bootstrap, item_weights, resampling_units
from genomix_cli.comparison.intervals import (
    NAN,
    Z95,
    Interval,
    MetricResult,
    lowest_auroc,
    mean_by_group,
    normal_interval,
    percentile_interval,
    resampled_interval,
    share_interval,
    wilson,
)
from genomix_cli.comparison.metrics.binary import auprc, auroc


def mean(y: npt.ArrayLike, score: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> float:
    """Weighted mean of the scores, NaN where nothing was drawn."""
    w = np.ones(np.shape(score)) if weights is None else np.asarray(weights, np.float64)
    return float(w @ np.asarray(score) / w.sum()) if w.sum() > 0 else float("nan")


# --- draws


def test_a_draw_counts_units_drawn_one_by_one():
    """The random stream is fixed, so that reports do not change with the version."""
    units = np.array(["b", "a", "b", "c", "a"])
    rng = np.random.default_rng(7)
    for weights in Bootstrap(units, 20, 7).weights():
        times = np.bincount(rng.integers(0, 3, 3), minlength=3)
        assert weights.tolist() == times[[1, 0, 1, 2, 0]].tolist()
        assert times.sum() == 3


def test_the_mean_and_variance_of_draws_are_those_of_a_multinomial():
    weights = np.array(list(Bootstrap(np.arange(10), 20_000, 0).weights()))
    assert weights.mean(0) == pytest.approx(1, abs=0.04)
    assert weights.var(0) == pytest.approx(0.9, abs=0.05)
    other = item_weights(10, 20_000, (0, 1))[1:]
    assert other.mean(0) == pytest.approx(1, abs=0.04)
    assert other.var(0) == pytest.approx(0.9, abs=0.05)


def test_draws_repeat_and_skipped_ones_come_after():
    bootstrap = Bootstrap(np.arange(6), 8, 3)
    every = bootstrap.matrix()
    assert np.array_equal(every, bootstrap.matrix())
    assert np.array_equal(every[1:6], np.array(list(Bootstrap(np.arange(6), 5, 3).weights())))
    later = np.array(list(Bootstrap(np.arange(6), 3, 3, skip=5).weights()))
    assert np.array_equal(every[6:], later)
    assert np.array_equal(bootstrap.first(2).matrix(), every[:3])
    assert np.array_equal(bootstrap.first(20).matrix(), every)
    assert not np.array_equal(every, Bootstrap(np.arange(6), 8, 4).matrix())


def test_blocks_hold_every_draw_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("genomix_cli.comparison.bootstrap.BLOCK", 20)
    bootstrap = Bootstrap(np.arange(6), 8, 3)
    blocks = list(bootstrap.blocks())
    assert [len(block) for block in blocks] == [3, 3, 2]
    assert np.array_equal(np.concatenate(blocks), bootstrap.matrix()[1:])


def test_some_items_are_drawn_with_the_units_of_all():
    units = np.arange(12) // 2
    bootstrap = Bootstrap(units, 10, 1)
    items = np.array([7, 2, 3])
    assert np.array_equal(bootstrap.take(items).matrix(), bootstrap.matrix()[:, items])
    assert bootstrap.n_units == bootstrap.take(items).n_units == 6


def test_without_items_there_is_a_value_alone():
    bootstrap = Bootstrap([], 10)
    assert bootstrap.n_units == 0
    assert bootstrap.matrix().shape == (1, 0)
    assert np.isnan(bootstrap.interval(mean, [], [])).all()


# --- intervals


@pytest.mark.parametrize("members", [1, 3])
def test_the_interval_of_a_mean_is_that_of_its_units(members: int):
    """Members of a unit are identical, so the interval depends on the number of units only."""
    rng, units = np.random.default_rng(1), np.repeat(np.arange(40), members)
    covered = 0
    for seed in range(200):
        x = rng.normal(0, 1, 40)
        low, high = Bootstrap(units, 200, seed).interval(mean, x[units], x[units])[1:]
        covered += low <= 0 <= high
        if seed == 0:
            error = x.std() / np.sqrt(40)
            assert high - low == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert 0.88 <= covered / 200 <= 0.98


def test_the_interval_of_an_auroc_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    truth, covered = 0.7602, 0  # P(N(1, 1) > N(0, 1))
    for seed in range(60):
        y = np.arange(300) % 2
        interval = Bootstrap(np.arange(300), 200, seed).interval(auroc, y, rng.normal(size=300) + y)
        covered += interval.low <= truth <= interval.high
    assert 50 <= covered <= 60


def test_intervals_by_unit_are_wider_when_units_are_alike_inside():
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(20), 30)
    y = (rng.random(20) < 0.5)[units]
    score = rng.normal(size=20)[units] + y
    by_unit = Bootstrap(units, 200).interval(auroc, y, score)
    one_by_one = Bootstrap(np.arange(600), 200).interval(auroc, y, score)
    assert by_unit.high - by_unit.low > 2 * (one_by_one.high - one_by_one.low)


@pytest.mark.parametrize("units", range(1, MIN_UNITS))
def test_too_few_units_give_a_value_without_an_interval(units: int) -> None:
    """Draws of a single locus never vary, and 0.5000 [0.5000, 0.5000] would claim certainty."""
    y, score = np.arange(40) % 2, np.arange(40.0) % 7
    unit = np.arange(40) * units // 40
    interval = Bootstrap(unit, 50).interval(auroc, y, score)
    assert interval.value == auroc(y, score)
    assert np.isnan(interval.low)
    assert np.isnan(interval.high)
    enough = Bootstrap(np.arange(40) * MIN_UNITS // 40, 50).interval(auroc, y, score)
    assert enough.low < enough.high


def test_no_draws_give_the_value_alone():
    y, score = np.arange(10) % 2, np.arange(10.0)
    interval = Bootstrap(np.arange(10), 0).interval(auroc, y, score)
    assert interval.value == auroc(y, score)
    assert np.isnan([interval.low, interval.high]).all()


def test_undefined_draws_are_left_out():
    assert percentile_interval(1.0, np.array([np.nan, 1.0, 3.0])) == pytest.approx((1, 1.05, 2.95))
    assert np.isnan(percentile_interval(1.0, np.full(3, np.nan)).low)
    assert np.isnan(percentile_interval(float("nan"), np.ones(3))).all()


# --- pairs


def test_a_paired_difference_is_narrower_than_its_parts():
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    good = rng.normal(size=400) + y
    worse = good + 0.2 * rng.normal(size=400)
    bootstrap = Bootstrap(np.arange(400), 200)
    difference = bootstrap.difference(auroc, y, good, worse)
    alone = bootstrap.interval(auroc, y, good)
    assert difference.value == pytest.approx(auroc(y, good) - auroc(y, worse))
    assert difference.high - difference.low < 0.7 * (alone.high - alone.low)


def test_a_constant_difference_has_no_width():
    """A difference of 1 everywhere has a width only under unpaired draws."""
    x = np.random.default_rng(0).normal(size=50)
    bootstrap = Bootstrap(np.arange(50), 50)
    assert bootstrap.difference(mean, x, x + 1, x) == pytest.approx((1, 1, 1))
    assert bootstrap.difference(auprc, x > 0, x, x) == (0, 0, 0)


# --- units of variants


def test_units_are_contigs_when_there_are_enough():
    units = resampling_units(["a", "b", "c", "d", "e", "a"], [0] * 6)
    assert (units.kind, units.n_units) == ("contigs", 5)
    assert units.ids[0] == units.ids[5]


def test_units_are_loci_of_one_contig_otherwise():
    units = resampling_units(["a", "a", "a", "b"], [10, 99_999, 100_000, 10])
    assert (units.kind, units.n_units) == ("loci of 100 kb", 3)
    assert units.ids[0] == units.ids[1]
    assert len(set(units.ids[[0, 2, 3]])) == 3


# --- other intervals, and their text


def test_a_normal_interval_is_the_value_give_or_take_the_spread():
    value, low, high = normal_interval(np.array([5.0, 1.0, 2.0, 3.0]))
    assert value == 5
    assert (high - low) / 2 == pytest.approx(1.959964)
    assert high - value == pytest.approx(value - low)
    assert np.isnan(normal_interval(np.array([5.0, 1.0])).low)


def test_the_normal_interval_of_a_mean_is_that_of_its_groups():
    x = np.random.default_rng(0).normal(size=40)
    value, low, high = mean_by_group(x, np.arange(40))
    assert (high - low) / 2 == pytest.approx(1.959964 * x.std(ddof=1) / np.sqrt(40))
    twice = mean_by_group(np.repeat(x, 2), np.repeat(np.arange(40), 2))
    assert twice == pytest.approx((value, low, high))
    assert np.isnan(mean_by_group(x, np.zeros(40, np.int64)).low)


def test_splits_that_share_samples_have_a_wider_interval():
    # Nine degrees of freedom: t = 2.262157; the SD of 1 ... 10 is 3.027650.
    differences = np.append(np.arange(1, 11), np.nan)
    value, low, high = resampled_interval(differences, 0.25)
    assert value == pytest.approx(5.5)
    half = 2.262157 * 3.027650 * np.sqrt(1 / 10 + 0.25)
    assert (low, high) == pytest.approx((5.5 - half, 5.5 + half), abs=1e-5)
    assert np.isnan(resampled_interval(np.array([1.0, np.nan]), 0.25).low)


def test_wilson_of_a_share():
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I.
    low, high = share_interval(np.arange(263) < 81, np.arange(263))[1:]
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert np.isnan(share_interval(np.zeros(0, bool), np.zeros(0, np.int64)).value)


def test_copies_of_a_patient_do_not_narrow_the_interval_of_a_share():
    hits, patient = np.arange(40) % 4 > 0, np.arange(40)
    copies = share_interval(hits.repeat(5), patient.repeat(5))
    # The variance of patients has one degree of freedom less.
    assert tuple(copies) == pytest.approx((0.75, *wilson(0.75, 39)))
    # All right in every patient: as many right patients.
    right = share_interval(np.ones(200, bool), patient.repeat(5))
    assert tuple(right) == pytest.approx((1.0, *wilson(1.0, 40)))
    # Samples of a patient that differ count as independent ones, never as more than that.
    apart = share_interval(np.tile([True, False], 40), patient.repeat(2))
    assert tuple(apart) == pytest.approx((0.5, *wilson(0.5, 80)))


def test_intervals_of_a_share_over_patients_cover_it_as_often_as_they_say():
    rng, patient, covered = np.random.default_rng(0), np.arange(60).repeat(4), 0
    for _ in range(500):
        # Shares of patients from a beta distribution with mean 0.8.
        hits = rng.random(240) < rng.beta(1.6, 0.4, 60).repeat(4)
        low, high = share_interval(hits, patient)[1:]
        covered += low <= 0.8 <= high
    assert 0.92 <= covered / 500 <= 0.98


@pytest.mark.parametrize("sizes", [(5, 5), (5, 20), (10, 10), (20, 40)])
def test_an_auroc_of_1_excludes_only_areas_that_hardly_give_it(sizes: tuple[int, int]) -> None:
    positives, negatives = sizes
    low = lowest_auroc(*sizes)
    assert low == pytest.approx(lowest_auroc(negatives, positives))
    # The variance of Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747, for mean sizes.
    others = (positives + negatives) / 2 - 1
    sums = low / (2 - low) + 2 * low**2 / (1 + low) - 2 * low**2
    variance = (low * (1 - low) + others * sums) / (positives * negatives)
    assert 1 - low == pytest.approx(Z95 * np.sqrt(variance))
    # Two normal distributions that are apart by as much as gives this area.
    apart = np.sqrt(2) * NormalDist().inv_cdf(low)
    rng = np.random.default_rng(0)
    above = rng.normal(apart, 1, (40_000, positives)).min(1)
    below = rng.normal(0, 1, (40_000, negatives)).max(1)
    assert (above > below).mean() < 0.025


def test_a_score_that_separates_all_items_has_no_percentile_interval():
    y = np.array([0, 0, 0, 1, 1, 1])
    separated, mixed = Bootstrap(np.arange(6), 100), np.array([0.1, 0.4, 0.2, 0.3, 0.6, 0.5])
    assert separated.interval(auroc, y, y).text() == "1.000"
    assert separated.interval(auroc, y, mixed).high == 1
    # No difference in any draw is an interval of differences.
    assert separated.difference(auroc, y, y, y) == (0, 0, 0)


def test_text_of_an_interval():
    interval = Interval(0.5, 0.41, 0.6)
    assert interval.text() == "0.500 [0.410, 0.600]"
    assert interval.text(2, sign=True) == "+0.50 [+0.41, +0.60]"
    assert NAN._replace(value=0.5).text() == "0.500"
    assert (NAN.text(), NAN.text(undefined="")) == ("–", "")


def test_cells_of_a_metric_are_named_by_part_and_end():
    cells = MetricResult("auroc", Interval(0.5, 0.4, 0.6), other=Interval(0.3, 0.2, 0.4)).cells()
    assert list(cells)[:4] == ["score_value", "score_low", "score_high", "ceiling_value"]
    assert cells["other_high"] == 0.4
    assert np.isnan(cells["ceiling_value"])
