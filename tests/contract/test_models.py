"""Every registered variant model keeps the same promises."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.signal import TrackSpec
from genomix_cli.learning.adapters import adapt, merge
from genomix_cli.registry import VARIANT_MODELS
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.records.inputs import MAX_ALLELE
from genomix_cli.variants.train.objectives import weighted_bce
from genomix_cli.variants.trained import ModelConfig, arch_of, load_model, save_model
from tests.random_encoder import needed_by
from tests.sizes import each_size

TRACKS = ("ATAC", "CTCF")
SPECS = tuple(TrackSpec(t, tuple(float(i) for i in range(1001)), 0.5, 2.0) for t in TRACKS)


@pytest.fixture(params=list(VARIANT_MODELS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(name: str) -> nn.Module:
    model_class = VARIANT_MODELS.load(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model_class(
            model_class.config_class(tracks=TRACKS, n_bins=400, **needed_by(name))
        ).eval()


def inputs(model: nn.Module, groups: int = 8) -> tuple[Window, Variants]:
    rng = torch.Generator().manual_seed(1)
    width, n = 2 * model.flank + MAX_ALLELE, model.n_bins
    window = Window(
        torch.randint(0, 5, (1, n * 50 + 16), generator=rng, dtype=torch.uint8),
        torch.randn(1, 2, n, generator=rng),
        torch.ones(1, 2, n),
        torch.zeros(1, n // 100, n // 100),
    )
    codes = torch.randint(0, 4, (2, 1, groups, width), generator=rng, dtype=torch.uint8)
    lengths = torch.ones(1, groups, dtype=torch.long)
    offset = torch.randint(n * 50 // 4, n * 150 // 4, (1, groups), generator=rng)
    return window, Variants(offset, codes[0], codes[1], lengths, lengths)


def test_config_round_trips(name: str) -> None:
    config_class = VARIANT_MODELS.load(name).config_class
    config = config_class(tracks=TRACKS, n_bins=400)
    assert from_dict(config_class, to_dict(config)) == config


def refused_or_learns(name: str, field: str, value: Any) -> None:
    """One variant makes the smallest batch."""
    model_class = VARIANT_MODELS.load(name)
    try:
        fields = {"tracks": list(TRACKS), "n_bins": 400, **needed_by(name), field: value}
        model = model_class(from_dict(model_class.config_class, fields))
    except UsageError:
        return
    logits = model.train()(*inputs(model, 1))
    assert torch.isfinite(logits).all(), (field, value)
    logits.sum().backward()


def test_few_bases_are_refused_or_learned(name: str) -> None:
    fields = {field.name for field in dataclasses.fields(VARIANT_MODELS.load(name).config_class)}
    for field in fields & {"bases", "radius"}:
        for value in (-1, 0, 1, 2, 7, 96, 100, 128, 200, 250):
            refused_or_learns(name, field, value)


@pytest.mark.slow
def test_a_size_is_refused_or_learns(name: str) -> None:
    for field, value in each_size(VARIANT_MODELS.load(name).config_class, (-1, 0, 1, 2, 7, 100)):
        refused_or_learns(name, field, value)


def test_every_preset_builds(name: str) -> None:
    model_class = VARIANT_MODELS.load(name)
    for preset in model_class.presets.values():
        with torch.device("meta"):
            model_class(model_class.config_class(tracks=TRACKS, **needed_by(name), **preset))


def test_it_learns(name: str) -> None:
    model = make(name).train()
    window, variants = inputs(model)
    labels = (torch.arange(8) % 2).float()[None]
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(30):
            loss = weighted_bce(model(window, variants), labels, torch.ones(1, 8))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert min(losses[-5:]) < 0.7 * losses[0]


def test_it_is_deterministic(name: str) -> None:
    first, second = make(name), make(name)
    with torch.inference_mode():
        assert torch.equal(first(*inputs(first)), second(*inputs(second)))


def test_the_answer_for_a_variant_does_not_depend_on_the_others(name: str) -> None:
    model = make(name)
    window, variants = inputs(model)
    with torch.inference_mode():
        context = model.window(window)
        together = model.variants(context, variants)
        alone = model.variants(context, Variants(*(field[:, 3:4] for field in variants)))
    torch.testing.assert_close(alone[:, 0], together[:, 3], atol=1e-5, rtol=0)


def test_saved_and_loaded_it_answers_the_same(name: str, tmp_path: Path) -> None:
    model = make(name)
    save_model(tmp_path, model, ModelConfig(name, arch_of(model), SPECS, assembly="sim"))
    loaded = load_model(tmp_path)
    assert loaded.config.tracks == SPECS
    with torch.inference_mode():
        assert torch.equal(loaded.module(*inputs(model)), model(*inputs(model)))


def test_weights_of_another_architecture_are_refused(name: str, tmp_path: Path) -> None:
    model = make(name)
    save_model(tmp_path, model, ModelConfig(name, arch_of(model), SPECS))
    path = tmp_path / "config.json"
    config = path.read_text()
    path.write_text(config.replace('"CTCF"', '"CTCF",\n"X"', 1))
    with pytest.raises(DataError, match=r"differs from what was saved; .*remove config_sha256"):
        load_model(tmp_path)
    data = json.loads(path.read_text())
    del data["config_sha256"]
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match="do not fit"):
        load_model(tmp_path)


def test_a_newer_format_is_refused(name: str, tmp_path: Path) -> None:
    model = make(name)
    save_model(tmp_path, model, ModelConfig(name, arch_of(model), SPECS))
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"format_version": 2', '"format_version": 99'))
    with pytest.raises(DataError, match=r"newer genomix.*version 2 or less.*found 99"):
        load_model(tmp_path)


@pytest.mark.parametrize("mode", ["head", "lora"])
def test_a_part_of_it_can_learn(name: str, mode: str) -> None:
    """Adapters of a model that names its head change nothing at first, and merge away."""
    model = make(name)
    keys = list(model.state_dict())
    if not model.head_parameters:
        with pytest.raises(UsageError, match="does not declare its head"):
            adapt(model, mode, rank=2)
        return
    with torch.inference_mode():
        before = model(*inputs(model))
    count = adapt(model, mode, rank=2)
    assert 0 < count.learn < count.total
    with torch.inference_mode():
        torch.testing.assert_close(model(*inputs(model)), before)
    merge(model)
    assert list(model.state_dict()) == keys
