"""Fixtures of the pipelines: `genomix` as a command, and variants few enough to score often."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, clean_environment

PIPELINES = ROOT / "docs" / "pipelines"
DATA = ROOT / "test_data"

Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def command_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which `genomix` is the one under test."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "genomix"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m genomix_cli "$@"\n')
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="session")
def shell(command_path: str) -> Shell:
    """``shell(text, cwd, NAME="value")`` runs a text in bash and must succeed."""

    def run(text: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
        process = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=cwd,
            env=clean_environment(PATH=command_path, **more),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return process

    return run


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
