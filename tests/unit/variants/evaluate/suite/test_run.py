"""Whole evaluations, and the folder of their report."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from genomix_cli.comparison.intervals import Interval
from genomix_cli.comparison.metrics.binary import auroc
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.learning.calibration import Platt
from genomix_cli.report.canvas import style
from genomix_cli.variants.conditions import Calibration
from genomix_cli.variants.evaluate.suite.entrants import Entrant, _names, open_models, score_models
from genomix_cli.variants.evaluate.suite.figures import curves, reliability
from genomix_cli.variants.evaluate.suite.measures import Judge
from genomix_cli.variants.evaluate.suite.peaks import call_peaks
from genomix_cli.variants.evaluate.suite.report import cards
from genomix_cli.variants.evaluate.suite.results import ControlResult, Suite, headline, verdict
from genomix_cli.variants.evaluate.suite.run import _compare, evaluate_suite, truth_of
from genomix_cli.variants.evaluate.suite.strata import stratifications
from genomix_cli.variants.requests.evaluate import SuiteRequest
from tests.suite_shard import prepare, rows_of
from tests.toy_variant_model import save_toy

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("lightning")


def test_a_score_that_some_lack_is_compared_on_the_others(shard: Shard) -> None:
    rows = rows_of(shard, "chr4")
    truth = truth_of(shard, rows)
    rng = np.random.default_rng(0)
    one, two = rng.random((2, len(rows)))
    two[::3] = np.nan
    entrants = [Entrant("one", "model", one), Entrant("two", "column", two)]
    first, second = _compare(entrants, Judge.of(truth, 20, seed=0))
    both = np.isfinite(two)
    expected = auroc(truth.label[both], one[both]) - auroc(truth.label[both], two[both])
    assert second.difference["auroc"].value == pytest.approx(expected)
    assert second.difference["auroc"].low < expected < second.difference["auroc"].high
    assert first.metrics["auroc"].value == pytest.approx(auroc(truth.label, one))
    assert (first.n, second.n) == (len(rows), both.sum())


def test_strata_add_up(shard: Shard, suite: Suite) -> None:
    counts = suite.results.counts
    by_title: dict[str, list[Any]] = {}
    for stratum in suite.results.strata:
        by_title.setdefault(stratum.title, []).append(stratum)
    assert set(by_title) == {"variant class", "distance to peak", "contig"}
    for strata in by_title.values():
        assert sum(s.n for s in strata) == counts.variants
        assert sum(s.positives for s in strata) == counts.positives
    whole = by_title["contig"][0].metrics["reads-tracks"]["auroc"]
    assert whole.value == suite.results.first.metrics["auroc"].value
    for found in stratifications(shard, suite.rows, None):
        assert found.member.min() >= 0


def test_every_baseline_and_the_ceiling_are_there(suite: Suite) -> None:
    results = suite.results
    assert [e.name for e in results.entrants] == [
        *("reads-tracks", "backwards", "kmer-logistic", "position", "tracks", "nearest-peak")
    ]
    own = {e.name: e.metrics["auroc"].value for e in results.entrants}
    assert own["backwards"] == pytest.approx(1 - own["reads-tracks"])
    assert own["tracks"] > 0.6
    assert results.ceiling["auroc"].value > max(own.values())
    assert results.entrants[1].difference["auroc"].low > 0
    assert "reads-tracks is better than backwards: +" in headline(results)
    assert results.scales == ()


@pytest.mark.parametrize(
    ("less", "said"),
    [
        (
            Interval(0.0, -0.004, 0.004),
            "This model does not read the variant: AUROC 0.797, and 0.797",
        ),
        (Interval(-0.05, -0.07, -0.02), "This model does not read the variant: AUROC 0.747"),
        (Interval(0.0, np.nan, np.nan), "This model does not read the variant"),
        (Interval(0.03, -0.01, 0.07), "This model was not shown to read the variant: AUROC 0.827"),
        (Interval(0.03, 0.01, 0.05), None),
        (Interval(0.03, np.nan, np.nan), None),
    ],
)
def test_the_headline_opens_with_a_model_that_ranks_places(
    suite: Suite, less: Interval, said: str | None
) -> None:
    removed = ControlResult("variant_removed", 9, Interval(0.797, 0.7, 0.9), less)
    text = headline(replace(suite.results, controls=(removed,)))
    if said is None:
        assert "read the variant" not in text
    else:
        assert text.startswith(said)
    # The toy of these tests reads tracks alone.
    assert headline(suite.results).startswith("This model does not read the variant: AUROC 0.")


def test_a_model_without_a_calibration_for_the_shard_has_no_probabilities(
    shard: Shard, run: Path
) -> None:
    (model,) = open_models(SuiteRequest(shard.path, run, (str(run),)), shard, torch.device("cpu"))
    (calibrated,) = score_models([model], rows_of(shard, "chr4"), True)
    assert calibrated.probability is not None
    fewer = model.loaded.config.conditions_on(shard).without(tracks=True)
    other = (Calibration(Platt(), fewer),)
    loaded = replace(model.loaded, config=replace(model.loaded.config, calibrations=other))
    (without,) = score_models([replace(model, loaded=loaded)], rows_of(shard, "chr4"), True)
    assert without.probability is None
    assert without.note == "no calibration for the inputs of this shard that keeps its order"


def test_a_calibration_that_turns_scores_around_is_left_out(shard: Shard, run: Path) -> None:
    """Its probabilities would rank variants in the opposite order of the scores."""
    (model,) = open_models(SuiteRequest(shard.path, run, (str(run),)), shard, torch.device("cpu"))
    given = model.loaded.config.conditions_on(shard)
    for slope, is_kept in ((0.2, True), (-0.2, False)):
        turned = (Calibration(Platt(slope), given),)
        loaded = replace(model.loaded, config=replace(model.loaded.config, calibrations=turned))
        (entrant,) = score_models([replace(model, loaded=loaded)], rows_of(shard, "chr4"), True)
        assert (entrant.probability is not None) == is_kept
        assert ("keeps its order" in entrant.note) != is_kept


def test_the_folder_holds_the_report(suite: Suite, genome: Path) -> None:
    folder = genome.parent / "report"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("genomix_mqc.json", "metrics.json", "metrics.tsv", "predictions.tsv", "report.html"),
        "timing.json",
    ]
    assert list(json.loads((folder / "timing.json").read_text())) == [
        *("reads-tracks", "backwards", "kmer-logistic", "position", "tracks", "nearest-peak")
    ]
    rows = json.loads((folder / "genomix_mqc.json").read_text())
    assert {f"tiny: {each.name}" for each in suite.results.entrants} < set(rows["data"])
    first = rows["data"]["tiny: reads-tracks"]
    assert first["auroc"] == suite.results.first.metrics["auroc"].value
    assert "difference" not in first
    assert rows["data"]["tiny: backwards"]["verdict"] == "worse"
    assert all(set(row) <= set(rows["headers"]) for row in rows["data"].values())
    data = json.loads((folder / "metrics.json").read_text())
    assert data["provenance"]["config"]["models"] == ["reads-tracks", "backwards"]
    assert data["entrants"][0]["metrics"]["auroc"]["value"] > 0.6
    assert data["entrants"][0]["parameters"] > 0
    assert data["entrants"][2]["parameters"] is None
    long = pd.read_csv(folder / "metrics.tsv", sep="\t", comment="#")
    assert {"overall", "first less this", "ceiling", "contig", "control"} <= set(long["section"])
    table = pd.read_csv(folder / "predictions.tsv", sep="\t", comment="#")
    again = auroc(table["label"], table["reads-tracks"])
    assert again == pytest.approx(suite.results.first.metrics["auroc"].value, abs=1e-4)
    page = (folder / "report.html").read_text()
    assert page.count("<figure>") == 4
    assert page.index(headline(suite.results).split(".")[0]) < page.index("<nav")
    assert str(genome.parent) not in json.dumps(data["entrants"])


def test_an_evaluation_replaces_only_an_evaluation(
    suite: Suite, request_: SuiteRequest, genome: Path
) -> None:
    there = replace(request_, output=genome.parent / "report")
    with pytest.raises(UsageError, match="already exists"):
        evaluate_suite(there)
    with pytest.raises(UsageError, match="is not an evaluation"):
        evaluate_suite(replace(request_, output=genome, force=True))


def test_quantities_alone_are_correlated_and_groups_named(
    genome: Path, request_: SuiteRequest, tmp_path: Path
) -> None:
    labels = tmp_path / "effects.tsv"
    with gzip.open(genome / "variants.vcf.gz", "rt") as file:
        rows = [line.split("\t") for line in file if not line.startswith("#")]
    with labels.open("w") as out:
        out.write("contig\tpos\tref\talt\teffect\tgroup\n")
        for contig, pos, _, ref, alts, _, _, info, *_ in rows:
            values = info.split("PROB=")[1].split(";")[0].split(",")
            for alt, value in zip(alts.split(","), values, strict=True):
                sign = -1 if int(pos) % 2 else 1
                element = int(pos) // 30_000
                out.write(f"{contig}\t{pos}\t{ref}\t{alt}\t{sign * float(value)}\tE{element}\n")
    shard = prepare(
        genome, tmp_path / "q.h5", label_info=None, probability_info=None, labels=labels
    )
    run = save_toy(tmp_path / "toy", shard)
    request = replace(
        request_,
        shard=shard.path,
        output=tmp_path / "report",
        models=(str(run),),
        baselines=("kmer-logistic", "tracks"),
    )
    results = evaluate_suite(request).results
    assert results.main == "spearman_absolute"
    assert results.first.metrics["spearman_absolute"].value > 0.15
    assert abs(results.first.metrics["spearman"].value) < 0.1
    assert "auroc" not in results.first.metrics
    assert "brier" not in results.first.metrics
    assert len(results.groups) == 5
    assert results.groups[0].name.startswith("chr4:")
    assert sum(group.n for group in results.groups) == results.counts.variants
    assert results.counts.labelled == 0
    assert "Spearman, |effect|" in headline(results)


def test_variants_are_seen_with_the_tracks_of_their_tissue(
    genome: Path, request_: SuiteRequest, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.tsv"
    with gzip.open(genome / "variants.vcf.gz", "rt") as file:
        rows = [line.split("\t") for line in file if not line.startswith("#")]
    with labels.open("w") as out:
        out.write("contig\tpos\tref\talt\tlabel\ttissue\n")
        for contig, pos, _, ref, alts, _, _, info, *_ in rows:
            values = info.split("LABEL=")[1].split(";")[0].strip().split(",")
            for alt, value in zip(alts.split(","), values, strict=True):
                for tissue in "AB":
                    out.write(f"{contig}\t{pos}\t{ref}\t{alt}\t{value}\t{tissue}\n")
    shard = prepare(
        genome,
        tmp_path / "cells.h5",
        tracks={"ATAC@A": genome / "ATAC.bw", "ATAC@B": genome / "CTCF.bw"},
        label_info=None,
        probability_info=None,
        labels=labels,
    )
    run = save_toy(tmp_path / "toy", shard)
    request = replace(
        request_, shard=shard.path, output=tmp_path / "report", models=(str(run),), draws=10
    )
    results = evaluate_suite(request).results
    found = {s.name: s.metrics["toy"]["auroc"].value for s in results.strata if s.title == "tissue"}
    assert found["A"] > 0.65
    assert found["A"] != found["B"]
    assert results.ceiling == {}
    controls = {control.name: control.metric.value for control in results.controls}
    assert abs(controls["tracks_shuffled"] - 0.5) < 0.12
    peaks = call_peaks(shard, rows_of(shard, "chr1"))
    assert peaks is not None
    assert not np.array_equal(peaks.by_cell["A"]["chr4"], peaks.by_cell["B"]["chr4"])


def test_nothing_to_tell_apart_is_one_line(
    genome: Path, request_: SuiteRequest, tmp_path: Path
) -> None:
    bed = tmp_path / "one.bed"
    bed.write_text("chr4\t0\t400\n")
    with pytest.raises(
        DataError, match=r"labels of the test part do not differ|no labelled variants"
    ):
        evaluate_suite(replace(request_, test_regions=bed, output=tmp_path / "report"))


def test_tracks_of_another_scale_are_refused(
    genome: Path, request_: SuiteRequest, tmp_path: Path
) -> None:
    bare = prepare(genome, tmp_path / "bare.h5", tracks={}, contacts=None)
    with pytest.raises(DataError, match="not on the scale of the model"):
        evaluate_suite(replace(request_, shard=bare.path, output=tmp_path / "report"))


def test_models_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for name in ("a/gmt", "b/gmt", "c/tracks"):
        (tmp_path / name).mkdir(parents=True)
    paths = tuple(str(tmp_path / name) for name in ("a/gmt", "b/gmt", "c/tracks", "c"))
    assert _names(paths) == [*paths[:3], "c"]  # a baseline is called tracks too


def repeated(suite: Suite, entrants: int) -> Suite:
    """Return the first entrant under so many names."""
    first, result = suite.entrants[0], suite.results.entrants[0]
    names = [f"a model with a long name {i}" for i in range(entrants)]
    return replace(
        suite,
        entrants=tuple(replace(first, name=name) for name in names),
        results=replace(suite.results, entrants=(result,) * entrants),
    )


def test_of_many_entrants_the_first_are_drawn_and_the_caption_says_so(suite: Suite) -> None:
    many = repeated(suite, 10)
    # Those without a probability come first: what is drawn of the others is not of the first.
    lacking = [replace(each, probability=None) for each in many.entrants[:8]]
    some = replace(many, entrants=(*lacking, *many.entrants[8:]))
    with style():
        assert "the first 7 of 10." in curves(many).caption
        assert "the first 7 of 10." in reliability(many).caption
        assert "first" not in curves(repeated(suite, 7)).caption
        picture = reliability(some)
        assert "first" not in picture.caption
        assert len([ax for ax in picture.figure.axes if ax.get_visible()]) == 2


def test_the_figures_on_top_are_of_the_first_model_and_its_best_rival(suite: Suite) -> None:
    results, rival = suite.results, suite.results.best_rival
    metric, best, difference, ceiling = cards(results)
    value, _, ends = results.first.metrics["auroc"].text().partition(" ")
    assert metric == ("AUROC", value, f"{results.first.name} {ends}")
    assert best.title == "Best baseline"
    assert best.note.startswith(f"{rival.name} [")
    value, _, ends = rival.difference["auroc"].text(sign=True).partition(" ")
    assert difference.value == value
    assert difference.note == f"{rival.name}: {verdict(rival.difference['auroc'])} {ends}"
    assert ceiling == ("Ceiling", f"{results.ceiling['auroc'].value:.3f}", ceiling.note)
    column = replace(
        rival, kind="column", n=5, difference={"auroc": Interval(-0.2, float("nan"), float("nan"))}
    )
    bare = replace(results, entrants=(results.first, column), ceiling={})
    assert [card.title for card in cards(bare)] == ["AUROC", "Best other score", "Difference"]
    assert cards(bare)[1].note.startswith(f"{rival.name}, 5 variants")
    assert cards(bare)[2] == ("Difference", "-0.200", rival.name)
    assert len(cards(replace(results, entrants=results.entrants[:1], ceiling={}))) == 1


@pytest.mark.parametrize("entrants", [1, 4, 5, 7])
def test_the_legends_of_curves_are_on_the_page(suite: Suite, entrants: int) -> None:
    many = repeated(suite, entrants)
    with style():
        picture = curves(many)
        assert picture is not None
        picture.figure.draw_without_rendering()
    page = picture.figure.bbox
    for ax in picture.figure.axes:
        box = ax.get_legend().get_window_extent()
        assert len(ax.get_legend().get_texts()) == entrants + 1
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
