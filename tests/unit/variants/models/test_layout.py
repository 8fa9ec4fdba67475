"""Tokens of a window: a bin each in the centre, ten together beside it, weighed as ten."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from genomix_cli.variants.models.base import Window
from genomix_cli.variants.models.layout import POOLED, Layout
from tests.unit.variants.models.test_gmt import SMALL, make_model, make_variants, make_window

LAYOUT = Layout(2000, 400)
POOLED_CONFIG = replace(SMALL, n_bins=1200, centre_bins=400)


def test_a_window_of_100_kb_has_560_tokens() -> None:
    assert torch.bincount(LAYOUT.contact_bin).tolist() == [10] * 8 + [100] * 4 + [10] * 8
    assert torch.bincount(Layout(400, 400).contact_bin).tolist() == [100] * 4


def test_each_bin_is_in_the_token_of_its_place() -> None:
    assert LAYOUT.token[[0, 9, 10, 799, 800, 801, 1199, 1200, 1209, 1999]].tolist() == [
        *(0, 0, 1, 79, 80, 81),
        *(479, 480, 480, 559),
    ]
    assert torch.bincount(LAYOUT.token).tolist() == [10] * 80 + [1] * 400 + [10] * 80


def test_pooling_takes_means_and_spreading_gives_them_back() -> None:
    x = torch.arange(2000.0)
    pooled = LAYOUT.pool(x[None], 1)[0]
    assert pooled[:2].tolist() == [4.5, 14.5]
    assert torch.equal(pooled[80:480], x[800:1200])
    assert pooled[-1] == 1994.5
    spread = LAYOUT.spread(pooled, 0)
    assert spread[:10].tolist() == [4.5] * 10
    assert torch.equal(spread[800:1200], x[800:1200])
    assert torch.equal(Layout(400, 400).pool(x[:400], 0), x[:400])


def test_equal_bins_are_read_alike_pooled_or_not() -> None:
    """Pooling ten equal bins does not change attention."""
    q = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    key = torch.randn(1, 1, 8, generator=torch.Generator().manual_seed(1))
    other = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(2))
    ten = torch.cat([other, key.expand(1, POOLED, 8)], dim=1)
    alone = torch.cat([other, key], dim=1)
    bias = torch.tensor([0.0, 0.0, 0.0, POOLED]).clamp(min=1).log()
    attend = torch.nn.functional.scaled_dot_product_attention
    torch.testing.assert_close(attend(q, ten, ten), attend(q, alone, alone, attn_mask=bias))


def test_the_prior_of_a_pooled_token_is_higher_by_its_bins() -> None:
    model = make_model(POOLED_CONFIG)
    whole = make_model(replace(POOLED_CONFIG, centre_bins=0))
    window = make_window(POOLED_CONFIG)
    with torch.inference_mode():
        pooled, plain = (each.window(window).priors[0] for each in (model, whole))
    more = torch.tensor([10.0] * 4 + [1.0] * 4 + [10.0] * 4).log()
    torch.testing.assert_close(pooled - plain, more.expand_as(plain))


def test_what_no_track_measured_in_a_token_does_not_count() -> None:
    model, window = make_model(POOLED_CONFIG), make_window(POOLED_CONFIG)
    observed = torch.ones_like(window.observed)
    observed[..., 3:10] = 0  # seven of the ten bins of the first token
    signal, share = model._pooled_tracks(window._replace(observed=observed))
    torch.testing.assert_close(signal[..., 0], window.signal[..., :3].mean(-1))
    torch.testing.assert_close(share[..., 0], torch.full_like(share[..., 0], 0.3))
    observed[..., :10] = 0
    signal, share = model._pooled_tracks(window._replace(observed=observed))
    assert not signal[..., 0].any()
    assert not share[..., 0].any()


@pytest.mark.parametrize("field", ["codes", "signal", "observed"])
def test_flanks_reach_the_variant(field: str) -> None:
    model, window = make_model(POOLED_CONFIG), make_window(POOLED_CONFIG)
    variants = make_variants(model, 4)
    variants = variants._replace(offset=torch.full_like(variants.offset, 600 * 50))
    value = getattr(window, field).clone()
    beside = value.shape[-1] // 3
    value[..., :beside] = value[..., :beside].flip(-1)
    with torch.inference_mode():
        before = model(window, variants)
        after = model(Window(*window._replace(**{field: value})), variants)
    assert (before - after).abs().max() > 1e-6


@pytest.mark.parametrize(("at", "differs"), [(405, False), (505, True), (695, True), (795, False)])
def test_a_centred_window_is_fine_within_a_core(at: int, differs: bool) -> None:
    """Swapping two bins within a pooled token changes nothing."""
    model, window = make_model(POOLED_CONFIG), make_window(POOLED_CONFIG)
    variants = make_variants(model, 4)
    variants = variants._replace(offset=torch.full_like(variants.offset, 600 * 50))
    signal, observed = (getattr(window, name).clone() for name in ("signal", "observed"))
    observed[..., at : at + 2] = 1
    signal[..., at : at + 2] = torch.tensor([0.0, 3.0])
    other = signal.clone()
    other[..., at : at + 2] = torch.tensor([3.0, 0.0])
    windows = [window._replace(signal=s, observed=observed) for s in (signal, other)]
    centred = model.for_mode("centred")
    with torch.inference_mode():
        (first, second), (plain, changed) = (
            [each(w, variants) for w in windows] for each in (centred, model)
        )
    assert ((first - second).abs().max() > 1e-6) == differs
    assert (plain - changed).abs().max() > 1e-6
    assert torch.bincount(centred.layout.contact_bin).tolist() == [10] * 5 + [100] * 2 + [10] * 5


def test_a_centred_window_is_read_with_the_same_weights() -> None:
    model = make_model(POOLED_CONFIG)
    centred = model.for_mode("centred")
    pairs = zip(model.parameters(), centred.parameters(), strict=True)
    assert all(ours is theirs for ours, theirs in pairs)
    assert model.for_mode("shared") is model
    assert len(model.layout.contact_bin) > len(centred.layout.contact_bin)
    for whole in (0, 1200):  # no weights that have met pooled bins
        model = make_model(replace(POOLED_CONFIG, centre_bins=whole))
        assert model.for_mode("centred") is model
