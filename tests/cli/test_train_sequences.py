"""``genomix train`` and ``evaluate`` of sequences, as typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import clean_environment
from tests.profile_samples import profiled
from tests.sequence_samples import genotypes, motifs, write

pytest.importorskip("lightning")
pytest.importorskip("sklearn")

TINY = ("--set", "width=16", "--set", "heads=2", "--set", "epochs=1")
SHAPE = (*TINY, "--set", "motifs=16", "--set", "layers=1", "--threads", "1", "--device", "cpu")


@pytest.fixture
def dna(tmp_path: Path) -> Path:
    return write(tmp_path / "dna.h5", motifs(n=120))


def test_a_classifier_is_trained_scored_and_evaluated(genomix_fast, dna, tmp_path):
    run = tmp_path / "run"
    done = genomix_fast("train", dna, "-o", run, *SHAPE, "--baselines", "majority,kmer-logistic:k3")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("model")
    assert [line.split("\t")[0] for line in lines[1:]] == [
        *("transformer motifs", "majority", "kmer-logistic k3")
    ]
    scores = tmp_path / "scores.tsv"
    genomix_fast("score", dna, "-m", run, "-o", scores)
    seen = pd.read_csv(scores, sep="\t", comment="#", keep_default_na=False)["seen"]
    counts = seen.value_counts()
    assert set(counts.index) == {"train", "valid", ""}
    held_out = pd.read_parquet(run / "predictions.parquet")["sample"].nunique()
    assert counts[""] == held_out
    judge = ("evaluate", scores, "--data", dna, "--bootstrap", "20")
    judged = genomix_fast(*judge, "--seen", "leave-out")
    assert "accuracy" in judged.stdout
    assert f"{held_out} of 120 samples ({120 - held_out} seen in training)" in judged.stdout
    refused = genomix_fast(*judge, code=3)
    assert f"learned from {counts['train']} of the 120 samples" in refused.stderr
    assert "sequences" in genomix_fast("inspect", run).stdout
    # Real ones, judged as if they had been generated.
    real = write(tmp_path / "real.h5", motifs(n=300))
    likened = genomix_fast(
        "evaluate", real, "--real", real, "--classifier", run, "--bootstrap", "5"
    )
    assert likened.stdout.splitlines()[0].split()[:2] == ["metric", "real.h5"]
    found = next(line for line in likened.stdout.splitlines() if line.startswith("class found"))
    assert found.count("[") == 5


def rows(table: str) -> list[str]:
    return [line for line in table.splitlines() if not line.startswith("##")]


def test_every_task_writes_a_run_and_a_table(genomix_fast, dna, tmp_path):
    from genomix_cli.registry import SEQUENCE_TASKS

    shapes = {
        "contrast": (*SHAPE, "--preset", "motifs"),
        "align": (*SHAPE, "--preset", "motifs"),
        "diffuse": ("--preset", "tiny", "--set", "epochs=1", "--threads", "1"),
        "activity": ("--preset", "tiny", "--set", "epochs=1", "--threads", "1"),
        "profile": ("--set", "width=4", "--set", "epochs=1", "--threads", "1"),
    }
    bases = write(tmp_path / "bases.h5", profiled(motifs(n=120)))
    assert set(SEQUENCE_TASKS) == {"classify", *shapes}
    for task, shape in shapes.items():
        run = tmp_path / task
        data = bases if task == "profile" else dna
        done = genomix_fast("train", data, "-o", run, "--task", task, *shape)
        assert len(done.stdout.splitlines()) > 1
        assert json.loads((run / "config.json").read_text())["task"] == task
        assert {"metrics.json", "report.html", "README.md"} <= {p.name for p in run.iterdir()}
    vectors = rows(genomix_fast("score", dna, "-m", tmp_path / "contrast").stdout)
    assert vectors[0].split("\t") == ["sample", *(f"e{i}" for i in range(16))]
    found = rows(genomix_fast("score", dna, "-m", tmp_path / "align").stdout)
    assert found[0].split("\t")[:2] == ["sequence", "rank"]
    assert len(vectors) == 121
    assert len(found) % 120 == 1


def test_a_control_track_is_named_as_the_page_says(genomix_fast, tmp_path):
    bases = write(tmp_path / "bases.h5", profiled(motifs(n=120), bias=1.0))
    asked = ("--task", "profile", "--set", "width=4", "--epochs", "1", "--threads", "1")
    run = tmp_path / "run"
    genomix_fast("train", bases, "-o", run, *asked, "--control-tracks", "INPUT")
    arch = json.loads((run / "config.json").read_text())["arch"]
    assert arch["controls"] == ["INPUT"]
    assert "INPUT" not in [output["name"] for output in arch["outputs"]]


def test_a_table_is_to_be_prepared_first(genomix_fast, tmp_path):
    table = tmp_path / "dna.tsv"
    table.write_text("id\tsequence\na\tACGT\n")
    refused = genomix_fast("train", table, "-o", tmp_path / "run", code=1).stderr
    assert "is not HDF5" in refused
    assert "genomix prepare variants, cohort or sequences" in refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--task", "dance"), "--task: unknown"),
        (("--label", "colour"), "no phenotype 'colour'"),
        (("--hold-out", "some"), "unknown way to hold out"),
        (("--few-shot", "0,five"), "not counts"),
        (("--set", "widht=3"), "widht"),
        (("--task", "contrast", "--set", "length=9"), "--set: length cannot be set"),
        (("--task", "diffuse", "--set", "length=9"), "--set: length cannot be set"),
        (("--preset", "huge"), "huge"),
        (("--modalities", "a"), "--modalities is for cohorts"),
        (("--task", "contrast", "--preset", "loci"), "aligned"),
        (("--baselines", "oracle"), "oracle"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(genomix_fast, dna, tmp_path, arguments, said):
    done = genomix_fast("train", dna, "-o", tmp_path / "run", *arguments, code=None)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_class_of_one_is_refused_by_name(genomix_fast, tmp_path):
    whole = genotypes(n=60)
    label = whole.phenotypes[0]
    label.values[label.values == 2] = 1
    label.values[0] = 2
    data = write(tmp_path / "one.h5", whole)
    done = genomix_fast("train", data, "-o", tmp_path / "run", code=1)
    assert "too few groups of sequences of class" in done.stderr


def test_ctrl_c_while_it_learns_is_said(dna, tmp_path):
    shape = [each.replace("epochs=1", "epochs=2000") for each in SHAPE]
    arguments = ["train", dna, "-o", tmp_path / "run", *shape]
    process = subprocess.Popen(
        [sys.executable, "-m", "genomix_cli", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        # A shell in the background has its children ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    said = next(line for line in process.stderr if "epoch 1," in line)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(60) == 130
    assert said
    assert rest.strip().splitlines()[-1] == "genomix: error: interrupted"
    assert not (tmp_path / "run" / "config.json").exists()
