"""The fit loop on a task small enough to know the answer."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import FitConfig
from genomix_cli.learning.loop import fit

pytest.importorskip("lightning")

from genomix_cli.learning.lightning import can_fuse, warmup_cosine

CONFIG = FitConfig(epochs=4, learning_rate=0.05, patience=0, checkpoint_every=1)


class Killed(BaseException):
    """Nothing may catch it."""


class Line:
    """Find y = 3 x; dropout and noise make the outcome depend on the random state.

    It dies in the step `last`.
    """

    def __init__(self) -> None:
        self.module = nn.Sequential(nn.Dropout(0.2), nn.Linear(1, 1))
        for parameter in self.module.parameters():
            nn.init.zeros_(parameter)
        self.scores: list[float] = []
        self.steps, self.last = 0, 0

    def losses(self, batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        self.steps += 1
        if self.steps == self.last:
            raise Killed
        noise = torch.rand(batch.shape, generator=generator)
        return {"loss": (self.module(batch + 0.1 * noise) - 3 * batch).square().mean()}

    def predict(self, batch: Tensor) -> float:
        return float((self.module(batch) - 3 * batch).square().mean())

    def metrics(self, predictions: list[float]) -> dict[str, float]:
        self.scores.append(-sum(predictions))
        return {"auroc": self.scores[-1]}


class WorseLater(Line):
    """Validates ever worse after the second time."""

    def metrics(self, predictions: list[float]) -> dict[str, float]:
        self.scores.append([0.1, 0.9, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0][len(self.scores)])
        self.snapshots = [*getattr(self, "snapshots", []), self.module[1].weight.item()]
        return {"auroc": self.scores[-1]}


def batches(epoch: int) -> DataLoader[Tensor]:
    rng = torch.Generator().manual_seed(epoch)
    data = [torch.randn(16, 1, generator=rng) for _ in range(10)]
    return DataLoader(data, batch_size=None)  # type: ignore[arg-type]


def run(
    task: Line,
    folder: Path,
    config: FitConfig = CONFIG,
    resume: Path | None = None,
    *,
    resumable: bool = True,
):
    arguments = (config, folder, torch.device("cpu"), 7, resume)
    return fit(task, batches, batches(99), *arguments, resumable=resumable)


def test_it_learns_and_keeps_logs_and_checkpoints(tmp_path: Path) -> None:
    task = Line()
    result = run(task, tmp_path)
    assert task.scores[-1] > task.scores[0]
    assert result.best == pytest.approx(max(task.scores), rel=1e-6)
    kept = {p.name for p in (tmp_path / "checkpoints").iterdir()}
    assert {"best.ckpt", "last.ckpt", "epoch=0.ckpt", "epoch=3.ckpt"} <= kept
    assert "train/loss" in (tmp_path / "logs" / "metrics.csv").read_text()
    assert list((tmp_path / "logs").glob("events.out.tfevents*"))


@pytest.mark.parametrize("resumable", [True, False])
def test_the_module_ends_with_its_best_weights(tmp_path: Path, resumable: bool) -> None:
    task = WorseLater()
    result = run(task, tmp_path, resumable=resumable)
    assert result.best == pytest.approx(0.9)
    assert task.module[1].weight.item() == pytest.approx(task.snapshots[1], rel=1e-6)


class NumberLater(WorseLater):
    """Validates to no number, then to one."""

    def metrics(self, predictions: list[float]) -> dict[str, float]:
        score = super().metrics(predictions)["auroc"]
        return {"auroc": float("nan") if len(self.scores) == 1 else score}


def test_any_number_is_better_than_none(tmp_path: Path) -> None:
    task = NumberLater()
    assert run(task, tmp_path, resumable=False).best == pytest.approx(0.9)
    assert task.module[1].weight.item() == pytest.approx(task.snapshots[1], rel=1e-6)


def test_a_fit_that_nobody_resumes_writes_nothing(tmp_path: Path) -> None:
    run(Line(), tmp_path, replace(CONFIG, checkpoint_every=0, quiet=True), resumable=False)
    assert list(tmp_path.iterdir()) == []


def test_early_stopping(tmp_path: Path) -> None:
    task = WorseLater()
    run(task, tmp_path, replace(CONFIG, epochs=8, patience=2))
    assert len(task.scores) == 4


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator(
    tmp_path: Path,
) -> None:
    first, second = Line(), Line()
    before = torch.random.get_rng_state()
    run(first, tmp_path / "a")
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(5)
    run(second, tmp_path / "b")
    assert torch.equal(first.module[1].weight, second.module[1].weight)


def killed(task: Line, folder: Path, config: FitConfig, last: int) -> Path:
    """The last checkpoint of a run that died in a step."""
    task.last = last
    with pytest.raises(Killed):
        run(task, folder, config)
    return folder / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize(
    ("last", "changes"),
    [
        (12, {}),
        (27, {}),
        (17, {"validations_per_epoch": 2}),
        (12, {"validations_per_epoch": 3}),
        (17, {"validations_per_epoch": 2, "accumulate": 2}),
        (17, {"accumulate": 3}),
    ],
)
def test_a_run_killed_and_resumed_is_the_run(
    tmp_path: Path, last: int, changes: dict[str, int]
) -> None:
    config = replace(CONFIG, epochs=3, **changes)
    straight, first, resumed = Line(), Line(), Line()
    whole = run(straight, tmp_path / "straight", config)
    checkpoint = killed(first, tmp_path / "killed", config, last)
    assert run(resumed, tmp_path / "killed", config, checkpoint) == whole
    assert resumed.steps <= 31 - last + 10
    assert torch.equal(resumed.module[1].weight, straight.module[1].weight)
    assert straight.scores[-len(resumed.scores) :] == resumed.scores


def test_a_run_goes_on_from_its_last_epoch_not_its_best(tmp_path: Path) -> None:
    checkpoint = killed(WorseLater(), tmp_path, CONFIG, 35)
    resumed = Line()
    run(resumed, tmp_path, CONFIG, checkpoint)
    assert resumed.steps == 10


def test_a_folder_that_was_moved_keeps_its_best(tmp_path: Path) -> None:
    stopped = WorseLater()
    killed(stopped, tmp_path / "before", CONFIG, 35)
    (tmp_path / "before").rename(tmp_path / "after")
    resumed = Line()
    checkpoint = tmp_path / "after" / "checkpoints" / "last.ckpt"
    result = run(resumed, tmp_path / "after", CONFIG, checkpoint)
    assert result.best == pytest.approx(0.9)
    assert resumed.module[1].weight.item() == pytest.approx(stopped.snapshots[1], rel=1e-6)


def test_a_run_that_had_stopped_early_stays_stopped_unless_given_more_patience(
    tmp_path: Path,
) -> None:
    config = replace(CONFIG, epochs=8, patience=2)
    whole = run(WorseLater(), tmp_path, config)
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    again, patient = Line(), Line()
    assert run(again, tmp_path, config, checkpoint) == whole
    assert again.steps == 0
    run(patient, tmp_path, replace(config, patience=3), checkpoint)
    assert patient.steps


def test_a_module_handed_over_in_evaluation_mode_is_trained(tmp_path: Path) -> None:
    modes, task = [], Line()
    task.module.eval()
    task.module.register_forward_hook(lambda module, *_: modes.append(module.training))
    run(task, tmp_path, replace(CONFIG, epochs=1))
    assert modes == [True] * 10 + [False] * 10


def test_a_missing_checkpoint_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such checkpoint"):
        run(Line(), tmp_path, resume=tmp_path / "none.ckpt")


def test_the_schedule_warms_up_and_anneals() -> None:
    factors = [warmup_cosine(step, 100, 0.1) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == pytest.approx(1.0)
    assert factors[-1] < 0.03
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))


def test_one_kernel_updates_all_weights_and_gradients_are_still_clipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning would not clip the gradients of an optimiser that unscales them itself."""
    made = []
    adamw = torch.optim.AdamW
    monkeypatch.setattr(torch.optim, "AdamW", lambda *a, **k: made.append(k) or adamw(*a, **k))
    config = replace(CONFIG, epochs=1, precision="bf16-mixed", clip=1.0)
    assert run(Line(), tmp_path / "a", config).epochs == 1
    assert made[0]["fused"]


def test_where_weights_are_updated_by_one_kernel() -> None:
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    bf16 = FitConfig(precision="bf16-mixed")
    assert can_fuse(cuda, bf16)
    assert can_fuse(cpu, bf16)
    assert not can_fuse(torch.device("mps"), bf16)
    assert not can_fuse(cuda, replace(bf16, devices=2))
    assert not can_fuse(cuda, replace(bf16, precision="16-mixed"))
