"""Every fault of `tests.mutations.table` makes a default test fail."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.mutations.table import MUTATIONS, Mutation

EACH = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.module}: {m.after[:60]}")
SECONDS = 600


@EACH
def test_the_line_is_there(mutation: Mutation) -> None:
    text = (ROOT / "genomix_cli" / mutation.module).read_text()
    assert text.count(mutation.before) == 1
    assert (ROOT / "tests" / mutation.tests).exists()


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, to be broken; what takes long to import is there before the first fork."""
    folder = tmp_path_factory.mktemp("broken")
    for name in ("genomix_cli", "tests", "test_data", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    for name in ("torch", "sklearn.linear_model", "lightning", "pandas", "hypothesis"):
        import_module(name)
    return folder


@pytest.mark.slow
@EACH
def test_a_fault_is_seen(mutation: Mutation, copied: Path, tmp_path: Path) -> None:
    module = copied / "genomix_cli" / mutation.module
    text = module.read_text()
    module.write_text(text.replace(mutation.before, mutation.after))
    try:
        code = _tested(copied, f"tests/{mutation.tests}", tmp_path / "log")
    finally:
        module.write_text(text)
    assert code == 1, (tmp_path / "log").read_text()[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("tests", sorted({mutation.tests for mutation in MUTATIONS}))
def test_without_a_fault_they_pass(tests: str, copied: Path, tmp_path: Path) -> None:
    code = _tested(copied, f"tests/{tests}", tmp_path / "log")
    assert code == 0, (tmp_path / "log").read_text()[-2000:]


def _tested(project: Path, tests: str, log: Path) -> int:
    """Exit code of pytest on a copy of the project, in a fork of this process."""
    child = os.fork()
    if not child:
        signal.alarm(SECONDS)
        output = os.open(log, os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.dont_write_bytecode = True
        os.chdir(project)
        os.environ["PYTHONPATH"] = sys.path[0] = str(project)
        for name in [
            name for name in sys.modules if name.split(".")[0] in ("genomix_cli", "tests")
        ]:
            del sys.modules[name]
        os._exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", tests]))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
