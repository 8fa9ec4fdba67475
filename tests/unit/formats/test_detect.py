"""Files are recognised by their content, folders by their config."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from genomix_cli.errors import UsageError
from genomix_cli.formats.detect import is_cohort, is_scored_classes, model_folder
from tests.cohort_files import modality, write_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = ["a", "b"]
    values = {"x": modality(np.eye(2), "other", rows)}
    return write_cohort(tmp_path_factory.mktemp("c") / "c.h5mu", values, {"sample": rows})


def written(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_a_cohort_is_known_by_its_content(cohort: Path, tmp_path: Path) -> None:
    assert is_cohort(cohort)
    assert is_cohort(written(tmp_path / "x.vcf", cohort.read_bytes()))
    assert is_cohort(tmp_path / "absent.h5mu")
    assert is_cohort(written(tmp_path / "cut.h5mu", cohort.read_bytes()[:600]))
    assert not is_cohort(tmp_path / "absent.vcf")
    assert not is_cohort(written(tmp_path / "vcf.h5mu", "##fileformat=VCFv4.2\n"))
    assert not is_cohort(written(tmp_path / "empty.h5mu", ""))
    assert not is_cohort(Path("-"))
    assert not is_cohort(tmp_path)
    with h5py.File(tmp_path / "shard.h5", "w") as file:
        file["contigs"] = [1]
    assert not is_cohort(tmp_path / "shard.h5")
    modality(np.eye(2), "other", ["a", "b"]).write_h5ad(tmp_path / "x.h5ad")
    assert is_cohort(tmp_path / "x.h5ad")


def test_scores_of_a_cohort_are_known_by_their_content(tmp_path: Path) -> None:
    table = "sample\tpredicted\tp:A\n"
    assert is_scored_classes(written(tmp_path / "a", table))
    assert is_scored_classes(written(tmp_path / "b", gzip.compress(table.encode())))
    assert is_scored_classes(written(tmp_path / "c", b"PAR1 ..."))
    assert is_scored_classes(tmp_path)
    for domain in ("cohorts", "variants"):
        (tmp_path / domain).mkdir()
        written(tmp_path / domain / "config.json", json.dumps({"domain": domain}))
    assert is_scored_classes(tmp_path / "cohorts")
    assert not is_scored_classes(tmp_path / "variants")
    vcf = "##fileformat=VCFv4.2\n"
    assert not is_scored_classes(written(tmp_path / "d", vcf))
    assert not is_scored_classes(written(tmp_path / "e", gzip.compress(vcf.encode())))
    assert not is_scored_classes(written(tmp_path / "f", b"\x1f\x8b cut"))
    assert not is_scored_classes(written(tmp_path / "g", "samples\tx\n"))
    assert not is_scored_classes(tmp_path / "absent.tsv")


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    """A pipe is left to the command, since it can be read only once."""
    os.mkfifo(tmp_path / "pipe")
    assert not is_cohort(tmp_path / "pipe")
    assert not is_scored_classes(tmp_path / "pipe")


def test_an_unfinished_run_is_no_model_yet(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text("{}")
    with pytest.raises(UsageError, match=r"is a run that has not finished.*--resume"):
        model_folder(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert model_folder(str(tmp_path)) == tmp_path
