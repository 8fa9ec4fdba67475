from __future__ import annotations

import gzip
import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genomix_cli.cohorts.train.holdout import hold_out
from genomix_cli.comparison.splits import held_out_in
from genomix_cli.errors import DataError, GenomixError, UsageError
from tests.toy_model import line_of_samples

SAMPLES = line_of_samples(12)
EVERY = np.arange(12)


def cohort(batch: list[str | None] | None = None) -> Any:
    """What `hold_out` asks a cohort for."""
    obs = pd.DataFrame(index=SAMPLES.names)
    if batch is not None:
        obs["batch"] = pd.Categorical(batch)
    return SimpleNamespace(path=Path("cohort.h5mu"), obs=obs)


def table(path: Path, folds: list[str], header: str = "sample\tfold") -> str:
    lines = [f"{name}\t{fold}" for name, fold in zip(SAMPLES.names, folds, strict=False)]
    path.write_text("\n".join([header, *lines]) + "\n")
    return str(path)


def test_folds_hold_every_sample_out_once() -> None:
    by, splits = hold_out(cohort(), SAMPLES, EVERY, "folds", 3, 0)
    assert [split.name for split in splits] == ["1", "2", "3"]
    assert [len(split.test) for split in splits] == [4, 4, 4]
    assert by == "stratified folds"
    for split in splits:
        np.testing.assert_array_equal(np.setdiff1d(EVERY, split.test), split.train)


def test_folds_are_in_the_order_of_their_numbers() -> None:
    _, splits = hold_out(cohort(), line_of_samples(60), np.arange(60), "folds", 11, 0)
    assert [split.name for split in splits] == [str(i + 1) for i in range(11)]


def test_a_repeat_is_the_partition_of_the_next_seed() -> None:
    by, splits = hold_out(cohort(), SAMPLES, EVERY, "folds", 3, 5, 2)
    assert by == "2 times 3 stratified folds"
    assert [split.name for split in splits] == ["1.1", "1.2", "1.3", "2.1", "2.2", "2.3"]
    assert [split.repeat for split in splits] == [0, 0, 0, 1, 1, 1]
    for r in (0, 1):
        _, alone = hold_out(cohort(), SAMPLES, EVERY, "folds", 3, 5 + r)
        for split, other in zip(splits[3 * r :][:3], alone, strict=True):
            np.testing.assert_array_equal(split.test, other.test)
    assert any((a.test != b.test).any() for a, b in zip(splits[:3], splits[3:], strict=True))


@pytest.mark.parametrize("by", ["batch", "0.3", "split.tsv"])
def test_only_folds_can_be_drawn_again(by: str) -> None:
    with pytest.raises(UsageError, match=f"--repeats: .*found --hold-out {by}"):
        hold_out(cohort(["a", "b"] * 6), SAMPLES, EVERY, by, 5, 0, 2)


def test_a_patient_is_on_one_side_only() -> None:
    samples = replace(SAMPLES, patient=np.arange(12) // 2)
    _, splits = hold_out(cohort(), samples, EVERY, "folds", 3, 0)
    pairs = held_out_in(splits, 12).reshape(6, 2)
    assert (pairs[:, 0] == pairs[:, 1]).all()


def test_more_folds_than_patients_allow_are_refused() -> None:
    with pytest.raises(UsageError, match="expected 6 or fewer for 12 patients"):
        hold_out(cohort(), SAMPLES, EVERY, "folds", 7, 0)


def test_a_class_smaller_than_the_folds_is_said(caplog: pytest.LogCaptureFixture) -> None:
    label = np.array([0] * 10 + [1, 1])
    with caplog.at_level(logging.WARNING, "genomix"):
        samples = replace(SAMPLES, label=label, classes=("x", "y"))
        hold_out(cohort(), samples, EVERY, "folds", 5, 0)
    assert "y has 2 samples" in caplog.text


def test_batches_are_held_out_one_by_one() -> None:
    batch: list[str | None] = ["b"] * 4 + ["a"] * 8
    _, splits = hold_out(cohort(batch), SAMPLES, EVERY, "batch", 5, 0)
    assert [split.name for split in splits] == ["a", "b"]
    assert list(held_out_in(splits, 12)) == batch
    # Of the labelled samples alone.
    some = np.arange(2, 12)
    _, splits = hold_out(cohort(batch), SAMPLES.take(some), some, "batch", 5, 0)
    assert len(splits[1].test) == 2


def test_a_table_may_keep_samples_for_training(tmp_path: Path) -> None:
    path = table(tmp_path / "split.tsv", ["train"] * 6 + ["test"] * 6)
    by, splits = hold_out(cohort(), SAMPLES, EVERY, path, 5, 0)
    assert [split.name for split in splits] == ["test"]
    assert list(held_out_in(splits, 12)) == [""] * 6 + ["test"] * 6
    assert by == "split.tsv"


def test_a_table_is_read_by_its_header_and_gzipped(tmp_path: Path) -> None:
    path = tmp_path / "split.csv.gz"
    with gzip.open(path, "wt") as handle:
        handle.write("sample,label,split\n")
        handle.writelines(f"{name},x,{i % 2}\n" for i, name in enumerate(SAMPLES.names))
    _, splits = hold_out(cohort(), SAMPLES, EVERY, str(path), 5, 0)
    assert list(held_out_in(splits, 12)) == ["0", "1"] * 6


@pytest.mark.parametrize(
    ("by", "batch", "message"),
    [
        ("batch", None, "has no batches to hold out"),
        ("batch", ["a"] * 11 + [None], "1 labelled samples have no batch"),
        ("batch", ["a"] * 12, "leaves fewer than two classes"),
        ("nowhere.tsv", None, "cannot be read"),
    ],
)
def test_what_cannot_be_held_out_is_said(by: str, batch: Any, message: str) -> None:
    with pytest.raises(GenomixError, match=message):
        hold_out(cohort(batch), SAMPLES, EVERY, by, 5, 0)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (["a"] * 11, "lacks 1 labelled sample of the cohort, e.g. S011"),
        (["train"] * 12, "holds out no sample"),
        (["a"] * 11 + [""], "split.tsv:13: has no fold"),
        (["a"] * 12, "fold a leaves fewer than two classes"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    folds: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        hold_out(cohort(), SAMPLES, EVERY, table(tmp_path / "split.tsv", folds), 5, 0)


def test_a_sample_twice_in_a_table_is_refused(tmp_path: Path) -> None:
    path = Path(table(tmp_path / "split.tsv", ["a", "b"] * 6))
    path.write_text(path.read_text() + "S003\ta\n")
    with pytest.raises(DataError, match="sample S003 is repeated"):
        hold_out(cohort(), SAMPLES, EVERY, str(path), 5, 0)


def test_a_table_that_parts_a_patient_is_refused(tmp_path: Path) -> None:
    samples = replace(SAMPLES, patient=np.r_[np.arange(11), 0])
    path = table(tmp_path / "split.tsv", ["a"] * 6 + ["b"] * 6)
    with pytest.raises(DataError, match="fold a divides the samples of 1 patient, such as"):
        hold_out(cohort(), samples, EVERY, path, 5, 0)


def test_a_class_that_a_fold_takes_away_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = table(tmp_path / "split.tsv", ["a", "train", "train"] * 4)
    with caplog.at_level(logging.WARNING, "genomix"):
        hold_out(cohort(), SAMPLES, EVERY, path, 5, 0)
    assert "fold a leaves no sample of x for training" in caplog.text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"sample\tfold\nS\xff\ta\n", "is not text in UTF-8"),
        (gzip.compress(b"sample\tfold\nS000\ta\n" * 99, mtime=0)[:40], "is cut short or damaged"),
        (b"sample\tfold\nS000\n", "another number of columns"),
    ],
)
def test_a_damaged_table_is_one_line(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "split.tsv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        hold_out(cohort(), SAMPLES, EVERY, str(path), 5, 0)
