"""A command killed between any two of its files leaves whole ones alone, and can be run again.

The kill comes before each rename in turn, which is where a file of an output appears.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz import corpus, forked
from tests.fuzz.cases import _NAMES, _lay_out

pytest.importorskip("mudata")
pytest.importorskip("cooler")
pytest.importorskip("pyarrow")
pytest.importorskip("lightning")
pytest.importorskip("sklearn")

WRITING = [command for _, command in corpus.COMMANDS if " -o " in command]
QUICK = [next(c for c in WRITING if word in c) for word in ("cn.seg", "out.parquet")]
# Times and the environment of a run differ from one run to the next; and config.json says whether
# it was resumed.
UNLIKE = ("timing.json", "train.json", "report.html", "models.tsv", "config.json", "logs")
UNLIKE += ("genomix_mqc.json", "checkpoints", "parts")


def run(command: str, files: Path, folder: Path, *more: str) -> forked.Outcome:
    """Run a command in a folder with links to its inputs."""
    folder.mkdir(exist_ok=True)
    for name in set(_NAMES.findall(command)):
        _lay_out(files, name, folder)
    return forked.run([*_NAMES.sub(r"\1", command).split(), *more], folder)


def outputs(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the files that a user sees, by path; hidden drafts are left out."""
    found = {}
    for path in sorted(folder.rglob("out*")) + sorted(folder.glob("out/**/*")):
        names = path.relative_to(folder).parts
        hidden = any(name.startswith(".") or name in UNLIKE for name in names)
        if path.is_file() and not hidden:
            found["/".join(names)] = path.read_bytes()
    return found


def killed(
    command: str, files: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Yield the folder of each run that was killed before a rename, the first one first."""
    replace = os.replace
    for last in itertools.count(1):
        count = itertools.count(1)

        def dying(*names: Any, count: Any = count, last: int = last, **more: Any) -> None:
            if next(count) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(*names, **more)

        folder = scratch / f"killed-{last}"
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dying)
            ended = run(command, files, folder)
        if ended.code != -signal.SIGKILL:
            assert ended.code == 0, ended.err
            return
        yield folder


@pytest.mark.parametrize(
    "command",
    [pytest.param(c, marks=[] if c in QUICK else [pytest.mark.slow]) for c in WRITING],
)
def test_a_killed_command_leaves_whole_files_and_runs_again(
    command: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = run(command, files, tmp_path / "whole")
    assert ended.code == 0, ended.err
    whole = outputs(tmp_path / "whole")
    assert whole
    times = 0
    for times, folder in enumerate(killed(command, files, tmp_path, monkeypatch), 1):
        left = outputs(folder)
        for name, content in left.items():
            assert content == whole[name], f"kill {times} left a part of {name}"
        if left.keys() == whole.keys():
            continue
        begun = any((folder / "out").glob("train.json"))
        again = run(command, files, folder, *(["--resume"] if begun else []))
        if "already exists; add --force" in again.err:  # the first of two tables, which is whole
            for name in left:
                (folder / name).unlink()
            again = run(command, files, folder)
        assert again.code == 0, again.err
        assert outputs(folder) == whole, f"after kill {times}"
    assert times
