"""``genomix explain`` of a cohort: attributions, attention, drivers and pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genomix_cli.cohorts.dataset import Samples, read_samples
from genomix_cli.cohorts.explain.attribution import attribute, driver_auprc, planted_drivers
from genomix_cli.cohorts.explain.samples import feature_importance
from genomix_cli.cohorts.runs import Run, load_run
from genomix_cli.comparison import explanation
from genomix_cli.comparison.study import Importance
from genomix_cli.formats.cohort import open_cohort
from genomix_cli.provenance import facts_of
from genomix_cli.report import explained
from tests import cohort_runs
from tests.cohort_files import modality, write_cohort
from tests.conftest import Ended
from tests.explained_page import Rows, needs_browser, probed
from tests.linear_model import registered

pytest.importorskip("captum")
pytest.importorskip("lightning")

Here = Callable[..., Ended]


@pytest.fixture(scope="module", autouse=True)
def linear() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cohort_runs.planted(tmp_path_factory.mktemp("cohort") / "cohort.h5mu")


@pytest.fixture(scope="module")
def run(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cohort_runs.train(cohort, tmp_path_factory.mktemp("run") / "straight")


@pytest.fixture(scope="module")
def samples(cohort: Path) -> Samples:
    with open_cohort(cohort) as opened:
        return read_samples(opened)


@pytest.fixture
def loaded(run: Path) -> Run:
    return load_run(run)


@pytest.fixture
def explain(genomix_here: Here, cohort: Path, run: Path, tmp_path: Path) -> Here:
    def call(*arguments: object, model: Path = run) -> Ended:
        out = ["-o", tmp_path / "why.tsv"]
        return genomix_here("explain", cohort, "-m", model, *out, "--device", "cpu", *arguments)

    return call


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", comment="#")


def test_of_a_linear_model_an_attribution_is_value_times_weight(
    loaded: Run, samples: Samples
) -> None:
    surface = loaded.model.differentiable()
    target = np.arange(len(samples)) % 3
    found = attribute(surface, samples, target, steps=2)
    x = surface.preprocessor.transform(samples).flat()
    weights = loaded.model.weights  # type: ignore[attr-defined]
    np.testing.assert_allclose(
        np.concatenate(found.values, axis=1), x * weights[:, target].T, atol=1e-6
    )
    np.testing.assert_allclose(found.change, (x @ weights)[np.arange(len(x)), target], atol=1e-5)
    assert found.error.max() < 1e-4


def test_of_a_network_attributions_add_up(
    cohort: Path, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"epochs": 3, "width": 16, "layers": 2, "batch_size": 32}
    mlp = load_run(cohort_runs.train(cohort, tmp_path / "mlp", "mlp", **settings))
    some = samples.take(np.arange(0, 60))
    target = mlp.model.log_probability(some).argmax(1)
    few = attribute(mlp.model.differentiable(), some, target, steps=16)
    assert few.error.max() < 0.01
    again = attribute(mlp.model.differentiable(), some, target, steps=16)
    assert all((a == b).all() for a, b in zip(few.values, again.values, strict=True))
    # A sample's attributions do not depend on the others.
    one = attribute(mlp.model.differentiable(), some.take(np.array([33])), target[[33]], steps=16)
    np.testing.assert_allclose(one.values[0][0], few.values[0][33], atol=1e-6)
    # Some do not add up in the first place, and are followed in more steps.
    monkeypatch.setattr(explanation, "MOST_STEPS", 16)
    assert attribute(mlp.model.differentiable(), some, target, steps=16).error.max() > 0.01


def test_importance_is_the_mean_size_and_drivers_are_found(
    cohort: Path, loaded: Run, samples: Samples
) -> None:
    with open_cohort(cohort) as opened:
        drivers = planted_drivers(opened)
    # An interaction drives too.
    assert drivers["calls"] == {"copy_number_calls0", "copy_number_calls1"}
    found = feature_importance(loaded.model, samples, drivers)
    known = samples.take(samples.present.any(1))
    target = loaded.model.log_probability(known).argmax(1)
    values = attribute(loaded.model.differentiable(), known, target).values
    by_name = {(each.modality, each.feature): each for each in found}
    size = np.abs(values[0][:, 2]).mean()
    assert by_name["expression", "expression2"] == Importance(
        "expression", "expression2", size, True
    )
    sizes = [each.importance for each in found]
    assert sizes == sorted(sizes, reverse=True)
    assert len(found) == 13
    assert driver_auprc(found) == {"expression": (1.0, 3 / 8), "calls": (1.0, 2 / 5)}


def test_drivers_that_a_model_left_out_are_not_found() -> None:
    found = [Importance("m", "a", 3.0, True), Importance("m", "b", 2.0, False)]
    found += [Importance("m", "c", 0.0, True), Importance("m", "d", 0.0, False)]
    # At 0 both come together: two of four are drivers there.
    assert driver_auprc(found) == {"m": (pytest.approx((1 + 2 / 4) / 2), 0.5)}
    everything = [Importance("m", "a", 3.0, True), Importance("n", "b", 2.0, None)]
    assert driver_auprc(everything) == {}


def test_a_measured_cohort_has_no_drivers(tmp_path: Path) -> None:
    rows = ["a", "b"]
    values = {"x": modality(np.eye(2), "other", rows, {"driver": [True, False]})}
    path = write_cohort(tmp_path / "c.h5mu", values, {"sample": rows})
    with open_cohort(path) as opened:
        assert planted_drivers(opened) == {}


def test_the_table_has_what_was_measured(
    explain: Here, loaded: Run, samples: Samples, tmp_path: Path
) -> None:
    done = explain("--samples", "S004", "--samples", "S000", "--summary", tmp_path / "s.tsv")
    assert done.code == 0, done.err
    why = read(tmp_path / "why.tsv")
    assert list(why) == [
        *("sample", "modality", "feature", "value", "attribution", "class", "probability"),
        "completeness_error",
    ]
    assert list(dict.fromkeys(why["sample"])) == ["S000", "S004"]
    four = why[why["sample"] == "S004"]
    measured = sum(int(np.isfinite(values[4]).sum()) for values in samples.values.values())
    assert len(four) == measured
    assert four["attribution"].abs().is_monotonic_decreasing
    row = four.set_index("feature").loc["copy_number_calls3"]
    assert row["value"] == samples.values["calls"][4, 3]
    p = loaded.predict(samples).probability[4]
    assert (four["class"] == samples.classes[p.argmax()]).all()
    assert four["probability"].to_numpy() == pytest.approx(p.max(), rel=1e-5)
    logit = loaded.model.logits(
        loaded.model.differentiable().preprocessor.transform(samples).flat()
    )[4].max()  # type: ignore[attr-defined]
    assert four["attribution"].sum() == pytest.approx(logit, rel=1e-4)
    assert set(why[why["sample"] == "S000"]["modality"]) == {"expression"}
    assert done.out.splitlines()[2].split("\t")[:2] == ["S004", samples.classes[p.argmax()]]
    summary = read(tmp_path / "s.tsv")
    assert list(summary) == ["modality", "feature", "mean_abs_attribution", "driver"]
    assert len(summary) == 13
    assert summary["mean_abs_attribution"].is_monotonic_decreasing
    assert summary["driver"].sum() == 5
    assert "drivers of expression: AUPRC " in done.err
    assert "(0.375 by chance)" in done.err


def test_a_class_can_be_asked_for(explain: Here, tmp_path: Path) -> None:
    explain("--class", "B, late", "--top", 3)
    why = read(tmp_path / "why.tsv").groupby("sample").first()
    assert set(why["class"]) == {"B, late"}
    assert len(why) == 3
    everything = explain("--class", "B, late", "--max-samples", 1000, "--force")
    assert everything.code == 0
    p = read(tmp_path / "why.tsv").groupby("sample").first()["probability"]
    assert set(why.index) == set(p.nlargest(3).index)
    assert "left out 1 samples in which none" in everything.err


def test_of_many_samples_some_are_taken_evenly(explain: Here, tmp_path: Path) -> None:
    done = explain("--max-samples", 5)
    assert "explaining 5 of 120 samples, evenly" in done.err
    names = list(dict.fromkeys(read(tmp_path / "why.tsv")["sample"]))
    assert names == ["S000", "S030", "S060", "S089", "S119"]


def test_attention_is_a_mean_whose_rows_sum_to_one(
    explain: Here, loaded: Run, samples: Samples, tmp_path: Path
) -> None:
    done = explain("--attention", tmp_path / "a.tsv", "--max-samples", 1000)
    assert done.code == 0, done.err
    lines = (tmp_path / "a.tsv").read_text().splitlines()
    assert lines[0].startswith("##genomixVersion=")
    note = facts_of(lines)["Note"][0]
    assert "descriptive" in note
    assert "no measure of importance" in note
    table = read(tmp_path / "a.tsv")
    assert list(table) == ["class", "from", "to", "mean_attention", "samples"]
    rows = table.groupby(["class", "from"])["mean_attention"].sum()
    np.testing.assert_allclose(rows, 1, atol=1e-5)
    own = loaded.predict(samples).probability.argmax(1) == 0
    known = np.isfinite(samples.values["expression"]).any(1)
    both, calls = own & known & samples.present[:, 1], own & known
    cell = table.set_index(["class", "from", "to"]).loc["A", "expression", "calls"]
    assert cell["samples"] == calls.sum()
    # A third of the attention to another modality, none to one that is not there.
    assert cell["mean_attention"] == pytest.approx(both.sum() / calls.sum() / 3, rel=1e-4)


def test_pictures(explain: Here, tmp_path: Path) -> None:
    pictures = ["--plot-dir", tmp_path / "drawn", "--samples", "S004", "--samples", "S000"]
    assert explain(*pictures).code == 0
    drawn = sorted((tmp_path / "drawn").iterdir())
    assert [path.name for path in drawn] == ["S000.png", "S004.png"]
    first = [path.read_bytes() for path in drawn]
    assert all(data.startswith(b"\x89PNG") for data in first)
    again = explain(*pictures, "--force")
    assert again.code == 0
    assert [path.read_bytes() for path in drawn] == first


def test_a_page_says_what_the_run_found(
    explain: Here, loaded: Run, samples: Samples, tmp_path: Path
) -> None:
    page = tmp_path / "why.html"
    summary = tmp_path / "s.tsv"
    done = explain("--report", page, "--max-samples", 5, "--summary", summary)
    assert done.code == 0, done.err
    found, why = Rows(page.read_text()), read(tmp_path / "why.tsv")
    assert [row[0] for row in found.rows] == list(dict.fromkeys(why["sample"]))
    row, own = found.rows[1], why[why["sample"] == "S030"]
    p = np.sort(loaded.predict(samples).probability[30])[::-1]
    assert row[:3] == ["S030", own["class"].iloc[0], f"{p[0]:.3f}"]
    assert row[4] == f"{p[1]:.3f}"
    assert row[3] not in (row[1], "")
    for cell, sign in ((row[5], 1), (row[6], -1)):
        two = own[own["attribution"] * sign > 0].head(2)
        assert cell.split() == [
            word
            for each in two.itertuples()
            for word in (f"{each.attribution:+.2f}", each.feature, each.modality)
        ]
    assert float(row[7]) == pytest.approx(own["attribution"].sum(), abs=1e-3)
    words = " ".join(re.sub(r"<[^>]+>", " ", page.read_text()).split())
    first = read(summary).iloc[0]
    size = f"mean |attribution| {first['mean_abs_attribution']:.2f} logits"
    assert f"The most influential feature is {first['feature']} ({first['modality']})" in words
    assert f"{first['modality']}; {size}" in words
    counts = why.groupby("sample")["class"].first().value_counts()
    assert counts.is_unique
    assert ", ".join(f"{name} {n}" for name, n in counts.items()) in words
    for name, of_class in why.groupby("class"):
        total = of_class.groupby("feature")["attribution"].sum()
        ends = rf"\+\d.\d+ {total.idxmax()} [^-]* -\d.\d+ {total.idxmin()}"
        assert re.search(rf"{name} {counts[name]} 0.\d+ {ends}", words)
    assert f"Drivers found, expression {driver_of(done.err)}" in words
    assert "drives a class in the simulation" in words
    assert "it does not measure importance" in words
    # One of each sample, one of features and one of modalities.
    assert len(found.images) == 5 + 2


def driver_of(told: str) -> str:
    """The AUPRC that a run tells of the drivers of expression."""
    found = re.search(r"drivers of expression: AUPRC (\S+)", told)
    assert found
    return found[1]


def test_a_page_is_the_same_each_time_and_replaces_nothing_unasked(
    explain: Here, tmp_path: Path
) -> None:
    page = tmp_path / "why.html"
    wanted = ("--report", page, "--max-samples", 2)
    assert explain(*wanted, "--force").code == 0
    first = page.read_bytes()
    assert explain(*wanted, "--force").code == 0
    assert page.read_bytes() == first
    (tmp_path / "why.tsv").unlink()
    done = explain(*wanted)
    assert done.code == 2
    assert "why.html: already exists; add --force" in done.err
    assert not (tmp_path / "why.tsv").exists()


def test_a_page_has_the_surest_and_counts_the_rest(
    explain: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explained, "MOST", 2)
    page = tmp_path / "why.html"
    assert explain("--report", page, "--max-samples", 5).code == 0
    p = read(tmp_path / "why.tsv").groupby("sample")["probability"].first()
    assert {row[0] for row in Rows(page.read_text()).rows} == set(p.nlargest(2).index)
    assert "3 more are not on this page, but in why.tsv" in page.read_text()


def test_a_page_of_one_class_and_no_attention(explain: Here, cohort: Path, tmp_path: Path) -> None:
    mlp = cohort_runs.train(cohort, tmp_path / "mlp", "mlp", epochs=1, width=4)
    wanted = ("--report", tmp_path / "why.html", "--class", "B, late", "--max-samples", 3)
    assert explain(*wanted, "--allow-incomplete", model=mlp).code == 0
    text = (tmp_path / "why.html").read_text()
    assert {row[1] for row in Rows(text).rows} == {"B, late"}
    assert "B, late" not in {row[3] for row in Rows(text).rows}
    assert "Attention" not in text


@needs_browser
def test_a_browser_sorts_filters_and_opens_a_page(explain: Here, tmp_path: Path) -> None:
    page = tmp_path / "why.html"
    assert explain("--report", page, "--max-samples", 6).code == 0
    rows = Rows(page.read_text()).rows
    found = probed(page.read_text(), tmp_path, column=2, words=f"{rows[2][0]} {rows[2][1]}")
    assert found["first"] == found["by_place"] == [row[0] for row in rows]
    assert found["closed"] == 6
    assert found["descending"] == sorted((row[2] for row in rows), reverse=True)
    assert found["ascending"] == found["descending"][::-1]
    assert found["filtered"] == [rows[2][0]]
    assert all(size > 200 for size in found["picture"])


def test_attributions_that_do_not_add_up_are_an_exit_code(
    explain: Here, cohort: Path, tmp_path: Path
) -> None:
    jumping = cohort_runs.train(cohort, tmp_path / "jumping", jump=3.0)
    done = explain("--class", "A", model=jumping)
    assert done.code == 3
    assert "do not sum to the change in logit" in done.err
    assert "--allow-incomplete" in done.err
    errors = read(tmp_path / "why.tsv")["completeness_error"]
    assert errors.max() > 0.01
    assert explain("--class", "A", "--allow-incomplete", "--force", model=jumping).code == 0


def test_a_model_without_gradients_says_which_have_them(
    explain: Here, cohort: Path, tmp_path: Path
) -> None:
    plain = cohort_runs.train(cohort, tmp_path / "plain", "plain")
    done = explain(model=plain)
    assert done.code == 2
    assert "plain has no gradients" in done.err
    assert "a run of " in done.err
    assert "mlp" in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "why.tsv").exists()
    with pytest.raises(NotImplementedError):
        feature_importance(load_run(plain).model, Samples(*[None] * 8))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--report", "nowhere/why.html"], "no such folder"),
        (["--samples", "S4"], "no sample 'S4' (--samples)"),
        (["--class", "a"], "did you mean 'A'?"),
        (["--samples", "S007"], "none of the model's features was measured in S007"),
        (["--fasta", "x.fa"], "--fasta is for variants, and"),
        (["--max-variants", "3"], "--max-variants is for variants, and"),
    ],
)
def test_mistakes_are_one_line(
    explain: Here, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = explain(*arguments)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "why.tsv").exists()


def test_a_model_without_attention_says_so(explain: Here, cohort: Path, tmp_path: Path) -> None:
    mlp = cohort_runs.train(cohort, tmp_path / "mlp", "mlp", epochs=1, width=4)
    done = explain("--attention", tmp_path / "a.tsv", "--top", 2, model=mlp)
    assert done.code == 2
    assert "mlp has no attention" in done.err


def test_an_output_is_not_replaced_unasked(explain: Here, tmp_path: Path) -> None:
    (tmp_path / "why.tsv").write_text("mine")
    done = explain("--top", 2)
    assert done.code == 2
    assert "already exists; add --force" in done.err
    assert (tmp_path / "why.tsv").read_text() == "mine"
