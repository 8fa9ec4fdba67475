"""Training that processes share: the same as one process alone, copied or in parts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import FitConfig
from genomix_cli.learning.loop import fit
from genomix_cli.learning.processes import share
from tests import shared_training
from tests.conftest import clean_environment
from tests.shared_training import ONCE, DeepTask, StepsTask, train

pytest.importorskip("lightning")

from genomix_cli.learning.lightning import Evened, Surplus
from genomix_cli.learning.strategies import check_strategy, strategy_of

CPU = torch.device("cpu")
# Gradients of keys' biases are zero but for rounding, of which AdamW makes whole steps.
ROUNDING = "qkv.bias"


@pytest.fixture(scope="module", params=["small"])
def outcome(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Any:
    """What a run came to in one of two processes, by name and rank."""
    folder = tmp_path_factory.mktemp("shared")
    ended = subprocess.run(
        [sys.executable, shared_training.__file__, folder, request.param],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr

    def read(name: str, rank: int) -> Any:
        return torch.load(folder / f"{name}-{rank}.pt", weights_only=False)

    return read


@given(st.lists(st.integers(), max_size=30), st.integers(1, 9))
def test_shares_are_the_whole(items: list[int], world: int) -> None:
    parts = [share(items, rank, world, pad=False) for rank in range(world)]
    assert sorted(item for part in parts for item in part) == sorted(items)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.lists(st.integers(), min_size=1, max_size=30), st.integers(1, 40))
def test_padded_shares_are_equally_long_and_step_through_the_order(
    items: list[int], world: int
) -> None:
    parts = [share(items, rank, world, pad=True) for rank in range(world)]
    steps = -(-len(items) // world)
    assert {len(part) for part in parts} == {steps}
    together = [item for step in zip(*parts, strict=True) for item in step]
    assert together[: len(items)] == items
    assert set(together) == set(items)


def test_nothing_is_shared_as_nothing() -> None:
    assert share([], 1, 2, pad=True) == []


def test_ddp_looks_for_unused_parameters_where_there_may_be_some() -> None:
    config = replace(ONCE, devices=2, strategy="ddp")
    module = nn.Linear(1, 1)
    assert strategy_of(config, module) == "ddp_find_unused_parameters_true"
    module.uses_all_parameters = True  # type: ignore[assignment]
    assert strategy_of(config, module) == "ddp"
    assert strategy_of(replace(config, devices=1), module) == "auto"


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_learn_what_one_does_in_steps_of_two_batches(
    strategy: str, outcome: Any, tmp_path: Path
) -> None:
    alone = train(StepsTask(), tmp_path, replace(ONCE, accumulate=2))
    for rank in (0, 1):
        shared = outcome(strategy, rank)
        assert shared["kind"] == "Steps"
        assert shared["weights"].keys() == alone["weights"].keys()
        for name, value in alone["weights"].items():
            assert shared["weights"][name].shape == value.shape
            torch.testing.assert_close(shared["weights"][name], value, atol=1e-5, rtol=0)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_every_process_judges_all_validation_batches_once(
    strategy: str, outcome: Any, tmp_path: Path
) -> None:
    alone = train(StepsTask(), tmp_path, replace(ONCE, accumulate=2))
    first, second = outcome(strategy, 0), outcome(strategy, 1)
    assert first["validated"] == second["validated"] == [[10_000, 10_001, 10_002]]
    assert first["best"] == second["best"] == pytest.approx(alone["best"], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["deep"], indirect=True)
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
def test_gmt_of_24_layers_takes_the_same_step_among_two(
    strategy: str, precision: str, outcome: Any, tmp_path: Path
) -> None:
    config = replace(ONCE, learning_rate=1e-3, accumulate=2, precision=precision)
    alone = train(DeepTask(), tmp_path, config, numbers=2, valid=2)
    shared = outcome(f"deep-{strategy}-{precision}", 0)
    start = DeepTask().module.state_dict()
    moved = [name for name, value in shared["weights"].items() if not value.equal(start[name])]
    # In bf16-true a norm's 1 takes no step of 0.001.
    assert len(moved) > (0.8 if precision == "bf16-true" else 0.9) * len(start)
    assert {value.dtype for value in shared["weights"].values()} == {torch.float32}
    tolerance = 1e-5 if precision == "32-true" else 1e-2
    assert shared["best"] == pytest.approx(alone["best"], abs=tolerance)
    if precision == "32-true":
        for name, value in alone["weights"].items():
            if not name.endswith(ROUNDING):
                difference = (shared["weights"][name] - value).abs().flatten()
                assert difference.quantile(0.99) < 1e-5, name


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["deep"], indirect=True)
def test_adapters_learn_in_a_shared_module_and_the_rest_stays(outcome: Any) -> None:
    weights = outcome("deep-lora", 0)["weights"]
    start = DeepTask("lora").module
    changed = {name for name, value in start.state_dict().items() if not value.equal(weights[name])}
    learn = {name for name, value in start.named_parameters() if value.requires_grad}
    assert changed <= learn
    assert sum(name.endswith("up") for name in changed) > 24


def test_a_shared_run_goes_on_from_its_checkpoint(outcome: Any) -> None:
    straight, resumed = outcome("straight", 0), outcome("resumed", 0)
    assert len(straight["validated"]) == 3
    assert len(resumed["validated"]) == 2
    for name, value in straight["weights"].items():
        torch.testing.assert_close(resumed["weights"][name], value, atol=1e-6, rtol=0)


def test_too_few_validation_batches_are_said(outcome: Any) -> None:
    for rank in (0, 1):
        assert "fewer validation batches than processes" in outcome("few", rank)


def test_a_shorter_share_is_evened_with_batches_that_do_not_count() -> None:
    evened = Evened(["a", "b"], [2, 4])
    assert len(evened) == 4
    assert list(evened) == ["a", "b", Surplus("b"), Surplus("b")]


@pytest.mark.parametrize(
    ("changes", "precision", "message"),
    [
        ({"strategy": "zero"}, "32-true", "no 'zero'"),
        ({"strategy": "fsdp"}, "32-true", "--devices 2 or more"),
        ({"strategy": "fsdp", "devices": 2}, "32-true", "Linear has no layers"),
    ],
)
def test_what_cannot_work_is_refused(
    changes: dict[str, Any], precision: str, message: str, tmp_path: Path
) -> None:
    task = StepsTask()
    task.module = nn.Linear(1, 1)
    config = replace(ONCE, precision=precision, **changes)
    with pytest.raises(UsageError, match=message):
        fit(task, lambda epoch: [], [], config, tmp_path, CPU, 0)


def test_devices_and_precisions_that_cannot_share() -> None:
    module = StepsTask().module
    config = FitConfig(devices=2, strategy="fsdp")
    with pytest.raises(UsageError, match="bf16-mixed"):
        check_strategy(config, module, CPU, "16-mixed")
    with pytest.raises(UsageError, match="mps"):
        check_strategy(config, module, torch.device("mps"), "32-true")
    with pytest.raises(UsageError, match=f"at most {torch.cuda.device_count()}"):
        check_strategy(replace(config, devices=99), module, torch.device("cuda"), "32-true")
    check_strategy(config, module, CPU, "bf16-true")
