"""Outputs appear whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from genomix_cli.errors import GenomixError, UsageError
from genomix_cli.outputs import atomic_path


def test_the_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.vcf.gz"
    with atomic_path(target) as draft:
        draft.write_text("half")
        assert draft.name == target.name
        assert not target.exists()
    assert target.read_text() == "half"
    assert os.listdir(tmp_path) == ["out.vcf.gz"]


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "run"
    target.mkdir()
    (target / "stale").touch()
    with atomic_path(target) as draft:
        draft.mkdir()
        (draft / "new").touch()
    assert os.listdir(target) == ["new"]
    assert os.listdir(tmp_path) == ["run"]


def test_an_existing_output_is_kept_unless_forced(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.touch()
    with pytest.raises(UsageError, match="--force"), atomic_path(target, force=False):
        pass


def test_the_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"), atomic_path(tmp_path / "a" / "b"):
        pass


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(GenomixError, match="No space") as caught, atomic_path(target) as draft:
        draft.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(target) in caught.value.line()
    assert os.listdir(tmp_path) == []


def test_other_system_errors_stay_bugs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "out"):
        open(tmp_path / "absent")  # noqa: SIM115


def test_devices_are_written_to_and_links_followed(tmp_path: Path) -> None:
    with atomic_path(Path(os.devnull)) as draft:
        assert draft == Path(os.devnull)
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    with atomic_path(link) as draft:
        draft.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_pipe_is_written_to_by_its_name() -> None:
    program = (
        "from pathlib import Path; from genomix_cli.genome.vcf.writer import is_streamed\n"
        "from genomix_cli.outputs import atomic_path\n"
        "with atomic_path(Path('/dev/stdout'), force=False) as draft:\n"
        "    draft.write_text(f'{is_streamed(draft)}')"
    )
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment)
    assert done.stdout == b"True", done.stderr


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_killed_process_leaves_nothing(tmp_path: Path, stop: signal.Signals) -> None:
    program = (
        "import signal, sys, time, pathlib\n"
        "from genomix_cli.cli.main import _terminate\n"
        "from genomix_cli.outputs import atomic_path\n"
        "signal.signal(signal.SIGTERM, _terminate)\n"
        f"with atomic_path(pathlib.Path({str(tmp_path / 'out')!r})) as draft:\n"
        "    draft.write_text('half')\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert os.listdir(tmp_path) != []
    process.send_signal(stop)
    assert process.wait(30) != 0
    process.stdout.close()
    assert os.listdir(tmp_path) == []
