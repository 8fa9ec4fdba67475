"""The engine keeps a GPU busy: it waits once per group of alleles, and only for what is done."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from genomix_cli.genome.alphabet import encode
from genomix_cli.genome.signal import MISSING, Signal
from genomix_cli.learning.layers import attention
from genomix_cli.variants.models.activity import Activity
from genomix_cli.variants.models.base import VariantModel, Variants, Window
from genomix_cli.variants.models.gmt import GMT, GMTConfig
from genomix_cli.variants.records.inputs import Allele
from genomix_cli.variants.score import engine, reading
from genomix_cli.variants.score.clock import DeviceClock
from genomix_cli.variants.score.doctor import MadeUpGenome
from genomix_cli.variants.score.engine import Engine, OnItsWay
from genomix_cli.variants.score.reading import CHUNKS, WINDOWS, Target
from tests.random_activity import config, network
from tests.toy_variant_model import Toy

# On a GPU each of these waits until all that was asked of it is done.
WAITING = {"cpu", "item", "tolist", "nonzero", "__bool__", "__int__", "__float__", "__index__"}
WINDOW = 10_000
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


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
@pytest.mark.parametrize("windows", [(1,), WINDOWS])
def test_no_window_waits_for_the_device(
    model: VariantModel,
    both_strands: bool,
    windows: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: pytest.fail("waits for the device"))
    # What a GPU does in place of the other, which is for CPUs alone.
    monkeypatch.setattr(attention, "_blocked_attention", attention._appended_attention)
    base = np.zeros(1, np.uint8)
    alleles = [Allele(100 * i, base, base + 1) for i in range(150)]
    alleles += [Allele(100 * i, encode(""), encode("ACG")) for i in range(150)]
    targets = [Target("made-up", allele, allele.pos // 5000) for allele in alleles]
    genome = MadeUpGenome(("ATAC",), WINDOW)
    scores = Engine(model, genome, CPU, both_strands=both_strands, windows=windows)
    with Waits() as waits:
        found = scores.score(targets)
    assert waits.seen == []
    assert len(found.unknown) == 300


class Uneven(MadeUpGenome):
    """A genome whose windows differ: base 9,000 is unknown, and tracks end at bin 800."""

    def __init__(self, length: int) -> None:
        super().__init__(("ATAC",), length // 2)
        self._codes[9_000] = 4

    def signal(self, contig: str, first_bin: int, last_bin: int) -> Signal:
        found = super().signal(contig, first_bin, last_bin)
        found.state[:, max(0, 800 - first_bin) :] = MISSING
        return found


def some(n_windows: int) -> list[Target]:
    """Alleles of as many cores of 5,000 bases, the next with one more up to 20, all kinds."""
    targets = []
    for core in range(n_windows):
        for i in range(core % 20 + 1):
            pos, ref = 5_000 * core + 200 * i, encode("A")
            alleles = (Allele(pos, ref, encode("C")), Allele(pos, ref, encode("")))
            targets += [Target("made-up", allele, core) for allele in alleles[: 1 + i % 2]]
    return targets


class Passes:
    """Record the numbers of windows, and of groups of alleles, of each call of a model."""

    def __init__(self, model: VariantModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.windows: list[int] = []
        self.alleles: list[tuple[int, ...]] = []
        window, answers = model.window, model.answers

        def seen(given: Window) -> Any:
            self.windows.append(len(given.codes))
            return window(given)

        def answered(context: Any, variants: Variants, shared: Any) -> Any:
            self.alleles.append(tuple(variants.offset.shape))
            return answers(context, variants, shared)

        monkeypatch.setattr(model, "window", seen)
        monkeypatch.setattr(model, "answers", answered)


@pytest.mark.parametrize("model", models()[1:], ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("both_strands", [False, True])
def test_windows_together_score_as_one_by_one(
    model: VariantModel, both_strands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = some(23)
    order = np.random.default_rng(1).permutation(len(targets))
    mixed = [targets[i] for i in order]
    genome = Uneven(240_000)
    alone = Engine(model, genome, CPU, both_strands=both_strands).score(targets)
    passes = Passes(model, monkeypatch)
    together = Engine(model, genome, CPU, both_strands=both_strands, windows=WINDOWS)
    found = together.score(mixed)
    # The last pass is filled up: it counts as the windows that were asked for.
    expected = [16, 4, 4] if isinstance(model, Toy) else [16]
    assert passes.windows == [size for size in expected for _ in range(1 + both_strands)]
    assert {4, 16} <= {n for n, _ in passes.alleles} <= set(WINDOWS)
    assert {g for _, g in passes.alleles} <= set(CHUNKS)
    assert alone.windows == found.windows == (23 if isinstance(model, Toy) else 12)
    for field in ("logit", "null", "unknown"):
        np.testing.assert_allclose(getattr(found, field), getattr(alone, field)[order], atol=2e-6)
    np.testing.assert_allclose(found.usable, alone.usable)
    assert 0 < found.unknown.sum() < len(targets)
    assert np.std(alone.logit) > 1e-4


@pytest.mark.parametrize("model", models()[1:], ids=lambda model: type(model).__name__)
def test_the_last_window_of_a_pass_is_not_run_again(
    model: VariantModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window that is requested again in between is not run again either."""
    targets, genome = some(6), Uneven(240_000)
    last = [target for target in targets if target.core == 5]
    engines = [Engine(model, genome, CPU, windows=windows) for windows in ((1,), WINDOWS)]
    expected = Engine(model, genome, CPU).score(last)
    for scored in engines:
        scored.score(targets)
        passes = Passes(model, monkeypatch)
        again = scored.score(last)
        assert (again.windows, passes.windows) == (0, [])
        np.testing.assert_allclose(again.logit, expected.logit, atol=2e-6)
        np.testing.assert_array_equal(again.unknown, expected.unknown)
        # Behind windows that are new.
        more = scored.score([*targets[:1], *last])
        assert more.windows == 1
        np.testing.assert_allclose(more.logit[1:], expected.logit, atol=2e-6)
        monkeypatch.undo()


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
    assert reading._moved(tensor, CUDA) == (CUDA, True)


def test_a_window_of_its_own_is_read_as_the_model_reads_centred_ones() -> None:
    model = GMT(GMTConfig(("ATAC",), n_bins=1200, centre_bins=400, d_model=16, n_heads=2)).eval()
    genome, base = MadeUpGenome(("ATAC",), 60_000), np.zeros(1, np.uint8)
    targets = [Target("made-up", Allele(60_025, base, base + 1), 0)]
    found = {}
    for mode in ("shared", "centred"):
        read = Engine(model, genome, CPU, mode=mode)
        found[mode] = read.score(targets).logit
        assert len(read.model.layout.contact_bin) == {"shared": 480, "centred": 300}[mode]
    assert found["shared"] != pytest.approx(found["centred"], rel=1e-6)
