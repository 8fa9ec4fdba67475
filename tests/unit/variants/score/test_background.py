"""Ranks among a background, under the conditions that it was made under."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import percentileofscore

from genomix_cli.errors import DataError
from genomix_cli.variants.conditions import Conditions
from genomix_cli.variants.score import background
from genomix_cli.variants.score.background import FILE, Background, load_backgrounds

TRACKS = Conditions(("ATAC", "CTCF"), True, "missing", False, "shared", "fp32")


@pytest.fixture
def common() -> Background:
    scores = np.random.default_rng(0).normal(size=999).round(2).astype(np.float32)
    return Background.of(scores, "made-up variants", "abc", TRACKS)


def test_percentiles_are_those_of_scipy(common: Background) -> None:
    asked = np.array([-9, 0, 0.01, 1.5, 9], np.float32)
    expected = [percentileofscore(common.scores, a, kind="mean") for a in asked]
    np.testing.assert_allclose(common.percentile(asked), expected, rtol=1e-9)


def test_phred_counts_what_scores_as_high(common: Background) -> None:
    asked = np.array([common.scores[0], np.median(common.scores), 99], np.float32)
    shares = [(np.sum(common.scores >= a) + 1) / 1000 for a in asked]
    np.testing.assert_allclose(common.phred(asked), -10 * np.log10(shares), atol=1e-9)
    assert common.phred(asked)[0] == 0
    assert not np.signbit(common.phred(asked)[0])
    assert common.phred(asked)[-1] == pytest.approx(30)


def test_several_are_read_back_the_last_first(tmp_path: Path, common: Background) -> None:
    alone = Background.of(
        common.scores[:100], "others", "abc", TRACKS.without(tracks=True, contacts=True)
    )
    common.save(tmp_path)
    alone.save(tmp_path, [common])
    found = load_backgrounds(tmp_path, "abc", Conditions())
    for stored, read in zip((alone, common), found, strict=True):
        np.testing.assert_array_equal(read.scores, stored.scores)
        assert str(read) == str(stored)
        assert read.conditions == stored.conditions
    assert str(found[0]) == "others, 100 variants (sequence alone; shared windows; fp32)"
    assert load_backgrounds(tmp_path / "nowhere", "abc", Conditions()) == ()


def test_one_of_the_same_variants_and_conditions_is_replaced(
    tmp_path: Path, common: Background
) -> None:
    common.save(tmp_path)
    other = replace(common, source="others")
    other.save(tmp_path, [common])
    again = replace(common, scores=common.scores[:5], count=5)
    again.save(tmp_path, [other, common])
    found = load_backgrounds(tmp_path, "abc", Conditions())
    assert [(each.source, each.count) for each in found] == [(common.source, 5), ("others", 999)]


def test_one_of_an_earlier_version_was_made_as_the_model_was(tmp_path: Path) -> None:
    from safetensors.numpy import save

    metadata = {"count": "3", "source": "made-up variants", "model": "abc"}
    data = save({"logit": np.arange(3, dtype=np.float32)}, metadata)
    (tmp_path / FILE).write_bytes(data)
    (found,) = load_backgrounds(tmp_path, "abc", TRACKS)
    assert (found.count, found.conditions) == (3, TRACKS)


@pytest.mark.parametrize(
    ("change", "agrees"),
    [
        ({}, True),
        ({"precision": "bf16"}, True),
        ({"mode": "centred"}, False),
        ({"tracks": ("ATAC",)}, False),
        ({"tracks": ()}, False),
        ({"contacts": False}, False),
        ({"uncovered": "zero"}, False),
        ({"both_strands": True}, False),
        ({"contacts": None, "both_strands": None}, True),
    ],
)
def test_what_decides_whether_conditions_agree(change: dict[str, Any], agrees: bool) -> None:
    assert TRACKS.agree_with(replace(TRACKS, **change)) is agrees
    assert replace(TRACKS, **change).agree_with(TRACKS) is agrees


def test_more_than_are_kept_become_evenly_spaced_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "MAX_STORED_SCORES", 101)
    many = Background.of(np.arange(1001, dtype=np.float32), "", "", TRACKS)
    np.testing.assert_array_equal(many.scores, np.arange(0, 1001, 10))
    assert many.count == 1001


def test_of_other_weights_or_damaged(tmp_path: Path, common: Background) -> None:
    common.save(tmp_path)
    with pytest.raises(DataError, match=r"other weights.*--save-background"):
        load_backgrounds(tmp_path, "another", Conditions())
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(DataError, match="damaged"):
        load_backgrounds(tmp_path, "abc", Conditions())
