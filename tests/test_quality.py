"""Lint, format, types and import rules; a missing tool skips its test, except in CI."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
IN_CI = bool(os.environ.get("CI"))

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": [sys.executable, "-m", "mypy", "genomix_cli"],
    "import-linter": ["lint-imports"],
}


def installed(command: list[str]) -> list[str] | None:
    """Return the command with its program, next to the interpreter or on the path; else None."""
    if command[0] == sys.executable:
        return command if importlib.util.find_spec(command[2]) else None
    beside = shutil.which(command[0], path=sysconfig.get_path("scripts"))
    program = beside or shutil.which(command[0])
    return [program, *command[1:]] if program else None


@pytest.mark.parametrize("name", CHECKS)
def test_quality(name: str) -> None:
    command = installed(CHECKS[name])
    if command is None:
        assert not IN_CI, f"{name} is not installed"
        pytest.skip(f"{name} is not installed")
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
