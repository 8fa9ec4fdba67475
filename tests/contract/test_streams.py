"""Every command copes with closed streams, full disks and read-only folders."""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from genomix_cli import outputs, progress
from genomix_cli.cli.settings import own_settings
from genomix_cli.errors import DiskError, Exit, GenomixError
from genomix_cli.formats import run_folder
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.outputs import Claim, atomic_path, draft_name
from genomix_cli.provenance import Provenance
from genomix_cli.variants.requests.simulate import SimulationRequest
from genomix_cli.variants.simulate.genome import simulate_genome
from tests.commands import COMMANDS
from tests.conftest import Ended, Fast, clean_environment
from tests.every_command import DATA, Call, build, calls, in_fork
from tests.linear_model import registered
from tests.toy_variant_model import toy_registered

for name in ("lightning", "captum", "matplotlib", "mudata", "sklearn", "cooler"):
    pytest.importorskip(name)

#: Commands of seconds; of their situations some are tested by default.
LONG = {
    *(words for words in calls(Path()) if words.startswith("train")),
    *("evaluate suite", "evaluate variants", "inspect", "doctor"),
}
#: Nothing is written to a file.
READS = {"doctor"}
#: Nothing takes long, whatever the input.
AT_ONCE = {"doctor"}
TRAINING = {words for words in LONG if words.startswith("train")}
PRINTING = {"train", "explain", "evaluate", "inspect", "doctor"}
UNWRITTEN = "cannot be written"


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Call]]:
    """The call of each command, on inputs that are there."""
    import lightning.pytorch  # noqa: F401  # once, rather than in every fork

    folder = tmp_path_factory.mktemp("inputs")
    with toy_registered(), registered():
        build(folder)
        yield calls(folder)


def each(default: frozenset[str] = frozenset(), without: set[str] = frozenset()) -> object:
    """Every command; long ones as slow tests, but for some."""
    marks = {True: pytest.mark.slow, False: ()}
    return pytest.mark.parametrize(
        "words",
        [
            pytest.param(words, marks=marks[words in LONG - default])
            for words in calls(Path())
            if words not in without
        ],
    )


def closed(*numbers: int) -> Callable[[], None]:
    """Close descriptors as the shell's ``2>&-`` does, before an interpreter starts."""

    def setup() -> None:
        for number in numbers:
            os.close(number)
            setattr(sys, ("stdin", "stdout", "stderr")[number], None)

    return setup


def small_files(size: int) -> Callable[[], None]:
    """Let no file grow beyond some bytes, as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def refused_in_one_line(ended: Ended, code: int = Exit.FAILED) -> str:
    """The message of a failure: one line, after messages of genomix alone."""
    assert ended.code == code, ended.err
    *before, last = ended.err.splitlines()
    assert last.startswith("genomix: error: "), ended.err
    assert all(line.startswith("[genomix] ") for line in before), ended.err
    return last


def test_every_command_is_called() -> None:
    assert {tuple(words.partition(" --")[0].split()) for words in calls(Path())} == set(COMMANDS)


@each()
def test_closed_input_the_longest_name_and_progress(
    words: str, every: dict[str, Call], tmp_path: Path
) -> None:
    call = every[words]
    suffix = "".join(Path(call.output).suffixes)
    name = "n" * (255 - len(suffix)) + suffix

    def setup() -> None:
        closed(0)()
        # Time flies: whatever looks at the clock has something to say.
        ticks = itertools.count(0, 40)
        progress.now = lambda: next(ticks)

    ended = in_fork(call.typed(tmp_path / name), setup)
    assert ended.code == Exit.DONE, ended.err
    assert os.listdir(tmp_path) == ([] if words in READS else [name])
    assert (" per second" in ended.err) == (words not in AT_ONCE), ended.err
    assert " per second" not in ended.out


@pytest.mark.parametrize("words", ["simulate fit", "prepare genome", "score cohort"])
def test_closed_messages(words: str, every: dict[str, Call], tmp_path: Path) -> None:
    call = every[words]
    ended = in_fork(call.typed(tmp_path / call.output), closed(0, 1, 2))
    assert ended.code == Exit.DONE
    assert os.listdir(tmp_path) == [call.output]


@each(without={words for words in calls(Path()) if words.split()[0] not in PRINTING})
def test_closed_output(words: str, every: dict[str, Call], tmp_path: Path) -> None:
    call = every[words]
    ended = in_fork(call.typed(tmp_path / call.output), closed(1))
    assert f"standard output: {UNWRITTEN}: Bad file" in refused_in_one_line(ended)


@each(frozenset({"train sequences --task align", "evaluate suite"}), READS)
@pytest.mark.parametrize("size", [3_000, pytest.param(60_000, marks=pytest.mark.slow)])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    words: str, size: int, every: dict[str, Call], tmp_path: Path
) -> None:
    call = every[words]
    output = tmp_path / call.output
    ended = in_fork(call.typed(output), small_files(size))
    if ended.code:
        assert "File too large" in refused_in_one_line(ended)
        # Folds of a contest keep their checkpoints in a folder for what is temporary.
        scratch = f"{tempfile.gettempdir()}/genomix-"
        assert str(output) in ended.err or (words == "train cohort" and scratch in ended.err)
        # A run can be resumed.
        assert os.listdir(tmp_path) == ([call.output] if words.startswith("train") else [])
    else:
        assert os.listdir(tmp_path) == [call.output]


@each(frozenset(words for words in LONG if words.startswith("train")), READS)
def test_a_full_device_or_a_folder_that_refuses(words: str, every: dict[str, Call]) -> None:
    call = every[words]
    for output in ("/dev/full", f"/sys/{call.output}"):
        ended = in_fork(call.typed(output))
        assert ended.code in (Exit.FAILED, Exit.USAGE)
        assert output.rpartition("/")[0] in refused_in_one_line(ended, ended.code)


@each(without={*READS, *TRAINING})
def test_two_runs_at_once(words: str, every: dict[str, Call], tmp_path: Path) -> None:
    call = every[words]
    output = tmp_path / call.output
    claim = Claim(output)
    try:
        said = refused_in_one_line(in_fork(call.typed(output)))
    finally:
        claim.remove()
    assert f"{call.output}: another run is writing to it" in said
    assert os.listdir(tmp_path) == []


def test_a_run_is_not_resumed_twice_at_once(tmp_path: Path) -> None:
    made = Provenance("a test")
    RunFolder.open(tmp_path / "run", made, resume=False)
    child = os.fork()
    if not child:
        run_folder._locks.clear()  # as another process
        try:
            RunFolder.open(tmp_path / "run", made, resume=True)
        except GenomixError as error:
            os._exit(3 if "another run" in error.what else 4)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    RunFolder.open(tmp_path / "run", made, resume=True)


def test_drafts_of_different_names_differ() -> None:
    names = ["a", "a" * 255, "a" * 254 + "b", "\N{SNOWMAN}" * 85]
    drafts = [draft_name(name) for name in names]
    assert drafts[0] == ".a.partial"
    assert len(set(drafts)) == len(names)
    assert max(len(os.fsencode(draft)) for draft in drafts) <= 255


def test_what_a_killed_run_left_goes(tmp_path: Path) -> None:
    claim = Claim(tmp_path / "o")
    (claim.folder / "tmp").mkdir()
    (claim.folder / "tmp" / "o").touch()
    (claim.folder / "data").touch()
    claim.journal.close()
    with atomic_path(tmp_path / "o") as draft:
        assert sorted(os.listdir(draft.parent.parent)) == sorted(["journal", draft.parent.name])
        draft.touch()
    assert os.listdir(tmp_path) == ["o"]


def test_a_genome_has_room_or_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyBigWig writes forever on a full disk."""
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(DiskError, match=r"not enough space .*expected 0\.4 MB, found 0\.1 MB"):
        simulate_genome(SimulationRequest(tmp_path / "g", contigs=2, contig_length=100_000))
    assert os.listdir(tmp_path) == []


def test_an_error_of_a_library_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the library gives no reason, the disk is tested; a bug still gets its traceback."""
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "o"):
        raise RuntimeError("file write failed")
    monkeypatch.setattr(outputs, "_PROBE", 100)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limit[1]))
    try:
        with pytest.raises(DiskError, match="File too large"), atomic_path(tmp_path / "o"):
            raise RuntimeError("file write failed")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


@pytest.mark.parametrize("home", ["file/inside", "loop"])
def test_a_home_that_cannot_be_read(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genomix_fast: Fast
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    environment = {"HOME": str(tmp_path / home), "XDG_CONFIG_HOME": ""}
    ended = genomix_fast("inspect", DATA / "genome.fa.gz", env=environment)
    assert ended.err == ""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_the_home_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers may run as a user for whom the home folder was not made."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    child = os.fork()
    if not child:
        os.setgid(65534)
        os.setuid(65534)
        try:
            os._exit(0 if own_settings() is None else 1)
        except OSError:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_streams_of_a_real_process(tmp_path: Path) -> None:
    """A real process starts without streams, which forks can only imitate."""
    command = f"{sys.executable} -m genomix_cli inspect {DATA / 'genome.fa.gz'}"
    for redirection, code, said in (
        ("<&- 2>&- >/dev/full", Exit.FAILED, ""),
        (">&-", Exit.FAILED, f"standard output: {UNWRITTEN}: Bad file descriptor"),
        ("> /dev/full", Exit.FAILED, f"standard output: {UNWRITTEN}: No space left on device"),
    ):
        process = subprocess.run(
            f"{command} {redirection}",
            shell=True,
            capture_output=True,
            text=True,
            env=clean_environment(),
        )
        assert process.returncode == code, redirection
        assert process.stderr == (f"genomix: error: {said}\n" if said else "")
