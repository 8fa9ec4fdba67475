"""The evaluation of variant models: parts, baselines, strata, controls, and its files."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomix_cli.comparison.bootstrap import Bootstrap, resampling_units
from genomix_cli.comparison.intervals import interval_of
from genomix_cli.comparison.metrics.binary import auroc, pearson, spearman
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.genome_shard import Shard, open_shard
from genomix_cli.genome.alphabet import decode
from genomix_cli.variants.evaluate.suite.baselines.base import BaselineTask
from genomix_cli.variants.evaluate.suite.baselines.boosting import (
    _boosted,
    position_features,
    track_features,
)
from genomix_cli.variants.evaluate.suite.baselines.kmers import kmer_changes
from genomix_cli.variants.evaluate.suite.columns import read_columns
from genomix_cli.variants.evaluate.suite.entrants import Entrant, _names
from genomix_cli.variants.evaluate.suite.measures import MEASURES, Judge
from genomix_cli.variants.evaluate.suite.peaks import Peaks, call_peaks, read_peaks
from genomix_cli.variants.evaluate.suite.results import Suite, headline
from genomix_cli.variants.evaluate.suite.run import _compare, evaluate_suite, truth_of
from genomix_cli.variants.evaluate.suite.strata import stratifications, variant_class
from genomix_cli.variants.evaluate.suite.test_split import split_rows, thin
from genomix_cli.variants.prepare.shard import prepare_variants
from genomix_cli.variants.requests import PrepareRequest, SimulationRequest, SuiteRequest
from genomix_cli.variants.simulate.genome import simulate_genome
from genomix_cli.variants.train.controls import ShuffledTracks, derangement
from genomix_cli.variants.train.dataset import VariantDataset
from tests.toy_variant_model import save_toy, toy_registered

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("lightning")


@pytest.fixture(scope="module", autouse=True)
def toy() -> Iterator[None]:
    with toy_registered():
        yield


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite") / "genome"
    simulate_genome(SimulationRequest(folder, contigs=4, contig_length=150_000, seed=5))
    return folder


def prepare(genome: Path, output: Path, **changes: Any) -> Shard:
    settings: dict[str, Any] = {
        "vcf": genome / "variants.vcf.gz",
        "fasta": genome / "genome.fa.gz",
        "output": output,
        "tracks": {"ATAC": genome / "ATAC.bw", "CTCF": genome / "CTCF.bw"},
        "contacts": genome / "contacts.cool",
        "label_info": "LABEL",
        "probability_info": "PROB",
    }
    prepare_variants(PrepareRequest(**(settings | changes)))
    return open_shard(output)


@pytest.fixture(scope="module")
def shard(genome: Path) -> Shard:
    return prepare(genome, genome.parent / "tiny.h5")


@pytest.fixture(scope="module")
def run(shard: Shard, genome: Path) -> Path:
    return save_toy(genome.parent / "reads-tracks", shard)


@pytest.fixture(scope="module")
def request_(shard: Shard, run: Path, genome: Path) -> SuiteRequest:
    return SuiteRequest(
        shard.path, genome.parent / "none", (str(run),), draws=40, baselines=("nearest-peak",)
    )


@pytest.fixture(scope="module")
def suite(shard: Shard, run: Path, genome: Path) -> Suite:
    backwards = save_toy(genome.parent / "backwards", shard, sign=-1.0)
    request = SuiteRequest(
        shard.path, genome.parent / "report", (str(run), str(backwards)), draws=40
    )
    return evaluate_suite(request)


def rows_of(shard: Shard, contig: str) -> np.ndarray:
    return np.flatnonzero(shard.variants.contig == list(shard.contigs).index(contig))


# --- parts


def test_the_test_part_is_the_runs_own_and_nothing_of_it_trains(
    shard: Shard, request_: SuiteRequest
) -> None:
    parts = split_rows(shard, request_)
    assert parts.test.tolist() == rows_of(shard, "chr4").tolist()
    assert set(shard.variants.contig[parts.train]) == {0, 1}
    assert set(shard.variants.contig[parts.valid]) == {2}


def test_a_run_that_learned_from_the_test_part_is_refused(
    shard: Shard, request_: SuiteRequest
) -> None:
    leaking = replace(request_, test_contigs=("2", "chr4"))
    with pytest.raises(DataError, match=r"learned from .* test variants .*--trust-runs"):
        split_rows(shard, leaking)
    parts = split_rows(shard, replace(leaking, trust_runs=True))
    assert "is trusted" in parts.notes[0]
    assert set(shard.variants.contig[parts.train]) == {0}


def test_a_later_run_that_leaks_is_refused_too(
    shard: Shard, request_: SuiteRequest, tmp_path: Path
) -> None:
    other = save_toy(tmp_path / "other", shard, valid="chr1", test="chr2")
    with pytest.raises(DataError, match="other may have learned"):
        split_rows(shard, replace(request_, models=(*request_.models, str(other))))


def test_a_model_without_train_json_says_in_its_config_what_it_held_out(
    shard: Shard, request_: SuiteRequest
) -> None:
    shipped = replace(request_, models=("gmt-mini-sim",), test_contigs=("chr4",))
    with pytest.raises(DataError, match="gmt-mini-sim may have learned"):
        split_rows(shard, shipped)
    with pytest.raises(UsageError, match="bare names no test part"):
        split_rows(shard, replace(request_, models=(str(_bare(shard, request_)),)))


def _bare(shard: Shard, request: SuiteRequest) -> Path:
    folder = Path(request.models[0]).parent / "bare"
    if not folder.exists():
        (save_toy(folder, shard) / "train.json").unlink()
    return folder


def test_validation_variants_may_be_tested_and_it_is_said(
    shard: Shard, request_: SuiteRequest
) -> None:
    parts = split_rows(shard, replace(request_, test_contigs=("chr3", "chr4")))
    assert len(parts.valid) == 0
    assert "stopped and calibrated" in parts.notes[0]


def test_regions_cut_the_test_part(shard: Shard, request_: SuiteRequest, tmp_path: Path) -> None:
    bed = tmp_path / "test.bed"
    bed.write_text("4\t0\t50000\nchr4\t100000\t100100\n")
    rows = split_rows(shard, replace(request_, test_regions=bed)).test
    pos = shard.variants.pos[rows_of(shard, "chr4")]
    assert len(rows) == ((pos < 50_000) | ((pos >= 100_000) & (pos < 100_100))).sum() > 50


@given(st.integers(1, 3000), st.integers(0, 2000))
def test_thinning_keeps_rows_in_order_and_not_too_many(n: int, most: int) -> None:
    rows = np.arange(n) * 3
    kept = thin(rows, most)
    assert set(kept) <= set(rows.tolist())
    assert (np.diff(kept) > 0).all()
    assert len(kept) == n if not most else 0 < len(kept) <= max(most, 1)


# --- what baselines read


def test_the_kmers_lost_and_gained_are_those_of_a_plain_count(shard: Shard) -> None:
    rows = rows_of(shard, "chr1")[:60]
    found = np.asarray(kmer_changes(shard, rows).todense())
    table = shard.variants
    lost, gained = np.split(found, 2, axis=1)
    for i, row in enumerate(rows):
        pos, ref, alt = int(table.pos[row]), table.ref[row].decode(), table.alt[row].decode()
        left = decode(shard.codes("chr1", pos - 5, pos))
        right = decode(shard.codes("chr1", pos + len(ref), pos + len(ref) + 5))
        counts = _kmers(left + ref + right)
        for kmer, n in _kmers(left + alt + right).items():
            counts[kmer] = counts.get(kmer, 0) - n
        assert lost[i].sum() == sum(max(n, 0) for n in counts.values())
        assert gained[i].sum() == sum(max(-n, 0) for n in counts.values())


def _kmers(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for i in range(len(text) - 5):
        kmer = text[i : i + 6]
        other = kmer[::-1].translate(str.maketrans("ACGT", "TGCA"))
        found[min(kmer, other)] = found.get(min(kmer, other), 0) + 1
    return found


def test_place_and_tracks_are_read_where_the_variant_is(shard: Shard) -> None:
    rows = rows_of(shard, "chr2")[:40]
    task = BaselineTask(shard, rows, rows, rows, np.zeros(len(shard.variants.pos)), True)
    place = position_features(task, rows)
    pos = shard.variants.pos
    assert place[:, 1] == pytest.approx(pos[rows] / 150_000)
    others = np.setdiff1d(pos[rows_of(shard, "chr2")], pos[rows[7]])
    assert place[7, 3] == np.abs(others - pos[rows[7]]).min()
    tracks = track_features(task, rows)
    own = shard.signal("chr2", int(pos[rows[7]]) // 50, int(pos[rows[7]]) // 50 + 1).value
    assert tracks[7, 3] == own[0, 0]
    assert tracks[7, 10] == own[1, 0]


def test_distance_to_peaks_from_a_file(shard: Shard, tmp_path: Path) -> None:
    path = tmp_path / "x.narrowPeak"
    path.write_text("chr1\t1000\t2000\tp\t0\t.\t1\t1\t1\t5\n1\t50000\t50100\n")
    peaks = read_peaks(path, shard)
    rows = rows_of(shard, "chr1")
    pos = shard.variants.pos[rows]
    first, second = (
        np.maximum(np.maximum(start - pos, pos - end + 1), 0)
        for start, end in ((1_000, 2_000), (50_000, 50_100))
    )
    plain = np.minimum(first, second)
    assert peaks.distance(shard, rows).tolist() == plain.tolist()
    assert np.isinf(peaks.distance(shard, rows_of(shard, "chr2"))).all()


def test_called_peaks_are_the_strongest_bins(shard: Shard) -> None:
    peaks = call_peaks(shard, rows_of(shard, "chr1"))
    assert isinstance(peaks, Peaks)
    found = peaks.by_cell[""]["chr1"]
    share = (found[:, 1] - found[:, 0]).sum() / 150_000
    assert 0.03 < share <= 0.055
    assert (found[1:, 0] > found[:-1, 1]).all()


def test_columns_are_matched_by_allele_wherever_an_indel_is_written(
    genome: Path, shard: Shard, tmp_path: Path
) -> None:
    rows = rows_of(shard, "chr4")
    with gzip.open(genome / "variants.vcf.gz", "rt") as file:
        lines = [line for line in file if not line.startswith("##INFO=<ID=PROB")]
    head = [line for line in lines if line.startswith("#")]
    head.insert(1, '##INFO=<ID=OTHER,Number=A,Type=Float,Description="x">\n')
    body = []
    for i, line in enumerate(line for line in lines if line.startswith("chr4\t")):
        if i % 3:
            fields = line.rstrip("\n").split("\t")
            body.append("\t".join([*fields[:7], fields[7].replace("PROB=", "OTHER=")]) + "\n")
    head[-1] = "\t".join(head[-1].rstrip("\n").split("\t")[:8]) + "\n"
    path = tmp_path / "other.vcf"
    path.write_text("".join(head + body))
    found = read_columns(path, ["OTHER"], shard, rows)["OTHER"]
    known = np.isfinite(found)
    assert 0.5 < known.mean() < 0.8
    assert found[known] == pytest.approx(shard.variants.probability[rows][known], abs=1e-6)
    assert set(variant_class(shard.variants, rows[known])) >= {0, 1, 2}
    with pytest.raises(DataError, match="no test variant has NONE"):
        read_columns(path, ["NONE"], shard, rows)


# --- measures


def test_differences_are_those_of_a_paired_bootstrap(shard: Shard) -> None:
    rows = rows_of(shard, "chr4")
    truth = truth_of(shard, rows)
    rng = np.random.default_rng(0)
    one, two = rng.random((2, len(rows)))
    judge = Judge.of(truth, 50, seed=3)
    measure = MEASURES["auroc"]
    ours = interval_of(judge.replicates(measure, one) - judge.replicates(measure, two))
    units = resampling_units(truth.contig, truth.pos).ids
    theirs = Bootstrap(units, 50, 3).difference(auroc, truth.label, one, two)
    assert ours == pytest.approx(theirs)


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5), st.integers(0, 3)), min_size=3))
def test_weights_of_correlations_are_copies(items: list[tuple[int, int, int]]) -> None:
    a, b, n = np.array(items).T
    for metric in (pearson, spearman):
        assert metric(a, b, weights=n) == pytest.approx(
            metric(np.repeat(a, n), np.repeat(b, n)), nan_ok=True
        )


def test_a_spearman_of_a_monotone_function_is_one() -> None:
    x = np.linspace(0, 3, 20)
    assert spearman(x, np.exp(x)) == pytest.approx(1)
    assert pearson(x, np.exp(x)) < 0.95
    assert np.isnan(pearson(x, np.ones(20)))


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


# --- controls


@given(st.integers(2, 200), st.integers(0, 5))
def test_a_derangement_moves_everything(n: int, seed: int) -> None:
    moved = derangement(n, np.random.default_rng(seed))
    assert sorted(moved) == list(range(n))
    assert (moved != np.arange(n)).all()


def test_shuffled_tracks_are_those_of_another_place_and_the_sequence_stays(shard: Shard) -> None:
    data = VariantDataset(
        shard,
        rows_of(shard, "chr4"),
        n_bins=200,
        flank=16,
        max_group=12,  # several items share a window
        augment=False,
        seed=0,
    )
    shuffled = ShuffledTracks(data, 0)
    starts = {place.start for place in data.placements}
    donors = {
        start: donor
        for (_, donor), start in zip(
            shuffled.donors, [p.start for p in data.placements], strict=True
        )
    }
    assert set(donors.values()) == starts < set(range(-10_000, 160_000, 50))
    assert len(data) > len(starts)
    item, plain = shuffled[3], data[3]
    donor = next(i for i, p in enumerate(data.placements) if p.start == shuffled.donors[3][1])
    assert np.array_equal(item.window.signal, data[donor].window.signal)
    assert np.array_equal(item.window.codes, plain.window.codes)
    assert np.array_equal(item.row, plain.row)


def test_a_model_that_reads_only_tracks_is_found_out(suite: Suite) -> None:
    found = {control.name: control for control in suite.results.controls}
    plain = found["as_is"].metric.value
    assert plain > 0.65
    for name in ("alleles_swapped", "variant_removed", "contacts_withheld"):
        assert found[name].metric.value == pytest.approx(plain)
    assert found["tracks_withheld"].metric.value == 0.5
    for name in ("tracks_shuffled", "labels_shuffled"):
        assert abs(found[name].metric.value - 0.5) < 0.12
    less = found["tracks_shuffled"].less
    assert less is not None
    assert less.value == pytest.approx(plain - found["tracks_shuffled"].metric.value)


# --- the whole


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
    assert "backwards is below it" in headline(results)
    assert results.scales == ()


def test_the_folder_holds_the_report(suite: Suite, genome: Path) -> None:
    folder = genome.parent / "report"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("metrics.json", "metrics.tsv", "predictions.tsv", "report.html")
    ]
    data = json.loads((folder / "metrics.json").read_text())
    assert data["provenance"]["config"]["models"] == ["reads-tracks", "backwards"]
    assert data["entrants"][0]["metrics"]["auroc"]["value"] > 0.6
    long = pd.read_csv(folder / "metrics.tsv", sep="\t")
    assert {"overall", "first less this", "ceiling", "contig", "control"} <= set(long["section"])
    table = pd.read_csv(folder / "predictions.tsv", sep="\t")
    again = auroc(table["label"], table["reads-tracks"])
    assert again == pytest.approx(suite.results.first.metrics["auroc"].value, abs=1e-4)
    page = (folder / "report.html").read_text()
    assert page.count("<figure>") == 4
    assert page.index(headline(suite.results).split(".")[0]) < page.index("<nav>")
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
    with pytest.raises(DataError, match=r"nothing to tell apart|no labelled variants"):
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


def test_boosting_bears_tracks_that_were_never_measured(shard: Shard) -> None:
    rows = np.arange(60)
    target = (np.arange(len(shard.variants.pos)) % 2).astype(np.float64)
    task = BaselineTask(shard, rows, rows[:0], rows, target, True, None, 0)

    def partly(which: np.ndarray) -> np.ndarray:
        return np.column_stack([np.full(len(which), np.nan), target[which]])

    assert auroc(target[rows], _boosted(task, partly).score) == 1
    nothing = _boosted(task, lambda which: np.full((len(which), 2), np.nan)).score
    assert (nothing == 0.5).all()
