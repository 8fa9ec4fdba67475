"""Profiles are judged as defined: in closed form, and beside what knows nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from genomix_cli.sequences.profile import results
from genomix_cli.sequences.profile.results import MODELS, Shapes, judge_shapes, mean_profile, shapes
from genomix_cli.sequences.profile.windows import Batch, Windows
from tests.profile_samples import config, footprints, network


def windows(signal: np.ndarray) -> Windows:
    codes = np.ones((len(signal), signal.shape[-1]), np.uint8)
    return Windows(codes, signal.astype(np.float32), (1, 0), np.arange(len(signal)))


def test_the_mean_profile_is_of_shares_and_holds_no_zero() -> None:
    signal = np.zeros((3, 2, 6))
    signal[0, 0, 1:5] = (8, 0, 0, 0)
    signal[1, 0, 1:5] = (0, 1, 1, 0)
    signal[:, 1, 0] = 5  # beside the middle
    found = mean_profile(windows(signal), 4)
    # Track 1 of the file comes first, and has no counts in the middle.
    np.testing.assert_allclose(found[0], [0.25] * 4)
    expected = np.mean([[1, 0, 0, 0], [0, 0.5, 0.5, 0], [0.25] * 4], 0)
    np.testing.assert_allclose(found[1], expected, rtol=1e-6)


def test_gain_and_divergence_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    of = config(length=6, profile=4, outputs=config().outputs[:2], opposite=(0, 1))
    signal = np.zeros((2, 2, 6))
    signal[0, 1, 1:5] = (2, 0, 0, 2)
    signal[1, 1, 1:5] = (0, 3, np.nan, 0)
    own = torch.tensor([[0.5, 1e-30, 1e-30, 0.5], [0.25, 0.25, 0.25, 0.25]]).log()
    profile = torch.stack([own, own], 1)

    def answers(model: object, batch: Batch) -> object:
        order = [0, 1] if batch.codes[0, 0] == 1 else [1, 0]
        return type("Answer", (), {"profile": profile[order]})

    monkeypatch.setattr(results, "window_answers", answers)
    given = windows(signal)
    given.codes[1] = 2
    found = shapes(network(of), given, torch.full((2, 4), 0.25), seed=0)
    gain, jsd = (dict(zip(MODELS, each[:, :, 0], strict=True)) for each in found[:2])
    log = np.log
    np.testing.assert_allclose(gain["network"], [4 * log(2), 0], atol=1e-6)
    np.testing.assert_allclose(gain["of another window"], [0, 3 * log(3e-30)], atol=1e-4)
    np.testing.assert_allclose(gain["uniform"], 0, atol=1e-12)
    np.testing.assert_allclose(gain["mean profile"], 0, atol=1e-6)
    flat, third = _jsd([0.5, 0, 0, 0.5], [0.25] * 4), _jsd([0, 1, 0], [1 / 3] * 3)
    np.testing.assert_allclose(jsd["network"], [0, third], atol=1e-6)
    np.testing.assert_allclose(jsd["uniform"], [flat, third], atol=1e-6)
    assert jsd["of another window"][1] == pytest.approx(1)
    assert np.isnan(found.jsd[:, :, 1]).all()
    assert found.reads.tolist() == [[4, 0], [3, 0]]


def _jsd(p: list[float], q: list[float]) -> float:
    a, b = np.array(p), np.array(q)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(x > 0, x * np.log2(x / ((a + b) / 2)), 0).sum() for x in (a, b)]
    return float(sum(terms) / 2)


def test_a_track_is_judged_per_count_and_paired() -> None:
    rng = np.random.default_rng(0)
    reads = rng.integers(0, 9, (50, 1)).astype(float)
    gain = rng.random((4, 50, 1)) * reads
    gain[0] += reads
    jsd = np.where(reads > 0, rng.random((4, 50, 1)), np.nan)
    (found,) = judge_shapes(["ATAC"], Shapes(gain, jsd, reads), np.arange(50) // 2, seed=0)
    assert found.windows == int((reads > 0).sum())
    for m, row in enumerate(found.rows):
        assert row.metrics["gain"].value == pytest.approx(gain[m].sum() / reads.sum())
        assert row.metrics["jsd"].value == pytest.approx(np.nanmean(jsd[m]))
        assert row.metrics["gain"].low < row.metrics["gain"].value < row.metrics["gain"].high
        assert row.baseline == (row.model != "network")
    own, mean, another = (found.rows[m].metrics["gain"].value for m in range(3))
    assert found.less_mean.value == pytest.approx(own - mean)
    assert found.less_another.value == pytest.approx(own - another)
    assert found.less_mean.sign == found.less_another.sign == 1
    said = results.headline(
        [found, replace(found, output="x", less_another=found.less_mean._replace(low=-1.0))]
    )
    assert said.startswith(
        "In profile shape, the network is better than the mean profile for ATAC ("
    )
    text = "For x, profiles do not fit their own windows significantly better than other windows."
    assert said.endswith(text)


def test_no_counts_at_all_are_not_judged() -> None:
    nothing = Shapes(np.zeros((4, 3, 1)), np.full((4, 3, 1), np.nan), np.zeros((3, 1)))
    (found,) = judge_shapes(["ATAC"], nothing, np.arange(3), seed=0)
    assert found.windows == 0
    assert np.isnan(found.less_mean.value)


def test_another_window_is_another() -> None:
    made = footprints(40)
    assert made.profiles is not None
    given = Windows(made.codes, made.profiles.signal, (0, 1, 2), np.arange(40))
    of = config(length=80, profile=64)
    found = shapes(network(of), given, mean_profile(given, 64), seed=1)
    own, other = found.gain[MODELS.index("network")], found.gain[MODELS.index("of another window")]
    seen = found.reads > 0
    assert (own[seen] != other[seen]).all()
    same = shapes(network(of), given, mean_profile(given, 64), seed=1)
    np.testing.assert_array_equal(found.gain, same.gain)
