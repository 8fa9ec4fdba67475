"""A command on a damaged file ends in one line or in a result: never in a traceback,
without end or out of memory; and what has a checksum is never read wrong.

``python -m tests.fuzz 1 CASE`` repeats a case.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.fuzz import cases, corpus

pytest.importorskip("mudata")
pytest.importorskip("cooler")
pytest.importorskip("memelite")
pytest.importorskip("pyarrow")

DEFAULT, ALL, PART = 260, 10_000, 400


def _try(files: Path, numbers: Iterable[int]) -> None:
    faults = [fault for number in numbers if (fault := cases.try_case(number, files))]
    assert not faults, "\n".join(faults)


def test_damaged_files(files: Path) -> None:
    """Only cheap commands run: the others take half of the time for a tenth of the cases."""
    _try(files, filter(cases.is_cheap, range(DEFAULT)))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, ALL, PART))
def test_many_damaged_files(files: Path, first: int) -> None:
    _try(files, range(first, first + PART))


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for _, command in corpus.COMMANDS])
def test_the_commands_work(files: Path, command: str) -> None:
    """Commands succeed on undamaged files, or the fuzzer would test nothing."""
    ended = cases.run_whole(command, files)
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("command", cases.CHECKED)
def test_what_has_a_checksum_is_not_read_wrong(files: Path, command: str) -> None:
    assert not (faults := cases.try_checksums(command, files)), "\n".join(faults)
