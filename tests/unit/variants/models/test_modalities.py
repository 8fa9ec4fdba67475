"""The fusion of modalities that centred windows use gives the answers of the plain one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from genomix_cli.variants.models.gmt import GMT, GMTConfig
from tests.unit.variants.models.test_gmt import SMALL, make_model, make_variants, make_window

CONFIG = replace(SMALL, n_bins=1200, centre_bins=400)


def trained(config: GMTConfig) -> GMT:
    """Return a centred model none of whose weights is 0 or 1, as they are at the start."""
    model, rng = make_model(config), torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=rng)
    return model.for_mode("centred")


def answers(model: GMT, config: GMTConfig) -> tuple[Tensor, ...]:
    """Return the window's tokens, the logits, and the gradients of the inputs.

    Of two windows, the second lacks a track.
    """
    window, variants = make_window(config, n=2), make_variants(model, 3, n=2)
    window.observed[1, :1] = 0
    sequence = model.embed_window(window.codes).detach().requires_grad_()
    window = window._replace(signal=window.signal.requires_grad_())
    context = model.encode(sequence, window)
    logits = model.variants(context, variants)
    inputs = (sequence, window.signal) if config.tracks else (sequence,)
    return (context.fused, logits, *torch.autograd.grad(logits.sum(), inputs))


@pytest.mark.parametrize(
    "fields", [{}, {"tracks": ()}, {"use_tracks": False}], ids=["tracks", "none", "unused"]
)
def test_folded_fusion_equals_the_plain_one(fields: dict[str, object]) -> None:
    config = replace(CONFIG, **fields)
    model = trained(config)
    assert model.folded is not None
    found = answers(model, config)
    model.folded = None
    for one, expected in zip(found, answers(model, config), strict=True):
        torch.testing.assert_close(one, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "fields", [{"fusion_layers": 0}, {"fusion_layers": 2}, {"use_sequence": False}]
)
def test_only_one_layer_that_reads_the_sequence_is_folded(fields: dict[str, object]) -> None:
    model = trained(replace(CONFIG, **fields))
    assert model.folded is None
    with torch.no_grad():
        logits = model(make_window(model.config), make_variants(model, 3))
    assert torch.isfinite(logits).all()


def test_shared_windows_and_training_keep_the_plain_fusion() -> None:
    model = make_model(CONFIG)
    assert model.for_mode("shared").folded is None
    assert model.for_mode("centred").folded is not None
    assert model.folded is None
