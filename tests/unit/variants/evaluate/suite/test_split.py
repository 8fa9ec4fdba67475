"""Rows to test and to learn from, and runs that learned from the test part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomix_cli.errors import CheckError, UsageError
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.variants.evaluate.suite.split import split_rows, thin
from genomix_cli.variants.records.inputs import least_distance
from genomix_cli.variants.records.seen import seen_alleles
from genomix_cli.variants.requests.evaluate import SuiteRequest
from tests.suite_shard import rows_of
from tests.toy_variant_model import save_toy

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("lightning")


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
    with pytest.raises(CheckError, match=r"learned from .* test variants .*--trust-runs"):
        split_rows(shard, leaking)
    parts = split_rows(shard, replace(leaking, trust_runs=True))
    assert "is trusted" in parts.notes[0]
    assert set(shard.variants.contig[parts.train]) == {0}
    parts = split_rows(shard, replace(leaking, seen="include"))
    assert parts.notes[0].startswith("training accuracy: ")
    assert parts.test.tolist() == [*rows_of(shard, "chr2"), *rows_of(shard, "chr4")]
    parts = split_rows(shard, replace(leaking, seen="leave-out"))
    assert parts.test.tolist() == rows_of(shard, "chr4").tolist()
    assert "are left out" in parts.notes[0]


def test_alleles_that_a_run_learned_from_are_known_under_any_name_of_the_contig(
    shard: Shard, request_: SuiteRequest, tmp_path: Path
) -> None:
    run = save_toy(tmp_path / "run", shard, valid="chr3", test="chr4")
    seen_alleles(shard, rows_of(shard, "chr4")[:7], rows_of(shard, "chr3")).write(run)
    asked = replace(request_, models=(str(run),), trust_runs=True)
    with pytest.raises(CheckError, match=r"run learned from 7 of the .* test variants"):
        split_rows(shard, asked)
    parts = split_rows(shard, replace(asked, seen="leave-out"))
    assert parts.test.tolist() == rows_of(shard, "chr4")[7:].tolist()


def test_a_later_run_that_leaks_is_refused_too(
    shard: Shard, request_: SuiteRequest, tmp_path: Path
) -> None:
    other = save_toy(tmp_path / "other", shard, valid="chr1", test="chr2")
    with pytest.raises(CheckError, match="other may have learned"):
        split_rows(shard, replace(request_, models=(*request_.models, str(other))))


def test_a_model_without_train_json_says_in_its_config_what_it_held_out(
    shard: Shard, request_: SuiteRequest
) -> None:
    shipped = replace(request_, models=("gmt-mini-sim",), test_contigs=("chr4",))
    with pytest.raises(CheckError, match="gmt-mini-sim may have learned"):
        split_rows(shard, shipped)
    with pytest.raises(UsageError, match="bare has no test part"):
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


def test_baselines_learn_from_nothing_near_the_test_part(
    shard: Shard, request_: SuiteRequest, tmp_path: Path
) -> None:
    bed = tmp_path / "test.bed"
    bed.write_text("chr1\t0\t20000\n")
    parts = split_rows(shard, replace(request_, test_regions=bed, trust_runs=True))
    pos, chr1 = shard.variants.pos, rows_of(shard, "chr1")
    assert (pos[chr1] >= 20_000).any()
    assert pos[np.intersect1d(parts.train, chr1)].min(initial=2**31) >= 20_000 + least_distance()


def test_thinning_keeps_many_loci_and_full_windows() -> None:
    kept = thin(np.arange(88_000), 8_000)
    loci = np.split(kept, np.flatnonzero(np.diff(kept) > 1) + 1)
    assert len(loci) == 80
    assert {len(locus) for locus in loci} == {100}
    assert (np.diff([locus[0] for locus in loci]) <= 1_200).all()


@given(st.integers(1, 3000), st.integers(0, 2000))
def test_thinning_keeps_rows_in_order_and_not_too_many(n: int, most: int) -> None:
    rows = np.arange(n) * 3
    kept = thin(rows, most)
    assert set(kept) <= set(rows.tolist())
    assert (np.diff(kept) > 0).all()
    assert len(kept) == n if not most else 0 < len(kept) <= max(most, 1)
