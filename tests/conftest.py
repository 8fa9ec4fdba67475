"""Fixtures that several test files share."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Set this before torch is imported: on a busy machine, threads that wait for each other turn
# seconds into minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

Genomix = Callable[..., "subprocess.CompletedProcess[str]"]
Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data, which is too large for the repository; skip without it."""
    named = os.environ.get("GENOMIX_TEST_SHARED_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data here (GENOMIX_TEST_SHARED_DATA)")
    return folder


def clean_environment(**more: str) -> dict[str, str]:
    """Return the environment without genomix settings, and with one thread per process."""
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
    """Run ``genomix`` in its own process; `code` is the expected exit code."""
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


class Ended(NamedTuple):
    """Exit code and streams of a command, also under the names that `subprocess` uses."""

    code: int
    out: str
    err: str

    @property
    def returncode(self) -> int:
        return self.code

    @property
    def stdout(self) -> str:
        return self.out

    @property
    def stderr(self) -> str:
        return self.err


Fast = Callable[..., Ended]


@pytest.fixture(autouse=True)
def own_log() -> Iterator[logging.Logger]:
    """Restore the log after a test that runs commands in this process and closes its stream."""
    log = logging.getLogger("genomix")
    before = log.handlers[:], log.level, log.propagate
    yield log
    log.handlers[:], log.level, log.propagate = before


@pytest.fixture
def genomix_here(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], own_log: logging.Logger
) -> Iterator[Callable[..., Ended]]:
    """``genomix_here("score", vcf)`` is the command line in this process, where torch is loaded."""
    from genomix_cli.cli.main import main

    before = signal.getsignal(signal.SIGTERM)
    for name in [name for name in os.environ if name.startswith("GENOMIX_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", os.devnull)

    def run(*arguments: object) -> Ended:
        own_log.handlers.clear()
        monkeypatch.setattr("sys.argv", ["genomix", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        sys.stdout.flush()
        return Ended(int(stop.value.code or 0), *capfd.readouterr())

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def genomix_fast(
    genomix_here: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ended]:
    """Return `genomix` run in this process: a short command mostly waits for imports."""

    def run(
        *arguments: object,
        code: int | None = 0,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> Ended:
        with monkeypatch.context() as patch:
            if cwd is not None:
                patch.chdir(cwd)
            for name, value in {"COLUMNS": "100", **(env or {})}.items():
                patch.setenv(name, value)
            ended = genomix_here(*arguments)
        assert code is None or ended.code == code, ended.out + ended.err
        return ended

    return run


@pytest.fixture(scope="session")
def tiny_genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the smallest simulated genome: reference, tracks, contacts, labelled variants.

    The whole session shares it, so tests may only read it.
    """
    folder = tmp_path_factory.mktemp("simulated") / "genome"
    run_genomix(
        "simulate", "genome", folder, "--size", "tiny", "--placement", "sites", "--seed", "1", "-q"
    )
    return folder


@pytest.fixture(scope="session")
def command_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a PATH on which `genomix` is the one under test."""
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
