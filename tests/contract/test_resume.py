"""Every task of ``genomix train``, killed and resumed, gives the bytes of an uninterrupted run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genomix_cli.cli.train import VERB
from tests.cohort_runs import planted
from tests.conftest import Ended, Genomix
from tests.profile_samples import profiled
from tests.sequence_samples import motifs, write

pytest.importorskip("lightning")
pytest.importorskip("sklearn")

WINDOWS = [
    *["--set", "n_bins=400", "--set", "d_model=16", "--set", "n_layers=1", "--set", "n_heads=2"],
    *["--set", "d_sequence=8", "--set", "d_local=8", "--valid-contigs", "chr2", "--epochs", "3"],
]
DNA = ["--set", "width=16", "--set", "heads=2", "--set", "motifs=16", "--set", "layers=1"]
# Options by domain and task. Every network here has dropout or draws in training.
TASKS: dict[tuple[str, str], list[str]] = {
    ("variants", "labels"): [
        *[*WINDOWS, "--variants-per-window", "16", "--train-variants", "200"],
        *["--valid-variants", "100"],
    ],
    ("variants", "pretrain"): [
        *[*WINDOWS, "--windows-per-epoch", "4", "--windows-per-batch", "2"],
        *["--valid-windows", "4"],
    ],
    ("cohort", ""): [
        *["--model", "mlp", "--baselines", "none", "--trials", "1", "--folds", "3"],
        *["--set", "value_dropout=0.2", "--epochs", "4"],
    ],
    ("sequences", "classify"): [
        *[*DNA, "--baselines", "none", "--trials", "1", "--no-control"],
        *["--set", "hide=0.2", "--epochs", "3"],
    ],
    ("sequences", "contrast"): [*DNA, "--preset", "motifs", "--epochs", "3"],
    ("sequences", "align"): [*DNA, "--preset", "motifs", "--epochs", "3"],
    ("sequences", "diffuse"): ["--preset", "tiny", "--epochs", "3"],
    ("sequences", "profile"): ["--set", "width=4", "--set", "n_dilated=2", "--epochs", "3"],
    ("sequences", "activity"): ["--preset", "tiny", "--epochs", "2", "--set", "members=2"],
}
QUICK = {("sequences", "contrast"), ("sequences", "activity"), ("sequences", "profile")}


class Killed(BaseException):
    """Nothing may catch it."""


@pytest.fixture(scope="module")
def shard(tiny_genome: Path, tmp_path_factory: pytest.TempPathFactory, genomix: Genomix) -> Path:
    path = tmp_path_factory.mktemp("shard") / "tiny.h5"
    genomix("prepare", "variants", "--config", tiny_genome / "genomix.toml", "-o", path, "-q")
    return path


@pytest.fixture
def data(domain: str, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An input of the domain."""
    if domain == "cohort":
        return planted(tmp_path / "cohort.h5mu", n=60)
    if domain == "sequences":
        return write(tmp_path / "dna.h5", profiled(motifs(n=120)))
    path: Path = request.getfixturevalue("shard")
    return path


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Steps of training so far, and the one to die in."""
    from genomix_cli.learning.lightning import LightningTask

    count, step = {"done": 0, "last": 0}, LightningTask.training_step

    def counted(self: LightningTask, batch: Any, index: int) -> Any:
        count["done"] += 1
        if count["done"] == count["last"]:
            raise Killed
        return step(self, batch, index)

    monkeypatch.setattr(LightningTask, "training_step", counted)
    return count


def test_every_task_is_here() -> None:
    tasks = {(word, task) for word, domain in VERB.domains.items() for task in domain.command.tasks}
    assert tasks == set(TASKS)


@pytest.mark.parametrize(
    ("domain", "task"),
    [pytest.param(*each, marks=[] if each in QUICK else [pytest.mark.slow]) for each in TASKS],
)
def test_a_run_killed_and_resumed_is_the_run(
    domain: str,
    task: str,
    data: Path,
    tmp_path: Path,
    genomix_here: Callable[..., Ended],
    steps: dict[str, int],
) -> None:
    options = [*TASKS[domain, task], *(["--task", task] if task else [])]
    whole, killed = tmp_path / "whole" / "run", tmp_path / "killed" / "run"

    def train(folder: Path, *more: str) -> Ended:
        same = ("--device", "cpu", "--threads", "1")
        return genomix_here("train", domain, data, "-o", folder, *options, *same, *more)

    ended = train(whole)
    assert ended.code == 0, ended.err
    n_steps = steps["done"]
    # In the second epoch of a task that learns once, in a later fit of one that compares models.
    steps.update(done=0, last=max(2, n_steps * 3 // 5))
    with pytest.raises(Killed):
        train(killed)
    assert not (killed / "config.json").exists()
    steps.update(done=0, last=0)
    ended = train(killed, "--resume")
    assert ended.code == 0, ended.err
    assert 0 < steps["done"] < n_steps
    for path in [*whole.glob("*.safetensors"), *whole.glob("metrics.json")]:
        assert (killed / path.name).read_bytes() == path.read_bytes(), path.name
    files = {path: path.stat().st_mtime_ns for path in whole.glob("*.safetensors")}
    steps.update(done=0)
    again = train(whole, "--resume")
    assert again.code == 0, again.err
    assert "is a finished run: nothing is left to train" in again.err
    assert steps["done"] == 0
    if task in ("", "classify"):  # of other tasks, the model is judged again
        assert again.out == ended.out
        assert {path: path.stat().st_mtime_ns for path in files} == files
