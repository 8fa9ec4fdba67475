"""Parts of a model that are trained, and adapters that can be added and merged without change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genomix_cli.errors import UsageError
from genomix_cli.learning.adapters import LowRank, adapt, is_adapted, learnable, merge
from genomix_cli.variants.models.cnn import CNN, CNNConfig
from genomix_cli.variants.models.gmt import GMT, PRESETS, GMTConfig
from tests.shared_training import DEEP, ONCE, StepsTask, deep_batch, train

SMALL = replace(DEEP, n_layers=2)
MODES = ("full", "head", "lora")
HEAD = ("out", "scale")


def made(build: Callable[[], Any]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build().eval()


def gmt(config: GMTConfig = SMALL) -> GMT:
    return made(lambda: GMT(config))


def logits(model: GMT) -> Tensor:
    window, variants, _ = deep_batch(1, model)
    with torch.inference_mode():
        return model(window, variants)


def moved(model: GMT) -> None:
    """One optimiser step on everything that learns."""
    window, variants, label = deep_batch(2, model)
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(2):  # B is zero at first, so A moves from the second step on
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model(window, variants), label).backward()
        optimiser.step()


@pytest.mark.parametrize("mode", MODES)
def test_outputs_stay_before_training_and_after_merging(mode: Any) -> None:
    model = gmt()
    before = logits(model)
    names = list(model.state_dict())
    adapt(model, mode)
    assert torch.equal(logits(model), before)
    moved(model)
    trained = logits(model)
    assert (trained - before).abs().max() > 1e-3
    merge(model)
    torch.testing.assert_close(logits(model), trained, atol=1e-6, rtol=0)
    assert list(model.state_dict()) == names
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert {type(part) for part in model.modules()} == {type(part) for part in gmt().modules()}
    fresh = gmt()
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(logits(fresh), trained, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("recompute", [False, True])
def test_what_gets_gradients(mode: Any, recompute: bool) -> None:
    model = gmt()
    heads = model.head_parameters
    adapt(model, mode)
    model.train().gradient_checkpointing = recompute
    window, variants, _ = deep_batch(1, model)
    model(window, variants).square().sum().backward()
    got = {name for name, value in model.named_parameters() if value.grad is not None}
    inside = tuple(f"{part}." for part in heads)
    head = {name for name, _ in model.named_parameters() if name.startswith(inside)}
    head |= {"cls", "offsets"}
    names = {name for name, _ in model.named_parameters()}
    adapters = {name for name in names if name.endswith((".up", ".down"))}
    assert got == {"full": names, "head": head, "lora": head | adapters}[mode]
    assert bool(adapters) == (mode == "lora")


def test_counts_of_what_learns() -> None:
    model = GMT(GMTConfig(tracks=("ATAC",), **PRESETS["mini"]))
    plain = sum(p.numel() for p in model.parameters())
    assert adapt(model, "full") == (plain, plain)
    head = adapt(model, "head")
    parts = [model.head, model.norm, model.alleles, model.local]
    expected = sum(p.numel() for part in parts for p in part.parameters())
    assert head == (expected + model.cls.numel() + model.offsets.numel(), plain)
    d = model.config.d_model
    lora = adapt(model, "lora", rank=4)
    block = 4 * ((d + 3 * d) + (d + d) + (d + 4 * d) + (4 * d + d))
    stems = 4 * (model.config.d_sequence + d) + 4 * (6 + d)
    fusion = 4 * (d + 3 * d) + 4 * (d + d) + 4 * (2 * d + d)
    adapters = model.config.n_layers * block + stems + fusion
    assert lora == (head.learn + adapters, plain + adapters)
    assert lora.learn - head.learn < 0.1 * plain


def test_adapters_depend_on_their_generator_only() -> None:
    def weights(seed: int) -> list[Tensor]:
        model = gmt()
        torch.rand(3)
        adapt(model, "lora", generator=torch.Generator().manual_seed(seed))
        return [part.down for part in model.modules() if isinstance(part, LowRank)]

    assert all(a.equal(b) for a, b in zip(weights(1), weights(1), strict=True))
    assert not any(a.equal(b) for a, b in zip(weights(1), weights(2), strict=True))


def test_the_closed_form_of_a_merged_weight() -> None:
    layer = nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 1))
    base = layer[0].weight.detach().clone()
    adapt(layer, "lora", rank=2, alpha=6.0, head=["1"])
    adapter = layer[0].parametrizations.weight[0]
    nn.init.normal_(adapter.up)
    expected = base + 3.0 * adapter.up @ adapter.down
    merge(layer)
    torch.testing.assert_close(layer[0].weight, expected)


@pytest.mark.parametrize("mode", ["head", "lora"])
def test_an_adapted_run_goes_on_from_its_checkpoint(mode: Any, tmp_path: Path) -> None:
    pytest.importorskip("lightning")

    def task() -> StepsTask:
        made = StepsTask()
        adapt(made.module, mode, rank=2, head=HEAD)
        return made

    config = replace(ONCE, epochs=3, checkpoint_every=1)
    straight = train(task(), tmp_path / "straight", config)
    checkpoint = tmp_path / "straight" / "checkpoints" / "epoch=0.ckpt"
    resumed = train(task(), tmp_path / "resumed", config, resume=checkpoint)
    assert len(resumed["validated"]) == 2
    start = task().module.state_dict()
    for name, value in straight["weights"].items():
        torch.testing.assert_close(resumed["weights"][name], value, atol=1e-6, rtol=0)
        learns = name in HEAD or name.startswith(("out.",)) or name.endswith((".up", ".down"))
        assert value.equal(start[name]) != learns


def test_the_head_of_a_cnn() -> None:
    model = made(lambda: CNN(CNNConfig(tracks=("ATAC",), n_bins=400)))
    learn, total = adapt(model, "head")
    assert learn == sum(p.numel() for p in model.head.parameters()) < total


def test_mistakes_are_said() -> None:
    model = gmt()
    with pytest.raises(UsageError, match="full or head or lora"):
        adapt(model, "half")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="GMT has no tail"):
        adapt(model, "head", head=["head", "tail"])
    with pytest.raises(UsageError, match="Linear does not declare its head"):
        adapt(nn.Linear(1, 1), "lora")
    with pytest.raises(UsageError, match="rank 0"):
        adapt(model, "lora", rank=0)
    assert not is_adapted(model)
    adapt(model, "lora")
    with pytest.raises(UsageError, match="already"):
        adapt(model, "full")


def test_a_rank_is_at_most_the_smaller_side() -> None:
    layer = nn.Sequential(nn.Linear(6, 3), nn.Linear(3, 1))
    adapt(layer, "lora", rank=8, head=["1"])
    assert learnable(layer) == (3 * (6 + 3) + 4, 3 * (6 + 3) + 21 + 4)
