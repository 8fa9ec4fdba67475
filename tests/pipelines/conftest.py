"""Fixtures of the pipelines: variants few enough to score often."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, Shell

PIPELINES = ROOT / "docs" / "pipelines"
DATA = ROOT / "test_data"


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory, shell: Shell) -> Path:
    """A folder with test_data/ in it, whose VCF keeps a stretch of each contig."""
    for program in ("bcftools", "tabix"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("few")
    shutil.copytree(DATA, folder / "test_data")
    shell(
        f"bcftools view --no-version --regions chr1:1-40000,chr2:1-40000 -Oz "
        f"-o test_data/variants.vcf.gz '{DATA}/variants.vcf.gz' && "
        "tabix --force --preset vcf test_data/variants.vcf.gz",
        folder,
    )
    return folder


def records(path: Path) -> list[str]:
    """Lines of a VCF.gz that are no header."""
    with gzip.open(path, "rt") as lines:
        return [line for line in lines if not line.startswith("#")]


def text(path: Path) -> bytes:
    """What is in a compressed file, header and all."""
    with gzip.open(path) as file:
        return file.read()
