"""Ranks among common variants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import percentileofscore

from genomix_cli.errors import DataError
from genomix_cli.variants.score import background
from genomix_cli.variants.score.background import FILE, Background, load_background


@pytest.fixture
def common() -> Background:
    scores = np.random.default_rng(0).normal(size=999).round(2).astype(np.float32)
    return Background.of(scores, "made-up variants", "abc")


def test_percentiles_are_those_of_scipy(common: Background) -> None:
    asked = np.array([-9, 0, 0.01, 1.5, 9], np.float32)
    expected = [percentileofscore(common.logits, a, kind="mean") for a in asked]
    np.testing.assert_allclose(common.percentile(asked), expected, rtol=1e-9)


def test_phred_counts_what_scores_as_high(common: Background) -> None:
    asked = np.array([common.logits[0], np.median(common.logits), 99], np.float32)
    shares = [(np.sum(common.logits >= a) + 1) / 1000 for a in asked]
    np.testing.assert_allclose(common.phred(asked), -10 * np.log10(shares), atol=1e-9)
    assert common.phred(asked)[0] == 0
    assert not np.signbit(common.phred(asked)[0])
    assert common.phred(asked)[-1] == pytest.approx(30)


def test_it_is_read_back(tmp_path: Path, common: Background) -> None:
    common.save(tmp_path)
    again = load_background(tmp_path, "abc")
    assert again is not None
    np.testing.assert_array_equal(again.logits, common.logits)
    assert (again.count, again.source) == (999, "made-up variants")
    assert load_background(tmp_path / "nowhere", "abc") is None


def test_more_than_are_kept_become_evenly_spaced_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "MAX_STORED_SCORES", 101)
    many = Background.of(np.arange(1001, dtype=np.float32), "", "")
    np.testing.assert_array_equal(many.logits, np.arange(0, 1001, 10))
    assert many.count == 1001


def test_of_other_weights_or_damaged(tmp_path: Path, common: Background) -> None:
    common.save(tmp_path)
    with pytest.raises(DataError, match=r"other weights.*--save-background"):
        load_background(tmp_path, "another")
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(DataError, match="damaged"):
        load_background(tmp_path, "abc")
