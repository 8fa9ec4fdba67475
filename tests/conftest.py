"""Fixtures that several test files share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

Genomix = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, or a skip: it is too large for the repository."""
    named = os.environ.get("GENOMIX_TEST_SHARED_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data here (GENOMIX_TEST_SHARED_DATA)")
    return folder


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without the caller's settings of genomix, one thread per process."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GENOMIX_")}
    return (
        kept
        | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
        | {"XDG_CONFIG_HOME": os.devnull}
        | more
    )


def run_genomix(
    *arguments: object,
    code: int | None = 0,
    stdin: str | None = None,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Run ``genomix`` in a process of its own; `code` is the exit code it must end with."""
    process = subprocess.run(
        [sys.executable, "-m", "genomix_cli", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=clean_environment(**(env or {})),
        timeout=timeout,
    )
    if code is not None:
        assert process.returncode == code, process.stdout + process.stderr
    return process


@pytest.fixture(scope="session")
def genomix() -> Genomix:
    """``genomix("score", vcf, code=1)`` runs the command line in a subprocess."""
    return run_genomix


@pytest.fixture(scope="session")
def tiny_genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated genome of the smallest size: reference, tracks, contacts, labelled variants.

    Shared by the whole session: read it, write elsewhere.
    """
    folder = tmp_path_factory.mktemp("simulated") / "genome"
    run_genomix("simulate", "genome", folder, "--size", "tiny", "--seed", "1", "-q")
    return folder
