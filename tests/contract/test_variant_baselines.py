"""Every baseline of the suite, and one that is a single file and a single line of the registry."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from genomix_cli.formats.genome_shard import Shard, open_shard
from genomix_cli.registry import VARIANT_BASELINES
from genomix_cli.variants.evaluate.suite.baselines.base import (
    Baseline,
    BaselineTask,
    Prediction,
)
from genomix_cli.variants.evaluate.suite.entrants import score_baselines
from genomix_cli.variants.evaluate.suite.peaks import Peaks, call_peaks
from genomix_cli.variants.prepare.shard import PrepareRequest, prepare_variants
from genomix_cli.variants.simulate.genome import SimulationRequest, simulate_genome

pytest.importorskip("sklearn")

ALL = tuple(VARIANT_BASELINES)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> BaselineTask:
    folder = tmp_path_factory.mktemp("baselines")
    genome = folder / "genome"
    simulate_genome(SimulationRequest(genome, contigs=3, contig_length=100_000, seed=5))
    request = PrepareRequest(
        vcf=genome / "variants.vcf.gz",
        fasta=genome / "genome.fa.gz",
        output=folder / "tiny.h5",
        tracks={"ATAC": genome / "ATAC.bw"},
        label_info="LABEL",
    )
    prepare_variants(request)
    shard = open_shard(request.output)
    return task_of(shard, call_peaks(shard, np.arange(0)))


def task_of(shard: Shard, peaks: Peaks | None) -> BaselineTask:
    table = shard.variants
    train, valid, test = (np.flatnonzero(table.contig == i) for i in range(3))
    return BaselineTask(shard, train, valid, test, table.label.astype(np.float64), True, peaks)


@pytest.mark.parametrize("name", ALL)
def test_it_says_what_it_is_and_scores_every_test_row(name: str, task: BaselineTask) -> None:
    baseline: Baseline = VARIANT_BASELINES.load(name)
    assert baseline.description
    assert baseline.can_predict(task)
    first, again = baseline.predict(task), baseline.predict(task)
    assert first.score.shape == task.test.shape
    assert np.isfinite(first.score).all()
    assert np.array_equal(first.score, again.score)
    if first.probability is not None:
        assert ((first.probability >= 0) & (first.probability <= 1)).all()


@pytest.mark.parametrize("name", ALL)
def test_it_never_reads_the_targets_of_test_rows(name: str, task: BaselineTask) -> None:
    baseline: Baseline = VARIANT_BASELINES.load(name)
    hidden = task.target.copy()
    hidden[task.test] = np.nan
    assert np.array_equal(
        baseline.predict(task).score, baseline.predict(replace(task, target=hidden)).score
    )


def test_without_labels_tracks_or_peaks_some_are_left_out_and_named(task: BaselineTask) -> None:
    same = replace(task, target=np.ones_like(task.target))
    notes: list[str] = []
    assert [each.name for each in score_baselines(ALL, same, notes)] == ["nearest-peak"]
    assert notes == [
        "without kmer-logistic, position, tracks: there is nothing they could learn or read"
    ]
    notes.clear()
    names = [each.name for each in score_baselines(ALL, replace(task, peaks=None), notes)]
    assert names == ["kmer-logistic", "position", "tracks"]
    assert notes == ["without nearest-peak: there is nothing they could learn or read"]


def test_a_new_baseline_is_a_file_and_a_line(
    task: BaselineTask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = ModuleType("toy_baseline")

    def predict(task: BaselineTask) -> Prediction:
        return Prediction(task.shard.variants.pos[task.test].astype(np.float64), note="toy note")

    module.TOY = Baseline(predict, "the position as it is", learns=False)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_baseline", module)
    monkeypatch.setitem(VARIANT_BASELINES._entries, "toy", "toy_baseline:TOY")
    (entrant,) = score_baselines(("toy",), task, [])
    assert (entrant.name, entrant.kind) == ("toy", "baseline")
    assert (entrant.note, entrant.description) == ("toy note", "the position as it is")
