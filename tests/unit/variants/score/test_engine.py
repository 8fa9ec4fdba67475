"""The engine keeps a GPU busy: it waits once per group of alleles, and only for what is done."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from genomix_cli.genome.alphabet import encode
from genomix_cli.learning.layers import attention
from genomix_cli.variants.models.activity import Activity
from genomix_cli.variants.models.base import VariantModel
from genomix_cli.variants.models.gmt import GMT, GMTConfig
from genomix_cli.variants.records.inputs import Allele
from genomix_cli.variants.score import engine
from genomix_cli.variants.score.doctor import MadeUpGenome
from genomix_cli.variants.score.engine import DeviceClock, Engine, OnItsWay, Target
from tests.random_activity import config, network
from tests.toy_variant_model import Toy

# On a GPU each of these waits until all that was asked of it is done.
WAITING = {"cpu", "item", "tolist", "nonzero", "__bool__", "__int__", "__float__", "__index__"}
WINDOW = 10_000
CUDA = torch.device("cuda")


class Waits(TorchFunctionMode):
    """Counts calls that would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in WAITING:
            self.seen.append(func.__name__)
        return func(*args, **(kwargs or {}))


def models() -> list[VariantModel]:
    toy = Toy(Toy.config_class(n_bins=WINDOW // 50, tracks=("ATAC",)))
    gmt = GMT(GMTConfig(("ATAC",), n_bins=400, d_model=16, n_layers=2, n_heads=2))
    return [Activity(network(config())).eval(), toy.eval(), gmt.eval()]


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("both_strands", [False, True])
def test_no_window_waits_for_the_device(
    model: VariantModel, both_strands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: pytest.fail("waits for the device"))
    # What a GPU does in place of the other, which is for CPUs alone.
    monkeypatch.setattr(attention, "_blocked_attention", attention._appended_attention)
    base = np.zeros(1, np.uint8)
    alleles = [Allele(100 * i, base, base + 1) for i in range(150)]
    alleles += [Allele(100 * i, encode(""), encode("ACG")) for i in range(150)]
    targets = [Target("made-up", allele, allele.pos // 5000) for allele in alleles]
    genome = MadeUpGenome(("ATAC",), WINDOW)
    scores = Engine(model, genome, torch.device("cpu"), both_strands=both_strands)
    with Waits() as waits:
        found = scores.score(targets)
    assert waits.seen == []
    assert len(found.unknown) == 300


def test_an_answer_is_asked_for_after_the_next_work_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []

    class Noted(OnItsWay):
        def __init__(self, answers: torch.Tensor) -> None:
            told.append("begun")
            super().__init__(answers)

        def arrived(self) -> Any:
            told.append("taken")
            return super().arrived()

    monkeypatch.setattr(engine, "OnItsWay", Noted)
    base = np.zeros(1, np.uint8)
    targets = [Target("made-up", Allele(5000, base, base + 1), core) for core in range(3)]
    model = Activity(network(config())).eval()
    Engine(model, MadeUpGenome((), WINDOW), torch.device("cpu")).score(targets)
    assert told == ["begun", "begun", "taken", "begun", "taken", "taken"]


def test_a_gpu_measures_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 30.0])

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, queue: Any) -> None:
            assert queue == "queue of cuda:1"
            self.at = next(now)

        def synchronize(self) -> None:
            """It is there already."""

        def elapsed_time(self, other: Any) -> float:
            return other.at - self.at

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"queue of {device}")
    clock = DeviceClock(("trunk",), torch.device("cuda:1"))
    with clock.on_device("trunk"):
        assert clock.seconds["trunk"] == 0
    assert clock.read() == {"trunk": 0.02}
    assert clock.read() == {"trunk": 0.02}


def test_what_goes_to_a_gpu_is_pinned_and_not_waited_for() -> None:
    pinned = SimpleNamespace(to=lambda device, non_blocking: (device, non_blocking))
    tensor: Any = SimpleNamespace(pin_memory=lambda: pinned)
    assert engine._moved(tensor, CUDA) == (CUDA, True)
