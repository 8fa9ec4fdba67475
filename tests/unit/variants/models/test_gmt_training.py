"""GMT at its full size, and in training: counted, checkpointed, rounded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genomix_cli.variants.models.gmt import GMT, PRESETS, GMTConfig
from tests.shared_training import DEEP, deep_batch

TRACKS = ("ATAC", "H3K27ac", "H3K4me3", "CTCF")
FREE_GIB = 12


def linear(n_in: int, n_out: int) -> int:
    return n_in * n_out + n_out


def count(config: GMTConfig) -> int:
    """Written out from the specification; M tracks, w width of the alleles' embeddings."""
    d, w, m, f = config.d_model, config.d_local, len(config.tracks), config.feed_forward
    vocabulary = 4**config.k + 2
    attention = linear(d, 3 * d) + linear(d, d)
    layer = attention + 2 * 2 * d + linear(d, f * d) + linear(f * d, d)
    prior = 2 * config.n_heads
    stem = vocabulary * config.d_sequence + linear(config.d_sequence, d) + m * linear(6, d) + 1
    fusion = (1 + m) * d + config.fusion_layers * (2 * d + attention) + linear((1 + m) * d, d)
    local = vocabulary * w + (9 + 5) * w * w + 2 * w + linear(2 * w, d) + linear(2 * d, d)
    cls_and_offsets = d + (1 + 4 * config.radius // config.group) * d
    head = 2 * d + linear(d, d // 2) + linear(d // 2, 1)
    absent, lengths = m * d, linear(2, d)
    trunk = config.n_layers * (layer + prior)
    return stem + fusion + trunk + local + lengths + cls_and_offsets + head + absent


@pytest.mark.parametrize("preset", PRESETS)
def test_the_number_of_parameters_is_as_written_out(preset: str) -> None:
    config = GMTConfig(tracks=TRACKS, **PRESETS[preset])
    with torch.device("meta"):
        model = GMT(config)
    assert sum(p.numel() for p in model.parameters()) == count(config)


def test_paper_has_24_layers_16_heads_and_400_million_parameters() -> None:
    config = GMTConfig(tracks=TRACKS, **PRESETS["paper"])
    assert (config.n_layers, config.n_heads) == (24, 16)
    assert round(count(config) / 1e6, 1) == 401.8


def gradients(model: GMT, *, recompute: bool, autocast: bool = False) -> dict[str, Tensor]:
    """Of one step, by name."""
    model.train().gradient_checkpointing = recompute
    model.zero_grad()
    window, variants, label = deep_batch(1, model)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(window, variants)
    F.binary_cross_entropy_with_logits(logits.float(), label).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def made(config: GMTConfig) -> GMT:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GMT(config)


@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16-mixed"])
def test_checkpointing_24_layers_leaves_the_gradients_the_same(autocast: bool) -> None:
    model = made(DEEP)
    plain = gradients(model, recompute=False, autocast=autocast)
    again = gradients(model, recompute=True, autocast=autocast)
    assert plain.keys() == again.keys() == {name for name, _ in model.named_parameters()}
    for name, value in plain.items():
        assert torch.equal(value, again[name]), name
    assert sum(bool(value.any()) for value in plain.values()) > 0.95 * len(plain)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"use_tracks": False},
        {"use_contacts": False},
        {"centre_bins": 400, "n_bins": 800},
        {"fusion_layers": 0, "modality_dropout": 1.0},
        {"use_sequence": False},
        {"tracks": ()},
    ],
    ids=str,
)
def test_it_says_whether_every_parameter_takes_part(fields: dict[str, Any]) -> None:
    """DDP hangs or fails if a parameter that should take part has no gradient."""
    model = made(replace(DEEP, n_layers=2, **fields))
    found = gradients(model, recompute=False)
    assert model.uses_all_parameters == (found.keys() == dict(model.named_parameters()).keys())
    assert model.uses_all_parameters == (not {"use_sequence", "tracks"} & fields.keys())


def test_checkpointing_draws_the_same_dropout_twice() -> None:
    model = made(replace(DEEP, n_layers=3, dropout=0.5))
    found = []
    for recompute in (False, True):
        with torch.random.fork_rng():
            torch.manual_seed(5)
            found.append(gradients(model, recompute=recompute))
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], msg=name)


def test_mixed_precision_is_near_full_precision() -> None:
    model = made(DEEP)
    full = gradients(model, recompute=False)
    mixed = gradients(model, recompute=False, autocast=True)
    joined = [torch.cat([value.flatten() for value in part.values()]) for part in (full, mixed)]
    assert F.cosine_similarity(*joined, dim=0) > 0.99


def free_gib() -> float:
    """Memory that is free on this machine, as Linux counts it; none where it does not say."""
    try:
        with open("/proc/meminfo") as lines:
            kib = dict(line.split(":") for line in lines)["MemAvailable"].split()[0]
    except (OSError, KeyError):
        return 0.0
    return int(kib) / 2**20


@pytest.mark.slow
def test_paper_itself_takes_a_step() -> None:
    if free_gib() < FREE_GIB:
        pytest.skip(f"takes {FREE_GIB} GiB of memory")
    config = GMTConfig(tracks=("ATAC",), **{**PRESETS["paper"], "n_bins": 400})
    model = made(config).train()
    model.gradient_checkpointing = True
    window, variants, label = deep_batch(1, model)
    variants = type(variants)(*(field[:, :2] for field in variants))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    losses = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(2):
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(window, variants)
            loss = F.binary_cross_entropy_with_logits(logits.float(), label[:, :2])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            losses.append(loss.item())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert losses[1] != losses[0]
