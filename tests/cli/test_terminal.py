"""Tables and facts as they are drawn on a terminal, and printed where there is none."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ended, Genomix, clean_environment

OnTerminal = Callable[..., str]
COLOURS = re.compile(r"\x1b\[(?:\d+;)*(?:3\d|4\d|9\d|10\d)(?:;\d+)*m")


@pytest.fixture
def on_terminal() -> OnTerminal:
    """``on_terminal("inspect", path, width=80)``: all that a terminal of that width gets."""

    def run(*arguments: object, width: int, code: int = 0, **more: str) -> str:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        environment = clean_environment(TERM="xterm-256color", **more)
        del environment["COLUMNS"]
        environment.pop("NO_COLOR", None) if "NO_COLOR" not in more else None
        process = subprocess.Popen(
            [sys.executable, "-m", "genomix_cli", *map(str, arguments)],
            **dict.fromkeys(("stdin", "stdout", "stderr"), slave),
            env=environment,
        )
        os.close(slave)
        seen = b""
        # A terminal whose other side is closed ends with an error, not with an empty answer.
        while True:
            try:
                seen += os.read(master, 1 << 16)
            except OSError:
                break
        os.close(master)
        assert process.wait() == code, seen
        return seen.decode().replace("\r\n", "\n")

    return run


def plain(text: str) -> list[str]:
    """Lines as they are seen."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).splitlines()


@pytest.fixture(scope="module")
def evaluate(tiny_genome: Path) -> tuple[object, ...]:
    """A command that warns on stderr, and prints a table and facts on stdout."""
    path = tiny_genome / "variants.vcf.gz"
    return (
        "evaluate",
        path,
        "--score-info",
        "PROB",
        "--probability-info",
        "PROB",
        "--bootstrap",
        20,
    )


@pytest.mark.parametrize("width", [40, 60, 120])
def test_a_table_fits_the_terminal(
    on_terminal: OnTerminal, evaluate: tuple[object, ...], width: int
) -> None:
    lines = plain(on_terminal(*evaluate, width=width))
    drawn = [line for line in lines if line[:1] in ("┃", "│")]
    assert drawn
    assert max(map(len, drawn)) <= width
    text = " ".join(lines)
    for name in ("AUROC", "Brier score", "Bayes", "ceiling", "calibration"):
        assert name in text


def test_without_a_terminal_there_is_nothing_to_draw(
    genomix: Genomix, evaluate: tuple[object, ...]
) -> None:
    table = genomix(*evaluate, "-q").stdout
    assert not set(table) & set("┃│━\x1b")
    assert re.match(r"metric             value                    Bayes ceiling\nAUROC   ", table)


def test_no_color_is_honoured(on_terminal: OnTerminal, evaluate: tuple[object, ...]) -> None:
    assert COLOURS.search(on_terminal(*evaluate, width=80))
    assert not COLOURS.search(on_terminal(*evaluate, width=80, NO_COLOR="1"))


def test_doctor_shows_its_limits(
    on_terminal: OnTerminal, genomix_fast: Callable[..., Ended]
) -> None:
    model = ("doctor", "-m", "gmt-mini-sim", "--device", "cpu")
    lines = plain(on_terminal(*model, width=80))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert [(row[0], *row[2:]) for row in rows] == [
        ("from the stored answers", "at most 0.001", "holds"),
        ("between two runs", "at most 0.001", "holds"),
        ("alone and among others", "at most 0.001", "holds"),
        ("rank correlation", "at least 0.9999", "holds"),
    ]
    piped = genomix_fast(*model).out.splitlines()
    assert [line.split("  ")[0] for line in piped] == [
        *("model", "device", "torch", "stored answers"),
        *("from the stored answers", "rank correlation", "between two runs"),
        *("alone and among others", "a window", "an allele", "This device can be trusted."),
    ]
    assert re.fullmatch(
        r"from the stored answers  \d\.\de-\d\d standard deviations at most", piped[4]
    )
    assert re.fullmatch(r"rank correlation         [01]\.\d{6}", piped[5])
