"""``genomix train``: a run from shard to metrics, resumed runs, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Ended, Genomix

pytest.importorskip("lightning")

SMALL = [
    *["--set", "n_bins=400", "--set", "d_model=16", "--set", "n_layers=1", "--set", "n_heads=2"],
    *["--set", "d_sequence=8", "--set", "d_local=8", "--threads", "1", "--device", "cpu"],
    *["--variants-per-window", "64", "--valid-contigs", "chr2"],
]


Here = Callable[..., Ended]


@pytest.fixture
def here(genomix_here: Here) -> Here:
    """The command line in this process: Lightning takes long to import."""
    return genomix_here


@pytest.fixture(scope="module")
def shard(tiny_genome: Path, tmp_path_factory: pytest.TempPathFactory, genomix: Genomix) -> Path:
    path = tmp_path_factory.mktemp("shard") / "tiny.h5"
    settings = tiny_genome / "genomix.toml"
    genomix("prepare", "variants", "--config", settings, "-o", path, "-q")
    return path


@pytest.fixture(scope="module")
def run(shard: Path, tmp_path_factory: pytest.TempPathFactory, genomix: Genomix) -> Path:
    folder = tmp_path_factory.mktemp("run") / "gmt"
    genomix("train", shard, "-o", folder, *SMALL, "--epochs", "2", "--checkpoint-every", "1")
    return folder


def test_a_run_folder_is_whole(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    valid = metrics["valid"]
    assert valid["auroc"]["low"] <= valid["auroc"]["value"] <= valid["auroc"]["high"]
    assert 0.5 < valid["bayes_auroc"] < 1
    predictions = pd.read_csv(run / "predictions.tsv", sep="\t")
    assert len(predictions) == valid["variants"]
    assert set(predictions["contig"]) == {"chr2"}
    assert predictions["score"].between(0, 1).all()
    for name in ("config.json", "model.safetensors", "train.json", "logs/metrics.csv"):
        assert (run / name).stat().st_size
    assert {"best.ckpt", "last.ckpt", "epoch=0.ckpt"} <= {
        p.name for p in (run / "checkpoints").iterdir()
    }


def test_the_run_says_how_it_was_made(run: Path, shard: Path) -> None:
    made = json.loads((run / "config.json").read_text())["provenance"]
    assert made["seed"] == 0
    assert made["config"]["preset"] == "mini"
    assert list(made["inputs"]) == [f"shard {shard.name}"]


def test_the_same_seed_gives_the_same_weights(
    run: Path, shard: Path, tmp_path: Path, here: Here
) -> None:
    again = tmp_path / "gmt"
    here("train", shard, "-o", again, *SMALL, "--epochs", "2", "--checkpoint-every", "1")
    assert (again / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_resume_goes_on(run: Path, shard: Path, tmp_path: Path, here: Here) -> None:
    folder = tmp_path / "gmt"
    here("train", shard, "-o", folder, *SMALL, "--epochs", "1")
    done = here("train", shard, "-o", folder, *SMALL, "--epochs", "2", "--resume")
    assert "epoch 1" in done.err
    assert "epoch 0" not in done.err
    assert json.loads((folder / "metrics.json").read_text())["valid"]["auroc"]["value"]


def test_a_longer_window_starts_from_a_shorter_one(
    run: Path, shard: Path, tmp_path: Path, here: Here
) -> None:
    longer = [a.replace("n_bins=400", "n_bins=800") for a in SMALL]
    folder = tmp_path / "gmt"
    here("train", shard, "-o", folder, *longer, "--epochs", "1", "--init", run)
    assert json.loads((folder / "config.json").read_text())["arch"]["n_bins"] == 800


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--valid-contigs", "chr9"], "unknown valid contigs: chr9"),
        (["--valid-contigs", "chr1,chr2"], "nothing is left to train on"),
        (["--test-contigs", "chr2"], "both valid and test"),
        (["--model", "resnet"], "unknown variant model 'resnet'"),
        (["--preset", "huge"], "no preset 'huge'"),
        (["--set", "n_bins=401"], "n_bins=401 is no multiple of 400"),
        (["--set", "colour=3"], "unknown key 'colour'"),
        (["--set", "k"], "not a setting"),
        (["--init", "nowhere"], "no such model"),
        (["--resume"], "there is no run to resume"),
        (["--device", "tpu"], "unknown device"),
        (["--device", "cuda:99"], "no such GPU"),
    ],
)
def test_mistakes_are_one_line(
    shard: Path,
    tmp_path: Path,
    here: Here,
    arguments: list[str],
    said: str,
) -> None:
    done = here("train", shard, "-o", tmp_path / "run", *SMALL, *arguments)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_folder_in_use_is_left_alone(run: Path, shard: Path, here: Here) -> None:
    before = (run / "model.safetensors").read_bytes()
    done = here("train", shard, "-o", run, *SMALL)
    assert "is not empty" in done.err
    assert (run / "model.safetensors").read_bytes() == before


def test_weights_of_another_architecture_are_refused(
    run: Path, shard: Path, tmp_path: Path, here: Here
) -> None:
    wider = [*SMALL, "--set", "d_model=32"]
    done = here("train", shard, "-o", tmp_path / "x", *wider, "--init", run)
    assert "another architecture" in done.err
