"""A small genome, its shard, runs of a toy model, and their evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from genomix_cli.formats.genome_shard import Shard
from genomix_cli.variants.evaluate.suite.results import Suite
from genomix_cli.variants.evaluate.suite.run import evaluate_suite
from genomix_cli.variants.requests.evaluate import SuiteRequest
from genomix_cli.variants.requests.simulate import SimulationRequest
from genomix_cli.variants.simulate.genome import simulate_genome
from tests.suite_shard import prepare
from tests.toy_variant_model import save_toy, toy_registered


@pytest.fixture(scope="module", autouse=True)
def toy() -> Iterator[None]:
    with toy_registered():
        yield


@pytest.fixture(scope="session")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite") / "genome"
    simulate_genome(
        SimulationRequest(folder, contigs=4, contig_length=150_000, placement="sites", seed=5)
    )
    return folder


@pytest.fixture(scope="session")
def shard(genome: Path) -> Shard:
    return prepare(genome, genome.parent / "tiny.h5")


@pytest.fixture(scope="session")
def run(shard: Shard, genome: Path) -> Path:
    return save_toy(genome.parent / "reads-tracks", shard)


@pytest.fixture(scope="session")
def request_(shard: Shard, run: Path, genome: Path) -> SuiteRequest:
    return SuiteRequest(
        shard.path, genome.parent / "none", (str(run),), draws=40, baselines=("nearest-peak",)
    )


@pytest.fixture(scope="session")
def suite(shard: Shard, run: Path, genome: Path) -> Suite:
    backwards = save_toy(genome.parent / "backwards", shard, sign=-1.0)
    request = SuiteRequest(
        shard.path, genome.parent / "report", (str(run), str(backwards)), draws=40
    )
    with toy_registered():
        return evaluate_suite(request)
