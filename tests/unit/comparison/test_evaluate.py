"""Predictions against labels: the tables as they come, what they are judged by, what is refused."""

from __future__ import annotations

import csv
import gzip
import json
import logging
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from genomix_cli.cli.main import app
from genomix_cli.comparison.evaluate import evaluate_classes, write_json, write_tsv
from genomix_cli.comparison.metrics.multiclass import METRICS
from genomix_cli.comparison.predictions import read_predictions
from genomix_cli.comparison.requests import EvaluateRequest
from genomix_cli.errors import CheckError, DataError, GenomixError, UsageError
from genomix_cli.formats.cohort_writer import add_samples, add_truth
from genomix_cli.formats.sequences import Phenotype, Sequences, write_sequences
from genomix_cli.provenance import Provenance, facts_of
from genomix_cli.report.outputs import predictions
from tests.cohort_files import modality, write_cohort
from tests.cohort_study import softmax, study

CLASSES = ("LumA", "LumB", "Her2, enriched")
N = 120


def _truth() -> tuple[np.ndarray, np.ndarray]:
    """Labels, and the posterior of two modalities."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, N)
    return label, softmax(rng.normal(0, 1, (N, 3)) * np.sqrt(3) + 3 * np.eye(3)[label])


def _frame(p: np.ndarray, names=None, **columns) -> pd.DataFrame:
    rows = [f"S{i:03d}" for i in range(len(p))] if names is None else names
    sets = [",".join(np.array(CLASSES)[own]) for own in p > 0.2]
    data = {
        **{key: value for key, value in columns.items() if key in ("model", "seed")},
        "sample": rows,
        "predicted": np.array(CLASSES)[p.argmax(1)],
        **{f"p:{name}": p[:, k] for k, name in enumerate(CLASSES)},
        "set": sets,
        "abstain": ((p > 0.2).sum(1) != 1).astype(int),
    }
    return pd.DataFrame(data | columns)


def _predictions(seed: int = 1, noise: float = 0.5) -> np.ndarray:
    logits = np.log(_truth()[1])
    return softmax(logits + np.random.default_rng(seed).normal(0, noise, (N, 3)))


@pytest.fixture
def cohort(tmp_path) -> Path:
    """Classes in another order than the tables', two samples per patient, some without label."""
    label, posterior = _truth()
    rows = [f"S{i:03d}" for i in range(N)]
    names = [CLASSES[k] if i >= 10 else None for i, k in enumerate(label)]
    obs = {"sample": rows, "label": names, "patient": [f"P{i // 2}" for i in range(N)]}
    values = np.zeros((N, 2))
    modalities = {m: modality(values, "expression", rows) for m in ("a", "b")}
    path = write_cohort(tmp_path / "cohort.h5mu", modalities, obs)
    order = [CLASSES.index(name) for name in sorted(CLASSES)]
    with h5py.File(path, "r+") as file:
        add_samples(file, {"truth": np.zeros((N, 1)), "bayes:a+b": posterior[:, order]})
        add_truth(file, {"latents": ["class"]})
    return path


def _write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="\t", index=False)
    return path


def _evaluate(**fields):
    return evaluate_classes(EvaluateRequest(**({"draws": 100} | fields)))


@pytest.mark.parametrize("name", ["t.tsv", "t.tsv.gz", "t.parquet"])
def test_every_kind_of_table_gives_the_metrics_of_its_numbers(tmp_path, cohort, name):
    p = _predictions()
    found = _evaluate(scored=_write(_frame(p), tmp_path / name), data=cohort)
    label = _truth()[0][10:]
    assert found.counts == (N, 10, 0, 0, N - 10, 0, 0)
    assert found.units == (N - 10) // 2
    for metric in found.metrics:
        assert metric.score.value == pytest.approx(METRICS[metric.name](label, p[10:]))
        assert metric.ceiling.value == pytest.approx(
            METRICS[metric.name](label, _truth()[1][10:]), abs=1e-5
        )
    assert found.ceiling.modalities == ("a", "b")
    assert not found.ceiling.leak
    sets = p[10:] > 0.2
    assert found.sets.size == pytest.approx(sets.sum(1).mean())
    assert found.sets.coverage.value == pytest.approx(sets[np.arange(N - 10), label].mean())
    single = sets.sum(1) == 1
    assert found.sets.abstained == pytest.approx((~single).mean())
    assert found.sets.answered.value == pytest.approx((p[10:].argmax(1) == label)[single].mean())


def test_a_leak_is_reported(tmp_path, cohort):
    p = 0.6 * np.eye(3)[_truth()[0]] + 0.4 * _truth()[1]
    found = _evaluate(scored=_write(_frame(p), tmp_path / "t.tsv"), data=cohort)
    assert found.ceiling.leak


def test_the_ceiling_itself_in_six_digits_is_no_leak(tmp_path, cohort):
    posterior = np.array([[float(f"{v:.6g}") for v in row] for row in _truth()[1]])
    found = _evaluate(scored=_write(_frame(posterior), tmp_path / "t.tsv"), data=cohort)
    assert not found.ceiling.leak


def test_without_a_cohort_the_labels_are_the_tables(tmp_path):
    p, label = _predictions(), np.array(CLASSES)[_truth()[0]]
    found = _evaluate(scored=_write(_frame(p, label=label), tmp_path / "t.tsv"))
    assert found.counts.used == found.units == N
    assert found.ceiling is None
    value = next(m for m in found.metrics if m.name == "macro_f1").score.value
    assert value == pytest.approx(METRICS["macro_f1"](_truth()[0], p))


def test_a_run_draws_the_patients_that_it_records(tmp_path):
    several = study(n=120, mains=("mlp",), baselines=(), seeds=1, unit=np.arange(120) // 3)
    table = predictions(several, seed_column=False)
    assert table["unit"].nunique() == 36
    table.to_parquet(tmp_path / "predictions.parquet")
    (tmp_path / "metrics.json").write_text(json.dumps({"unit_name": "patients"}))
    found = _evaluate(scored=tmp_path)
    assert (found.counts.used, found.units, found.unit_name) == (108, 36, "patients")
    # Where each sample is a patient, no column is needed.
    assert "unit" not in predictions(study(n=120), seed_column=False)


def test_differences_are_paired_with_the_other_table(tmp_path, cohort):
    p, q = _predictions(1), _predictions(2, 2.0)
    order = np.random.default_rng(0).permutation(N)[:100]
    other = _frame(q[order], [f"S{i:03d}" for i in order])
    first = _write(_frame(p), tmp_path / "p.tsv")
    found = _evaluate(scored=first, data=cohort, versus=_write(other, tmp_path / "q.tsv"))
    both = np.isin(np.arange(N), order) & (np.arange(N) >= 10)
    assert found.counts.used == both.sum()
    assert found.counts.not_in_other == N - 10 - both.sum()
    label = _truth()[0][both]
    for m in found.metrics:
        expected = METRICS[m.name](label, p[both]) - METRICS[m.name](label, q[both])
        assert m.difference.value == pytest.approx(expected, abs=1e-9)
    nll = next(m for m in found.metrics if m.name == "nll")
    assert nll.difference.high < 0


def _several(path: Path) -> Path:
    label = np.array(CLASSES)[_truth()[0]]
    frames = [
        _frame(_predictions(i + 3 * s), model=f"m{i}", seed=s, label=label)
        for i in range(2)
        for s in range(2)
    ]
    return _write(pd.concat(frames), path)


def test_a_run_folder_holds_several_models_and_seeds(tmp_path, caplog):
    _several(tmp_path / "predictions.parquet")
    assert _evaluate(scored=tmp_path).model == "m0"
    with caplog.at_level(logging.INFO, logger="genomix"):
        found = _evaluate(scored=tmp_path, model="m1", versus_model="m0")
    assert (found.model, found.versus) == ("m1", "m0")
    accuracy = found.metrics[0]
    assert accuracy.score.value == METRICS["accuracy"](_truth()[0], _predictions(1))
    assert accuracy.other.value == METRICS["accuracy"](_truth()[0], _predictions(0))
    with pytest.raises(UsageError, match="no model m7"):
        _evaluate(scored=tmp_path, model="m7")


def test_the_ceiling_is_that_of_what_the_run_says_it_saw(tmp_path, cohort, caplog):
    _several(tmp_path / "predictions.parquet")
    outcomes = [{"name": "m0", "modalities": ["b"]}, {"name": "m1", "modalities": ["b", "a"]}]
    (tmp_path / "metrics.json").write_text(json.dumps({"outcomes": outcomes}))
    assert _evaluate(scored=tmp_path, data=cohort, model="m1").ceiling is not None
    logging.getLogger("genomix").propagate = True
    assert _evaluate(scored=tmp_path, data=cohort, model="m0").ceiling is None
    assert "no Bayes posterior given b" in caplog.text


def test_what_was_not_scored_is_counted(tmp_path, cohort):
    frame = _frame(_predictions()[:100]).astype(object)
    frame.loc[20:24, [c for c in frame if c != "sample"]] = ""
    found = _evaluate(scored=_write(frame, tmp_path / "t.tsv"), data=cohort)
    assert found.counts == (100, 10, 5, 0, 85, 20, 0)


def test_a_sample_called_na_is_a_sample(tmp_path):
    p = _predictions()[:3]
    label = [CLASSES[0], CLASSES[1], ""]
    path = _write(_frame(p, ["NA", "1.0", "nan"], label=label), tmp_path / "t.tsv")
    assert read_predictions(path).names.tolist() == ["NA", "1.0", "nan"]
    assert _evaluate(scored=path).counts.unlabelled == 1


BROKEN = {
    "once": (lambda f: pd.concat([f, f[:2]]), "S000 is repeated.*2 such"),
    "strange": (lambda f: f.assign(sample=["X", *f["sample"][1:]]), "X is not in the data"),
    "columns": (lambda f: f.drop(columns="sample"), "is not a table of predictions"),
    "classes": (
        lambda f: f.rename(columns={"p:LumA": "p:luma"}).drop(columns="set"),
        "class LumA, which the predictions lack",
    ),
    "sums": (lambda f: f.assign(**{"p:LumA": 0.9}), "do not sum to 1"),
    "number": (lambda f: f.assign(**{"p:LumA": "high"}), "not a number"),
    "sets": (lambda f: f.assign(set="LumC"), "'LumC' is not a set"),
    "empty": (lambda f: f[:5], "no sample has both.*5 without a label"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_table_is_refused_in_one_line(tmp_path, cohort, name):
    spoil, message = BROKEN[name]
    path = _write(spoil(_frame(_predictions())), tmp_path / "t.tsv")
    with pytest.raises(DataError, match=message) as caught:
        _evaluate(scored=path, data=cohort)
    assert "\n" not in str(caught.value)


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "t.tsv").write_bytes(bytes(range(256)))
    (tmp_path / "t.tsv.gz").write_bytes(gzip.compress(b"sample\tp:a\tp:b\n" * 9)[:20])
    (tmp_path / "empty.tsv").write_text("")
    for name in ("t.parquet", "t.tsv", "t.tsv.gz", "empty.tsv"):
        with pytest.raises(DataError, match="table"):
            read_predictions(tmp_path / name)
    with pytest.raises(UsageError, match="no such file"):
        read_predictions(tmp_path / "none.tsv")


def test_options_that_do_not_fit_are_refused(tmp_path, cohort):
    path = _write(_frame(_predictions()), tmp_path / "t.tsv")
    with pytest.raises(UsageError, match="has no labels; give the file"):
        _evaluate(scored=path)
    with pytest.raises(UsageError, match="no modality c"):
        _evaluate(scored=path, data=cohort, modalities=("c",))
    with pytest.raises(UsageError, match="the Bayes ceiling needs a cohort"):
        _evaluate(scored=path, modalities=("a",))
    other = _frame(_predictions()).rename(columns={"p:LumA": "p:luma"}).drop(columns="set")
    with pytest.raises(DataError, match="classes differ"):
        _evaluate(scored=path, data=cohort, versus=_write(other, tmp_path / "o.tsv"))


def test_what_the_scores_say_of_what_was_seen_is_said_anew(tmp_path, cohort):
    said = "##genomixWarning=mind the gap\n##genomixSeen=all were seen\n"
    columns = {"marked": {"seen": np.full(N, "")}, "unmarked": {}}
    for name, seen in columns.items():
        path = _write(_frame(_predictions(), **seen), tmp_path / f"{name}.tsv")
        path.write_text(said + path.read_text())
        found = _evaluate(scored=path, data=cohort)
        more = () if seen else ("all were seen",)
        assert found.provenance.warnings == ("mind the gap", *more)


def test_the_files_say_the_same(tmp_path, cohort):
    path = _write(_frame(_predictions()), tmp_path / "t.tsv")
    path.write_text("##genomixModel=m\n##genomixWarning=mind the gap\n" + path.read_text())
    request = EvaluateRequest(path, data=cohort, draws=50)
    found = evaluate_classes(request)
    write_tsv(found, tmp_path / "m.tsv")
    write_json(found, tmp_path / "m.json")
    lines = (tmp_path / "m.tsv").read_text().splitlines()
    made = facts_of(lines)
    assert (made["Model"], made["Warning"]) == (["m"], ["mind the gap"])
    rows = list(csv.DictReader((x for x in lines if x[:2] != "##"), delimiter="\t"))
    data = json.loads((tmp_path / "m.json").read_text())
    for row in rows[: len(METRICS)]:
        score = data["metrics"][row["metric"]]["score"]
        assert float(row["score_low"]) == pytest.approx(score["low"], rel=1e-5)
    of_class = [r for r in rows if r["class"] == "LumB" and r["metric"] == "recall"]
    assert float(of_class[0]["score_value"]) == pytest.approx(
        data["classes"][1]["metrics"]["recall"]["value"], rel=1e-5
    )
    assert data["counts"]["unlabelled"] == 10
    assert data["provenance"]["warnings"] == ["mind the gap"]
    assert data["provenance"]["inputs"].keys() == {"scored t.tsv", "data cohort.h5mu"}
    with pytest.raises(GenomixError, match="already exists"):
        write_tsv(found, tmp_path / "m.tsv")


def test_the_command_prints_what_it_found(tmp_path, cohort):
    path = _write(_frame(_predictions()), tmp_path / "t.tsv")
    arguments = [
        "evaluate",
        str(path),
        "--cohort",
        str(cohort),
        "--bootstrap",
        "50",
        "-o",
        str(tmp_path / "o"),
    ]
    found = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert found.exit_code == 0
    for text in ("macro F1", "Bayes ceiling", "110 of 120 samples (10 without a label)", "LumB"):
        assert text in found.output
    assert (tmp_path / "o").is_file()


def test_labels_of_sequences_are_taken_by_name_and_drawn_by_group(tmp_path):
    """Two sequences per group give half as many units; the label is the requested phenotype."""
    frame = _frame(_predictions()).drop(columns="label", errors="ignore")
    names = frame["sample"].to_numpy(str)
    n = len(names)
    kinds = tuple(c[2:] for c in frame if c.startswith("p:"))
    truth = np.arange(n) % len(kinds)
    sequences = Sequences(
        names=names[::-1],
        codes=np.ones((n, 4), np.uint8),
        group=np.arange(n) // 2,
        split=np.full(n, ""),
        phenotypes=(Phenotype("kind", kinds, truth[::-1].astype(np.int16)),),
    )
    write_sequences(tmp_path / "s.h5", sequences, Provenance.of({}, {}, 0))
    scored = _write(frame, tmp_path / "t.tsv")
    found = _evaluate(scored=scored, data=tmp_path / "s.h5", label="kind")
    assert (found.units, found.unit_name) == (-(-n // 2), "groups")
    probability = frame[[f"p:{kind}" for kind in kinds]].to_numpy()
    known = np.isfinite(probability).all(1)
    accuracy = next(m for m in found.metrics if m.name == "accuracy").score.value
    assert accuracy == pytest.approx((probability.argmax(1) == truth)[known].mean())
    with pytest.raises(UsageError, match="no phenotype 'colour'"):
        _evaluate(scored=scored, data=tmp_path / "s.h5", label="colour")


@pytest.mark.parametrize("name", ["t.tsv", "t.parquet"])
def test_samples_that_the_model_learned_from_are_no_result(tmp_path, cohort, name):
    seen = np.where(np.arange(N) < 30, "train", "")
    path = _write(_frame(_predictions(), seen=seen), tmp_path / name)
    with pytest.raises(CheckError, match=f"learned from 20 of the {N - 10} samples"):
        _evaluate(scored=path, data=cohort)
    found = _evaluate(scored=path, data=cohort, seen="leave-out")
    assert (found.counts.used, found.counts.seen_in_training) == (N - 30, 20)
    assert sum(each.support for each in found.classes) == N - 30
    found = _evaluate(scored=path, data=cohort, seen="include")
    assert found.provenance.warnings[0].startswith("training accuracy: ")
    assert (found.counts.used, found.counts.seen_in_training) == (N - 10, 0)
    new = _write(_frame(_predictions()), tmp_path / "new.tsv")
    with pytest.raises(CheckError, match="learned from 20"):
        _evaluate(scored=new, data=cohort, versus=path)


def _rows(*rows: str) -> str:
    return "".join(f"{row}\n" for row in ("sample\tp:a\tp:b", *rows))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_rows("s1\t1\t0", "s2\t1"), ":3: the row has another number of columns"),
        (_rows("s1\t1\t0", "s2\t1\t"), ":3: some probabilities are missing .found 1, nan"),
        (_rows("s1\t1\t0", "s2\t0.5\t0.1"), ":3: probabilities do not sum to 1"),
        (_rows("s1\t1\t0", "\t0.5\t0.5"), "a row has no sample name"),
    ],
)
def test_a_row_that_is_cut_or_shifted_has_its_line(tmp_path, text, message):
    path = tmp_path / "t.tsv"
    path.write_text("##genomixVersion=1\n" + text)
    with pytest.raises(DataError, match=message.replace(":3:", ":4:")):
        read_predictions(path)


def test_a_table_whose_last_line_has_no_end_is_warned_of(tmp_path, caplog):
    path = tmp_path / "t.tsv"
    path.write_text(_rows("s1\t1\t0"))
    assert read_predictions(path).classes == ("a", "b")
    assert not caplog.text
    path.write_text(_rows("s1\t0.12345\t0.87655")[:-2])
    assert len(read_predictions(path).names) == 1
    assert "the last line has no line end; the file may be truncated" in caplog.text


def test_a_run_without_predictions_of_classes_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no predictions.parquet.*genomix inspect"):
        read_predictions(tmp_path)
