"""``genomix train`` of a cohort: from the file to the report, resumed, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import pytest

from genomix_cli.cohorts.dataset import read_samples
from genomix_cli.cohorts.runs import load_run
from genomix_cli.formats.cohort import open_cohort
from genomix_cli.report.outputs import stored_results
from tests.cohort_files import modality, write_cohort
from tests.cohort_runs import planted
from tests.conftest import Ended, Fast, Genomix

Here = Callable[..., Ended]

QUICK = ["--trials", "2", "--folds", "3", "--threads", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted(tmp_path_factory.mktemp("cohort") / "c.h5mu", n=90)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory, genomix: Genomix) -> Path:
    path = tmp_path_factory.mktemp("simulated") / "s.h5mu"
    genomix("simulate", "cohort", path, "--preset", "stillwell", "-n", 300, "--seed", 1, "-q")
    return path


@pytest.fixture(scope="module")
def run(cohort: Path, tmp_path_factory: pytest.TempPathFactory, genomix: Genomix) -> Path:
    folder = tmp_path_factory.mktemp("run") / "lda"
    genomix("train", cohort, "-o", folder, "--model", "lda", "--baselines", "logistic", *QUICK)
    return folder


def test_a_run_folder_is_whole(run: Path, cohort: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert [row["name"] for row in metrics["outcomes"]] == ["lda", "logistic", "majority"]
    accuracy = metrics["outcomes"][0]["metrics"]["accuracy"]["interval"]
    assert 0.6 < accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert metrics["outcomes"][0]["shuffled"]["accuracy"]["low"] < 0.4
    assert metrics["headline"]
    page = (run / "report.html").read_text()
    assert metrics["headline"].split(":")[0] in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert (run / "README.md").read_text().startswith("# ")
    assert json.loads((run / "genomix_mqc.json").read_text())["plot_type"] == "table"
    assert not (run / "parts").exists()


def test_the_table_is_the_metrics_of_the_predictions(run: Path, cohort: Path) -> None:
    predictions = pd.read_parquet(run / "predictions.parquet")
    assert list(predictions["model"].unique()) == ["lda", "logistic", "majority"]
    own = predictions[predictions["model"] == "lda"]
    assert len(own) == 90
    assert own["sample"].is_unique
    assert sorted(own["fold"].unique()) == ["1", "2", "3"]
    metrics = json.loads((run / "metrics.json").read_text())["outcomes"][0]["metrics"]
    right = (own["predicted"] == own["label"]).mean()
    assert metrics["accuracy"]["interval"]["value"] == pytest.approx(right)
    p = own.filter(like="p:").to_numpy()
    np.testing.assert_allclose(p.sum(1), 1)
    with open_cohort(cohort) as opened:
        label = dict(zip(opened.obs.index, opened.obs["label"].astype(str), strict=True))
    assert all(label[row.sample] == row.label for row in own.itertuples())


def test_a_repeat_is_the_run_with_the_next_seed(cohort: Path, tmp_path: Path, here: Here) -> None:
    """Repeats predict as separate runs would, and their metrics are averaged."""
    quick = ("--model", "lda", "--baselines", "logistic", "--trials", 1, "--folds", 3)
    quick = (*quick, "--threads", 1, "--device", "cpu", "--inner-folds", 2)
    both = tmp_path / "both"
    ended = here("train", cohort, "-o", both, *quick, "--repeats", 2)
    assert ended.code == 0, ended.err
    table = pd.read_parquet(both / "predictions.parquet")
    assert list(table["seed"].unique()) == [0, 1]
    assert table["fold"].nunique() == 6
    metrics = json.loads((both / "metrics.json").read_text())
    values = []
    for seed in (0, 1):
        alone = tmp_path / str(seed)
        assert here("train", cohort, "-o", alone, *quick, "--seed", seed).code == 0
        own = pd.read_parquet(alone / "predictions.parquet").query("model != 'majority'")
        its = table[(table["seed"] == seed) & (table["model"] != "majority")]
        assert list(its["fold"]) == [f"{seed + 1}.{name}" for name in own["fold"]]
        drop = ["fold", "seed", "set"]
        pd.testing.assert_frame_equal(
            its.drop(columns=drop).reset_index(drop=True), own.drop(columns=drop)
        )
        found = json.loads((alone / "metrics.json").read_text())["outcomes"][0]["metrics"]
        values.append(found["auroc"]["interval"]["value"])
    assert metrics["repeats"] == 2
    auroc = metrics["outcomes"][0]["metrics"]["auroc"]
    assert auroc["interval"]["value"] == pytest.approx(np.mean(values))
    assert auroc["seed_sd"] == pytest.approx(np.std(values, ddof=1))
    page = (both / "report.html").read_text()
    assert "Over repeated folds" in page
    assert "means over 2 repeats" in page
    assert "means over repeats" in (both / "README.md").read_text()
    refused = here("train", cohort, "-o", tmp_path / "x", *quick, "--repeats", 2, "--seeds", 2)
    assert refused.code == 2
    assert "--seeds: each repeat already has its own seed" in refused.err


def test_the_model_that_is_kept_scores(run: Path, cohort: Path) -> None:
    loaded = load_run(run)
    assert sum(loaded.config.counts) == 90
    with open_cohort(cohort) as opened:
        samples = read_samples(opened)
    right = (loaded.predict(samples).probability.argmax(1) == samples.label).mean()
    assert right > 0.8
    assert loaded.training is not None
    for kept, learned in zip(loaded.training.scales, samples.modalities, strict=True):
        mean = np.nanmean(samples.values[learned.name], axis=0)
        np.testing.assert_allclose(kept.mean, mean[kept.columns], rtol=1e-5)


def test_samples_that_it_learned_from_are_marked_and_refused(
    run: Path, cohort: Path, tmp_path: Path, here: Here
) -> None:
    scores = tmp_path / "s.tsv"
    scored = here("score", cohort, "-m", run, "-o", scores)
    assert "89 of 90 samples were seen in training" in scored.err
    table = pd.read_csv(scores, sep="\t", comment="#").set_index("sample")
    assert table["seen"].drop("S007").eq("train").all()  # of S007 nothing was measured
    judge = ("evaluate", scores, "--data", cohort, "--bootstrap", 0)
    refused = here(*judge, "-o", tmp_path / "m.tsv")
    assert refused.code == 3
    assert "this would be training accuracy" in refused.err
    assert not (tmp_path / "m.tsv").exists()
    included = here(*judge, "--seen", "include", "-o", tmp_path / "m.tsv")
    assert included.out.startswith("training accuracy: the model learned from 89 of the 89 samples")
    assert "##genomixWarning=training accuracy" in (tmp_path / "m.tsv").read_text()
    assert here("evaluate", run, "--data", cohort, "--bootstrap", 0).code == 0


def test_samples_that_it_learned_from_are_found_under_other_names(
    run: Path, cohort: Path, tmp_path: Path, here: Here
) -> None:
    with mudata.set_options(pull_on_update=False):
        data = mudata.read_h5mu(cohort)
    others = {
        name: modality(omic.X, omic.uns["genomix"]["kind"], [f"T{x}" for x in omic.obs_names])
        for name, omic in data.mod.items()
    }
    obs = {"sample": [f"T{x}" for x in data.obs_names], "label": list(data.obs["label"])}
    renamed = write_cohort(tmp_path / "renamed.h5mu", others, obs)
    assert "89 of 90 samples were seen in training" in here("score", renamed, "-m", run).err
    new = planted(tmp_path / "new.h5mu", n=90, seed=5)
    said = here("score", new, "-m", run, "-o", tmp_path / "s.tsv").err
    assert "samples have the name of one seen in training, and other values" in said
    assert "were seen in training" not in said


def test_a_share_held_out_stays_unseen_and_is_evaluated_alone(
    cohort: Path, tmp_path: Path, here: Here
) -> None:
    run, scores = tmp_path / "run", tmp_path / "s.tsv"
    plain = ["--model", "lda", "--baselines", "none", "--no-control", "--trials", 1]
    ended = here("train", cohort, "-o", run, "--hold-out", "0.3", *plain, "--device", "cpu")
    assert ended.code == 0, ended.err
    held_out = set(pd.read_parquet(run / "predictions.parquet")["sample"])
    assert len(held_out) == 27
    assert here("score", cohort, "-m", run, "-o", scores).code == 0
    table = pd.read_csv(scores, sep="\t", comment="#")
    assert set(table[table["seen"].isna()]["sample"]) == held_out | {"S007"}
    judge = ("evaluate", scores, "--data", cohort, "--bootstrap", 0)
    assert here(*judge).code == 3
    judged = here(*judge, "--seen", "leave-out")
    assert judged.code == 0, judged.err
    assert " seen in training)" in judged.out
    assert "were seen in training and are left out" in judged.err


def test_the_same_command_gives_the_same_bytes(
    run: Path, cohort: Path, tmp_path: Path, genomix_fast: Fast
) -> None:
    again = tmp_path / "lda"
    genomix_fast("train", cohort, "-o", again, "--model", "lda", "--baselines", "logistic", *QUICK)
    for name in ("model.safetensors", "metrics.json", "predictions.parquet"):
        assert (again / name).read_bytes() == (run / name).read_bytes(), name


def test_an_interrupted_run_goes_on(run: Path, cohort: Path, tmp_path: Path, here: Here) -> None:
    from genomix_cli.comparison import contest

    folder, kept = tmp_path / "lda", []
    save = contest.save_result

    def save_two(path: Path, result: object) -> None:
        if len(kept) == 2:
            raise KeyboardInterrupt
        kept.append(path)
        save(path, result)  # type: ignore[arg-type]

    arguments = ["train", cohort, "-o", folder, "--model", "lda", "--baselines", "logistic", *QUICK]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contest, "save_result", save_two)
        assert here(*arguments).code == 130
    assert sorted(path.name for path in (folder / "parts").iterdir()) == ["00-00.npz", "01-00.npz"]
    assert here(*arguments).code == 2
    assert "other settings" in here(*arguments, "--resume", "--level", "0.8").err
    ended = here(*arguments, "--resume")
    assert ended.code == 0
    assert ended.err.count(", fold ") == 4
    for name in ("model.safetensors", "metrics.json", "predictions.parquet"):
        assert (folder / name).read_bytes() == (run / name).read_bytes(), name


def test_a_finished_run_is_left_as_it_is(run: Path, cohort: Path, here: Here) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    arguments = ["train", cohort, "-o", run, "--model", "lda", "--baselines", "logistic", *QUICK]
    ended = here(*arguments, "--resume")
    assert ended.code == 0, ended.err
    assert "lda is a finished run: nothing is left to train" in ended.err
    assert [line.split("\t")[0] for line in ended.out.splitlines()] == [
        *("model", "lda", "logistic", "majority")
    ]
    assert json.loads((run / "metrics.json").read_text())["headline"] in ended.err
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_results_are_read_back_as_they_were_written(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    again = stored_results(run).to_dict()
    for row in again["outcomes"]:
        assert row.pop("seconds") is None
    assert again == metrics


@pytest.fixture
def here(genomix_here: Here) -> Here:
    """The command line in this process."""
    return genomix_here


def test_a_held_out_split_stays_unseen_by_the_model_that_is_kept(
    cohort: Path, tmp_path: Path, here: Here
) -> None:
    split = tmp_path / "split.tsv"
    rows = [f"S{i:03d}\t{'test' if i >= 60 else 'train'}" for i in range(90)]
    split.write_text("\n".join(["sample\tsplit", *rows]) + "\n")
    folder = tmp_path / "run"
    ended = here(
        *["train", cohort, "-o", folder, "--model", "logistic", "--baselines", "none"],
        *["--hold-out", split, "--calibration", "split", "--seeds", "2", *QUICK],
    )
    assert ended.code == 0, ended.err
    assert sum(load_run(folder).config.counts) == 60
    predictions = pd.read_parquet(folder / "predictions.parquet")
    assert set(predictions["sample"]) == {f"S{i:03d}" for i in range(60, 90)}
    assert list(predictions["seed"].unique()) == [0, 1]


def test_variations_are_rows_and_the_kept_one_is_chosen_inside(
    simulated: Path, tmp_path: Path, here: Here
) -> None:
    folder = tmp_path / "run"
    ended = here(
        *["train", simulated, "-o", folder, "--model", "logistic", "--baselines", "none"],
        *["--vary", "c=1e-9,0.1", "--vary", "modalities=chromatin,methylation+chromatin"],
        *["--no-control", *QUICK],
    )
    assert ended.code == 0, ended.err
    lines = [line.split("\t") for line in ended.out.splitlines()]
    assert [line[0] for line in lines] == [
        "model",
        "logistic c=1e-09 chromatin",
        "logistic c=0.1 chromatin",
        "logistic c=1e-09 methylation+chromatin",
        "logistic c=0.1 methylation+chromatin",
        "majority",
    ]
    kept = load_run(folder).config
    assert kept.arch["c"] == 0.1
    assert [m.name for m in kept.modalities] == ["methylation", "chromatin"]
    metrics = json.loads((folder / "metrics.json").read_text())
    own = metrics["outcomes"][:4]
    ceilings = [row["ceiling"]["accuracy"]["value"] for row in own]
    assert ceilings[0] == ceilings[1] < ceilings[2] == ceilings[3]
    assert not any(row["ceiling"]["leak"] for row in own)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight sites that leave their mark on what they measure, and differ in their share of cases.

    Nothing else tells a case.
    """
    rng = np.random.default_rng(1)
    rows, site = [f"S{i:03d}" for i in range(160)], np.arange(160) % 8
    case = rng.random(160) < np.linspace(0.03, 0.97, 8)[site]
    values = rng.normal(0, 1, (160, 20)) + rng.normal(0, 1.5, (8, 20))[site]
    obs = {"sample": rows, "label": np.where(case, "case", "control").tolist()}
    obs["batch"] = [f"site {s}" for s in site]
    path = tmp_path_factory.mktemp("sites") / "sites.h5mu"
    return write_cohort(path, {"rna": modality(values, "expression", rows)}, obs)


PLAIN = ["--model", "lda", "--baselines", "logistic", "--trials", 1, "--no-control"]


def test_classes_that_follow_batches_are_judged_on_whole_batches_too(
    sites: Path, tmp_path: Path, here: Here
) -> None:
    folder = tmp_path / "run"
    ended = here("train", sites, "-o", folder, *PLAIN)
    assert ended.code == 0, ended.err
    assert (
        "classes follow batches, so random folds may measure how well the batch is recognised"
        in ended.err
    )
    metrics = json.loads((folder / "metrics.json").read_text())
    check = metrics["batches"]
    assert check["v"] > 0.5
    inside, outside = (
        {row["name"]: row["metrics"]["accuracy"]["interval"] for row in rows["outcomes"]}
        for rows in (metrics, check["results"])
    )
    assert inside["lda"]["low"] > 0.55 > 0.5 > outside["lda"]["value"]
    assert metrics["headline"].startswith("Classes follow batches (Cramer's V")
    for value in (inside["lda"]["value"], outside["lda"]["value"]):
        assert f"{value:.3f}" in metrics["headline"]
    assert (check["results"]["units"], check["results"]["unit_name"]) == (8, "batches")
    page = (folder / "report.html").read_text()
    assert "Whole batches held out" in page
    predictions = pd.read_parquet(folder / "predictions_batches.parquet")
    own = predictions[predictions["model"] == "lda"]
    right = (own["predicted"] == own["label"]).mean()
    assert right == pytest.approx(outside["lda"]["value"])
    site = own["sample"].str.slice(1).astype(int) % 8
    assert (own.groupby(site)["fold"].nunique() == 1).all()


def test_the_bootstrap_draws_batches_where_those_are_held_out(
    sites: Path, tmp_path: Path, here: Here
) -> None:
    folder = tmp_path / "run"
    ended = here("train", sites, "-o", folder, *PLAIN, "--hold-out", "batch")
    assert ended.code == 0, ended.err
    assert "only 8 batches to draw: the intervals are rough" in ended.err
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["units"], metrics["batches"]) == (8, None)
    compared = [row["against_best"] for row in metrics["outcomes"]]
    assert all(each["verdict"] != "better" for each in compared if each)
    assert "always predicting the most frequent class" in metrics["headline"]


def test_the_check_of_batches_can_be_left_out_but_not_the_warning(
    sites: Path, tmp_path: Path, here: Here
) -> None:
    folder = tmp_path / "run"
    ended = here("train", sites, "-o", folder, *PLAIN, "--no-batch-check")
    assert ended.code == 0, ended.err
    assert "whole batches were not held out (--no-batch-check)" in ended.err
    assert not (folder / "predictions_batches.parquet").exists()


def test_a_network_has_curves_attention_and_drivers(
    simulated: Path, tmp_path: Path, here: Here
) -> None:
    pytest.importorskip("lightning")
    folder = tmp_path / "run"
    ended = here(
        *["train", simulated, "-o", folder, "--baselines", "none", "--trials", "1", "--folds", "2"],
        *["--inner-folds", "2", "--set", "epochs=2", "--set", "steps=0", "--threads", "1"],
        "--no-control",
    )
    assert ended.code == 0, ended.err
    page = (folder / "report.html").read_text()
    assert "does not measure importance" in page
    assert "AUPRC" in page
    outcome = json.loads((folder / "metrics.json").read_text())["outcomes"][0]
    assert outcome["parameters"] > 1000


@pytest.mark.slow
def test_processes_that_share_batches_write_once(
    simulated: Path, tmp_path: Path, genomix: Genomix
) -> None:
    pytest.importorskip("lightning")
    folder = tmp_path / "run"
    ended = genomix(
        *["train", simulated, "-o", folder, "--model", "mlp", "--baselines", "none", "--seed", "3"],
        *["--trials", "1", "--folds", "2", "--inner-folds", "2", "--set", "epochs=2"],
        *["--no-control", "--devices", "2", "--device", "cpu"],
    )
    assert ended.stdout.count("mlp") == 1
    assert ended.stderr.count("to keep: all 300 items") == 1
    assert len(pd.read_parquet(folder / "predictions.parquet")) == 300


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--model", "logistics"], 2, "unknown cohort model 'logistics'"),
        (["--preset", "huge"], 2, "omics-transformer has no preset 'huge'"),
        (["--set", "focal=-1"], 2, "'focal' is -1"),
        (["--set", "focall=1"], 2, "unknown key 'focall'"),
        (["--set", "fusion=sum"], 2, "'fusion' is 'sum', not 'gate' or 'average' or 'stacking'"),
        (["--set", "fusion"], 2, "expected NAME=VALUE"),
        (["--vary", "focall=1,2"], 2, "unknown key 'focall'"),
        (["--vary", "top_k"], 2, "expected NAME=A,B"),
        (["--baselines", "forest"], 2, "unknown cohort model 'forest'"),
        (["--modalities", "expression,cnv"], 2, "has no modality cnv"),
        (["--vary", "modalities=cnv"], 2, "has no modality cnv"),
        (["--hold-out", "batch"], 2, "no batches to hold out"),
        (["--hold-out", "nowhere.tsv"], 2, "nowhere.tsv: no such file"),
        (["--folds", "60"], 2, "too many folds"),
        (["--calibration", "none"], 2, "expected cross or split"),
        (["--valid-contigs", "chr2"], 2, "is for variants"),
        (["--resume"], 2, "no run to resume"),
        (["--device", "cuda:7"], 2, "no such GPU"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], code: int, message: str, cohort: Path, tmp_path: Path, here: Here
) -> None:
    ended = here("train", cohort, "-o", tmp_path / "run", *arguments)
    assert ended.code == code, ended.err
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([None] * 12, "has no labels"),
        (["a"] * 12, "needs at least two classes"),
        (["a"] * 11 + ["b"], "too few patients of class b (1)"),
    ],
)
def test_a_cohort_that_teaches_nothing_is_refused(
    labels: list[str | None], message: str, tmp_path: Path, here: Here
) -> None:
    rows = [f"S{i}" for i in range(12)]
    values = modality(np.random.default_rng(0).normal(size=(12, 3)), "expression", rows)
    obs = {"sample": rows, "label": pd.Categorical(labels, categories=["a", "b"])}
    path = write_cohort(tmp_path / "c.h5mu", {"rna": values}, obs)  # type: ignore[arg-type]
    ended = here("train", path, "-o", tmp_path / "run", "--model", "logistic", "--folds", "2")
    assert ended.code == 1
    assert message in ended.err
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_not_written_to(run: Path, cohort: Path, here: Here) -> None:
    before = (run / "train.json").read_bytes()
    ended = here("train", cohort, "-o", run, "--model", "lda", *QUICK)
    assert ended.code == 2
    assert "is not empty" in ended.err
    assert (run / "train.json").read_bytes() == before
