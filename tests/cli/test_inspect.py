"""``genomix inspect`` on what the other commands write."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cohort_files import every_kind, modality, write_cohort


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("genome.fa.gz", "FASTA"),
        ("ATAC.bw", "bigWig"),
        ("contacts.cool", "contact map"),
        ("variants.vcf.gz", "VCF"),
        (".", "simulated genome"),
    ],
)
def test_raw_files(tiny_genome: Path, genomix_fast: Any, name: str, kind: str) -> None:
    first, *facts = genomix_fast("inspect", tiny_genome / name).stdout.splitlines()
    assert first.endswith(f": {kind}")
    assert facts


@pytest.mark.parametrize(("layout", "kind"), [("genome", "genome shard"), ("windows", "windows")])
def test_shards(
    tiny_genome: Path, tmp_path: Path, genomix_fast: Any, layout: str, kind: str
) -> None:
    few = tmp_path / "few.vcf"
    with gzip.open(tiny_genome / "variants.vcf.gz", "rt") as lines:
        few.write_text("".join(itertools.islice(lines, 30)))
    shard = tmp_path / "shard.h5"
    settings = ["--config", tiny_genome / "genomix.toml", "--vcf", few, "--layout", layout]
    genomix_fast("prepare", "variants", *settings, "-o", shard, "-q")
    first, *facts = genomix_fast("inspect", shard).stdout.splitlines()
    assert kind in first
    assert any("ATAC, H3K27ac, H3K4me3, CTCF" in fact for fact in facts)
    assert any("genomix prepare variants" in fact for fact in facts)


def test_json_has_the_same_facts(tiny_genome: Path, genomix_fast: Any) -> None:
    said = json.loads(genomix_fast("inspect", tiny_genome / "variants.vcf.gz", "--json").stdout)
    assert said["kind"] == "VCF"
    assert said["facts"]["alleles"] >= said["facts"]["records"] > 0
    manifest = json.loads((tiny_genome / "manifest.json").read_text())
    assert said["facts"]["alleles"] == manifest["counts"]["alleles"]


def test_a_pipe_is_read_as_a_file_is(tiny_genome: Path, tmp_path: Path) -> None:
    inspect = [sys.executable, "-m", "genomix_cli", "inspect"]

    def piped(data: bytes, *more: str) -> tuple[int, str]:
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        done = subprocess.run(
            [*inspect, *more], input=data, capture_output=True, env=environment, check=False
        )
        return done.returncode, (done.stderr if done.returncode else done.stdout).decode()

    for name in ("variants.vcf.gz", "contacts.cool"):
        path = tiny_genome / name
        file = subprocess.run([*inspect, path], capture_output=True, text=True, check=True).stdout
        for word in ("-", "/dev/stdin"):
            code, said = piped(path.read_bytes(), word)
            assert code == 0, said
            assert said == file.replace(str(path), word)
    code, said = piped(b"hello", "-")
    assert code == 1
    assert said.startswith("genomix: error: -: is not a kind of file that genomix knows (expected")
    assert piped(b"", "-")[1].startswith("genomix: error: -: is empty")
    assert list(tmp_path.iterdir()) == []


def test_what_is_nothing_of_ours(genomix_fast: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("hello")
    assert "not a kind of file that genomix knows" in genomix_fast("inspect", other, code=1).stderr
    assert "no such file" in genomix_fast("inspect", tmp_path / "absent", code=2).stderr


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return every_kind(tmp_path_factory.mktemp("cohort") / "cohort.h5mu")


def test_a_cohort(cohort: Path, genomix_fast: Any) -> None:
    first, *lines = genomix_fast("inspect", cohort).stdout.splitlines()
    assert first.endswith("cohort.h5mu: cohort")
    assert any(re.fullmatch(r"  samples +48", line) for line in lines)
    assert any(re.match(r"  methylation +methylation +12 +36 +0.2500 +0.\d{4}", x) for x in lines)
    assert any(line.startswith("  tumour <A>") for line in lines)


def test_pictures_of_two_cohorts(cohort: Path, genomix_here: Any, tmp_path: Path) -> None:
    rows = [f"s{i}" for i in range(20)]
    values = np.linspace(0, 1, 100).reshape(20, 5)
    few = {"methylation": modality(values, "methylation", rows)}
    other = write_cohort(tmp_path / "other.h5mu", few, {"sample": rows, "label": [*"ab"] * 10})
    options = ["--plots", tmp_path / "drawn", "--beside", other, "--json"]
    ended = genomix_here("inspect", other, *options)
    assert ended.code == 0, ended.err
    said = json.loads(ended.out)
    pictures = list((tmp_path / "drawn").glob("*.png"))
    assert said["facts"]["pictures"] == len(pictures) == 6
    table = said["tables"][-1]
    assert table["title"].startswith("other (1) beside other (2)")
    distances = {(row[0], row[1]): row[2] for row in table["rows"]}
    assert distances["methylation", "all values"] == 0
    assert "index.html" in ended.err
    again = genomix_here("inspect", other, "--plots", tmp_path / "drawn")
    assert again.code == 2
    assert "--force" in again.err


def test_a_cohort_beside_itself_is_no_distance_away(cohort: Path, genomix_fast: Any) -> None:
    lines = genomix_fast("inspect", cohort, "--beside", cohort).stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if "Kolmogorov-Smirnov" in line)
    assert lines[start + 2].split()[:4] == ["methylation", "all", "values", "0.0000"]


def test_what_can_go_wrong_with_cohorts(cohort: Path, genomix_fast: Any, tmp_path: Path) -> None:
    text = tmp_path / "genome.fa"
    text.write_text(">chr1\nACGT\n")
    drawn = tmp_path / "drawn"
    assert "is a FASTA" in genomix_fast("inspect", text, "--plots", drawn, code=2).stderr
    assert "is not HDF5" in genomix_fast("inspect", cohort, "--beside", text, code=1).stderr
    absent = tmp_path / "absent.h5mu"
    assert "no such file" in genomix_fast("inspect", cohort, "--beside", absent, code=2).stderr
    nowhere = tmp_path / "no" / "drawn"
    assert "no such folder" in genomix_fast("inspect", cohort, "--plots", nowhere, code=2).stderr
    short = tmp_path / "short.h5mu"
    short.write_bytes(cohort.read_bytes()[:20_000])
    assert "cut short" in genomix_fast("inspect", short, code=1).stderr
    assert not drawn.exists()


def test_sequences(genomix_fast: Any, tmp_path: Path) -> None:
    rows = [f"s{i},{'ACGT'[i % 4] * 5},{'ab'[i % 2]},{i},{'test' * (i > 3)}" for i in range(6)]
    table = tmp_path / "a.csv"
    table.write_text("id,sequence,cls,age,part\n" + "\n".join(rows))
    options = ["--label", "cls", "--split", "part", "--assembly", "toy"]
    genomix_fast("prepare", "sequences", table, *options, "-o", tmp_path / "a.h5", "-q")
    first, *lines = genomix_fast("inspect", tmp_path / "a.h5").stdout.splitlines()
    assert first.endswith("a.h5: sequences")
    facts = [" ".join(line.split()) for line in lines]
    for fact in ("sequences 6", "length 5", "aligned no", "groups none", "assembly toy"):
        assert fact in facts
    assert "age number 6 0 to 5" in facts
    assert "cls category 6 2 (a, b)" in facts
    assert "test 2" in facts
    assert "a 3 1" in facts


def test_a_run_of_sequences(genomix_here: Any, tmp_path: Path) -> None:
    from genomix_cli.sequences.runs import RunConfig, save_run

    config = RunConfig("classify", "toy", {"k": 3}, 50, label="cls", classes=("a", "b"))
    save_run(tmp_path, config, {"weight": np.zeros((2, 5), np.float32)})
    (tmp_path / "metrics.json").write_text('{"headline": "better than nothing", "outcomes": []}')
    ended = genomix_here("inspect", tmp_path)
    assert ended.code == 0, ended.err
    first, *lines = ended.out.splitlines()
    assert first.endswith(": model of sequences")
    facts = [" ".join(line.split()) for line in lines]
    for fact in (
        *("task classify", "model toy", "numbers stored 10", "length 50", "architecture k 3"),
        *("sequences not aligned", "label cls", "classes a, b", "result better than nothing"),
    ):
        assert fact in facts
    (tmp_path / "config.json").write_text('{"domain": "sequences"}')
    assert "config.json" in genomix_here("inspect", tmp_path).err
