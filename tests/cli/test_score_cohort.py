"""``genomix score`` of a cohort, end to end."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest

from genomix_cli.cohorts.dataset import aligned, read_samples
from genomix_cli.cohorts.runs import load_run, save_run
from genomix_cli.formats.cohort import open_cohort
from tests import cohort_runs
from tests.cohort_files import modality, write_cohort
from tests.conftest import Ended, clean_environment
from tests.linear_model import registered

pytest.importorskip("lightning")

Here = Callable[..., Ended]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cohort_runs.planted(tmp_path_factory.mktemp("cohort") / "cohort.h5mu")


@pytest.fixture(scope="module")
def run(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "mlp"
    return cohort_runs.train(cohort, folder, "mlp", epochs=3, width=8, layers=1, batch_size=32)


@pytest.fixture(scope="module")
def scores(cohort: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """By a process of its own."""
    from tests.conftest import run_genomix

    out = tmp_path_factory.mktemp("scores") / "scores.tsv"
    run_genomix("score", cohort, "-m", run, "-o", out, "--device", "cpu")
    return read(out)


@pytest.fixture
def linear() -> Iterator[None]:
    with registered():
        yield


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", comment="#", keep_default_na=False, na_values={"p:A": [""]})


def changed(cohort: Path, path: Path, change: Callable[[Any], dict[str, Any]]) -> Path:
    """The cohort with other modalities."""
    with mudata.set_options(pull_on_update=False):
        data = mudata.read_h5mu(cohort)
    obs = {"sample": list(data.obs_names), "label": list(data.obs["label"])}
    return write_cohort(path, change(data), obs)


def test_a_row_per_sample_in_order(scores: pd.DataFrame, cohort: Path, run: Path) -> None:
    classes = [f"p:{name}" for name in cohort_runs.CLASSES]
    after = ["set", "abstain", "missing", "calibrated"]
    assert list(scores) == ["sample", "predicted", *classes, *after]
    assert list(scores["sample"]) == [f"S{i:03d}" for i in range(120)]
    with open_cohort(cohort) as opened:
        samples = read_samples(opened)
    known = scores["sample"] != cohort_runs.WITHOUT_ANY
    p = scores.loc[known, classes].astype(float).to_numpy()
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
    loaded = load_run(run)
    expected, sets, _ = loaded.predict(aligned(samples, loaded.config.modalities, cohort))
    np.testing.assert_allclose(p, expected[known], rtol=1e-5, atol=1e-9)
    names = np.array(cohort_runs.CLASSES)
    assert list(scores.loc[known, "predicted"]) == list(names[expected[known].argmax(1)])
    sets = sets[known]
    assert list(scores.loc[known, "set"]) == [",".join(names[row]) for row in sets]
    assert list(scores.loc[known, "abstain"]) == list((sets.sum(1) != 1).astype(int))


def test_what_is_missing_is_said(scores: pd.DataFrame) -> None:
    by_name = scores.set_index("sample")["missing"]
    assert by_name["S000"] == "calls"
    assert by_name["S001"] == ""
    row = scores.set_index("sample").loc[cohort_runs.WITHOUT_ANY]
    assert row["missing"] == "expression,calls"
    assert (row["predicted"], row["set"], row["p:C"], row["abstain"]) == ("", "", "", 1)


def test_samples_that_the_calibration_does_not_hold_for_are_marked(scores: pd.DataFrame) -> None:
    """Two or three samples per class without calls are too few for a set at 80 %."""
    lacking = scores[scores["missing"] == "calls"]
    assert len(lacking) == 24
    assert set(lacking["set"]) == {",".join(cohort_runs.CLASSES)}
    assert list(scores["calibrated"]) == [int(there == "") for there in scores["missing"]]


def test_the_summary_counts(cohort: Path, linear: None, genomix_here: Here, tmp_path: Path) -> None:
    straight = cohort_runs.train(cohort, tmp_path / "run")
    stats = tmp_path / "stats.json"
    done = genomix_here("score", cohort, "-m", straight, "--stats", stats, "--device", "cpu")
    assert done.code == 0, done.err
    said = json.loads(stats.read_text())
    assert "samples: 120 (straight on cpu)" in done.err
    assert f"predicted A: {said['predicted']['A']}" in done.err
    assert sum(said["predicted"].values()) == said["scored"] == 119
    assert f"abstained: {said['abstained']} (no single class in the 80% prediction set)" in done.err
    assert "without calls: 25" in done.err
    assert "not calibrated: 24 (no calibration for their modalities)" in done.err
    assert "nothing that the model knows was measured of 1 sample (S007); not scored" in done.err
    assert set(said["provenance"]["inputs"]) == {"cohort cohort.h5mu"}
    assert said["provenance"]["model"].startswith("run sha256:")
    quiet = genomix_here("score", cohort, "-m", straight, "-q", "--device", "cpu")
    assert quiet.out == done.out
    unknown, uncalibrated, unmeasured = quiet.err.splitlines()
    assert "no calibration for the modalities measured of 24 of 119 samples" in uncalibrated
    assert said["uncalibrated"] == 24
    assert "the model does not say which samples it has seen" in unknown
    assert "nothing that the model knows was measured" in unmeasured


def test_a_run_that_does_not_say_what_its_samples_had_is_read(
    cohort: Path, run: Path, scores: pd.DataFrame, genomix_here: Here, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    del config["config_sha256"]
    del (first := config.pop("calibrations")[0])["measured"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config | first))
    out = tmp_path / "s.tsv"
    assert genomix_here("score", cohort, "-m", tmp_path / "run", "-o", out).code == 0
    found = read(out)
    assert found["calibrated"].sum() == 119
    pd.testing.assert_frame_equal(found.filter(like="p:"), scores.filter(like="p:"))


def test_formats_hold_the_same(
    cohort: Path, run: Path, scores: pd.DataFrame, genomix_here: Here, tmp_path: Path
) -> None:
    for name in ("s.tsv.gz", "s.parquet"):
        done = genomix_here("score", cohort, "-m", run, "-o", tmp_path / name, "--device", "cpu")
        assert (done.code, done.out) == (0, "")
    table = pd.read_parquet(tmp_path / "s.parquet")
    assert table["p:C"].dtype == float
    pd.testing.assert_frame_equal(
        table.dropna().reset_index(drop=True),
        scores[scores["predicted"] != ""]
        .astype({"p:B, late": float, "p:C": float})
        .reset_index(drop=True),
        check_dtype=False,
    )
    again = read(tmp_path / "s.tsv.gz")
    pd.testing.assert_frame_equal(again, scores)
    with gzip.open(tmp_path / "s.tsv.gz", "rt") as lines:
        first = next(line for line in lines if not line.startswith("##"))
    assert first.startswith("sample\tpredicted\tp:A\t")
    # As with variants, an output is replaced.
    assert genomix_here("score", cohort, "-m", run, "-o", tmp_path / "s.parquet").code == 0


def test_features_in_another_order_give_the_same_scores(
    cohort: Path, run: Path, scores: pd.DataFrame, genomix_here: Here, tmp_path: Path
) -> None:
    def shuffle(data: Any) -> dict[str, Any]:
        extra = anndata.AnnData(np.zeros((120, 1), np.float32), data.obs[[]].copy())
        extra.var_names = ["novel"]
        found = anndata.concat([data["expression"][:, ::-1], extra], axis=1)
        found.uns["genomix"] = {"kind": "expression"}
        other = modality(np.ones((120, 2)), "chromatin", list(data.obs_names))
        return {
            "peaks": other,
            "calls": data["calls"][:, [3, 1, 4, 0, 2]].copy(),
            "expression": found,
        }

    path = changed(cohort, tmp_path / "other.h5mu", shuffle)
    out = tmp_path / "scores.tsv"
    done = genomix_here("score", path, "-m", run, "-o", out, "--device", "cpu")
    assert done.code == 0, done.err
    pd.testing.assert_frame_equal(read(out), scores)
    assert "ignoring peaks, which the model does not know" in done.err
    assert "[expression]: ignoring 1 features that the model does not use" in done.err


def test_what_a_cohort_lacks_is_missing(
    cohort: Path, run: Path, genomix_here: Here, tmp_path: Path
) -> None:
    def cut(data: Any) -> dict[str, Any]:
        return {"expression": data["expression"][:, 1:].copy()}

    path = changed(cohort, tmp_path / "other.h5mu", cut)
    done = genomix_here("score", path, "-m", run, "-o", tmp_path / "s.tsv", "--device", "cpu")
    assert done.code == 0
    assert "has no calls: the model treats it as missing" in done.err
    assert "[expression] lacks 1 of 8 features; treated as missing" in done.err
    assert read(tmp_path / "s.tsv")["missing"].str.contains("calls").all()


def test_a_modality_of_another_kind_is_refused(
    cohort: Path, run: Path, genomix_here: Here, tmp_path: Path
) -> None:
    def rename(data: Any) -> dict[str, Any]:
        data["expression"].uns["genomix"] = {"kind": "chromatin"}
        return {"expression": data["expression"]}

    path = changed(cohort, tmp_path / "other.h5mu", rename)
    done = genomix_here("score", path, "-m", run, "-o", tmp_path / "s.tsv", "--device", "cpu")
    assert done.code == 1
    assert (
        "the modality is of another kind than in training (expected expression, found chromatin)"
        in done.err
    )
    assert not (tmp_path / "s.tsv").exists()


def test_values_of_another_scale_are_told(
    cohort: Path, run: Path, genomix_here: Here, tmp_path: Path
) -> None:
    def half(data: Any) -> dict[str, Any]:
        data["expression"].X = data["expression"].X * np.float32(0.4)
        return {name: data[name].copy() for name in ("expression", "calls")}

    path = changed(cohort, tmp_path / "half.h5mu", half)
    done = genomix_here("score", path, "-m", run, "-o", tmp_path / "s.tsv", "--device", "cpu")
    assert done.code == 0, done.err
    told = "the values of expression are unlike those of the training samples"
    assert told in done.err
    assert "the values of calls are unlike" not in done.err
    assert told in (tmp_path / "s.tsv").read_text()
    explain = ("-o", tmp_path / "why.tsv", "--device", "cpu", "--allow-incomplete")
    assert told in genomix_here("explain", path, "-m", run, *explain).err
    same = genomix_here("score", cohort, "-m", run, "-o", tmp_path / "same.tsv", "--device", "cpu")
    assert "unlike" not in same.err


def test_a_run_that_did_not_keep_the_scale_is_read(
    cohort: Path, linear: None, genomix_here: Here, tmp_path: Path
) -> None:
    loaded = load_run(cohort_runs.train(cohort, tmp_path / "run"))
    (tmp_path / "older").mkdir()
    save_run(tmp_path / "older", loaded.model, loaded.config)
    assert load_run(tmp_path / "older").training is None
    assert genomix_here("score", cohort, "-m", tmp_path / "older").code == 0


def test_standard_output_ends_quietly_when_its_reader_goes(cohort: Path, run: Path) -> None:
    command = [sys.executable, "-m", "genomix_cli", "score", str(cohort), "-m", str(run), "-q"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment()
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    messages = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(60) == 141
    assert "Traceback" not in messages


def damage(run: Path, how: str) -> None:
    weights = run / "model.safetensors"
    config = json.loads((run / "config.json").read_text())
    del config["config_sha256"]
    if how == "weights gone":
        weights.unlink()
    elif how == "weights cut":
        weights.write_bytes(weights.read_bytes()[:100])
    elif how == "other width":
        config["arch"]["width"] = 9
    elif how == "newer":
        config["format_version"] = 99
    elif how == "of variants":
        config["domain"] = "variants"
    elif how == "key gone":
        del config["calibrations"]
    (run / "config.json").write_text("{" if how == "no JSON" else json.dumps(config))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("weights gone", "the weights are missing"),
        ("weights cut", "the weights do not belong to config.json"),
        ("other width", "the weights do not fit the configuration"),
        ("newer", "written by a newer genomix"),
        ("of variants", "is a model of variants (expected a model of cohorts)"),
        ("key gone", "is damaged"),
        ("no JSON", "cannot be read"),
    ],
)
def test_a_damaged_run_is_one_line(
    cohort: Path, run: Path, genomix_here: Here, tmp_path: Path, how: str, said: str
) -> None:
    broken = tmp_path / "run"
    shutil.copytree(run, broken)
    damage(broken, how)
    done = genomix_here("score", cohort, "-m", broken, "-o", tmp_path / "s.tsv")
    assert done.code == 1
    assert said in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-m", "nowhere"], 2, "no such model"),
        (["-m", "RUN", "--device", "tpu"], 2, "unknown device"),
        (["-m", "RUN", "-o", "s.vcf"], 2, "does not have the extension of a table"),
        (["-m", "RUN", "-o", "no/s.tsv"], 2, "no such folder"),
        (["-m", "RUN", "--fasta", "x.fa"], 2, "--fasta is for variants, and"),
    ],
)
def test_mistakes_are_one_line(
    cohort: Path, run: Path, genomix_here: Here, arguments: list[str], code: int, said: str
) -> None:
    done = genomix_here("score", cohort, *[run if a == "RUN" else a for a in arguments])
    assert done.code == code
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert done.out == ""


def test_what_is_no_cohort(run: Path, genomix_here: Here, tmp_path: Path) -> None:
    absent = genomix_here("score", tmp_path / "absent.h5mu", "-m", run)
    assert "absent.h5mu: no such file" in absent.err
    cut = tmp_path / "cut.h5mu"
    cut.write_bytes(b"MuData (format-version=0.1.0)" + bytes(1000))
    assert "is not HDF5" in genomix_here("score", cut, "-m", run).err


def test_a_model_is_needed(cohort: Path, genomix_here: Here) -> None:
    done = genomix_here("score", cohort)
    assert done.code == 2
    assert "--model is missing" in done.err


def test_commands_of_variants_name_a_model_of_cohorts(
    run: Path, tiny_genome: Path, genomix_here: Here
) -> None:
    inputs = [tiny_genome / "variants.vcf.gz", "--fasta", tiny_genome / "genome.fa.gz", "-m", run]
    for words in (["score"], ["explain", "-o", "x.tsv"]):
        done = genomix_here(*words, *inputs)
        assert done.code == 1
        assert "is a model of cohorts (expected a model of variants)" in done.err


def test_inspect_says_what_a_run_is(run: Path, genomix_here: Here) -> None:
    done = genomix_here("inspect", run)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].endswith("mlp: model of cohorts")
    assert any(line.split() == ["expression", "expression", "8"] for line in lines)
    assert any(line.split()[:4] == ["expression", "+", "calls", "1.5000"] for line in lines)
    assert any("cover 80.0% of each class (split)" in line for line in lines)


def test_inspect_says_how_good_a_run_was(run: Path, genomix_here: Here, tmp_path: Path) -> None:
    judged = tmp_path / "run"
    shutil.copytree(run, judged)
    interval = {"value": 0.75, "low": 0.5, "high": 1.0}
    outcomes = [
        {"name": name, "metrics": {"accuracy": {"interval": interval}, "odd": {}}}
        for name in ("mlp", "logistic")
    ]
    metrics = {"headline": "they do not differ", "warnings": [], "outcomes": outcomes}
    (judged / "metrics.json").write_text(json.dumps(metrics))
    lines = genomix_here("inspect", judged).out.splitlines()
    assert "  result            they do not differ" in lines
    assert [line.split() for line in lines[-3:]] == [
        ["model", "accuracy"],
        ["mlp", "0.7500"],
        ["logistic", "0.7500"],
    ]
