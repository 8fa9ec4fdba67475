"""``genomix score`` of sequences, end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from genomix_cli.genome.tables import how_made
from genomix_cli.provenance import facts_of
from tests.conftest import Ended
from tests.sequence_runs import trained
from tests.sequence_samples import motifs, write

pytest.importorskip("lightning")

Here = Callable[..., Ended]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "s.h5", motifs(n=60))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "run", motifs(n=120), "cnn")


def test_the_input_says_what_is_scored(
    data: Path, run: Path, genomix_here: Here, tmp_path: Path
) -> None:
    stats, vectors = tmp_path / "stats.json", tmp_path / "e.parquet"
    options = ("--device", "cpu", "--stats", stats, "--embeddings", vectors)
    done = genomix_here("score", data, "-m", run, "-o", tmp_path / "p.parquet", *options)
    assert done.code == 0, done.err
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert len(table) == 60
    said = json.loads(stats.read_text())
    assert sum(said["predicted"].values()) == said["scored"] == 60
    assert f"predicted A: {said['predicted']['A']}" in done.err
    assert set(said["provenance"]["inputs"]) == {"sequences s.h5"}
    assert pd.read_parquet(vectors).shape == (60, 17)
    piped = genomix_here("score", data, "-m", run, "-q", "--device", "cpu")
    made = facts_of(piped.out.splitlines())
    assert made == how_made(tmp_path / "p.parquet")
    assert made["Model"][0].startswith("run sha256:")
    assert made["Input"][0].startswith("sequences s.h5 sha256:")
    lines = [line for line in piped.out.splitlines() if not line.startswith("##")]
    assert lines[0].split("\t")[:2] == ["sample", "predicted"]
    assert [line.split("\t")[1] for line in lines[1:]] == list(table["predicted"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--fasta", "x.fa"], 2, "--fasta is for variants, and"),
        (["-o", "x.vcf"], 2, "does not have the extension of a table"),
        (["-o", "x.tsv", "--embeddings", "x.tsv"], 2, "is the same file as -o"),
        (["-m", "nowhere"], 2, "no such model"),
    ],
)
def test_mistakes_are_one_line(
    data: Path, run: Path, genomix_here: Here, arguments: list[str], code: int, said: str
) -> None:
    model = [] if "-m" in arguments else ["-m", run]
    done = genomix_here("score", data, *model, *arguments, "--device", "cpu")
    assert done.code == code
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_a_damaged_file_is_one_line(
    data: Path, run: Path, genomix_here: Here, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.h5"
    cut.write_bytes(data.read_bytes()[:6000])
    done = genomix_here("score", cut, "-m", run, "--device", "cpu")
    assert done.code == 1
    assert str(cut) in done.err
    assert len(done.err.splitlines()) == 1
