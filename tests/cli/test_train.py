"""``genomix train``: a run from shard to metrics, resumed runs, and mistakes."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from genomix_cli.formats.genome_shard import open_shard
from genomix_cli.learning.calibration import Platt
from genomix_cli.variants.conditions import holding
from genomix_cli.variants.records.inputs import least_distance
from genomix_cli.variants.trained import read_config
from tests.conftest import ROOT, Ended, Genomix
from tests.random_encoder import save_program

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


def test_a_frozen_encoder_is_trained_and_scored_like_any_model(
    shard: Path, tmp_path: Path, here: Here
) -> None:
    encoder, run = save_program(tmp_path / "encoder"), tmp_path / "run"
    arch = ["--set", "n_bins=400", "--set", f"encoder={encoder}", "--device", "cpu"]
    few = ["--train-variants", "64", "--valid-variants", "200", "--epochs", "1"]
    options = ["-o", run, "--valid-contigs", "chr2", "--model", "frozen", *arch, *few]
    assert here("train", shard, *options).returncode == 0
    parts = {name.split(".")[0] for name in load_file(run / "model.safetensors")}
    assert parts == {"norm", "scale", "head"}
    scores = ["score", ROOT / "test_data/variants.vcf.gz", "-m", run, "--device", "cpu"]
    files = ["--genome", shard, "-r", "chr2:100000-120000", "-o", tmp_path / "scored.tsv"]
    assert here(*scores, *files).returncode == 0
    assert len(pd.read_csv(tmp_path / "scored.tsv", sep="\t", comment="#")) > 5
    encoder.rename(tmp_path / "elsewhere")
    failed = here(*scores, *files)
    assert failed.code == 2
    assert "no such encoder" in failed.stderr


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


def test_it_is_calibrated_for_what_users_may_lack(run: Path) -> None:
    config = read_config(run)
    full = config.conditions(contacts=True)
    tracks = [spec.name for spec in config.tracks]
    some = [tracks, [], tracks[:1], tracks[-1:], tracks[1:], tracks[:-1]]
    # So small a part may rank the other way round, which leaves a calibration that nobody uses.
    for names, contacts in product(some, (True, False)):
        assert holding(config.calibrations, config.conditions(names, contacts=contacts)) is not None
    assert config.calibrations[0].conditions == full
    assert len({c.platt for c in config.calibrations}) == len(config.calibrations)
    told = json.loads((run / "metrics.json").read_text())["calibrations"]
    assert [each["inputs"] for each in told] == [str(c.conditions) for c in config.calibrations]
    table = pd.read_csv(run / "predictions.tsv", sep="\t")
    own = config.calibrations[0].platt.apply(table["logit"])
    np.testing.assert_allclose(table["score"], own, atol=1e-4)


def test_a_call_with_one_of_the_tracks_has_probabilities_of_its_own(
    run: Path, tiny_genome: Path, here: Here
) -> None:
    genome = ["-f", tiny_genome / "genome.fa.gz", "-t", f"ATAC={tiny_genome / 'ATAC.bw'}"]
    done = here(
        *["score", tiny_genome / "variants.vcf.gz", *genome, "-m", run, "-r", "chr2:1-60000"],
        *["--device", "cpu", "--threads", "1", "--mode", "shared"],
    )
    assert done.code == 0, done.err
    assert "##genomixCalibration=fitted to sequence + ATAC; uncovered bases missing" in done.out
    record = next(line for line in done.out.splitlines() if line[0] != "#")
    values = dict(e.split("=") for e in record.split("\t")[7].split(";") if e.startswith("GENOMIX"))
    assert 0 < float(values["GENOMIX_P"]) < 1
    assert "GENOMIX_LOGIT" not in values


def test_a_run_of_the_first_version_is_calibrated_for_its_tracks(run: Path, tmp_path: Path) -> None:
    data = json.loads((run / "config.json").read_text())
    data["calibration"] = data.pop("calibrations")[0]["platt"]
    del data["config_sha256"]
    (tmp_path / "config.json").write_text(json.dumps(data | {"format_version": 1}))
    config = read_config(tmp_path)
    assert config.calibration(config.conditions(contacts=True)) == Platt(**data["calibration"])
    assert config.calibration(config.conditions((), contacts=False)) is None


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


def test_other_settings_are_another_run(
    run: Path, shard: Path, tmp_path: Path, genomix_here: Here
) -> None:
    folder = tmp_path / "gmt"
    shutil.copytree(run, folder)
    before = (folder / "train.json").read_bytes()
    more = ("--seed", "9", "--learning-rate", "0.9", "--resume")
    done = genomix_here("train", shard, "-o", folder, *SMALL, "--epochs", "2", *more)
    assert done.code == 2
    assert "started with other settings: " in done.err
    assert "seed" in done.err
    assert "fit.learning_rate" in done.err
    assert (folder / "train.json").read_bytes() == before


def test_a_run_killed_before_its_first_checkpoint_starts_over(
    run: Path, shard: Path, tmp_path: Path, here: Here
) -> None:
    folder = tmp_path / "gmt"
    folder.mkdir()
    shutil.copy(run / "train.json", folder)
    same = ("--epochs", "2", "--checkpoint-every", "1")
    here("train", shard, "-o", folder, *SMALL, *same, "--resume")
    assert (folder / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_alleles_that_it_learned_from_are_marked_and_refused(
    run: Path, shard: Path, tiny_genome: Path, tmp_path: Path, here: Here
) -> None:
    scored, settings = tmp_path / "s.vcf", tiny_genome / "genomix.toml"
    vcf = tiny_genome / "variants.vcf.gz"
    done = here("score", vcf, "--config", settings, "-m", run, "-o", scored)
    assert done.code == 0, done.err
    lines = [line.split("\t") for line in scored.read_text().splitlines() if line[0] != "#"]
    parts = ((row[0], row[7].rpartition("GENOMIX_SEEN=")[2].split(",")) for row in lines)
    marked = Counter((contig, part) for contig, own in parts for part in own)
    n = len(open_shard(shard).variants.pos)
    assert set(marked) == {("chr1", "train"), ("chr2", "valid")}
    assert sum(marked.values()) == n
    assert f"{n:,} of {n:,} alleles were seen in training (GENOMIX_SEEN)" in done.err
    refused = here("evaluate", scored, "--bootstrap", 0)
    assert refused.code == 3
    assert f"learned from {marked['chr1', 'train']:,} of the {n:,} alleles" in refused.err
    judged = here("evaluate", scored, "--bootstrap", 0, "--contigs", "chr2")
    assert judged.code == 0, judged.err
    assert "a little too good" in judged.err


def test_the_page_names_every_file_of_a_run(run: Path) -> None:
    page = (ROOT / "docs" / "run_format.md").read_text()
    files = page[: page.index("\n## config.json")]
    named = {row.split("`")[1].removesuffix("/") for row in files.splitlines() if row[:3] == "| `"}
    found = {path.name for path in run.iterdir()}
    assert [name for name in found if not any(fnmatch(name, each) for each in named)] == []


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
        (["--test-contigs", "chr2"], "the validation and test parts overlap on chr2"),
        (["--model", "resnet"], "unknown variant model 'resnet'"),
        (["--preset", "huge"], "no preset 'huge'"),
        (["--set", "n_bins=401"], "n_bins=401 is no multiple of 400"),
        (["--set", "colour=3"], "unknown key 'colour'"),
        (["--set", "k"], "not a setting"),
        (["--init", "nowhere"], "no such model"),
        (["--resume"], "no run to resume"),
        (["--monitor", "ranking"], "--monitor: no validation variant has an effect"),
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


def test_an_option_without_effect_on_a_model_is_refused(
    shard: Path, tmp_path: Path, here: Here
) -> None:
    options = ["--model", "cnn", "--valid-contigs", "chr2", "--device", "cpu"]
    done = here("train", shard, "-o", tmp_path / "run", *options, "--gradient-checkpointing")
    assert done.code == 2
    assert "--gradient-checkpointing: has no effect on cnn" in done.err
    assert not (tmp_path / "run").exists()


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


def test_regions_are_held_out_and_their_neighbours_left_out(
    shard: Path, tmp_path: Path, here: Here
) -> None:
    regions = tmp_path / "test.bed"
    regions.write_text("chr1\t100000\t150000\n")
    folder = tmp_path / "gmt"
    done = here("train", shard, "-o", folder, *SMALL, "--epochs", "1", "--test-regions", regions)
    predictions = pd.read_csv(folder / "predictions.tsv", sep="\t")
    tested = predictions[predictions["part"] == "test"]
    assert tested["contig"].eq("chr1").all()
    assert tested["pos"].between(100_001, 150_000).all()
    table = open_shard(shard).variants
    apart = least_distance(20_000)
    near = (table.contig == 0) & (table.pos >= 100_000 - apart) & (table.pos < 150_000 + apart)
    beside = int(near.sum()) - len(tested)
    train = int((table.contig == 0).sum()) - int(near.sum())
    assert f"learn) on {train:,} variants, {beside:,} beside" in done.err
    held = json.loads((folder / "train.json").read_text())["config"]["held_out"]
    assert held == {"valid": "chr2", "test": "chr1:100001-150000"}


def test_folds_that_cannot_be_tested_are_refused_before_the_first_is_trained(
    shard: Path, tmp_path: Path, here: Here
) -> None:
    folder = tmp_path / "cv"
    arguments = [a for a in SMALL if a not in ("--valid-contigs", "chr2")]
    done = here("train", shard, "-o", folder, *arguments, "--hold-out", "folds:3")
    assert "cannot make folds of whole contigs" in done.err
    options = ["--hold-out", "folds:200", "--fold-by", "2kb"]
    done = here("train", shard, "-o", folder, *arguments, *options)
    assert re.search(r"error: fold \d+ of 200: every part needs both classes: \w+ has no", done.err)
    assert "use fewer folds, or blocks of another length (--fold-by)" in done.err
    assert len(done.err.splitlines()) == 1
    assert not folder.exists()


def test_a_model_that_ranks_the_wrong_way_round_is_not_turned_for_its_metrics(
    shard: Path, tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cnn"
    monkeypatch.setattr(
        "genomix_cli.variants.train.calibrations.fit_platt", lambda *args: Platt(-1.0, 0.0)
    )
    few = ["--train-variants", "64", "--valid-variants", "200", "--epochs", "1"]
    options = ["--valid-contigs", "chr2", "--model", "cnn", "--device", "cpu"]
    done = here("train", shard, "-o", folder, *options, *few)
    metrics = json.loads((folder / "metrics.json").read_text())
    best = metrics["best_validation"]["auroc"]
    assert metrics["valid"]["auroc"]["value"] == pytest.approx(best)
    table = pd.read_csv(folder / "predictions.tsv", sep="\t")
    np.testing.assert_allclose(table["score"], Platt().apply(table["logit"]), atol=1e-4)
    assert "ranks the validation part the other way round, so it gives no probabilities" in done.err
    assert "calibrated for" not in done.err


def test_folds_test_every_variant_once(shard: Path, tmp_path: Path, here: Here) -> None:
    folder = tmp_path / "cv"
    arguments = [a for a in SMALL if a not in ("--valid-contigs", "chr2")]
    options = ["--hold-out", "folds:3", "--fold-by", "100kb", "--epochs", "1"]
    done = here("train", shard, "-o", folder, *arguments, *options)
    predictions = pd.read_csv(folder / "predictions.tsv", sep="\t")
    table = open_shard(shard).variants
    assert len(predictions) == len(table.pos)
    assert not predictions.duplicated(["contig", "pos", "ref", "alt"]).any()
    metrics = json.loads((folder / "metrics.json").read_text())
    values = [fold["auroc"]["value"] for fold in metrics["folds"]]
    assert metrics["mean"]["auroc"]["mean"] == pytest.approx(sum(values) / 3)
    assert metrics["mean"]["auroc"]["folds"] == 3
    rankings = [fold["ranking_accuracy"]["value"] for fold in metrics["folds"]]
    mean, sd = np.mean(rankings), np.std(rankings, ddof=1)
    assert f"folds\tranking_accuracy\t{mean:.4f}\t{sd:.4f}" in done.out
    assert f"folds\tauroc\t{sum(values) / 3:.4f}\t" in done.out
    # Each block is of one fold, and a fold stops by the next.
    held = [
        json.loads((folder / f"fold-{i}" / "train.json").read_text())["config"]["held_out"]
        for i in range(3)
    ]
    assert [h["valid"] for h in held] == [held[(i + 1) % 3]["test"] for i in range(3)]
    # What is done is not done again.
    (folder / "metrics.json").unlink()
    again = here("train", shard, "-o", folder, *arguments, *options, "--resume")
    assert "epoch" not in again.err
    assert json.loads((folder / "metrics.json").read_text()) == metrics


@pytest.mark.parametrize("tune", ["head", "lora"])
def test_a_part_of_the_model_learns(
    run: Path, shard: Path, tmp_path: Path, here: Here, tune: str
) -> None:
    folder = tmp_path / "gmt"
    options = ["--epochs", "1", "--init", run, "--tune", tune, "--lora-rank", "2"]
    here("train", shard, "-o", folder, *SMALL, *options)
    before = load_file(run / "model.safetensors")
    after = load_file(folder / "model.safetensors")
    assert list(before) == list(after)
    changed = {name for name in before if not before[name].equal(after[name])}
    assert any(name.startswith("head.") for name in changed)
    assert ("layers.0.attention.qkv.weight" in changed) == (tune == "lora")
    assert not any(name.startswith("sequence.") for name in changed)


def test_effects_alone_are_ranked(tiny_genome: Path, tmp_path: Path, here: Here) -> None:
    shard, folder = tmp_path / "effects.h5", tmp_path / "gmt"
    vcf, fasta = tiny_genome / "variants.vcf.gz", tiny_genome / "genome.fa.gz"
    here(
        *["prepare", "variants", "--vcf", vcf, "-f", fasta, "--effect-info", "DELTA"],
        *["-t", f"ATAC={tiny_genome / 'ATAC.bw'}", "-o", shard, "-q"],
    )
    done = here("train", shard, "-o", folder, *SMALL, "--epochs", "1")
    assert done.code == 2
    assert "rank the effects: --monitor ranking" in done.err
    options = ["--epochs", "1", "--monitor", "ranking", "--rank-margin", "0.5"]
    here("train", shard, "-o", folder, *SMALL, *options)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert "auroc" not in metrics["valid"]
    assert -1 <= metrics["valid"]["spearman"]["value"] <= 1
    assert 0 <= metrics["best_validation"]["ranking"] <= 1
    assert read_config(folder).calibrations == ()  # without labels there are no probabilities


def test_the_terms_of_the_loss_are_weighted_and_cell_types_drawn_alike(
    shard: Path, tiny_genome: Path, tmp_path: Path, here: Here
) -> None:
    options = ["--epochs", "1", "--bce-weight", "2", "--rank-weight", "0.1"]
    for name, weight in (("free", "0"), ("small", "10")):
        done = here(
            "train", shard, "-o", tmp_path / name, *SMALL, *options, "--penalty-weight", weight
        )
        assert done.code == 0, done.err
    free, small = (
        sum(float(w.square().sum()) for w in load_file(tmp_path / n / "model.safetensors").values())
        for n in ("free", "small")
    )
    assert small < 0.99 * free
    kept = json.loads((tmp_path / "small" / "train.json").read_text())["config"]
    assert (kept["bce_weight"], kept["rank_weight"], kept["penalty_weight"]) == (2, 0.1, 10)
    for wrong, said in (
        (["--bce-weight", "0", "--rank-weight", "0"], "are both 0, so nothing would be learned"),
        (
            ["--penalty-weight", "1", "--strategy", "fsdp", "--devices", "2"],
            "--penalty-weight: cannot be combined with fsdp",
        ),
        (["--equal-cells"], "--equal-cells: the variants have fewer than two cell types"),
    ):
        done = here("train", shard, "-o", tmp_path / "wrong", *SMALL, *wrong)
        assert (done.code, said in done.err) == (2, True), done.err
        assert not (tmp_path / "wrong").exists()


def test_a_checkpoint_of_another_preset_is_told_apart(
    run: Path, shard: Path, tmp_path: Path, here: Here
) -> None:
    other = [a.replace("d_model=16", "d_model=32") for a in SMALL]
    done = here("train", shard, "-o", tmp_path / "gmt", *other, "--init", run)
    assert done.code == 2
    assert "another architecture: d_model=16 instead of 32" in done.err
    done = here(
        "train", shard, "-o", tmp_path / "gmt", *SMALL[-6:], "--model", "cnn", "--init", run
    )
    assert done.code == 2
    assert "of another architecture: a gmt" in done.err
    assert not (tmp_path / "gmt").exists()


def test_tracks_on_another_scale_are_told_apart(
    run: Path, tiny_genome: Path, tmp_path: Path, here: Here
) -> None:
    shard = tmp_path / "other.h5"
    here(
        *["prepare", "variants", "--vcf", tiny_genome / "variants.vcf.gz", "-q"],
        *["-f", tiny_genome / "genome.fa.gz", "-t", f"ATAC={tiny_genome / 'CTCF.bw'}"],
        *["--label-info", "LABEL", "-o", shard],
    )
    done = here("train", shard, "-o", tmp_path / "gmt", *SMALL, "--init", run)
    assert done.code == 1
    assert f"ATAC is on another scale than in {run}" in done.err
    assert f"--normalise-like {run}" in done.err


@pytest.mark.slow
def test_two_processes_train_one_model(
    run: Path, shard: Path, tmp_path: Path, genomix: Genomix
) -> None:
    """With DDP on a CPU, each process trains on its windows; only the first evaluates and logs."""
    folder = tmp_path / "two"
    few = ["--epochs", "1", "--train-variants", "200"]
    done = genomix("train", shard, "-o", folder, *SMALL, *few, "--devices", "2")
    assert done.stderr.count("epoch 0") == 1
    one, two = (pd.read_csv(r / "predictions.tsv", sep="\t") for r in (run, folder))
    assert one[["contig", "pos", "ref", "alt"]].equals(two[["contig", "pos", "ref", "alt"]])
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["valid"]["auroc"]["value"] == pytest.approx(
        metrics["best_validation"]["auroc"], abs=1e-4
    )


def test_out_of_memory_names_the_batch_to_try(
    shard: Path, tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr("genomix_cli.variants.train.task.fit", fit)
    done = here("train", shard, "-o", tmp_path / "run", *SMALL, "--windows-per-batch", "4")
    assert done.code == 1
    assert (
        "ran out of memory with --windows-per-batch 4 x --variants-per-window 64 of 20-kb windows; "
        "try --windows-per-batch 2, then --gradient-checkpointing"
    ) in done.err
    assert "Traceback" not in done.err
