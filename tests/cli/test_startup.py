"""The command starts fast and ends as a Unix command should."""

from __future__ import annotations

import ast
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genomix_cli import __version__
from tests.conftest import clean_environment

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "numpy", "h5py", "pysam", "pandas", "lightning", "captum", "cooler", "pyBigWig"}
BUDGET_SECONDS = 0.3
# Of the time that importing Typer and Rich takes; NumPy alone would go beyond.
ALLOWANCE = 1.9

# These are imported by every command before it is known what was asked for.
LIGHT = [
    *sorted((ROOT / "genomix_cli" / "cli").glob("*.py")),
    *(ROOT / "genomix_cli" / f"{name}.py" for name in ("registry", "errors", "config")),
    *(ROOT / "genomix_cli" / f"{name}.py" for name in ("outputs", "provenance", "progress")),
]


def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=clean_environment(**environment),
        timeout=60,
    )


def cpu_seconds(*arguments: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, cwd=ROOT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_answers_at_once() -> None:
    taken, floor = [], []
    for _ in range(8):  # the first may write bytecode
        taken.append(cpu_seconds("-m", "genomix_cli", "--help"))
        floor.append(cpu_seconds("-c", "import typer, typer.rich_utils"))
    # Where a machine is slow, or busy, it is so for the libraries that print the help too.
    assert min(taken) < max(BUDGET_SECONDS, ALLOWANCE * min(floor)), (taken, floor)


@pytest.mark.parametrize("words", [["--help"], ["score", "--help"], ["prepare", "variants", "-h"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from genomix_cli.cli.main import main\n"
        "try:\n    main()\n"
        "finally:\n    print(*sorted(sys.modules), file=sys.stderr)\n"
    )
    process = run(code, *words)
    assert process.returncode == 0, process.stderr
    assert "Usage" in process.stdout
    assert not HEAVY & set(process.stderr.split())


@pytest.mark.parametrize("file", LIGHT, ids=lambda file: file.name)
def test_no_heavy_import_at_the_top(file: Path) -> None:
    for node in ast.parse(file.read_text()).body:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not HEAVY & {name.split(".")[0] for name in names}


def test_version(genomix: Any) -> None:
    assert genomix("--version").stdout == f"genomix {__version__}\n"


def test_no_arguments_is_help_and_a_usage_error(genomix: Any) -> None:
    process = genomix(code=2)
    assert "Usage" in process.stdout + process.stderr


@pytest.mark.parametrize("words", [["nonsense"], ["--nonsense"], ["score", "a.vcf", "--nonsense"]])
def test_unknown_words_are_usage_errors(genomix: Any, words: list[str]) -> None:
    process = genomix(*words, code=2)
    assert "nonsense" in process.stderr
    assert "Traceback" not in process.stderr


def test_commands_are_listed_in_the_order_of_use(genomix: Any) -> None:
    listed = genomix("--help").stdout
    places = [listed.rindex(f" {name} ") for name in ("simulate", "prepare", "train", "score")]
    assert places == sorted(places)


def test_shell_completion(genomix: Any) -> None:
    asked = {"COMP_WORDS": "genomix sc", "COMP_CWORD": "1", "_GENOMIX_COMPLETE": "complete_bash"}
    assert genomix(env=asked).stdout.split() == ["score"]
    assert (
        "_GENOMIX_COMPLETE" in genomix("--show-completion", code=None, env={"SHELL": "bash"}).stdout
    )


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("genomix train variants x.h5 --model gm", ["gmt"]),
        ("genomix score variants x.vcf --check-ref ", ["w", "e", "x"]),
        ("genomix score x.vcf --mode sh", ["shared"]),
        ("genomix score --mode sh", ["shared"]),
        ("genomix evaluate suite x.h5 --baselines tracks,pos", ["tracks,position"]),
        ("genomix score variants x.vcf --regions c", []),
        ("genomix train variants x.h5 --bce", ["--bce-weight"]),
    ],
)
def test_choices_are_completed(typed: str, completed: list[str], genomix: Any) -> None:
    words = typed.split(" ")
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    found = genomix(env=asked | {"_GENOMIX_COMPLETE": "complete_bash"}).stdout.split()
    assert found == completed


@pytest.mark.parametrize(
    "words",
    [
        ["score", "absent.vcf", "-f", "also.fa"],
        ["explain", "absent.vcf", "-f", "also.fa", "-o", "out.tsv"],
        ["train", "absent.h5", "-o", "run", "--valid-contigs", "chr2"],
        ["train", "absent.h5", "-o", "run", "--task", "pretrain"],
        ["prepare", "variants", "--vcf", "absent.vcf", "--fasta", "also.fa", "-o", "x.h5"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_missing_input_is_told_before_torch_is_loaded(words: list[str], tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "from genomix_cli.cli.main import main\n"
        "try:\n    main()\n"
        "finally:\n    print('torch' in sys.modules, file=sys.stderr)\n"
    )
    process = run(code, *words)
    assert process.returncode == 2
    assert re.search(
        r"(absent\.(vcf|h5)|also\.fa): (no such|cannot be read: No such) file", process.stderr
    )
    assert process.stderr.splitlines()[-1] == "False"
    assert not list(tmp_path.iterdir())


# A command that fails as told, in the place of `inspect`: how main() ends is its business alone.
FAILING = """
import sys
from dataclasses import dataclass
from typing import Annotated
from genomix_cli.cli import inspect
from genomix_cli.cli.command import command
from genomix_cli.options import Option
@dataclass(frozen=True)
class Request:
    how: Annotated[str, Option("How to end", argument=True, metavar="HOW")]
def failing(request: Request):
    "Fail."
    import logging, os, signal, time
    how = request.how
    log = logging.getLogger("genomix")
    from genomix_cli.errors import CheckError, GenomixError
    log.debug("debug"); log.info("info"); log.warning("warning")
    if how == "mistake": raise GenomixError("it is wrong", where="a.vcf")
    if how == "check": raise CheckError("it did not pass")
    if how == "bug": raise ValueError("ours")
    if how == "eof": raise EOFError("truncated")
    if how == "number": return 7
    if how == "sleep":
        print("ready", flush=True); time.sleep(60)
    if how == "pour":
        for i in range(10**6): print(i)
inspect.COMMAND = command(failing)
from genomix_cli.cli.main import main
main()
"""


@pytest.mark.parametrize(
    ("how", "code"), [("mistake", 1), ("check", 3), ("number", 7), ("well", 0)]
)
def test_exit_codes(how: str, code: int) -> None:
    process = run(FAILING, "inspect", how)
    assert process.returncode == code
    assert "Traceback" not in process.stderr


def test_a_mistake_is_one_line() -> None:
    process = run(FAILING, "inspect", "mistake", "-q")
    assert process.stderr == "[genomix] warning\ngenomix: error: a.vcf: it is wrong\n"


@pytest.mark.parametrize(("how", "kind"), [("bug", "ValueError"), ("eof", "EOFError")])
def test_a_bug_keeps_its_traceback(how: str, kind: str) -> None:
    process = run(FAILING, "inspect", how)
    assert process.returncode == 1
    assert "Traceback" in process.stderr
    assert kind in process.stderr


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ([], ["info", "warning"]),
        (["-q"], ["warning"]),
        (["-v"], ["debug", "info", "warning"]),
        (["-v", "-q"], ["info", "warning"]),
    ],
)
def test_verbosity(option: list[str], said: list[str]) -> None:
    process = run(FAILING, "inspect", "well", *option)
    assert process.stderr.split("\n")[:-1] == [f"[genomix] {word}" for word in said]


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupts(stop: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FAILING, "inspect", "sleep"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(stop)
    _, messages = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in messages


def test_a_reader_that_goes_ends_the_command_quietly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FAILING, "inspect", "pour", "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    messages = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(30) == 128 + signal.SIGPIPE
    assert messages == "[genomix] warning\n"


def test_threads_are_set_before_torch_is_imported() -> None:
    code = (
        "import sys\n"
        "from genomix_cli.cli.common import limit_threads\n"
        "limit_threads(1)\n"
        "assert 'torch' not in sys.modules\n"
        "import torch\n"
        "print(torch.get_num_threads())\n"
    )
    assert run(code, OMP_NUM_THREADS="2").stdout == "1\n"


# Settings reach a command from its options, the environment and a file, in that order.
SETTINGS = """
from dataclasses import dataclass, field
from genomix_cli.cli import command as made, inspect
from genomix_cli.cli.command import command
from genomix_cli.shared_options import Fasta, Threads, Tracks, TrainedModel
@dataclass(frozen=True)
class Request:
    fasta: Fasta
    track: Tracks = field(default_factory=dict)
    model: TrainedModel = "x"
    threads: Threads = 0
def show(request: Request):
    "Show."
    tracks = (f"{name}={path}" for name, path in request.track.items())
    print(request.fasta, *tracks, request.model, request.threads)
made.require_inputs = lambda *args: None  # names are enough here
inspect.COMMAND = command(show)
from genomix_cli.cli.main import main
main()
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "genomix.toml"
    file.write_text(
        "[inspect]\nfasta = 'ref.fa'\ntrack = ['A=a.bw', 'B=b.bw']\n"
        "model = 'gmt-mini'\nthreads = 3\n"
    )
    return file


def test_a_file_gives_defaults_and_its_paths_start_beside_it(settings: Path) -> None:
    folder = settings.parent
    process = run(SETTINGS, "inspect", "--config", str(settings))
    said = f"{folder}/ref.fa A={folder}/a.bw B={folder}/b.bw gmt-mini 3\n"
    assert process.stdout == said, process.stderr
    assert run(SETTINGS, "inspect", GENOMIX_CONFIG=str(settings)).stdout == said


def test_without_a_file_named_the_users_own_is_read(settings: Path) -> None:
    (settings.parent / "genomix").mkdir()
    settings.rename(settings.parent / "genomix" / "config.toml")
    process = run(SETTINGS, "inspect", XDG_CONFIG_HOME=str(settings.parent))
    assert process.stdout.startswith(f"{settings.parent}/genomix/ref.fa "), process.stderr


def test_a_model_beside_the_file_is_a_path(settings: Path) -> None:
    (settings.parent / "gmt-mini").mkdir()
    process = run(SETTINGS, "inspect", "--config", str(settings))
    assert f" {settings.parent}/gmt-mini " in process.stdout


def test_environment_before_file_and_options_before_both(settings: Path) -> None:
    named = ["inspect", "--config", str(settings)]
    process = run(SETTINGS, *named, GENOMIX_TRACKS="C=c.bw D=d.bw", GENOMIX_THREADS="2")
    assert process.stdout.split()[1:] == ["C=c.bw", "D=d.bw", "gmt-mini", "2"]
    process = run(SETTINGS, *named, "-t", "E=e.bw", "-f", "own.fa", GENOMIX_TRACKS="C=c.bw")
    assert process.stdout.split()[:2] == ["own.fa", "E=e.bw"]


def test_a_wrong_value_is_a_usage_error_that_names_the_file_or_variable(settings: Path) -> None:
    settings.write_text("[inspect]\nfasta = 'ref.fa'\nthreads = 'many'\n")
    wrong = "not a number (expected a whole number, found many)"
    process = run(SETTINGS, "inspect", "--config", str(settings))
    assert process.returncode == 2
    assert process.stderr == f"genomix: error: {settings} [inspect] threads: {wrong}\n"
    process = run(SETTINGS, "inspect", "-f", "x", GENOMIX_THREADS="many")
    assert process.stderr == f"genomix: error: GENOMIX_THREADS: {wrong}\n"
    process = run(SETTINGS, "inspect", "-f", "x", "--threads", "many", GENOMIX_THREADS="2")
    assert process.stderr == f"genomix: error: --threads: {wrong}\n"
    process = run(SETTINGS, "inspect", "-f", "x", GENOMIX_TRACKS="A=a.bw B")
    assert process.stderr.startswith("genomix: error: GENOMIX_TRACKS: not a track (expected NAME=")


def test_a_missing_input_names_the_file_or_variable_that_asks_for_it(settings: Path) -> None:
    code = SETTINGS.replace("made.require_inputs", "_")
    process = run(code, "inspect", "--config", str(settings))
    fasta = settings.parent / "ref.fa"
    said = f"{settings} [inspect] fasta {fasta}: no such file\n"
    assert process.stderr == f"genomix: error: {said}"
    process = run(code, "inspect", GENOMIX_FASTA="ref.fa")
    assert process.stderr == "genomix: error: GENOMIX_FASTA ref.fa: no such file\n"
    process = run(code, "inspect", "-f", __file__, GENOMIX_MODEL="none")
    assert process.stderr.startswith("genomix: error: GENOMIX_MODEL none: no such model")
    process = run(code, "inspect", "-f", "ref.fa")
    assert process.stderr == "genomix: error: --fasta ref.fa: no such file\n"


def test_a_settings_table_that_is_none(settings: Path) -> None:
    settings.write_text("inspect = 3\n")
    process = run(SETTINGS, "inspect", "--config", str(settings))
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
