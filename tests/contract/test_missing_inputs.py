"""Every missing input path is reported at once, before anything heavy is imported."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genomix_cli.options import Leaf
from tests.commands import COMMANDS
from tests.conftest import ROOT, clean_environment

ABSENT, HERE = "absent", "here"
HEAVY = ("torch", "numpy", "h5py", "pysam", "pandas", "lightning")
MOST_SECONDS = 1
# Text that may name a file, too: something else is no mistake of the same kind.
OF_SEVERAL_KINDS = {("train cohort", "--hold-out"): "absent.tsv"}

# Each call in a fork of one light process: exit code, messages, CPU seconds, what was imported.
RUNNER = """
import json, os, sys, tempfile
from genomix_cli.cli.main import CHAIN, main
from importlib import import_module
for name in CHAIN:
    import_module(f"genomix_cli.cli.{name}")
HEAVY = json.loads(sys.argv[1])
def run(call):
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if not child:
            os.dup2(said.fileno(), 2)
            sys.argv = ["genomix", *call]
            code = 0
            try:
                main()
            except SystemExit as stop:
                code = stop.code
            except BaseException as error:
                print(repr(error), file=sys.stderr)
                code = 70
            print(json.dumps([n for n in HEAVY if n in sys.modules]), file=sys.stderr, flush=True)
            os._exit(code)
        _, status, used = os.wait4(child, 0)
        said.seek(0)
        *lines, heavy = said.read().splitlines()
        code = os.waitstatus_to_exitcode(status)
        return [code, lines, used.ru_utime + used.ru_stime, json.loads(heavy)]
print(json.dumps([run(call) for call in json.load(sys.stdin)]))
"""


def reads(leaf: Leaf) -> bool:
    """Return True if an option reads a path, or may."""
    option = leaf.option
    return not option.writes and (leaf.is_path or option.model or option.reads)


def value(leaf: Leaf, path: str) -> str:
    return f"ATAC={path}" if "NAME=" in leaf.metavar else path


def calls(words: tuple[str, ...], command: Any) -> dict[tuple[str, str], list[str]]:
    """A call for each option that reads, with one path that is not there, and in a settings file.

    By the option's name, and how it was given.
    """
    made = {}
    for leaf in filter(reads, command.by_name.values()):
        absent = value(leaf, OF_SEVERAL_KINDS.get((" ".join(words), leaf.flag), ABSENT))
        base = list(words)
        for other in command.by_name.values():
            if other.is_required and other is not leaf:
                given = other.flag if other.option.writes else value(other, HERE)
                given = "gmt-mini" if other.option.model else given.lstrip("-")
                base += [other.flag, given] if other.flags else [given]
        task = command.spec.having(leaf.name)[0]
        base += ["--task", task] if task else []
        made[leaf.flag, "typed"] = [*base, leaf.flag, absent] if leaf.flags else [*base, absent]
        if leaf.flags:
            made[leaf.flag, "set"] = [*base, "--config", f"{'-'.join(words)}{leaf.flag}.toml"]
    return made


CALLS = {words: calls(words, command) for words, command in COMMANDS.items()}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Any, ...], Any]:
    """Return the outcome of each call, by words, option, and how it was given."""
    folder = tmp_path_factory.mktemp("missing")
    (folder / HERE).touch()
    for words, made in CALLS.items():
        for flag, how in made:
            if how == "set":
                command = COMMANDS[words]
                leaf = next(leaf for leaf in command.by_name.values() if leaf.flag == flag)
                absent = OF_SEVERAL_KINDS.get((" ".join(words), flag), ABSENT)
                path = value(leaf, absent if not leaf.option.model else str(folder / absent))
                text = f"[{'.'.join(command.table)}]\n{flag.removeprefix('--')} = '{path}'\n"
                (folder / f"{'-'.join(words)}{flag}.toml").write_text(text)
    listed = [(words, *key, call) for words, made in CALLS.items() for key, call in made.items()]
    process = subprocess.run(
        [sys.executable, "-c", RUNNER, json.dumps(HEAVY)],
        input=json.dumps([call for *_, call in listed]),
        env=clean_environment(PYTHONPATH=str(ROOT)),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    results = json.loads(process.stdout)
    assert {path.name for path in folder.iterdir() if path.suffix != ".toml"} == {HERE}
    return {tuple(key): result for (*key, _), result in zip(listed, results, strict=True)}


@pytest.mark.parametrize("words", [words for words in CALLS if CALLS[words]], ids=" ".join)
def test_a_missing_input_is_told_at_once(words: tuple[str, ...], ended: dict[Any, Any]) -> None:
    for flag, how in CALLS[words]:
        code, lines, seconds, heavy = ended[words, flag, how]
        told = f"{flag} ({how}): {lines}"
        assert code == 2, told
        assert len(lines) == 1, told
        assert re.match(r"genomix: error: .*absent(\.tsv)?: no such (file|model)", lines[0]), told
        assert not heavy, told
        assert seconds < MOST_SECONDS, told


def test_tracks_and_contacts_of_a_settings_file_are_among_them() -> None:
    of_score = CALLS["score", "variants"]
    assert {("--track", "set"), ("--contacts", "set"), ("--model", "set")} <= set(of_score)
    assert sum(map(len, CALLS.values())) > 100


def test_a_folder_that_is_no_run_is_no_model(genomix: Any, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    process = genomix(
        "score", ROOT / "test_data" / "variants.vcf.gz", "-m", tmp_path / "run", code=2
    )
    assert "run: no such model" in process.stderr
