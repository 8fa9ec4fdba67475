"""``genomix inspect`` on what the other commands write."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import pytest


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
def test_raw_files(tiny_genome: Path, genomix: Any, name: str, kind: str) -> None:
    first, *facts = genomix("inspect", tiny_genome / name).stdout.splitlines()
    assert first.endswith(f": {kind}")
    assert facts


@pytest.mark.parametrize(("layout", "kind"), [("genome", "genome shard"), ("windows", "windows")])
def test_shards(tiny_genome: Path, tmp_path: Path, genomix: Any, layout: str, kind: str) -> None:
    few = tmp_path / "few.vcf"
    with gzip.open(tiny_genome / "variants.vcf.gz", "rt") as lines:
        few.write_text("".join(itertools.islice(lines, 30)))
    shard = tmp_path / "shard.h5"
    settings = ["--config", tiny_genome / "genomix.toml", "--vcf", few, "--layout", layout]
    genomix("prepare", "variants", *settings, "-o", shard, "-q")
    first, *facts = genomix("inspect", shard).stdout.splitlines()
    assert kind in first
    assert any("ATAC, H3K27ac, H3K4me3, CTCF" in fact for fact in facts)
    assert any("genomix prepare variants" in fact for fact in facts)


def test_json_has_the_same_facts(tiny_genome: Path, genomix: Any) -> None:
    said = json.loads(genomix("inspect", tiny_genome / "variants.vcf.gz", "--json").stdout)
    assert said["kind"] == "VCF"
    assert said["facts"]["alleles"] >= said["facts"]["records"] > 0
    manifest = json.loads((tiny_genome / "manifest.json").read_text())
    assert said["facts"]["alleles"] == manifest["counts"]["alleles"]


def test_what_is_nothing_of_ours(genomix: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("hello")
    assert "not a file that genomix knows" in genomix("inspect", other, code=1).stderr
    assert "no such file" in genomix("inspect", tmp_path / "absent", code=2).stderr
