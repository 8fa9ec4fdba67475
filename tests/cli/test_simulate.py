from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cooler")

SMALLEST = ("--contigs", "1", "--contig-length", "100k")


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_summary_on_stderr_and_nothing_on_stdout(genomix_fast: Any, tmp_path: Path) -> None:
    process = genomix_fast("simulate", "genome", tmp_path / "g", *SMALLEST)
    assert process.stdout == ""
    assert "100,000 bases" in process.stderr
    assert "Bayes-optimal AUROC 0." in process.stderr


def test_quiet(genomix_fast: Any, tmp_path: Path) -> None:
    process = genomix_fast("simulate", "genome", tmp_path / "g", *SMALLEST, "-q")
    assert process.stdout == process.stderr == ""


def test_the_same_command_gives_the_same_bytes(genomix_fast: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        command = ("simulate", "genome", "g", *SMALLEST, "--seed", "5")
        genomix_fast(*command, cwd=tmp_path / name)
    one, two = (digests(tmp_path / name / "g") for name in ("one", "two"))
    assert one == two
    assert len(one) == 13


def test_the_tiny_genome(tiny_genome: Path) -> None:
    manifest = json.loads((tiny_genome / "manifest.json").read_text())
    assert manifest["contigs"] == {"chr1": 300_000, "chr2": 300_000}
    assert manifest["provenance"]["command"].startswith("genomix simulate genome ")
    assert 0.85 < manifest["bayes"]["auroc"] < 0.98


@pytest.mark.parametrize(
    ("size", "contigs", "length"),
    [
        ("tiny", 2, 300_000),
        ("small", 4, 1_000_000),
        ("medium", 6, 5_000_000),
        ("large", 10, 10_000_000),
        ("100M", 10, 10_000_000),
        ("600k", 2, 300_000),
        ("30Mb", 6, 5_000_000),
        ("400000", 2, 200_000),
    ],
)
def test_sizes(size: str, contigs: int, length: int) -> None:
    from genomix_cli.cli.simulate import parse_size

    assert parse_size(size) == (contigs, length)


def test_settings_from_a_file(genomix_fast: Any, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('[simulate.genome]\ncontigs = 1\ncontig-length = "120k"\nseed = 9\n')
    genomix_fast("simulate", "genome", tmp_path / "g", "--config", settings)
    manifest = json.loads((tmp_path / "g" / "manifest.json").read_text())
    assert manifest["contigs"] == {"chr1": 120_000}
    assert manifest["provenance"]["seed"] == 9


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--size", "huge"), 2, "unknown size (expected tiny, small, medium, large"),
        (("--size", "3Gb"), 2, "--size: not a length"),
        (("--contig-length", "x"), 2, "--contig-length: not a length"),
        (("--contig-length", "5k"), 2, "--contig-length: out of range"),
        (("--variants-per-kb", "1000"), 2, "--variants-per-kb: out of range"),
        (("--motifs", "absent.meme"), 2, "absent.meme: no such file"),
    ],
)
def test_mistakes(
    genomix_fast: Any, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    process = genomix_fast("simulate", "genome", "g", *arguments, code=code, cwd=tmp_path)
    assert message in process.stderr
    assert "Traceback" not in process.stderr
    assert not list(tmp_path.iterdir())


def test_folders(genomix_fast: Any, tmp_path: Path) -> None:
    process = genomix_fast("simulate", "genome", tmp_path / "no" / "g", *SMALLEST, code=2)
    assert "no such folder" in process.stderr
    (tmp_path / "mine").mkdir()
    process = genomix_fast("simulate", "genome", tmp_path / "mine", *SMALLEST, code=2)
    assert "already exists" in process.stderr
    process = genomix_fast("simulate", "genome", tmp_path / "mine", *SMALLEST, "--force", code=2)
    assert "not a simulated genome" in process.stderr
