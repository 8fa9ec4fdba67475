"""``genomix evaluate`` of a shard from the outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from genomix_cli.formats.genome_shard import open_shard
from tests.conftest import Ended, Genomix
from tests.toy_variant_model import save_toy, toy_registered

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("lightning")

Here = Callable[..., Ended]


@pytest.fixture(scope="module")
def shard(tiny_genome: Path, tmp_path_factory: pytest.TempPathFactory, genomix: Genomix) -> Path:
    path = tmp_path_factory.mktemp("shard") / "tiny.h5"
    settings = tiny_genome / "genomix.toml"
    genomix("prepare", "variants", "--config", settings, "-o", path, "-q")
    return path


def test_a_shard_is_evaluated_and_a_table_comes_to_stdout(
    genomix_here: Here, shard: Path, tmp_path: Path
) -> None:
    run = save_toy(tmp_path / "toy", open_shard(shard), valid="chr1", test="chr2")
    command = ["evaluate", shard, "--suite", "-m", run, "--bootstrap", 20, "--device", "cpu"]
    with toy_registered():
        first = genomix_here(*command, "--baselines", "nearest-peak", "-o", tmp_path / "a")
        again = genomix_here(*command, "--baselines", "nearest-peak", "-o", tmp_path / "b")
    assert first.code == 0, first.err
    lines = first.out.splitlines()
    assert lines[0].split("  ")[0] == "model"
    assert [line.split()[0] for line in lines[1:]] == ["toy", "nearest-peak", "ceiling"]
    assert "toy" in first.err
    assert first.out == again.out
    for name in ("metrics.tsv", "predictions.tsv"):
        one, other = ((tmp_path / x / name).read_text().splitlines() for x in "ab")
        differing = [a for a, b in zip(one, other, strict=True) if a != b]
        # Where it was written to, and nothing else.
        assert [line.partition("=")[0] for line in differing] == ["##genomixCommand"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-m", "gmt-mini-sim"], 2, "--output is missing"),
        (["-o", "x"], 2, "no model"),
        (["-m", "gmt-mini-sim", "-o", "x", "--info", "CADD"], 2, "--vcf and --info"),
        (["-m", "gmt-mini-sim", "-o", "x", "--column", "EVE"], 2, "--table and --column"),
        (["-m", "gmt-mini-sim", "-o", "x", "--baselines", "magic"], 2, "variant baseline 'magic'"),
        (["-m", "gmt-mini-sim", "-o", "x", "--test-contigs", "chr2"], 3, "may have learned"),
        (["-m", "gmt-mini-sim", "-o", "x", "--test-contigs", "chr77"], 2, "chr77"),
    ],
)
def test_mistakes(
    genomix_here: Here,
    shard: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = genomix_here("evaluate", shard, *arguments)
    assert ended.code == code, ended.err
    assert message in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_suite_needs_a_shard(genomix_here: Here, tiny_genome: Path) -> None:
    ended = genomix_here("evaluate", tiny_genome / "variants.vcf.gz", "--suite")
    assert ended.code == 2
    assert "--suite is for genome shards" in ended.err


def test_a_report_that_is_not_there(genomix: Genomix, tmp_path: Path) -> None:
    for reports in (["absent"], ["absent", "other"]):
        process = genomix("evaluate", *reports, "-o", "board", cwd=tmp_path, code=2)
        assert process.stderr == "genomix: error: absent: no such file\n"
