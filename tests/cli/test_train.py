"""``genomix train``: a run from shard to metrics, resumed runs, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Genomix

pytest.importorskip("lightning")

SMALL = [
    *["--set", "n_bins=400", "--set", "d_model=16", "--set", "n_layers=1", "--set", "n_heads=2"],
    *["--set", "d_sequence=8", "--set", "d_local=8", "--threads", "1", "--device", "cpu"],
    *["--variants-per-window", "64", "--valid-contigs", "chr2"],
]


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
    run: Path, shard: Path, tmp_path: Path, genomix: Genomix
) -> None:
    again = tmp_path / "gmt"
    genomix("train", shard, "-o", again, *SMALL, "--epochs", "2", "--checkpoint-every", "1")
    assert (again / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_resume_goes_on(run: Path, shard: Path, tmp_path: Path, genomix: Genomix) -> None:
    folder = tmp_path / "gmt"
    genomix("train", shard, "-o", folder, *SMALL, "--epochs", "1")
    done = genomix("train", shard, "-o", folder, *SMALL, "--epochs", "2", "--resume")
    assert "epoch 1" in done.stderr
    assert "epoch 0" not in done.stderr
    assert json.loads((folder / "metrics.json").read_text())["valid"]["auroc"]["value"]


def test_a_longer_window_starts_from_a_shorter_one(
    run: Path, shard: Path, tmp_path: Path, genomix: Genomix
) -> None:
    longer = [a.replace("n_bins=400", "n_bins=800") for a in SMALL]
    folder = tmp_path / "gmt"
    genomix("train", shard, "-o", folder, *longer, "--epochs", "1", "--init", run)
    assert json.loads((folder / "config.json").read_text())["arch"]["n_bins"] == 800


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--valid-contigs", "chr9"], 2, "unknown valid contigs: chr9"),
        (["--valid-contigs", "chr1,chr2"], 2, "no contig is left to train on"),
        (["--test-contigs", "chr2"], 2, "both valid and test"),
        (["--model", "resnet"], 2, "unknown variant model 'resnet'"),
        (["--preset", "huge"], 2, "no preset 'huge'"),
        (["--set", "n_bins=401"], 2, "n_bins=401 is no multiple of 400"),
        (["--set", "colour=3"], 2, "unknown key 'colour'"),
        (["--set", "k"], 2, "not a setting"),
        (["--init", "nowhere"], 2, "no such model"),
        (["--resume"], 2, "there is no run to resume"),
        (["--device", "tpu"], 2, "unknown device"),
        (["--device", "cuda:99"], 2, "no such GPU"),
    ],
)
def test_mistakes_are_one_line(
    shard: Path,
    tmp_path: Path,
    genomix: Genomix,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    done = genomix("train", shard, "-o", tmp_path / "run", *SMALL, *arguments, code=code)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_folder_in_use_is_left_alone(run: Path, shard: Path, genomix: Genomix) -> None:
    before = (run / "model.safetensors").read_bytes()
    done = genomix("train", shard, "-o", run, *SMALL, code=2)
    assert "is not empty" in done.stderr
    assert (run / "model.safetensors").read_bytes() == before


def test_weights_of_another_architecture_are_refused(
    run: Path, shard: Path, tmp_path: Path, genomix: Genomix
) -> None:
    wider = [*SMALL, "--set", "d_model=32"]
    done = genomix("train", shard, "-o", tmp_path / "x", *wider, "--init", run, code=2)
    assert "another architecture" in done.stderr
