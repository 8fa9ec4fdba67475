"""A bar on a terminal, log lines elsewhere, silence when quiet; the items untouched."""

from __future__ import annotations

import logging
import os
import pty
import re
import select
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from genomix_cli import progress
from genomix_cli.cli.common import _set_verbosity
from genomix_cli.progress import Progress, track


class Clock:
    """A clock that the test winds."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "now", made)
    return made


@pytest.fixture
def spoken(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="genomix")
    return caplog


class Screen:
    """A terminal of 80 columns as stderr, with the log of the command line, seen from outside."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.terminal = open(slave, "w", buffering=1)  # noqa: SIM115
        self.seen = ""

    def read(self) -> str:
        """Return what has come since the last time."""
        data = b""
        while select.select([self._master], [], [], 0.05)[0]:
            data += os.read(self._master, 1 << 16)
        self.seen += data.decode()
        return data.decode()

    def close(self) -> None:
        progress.clear()
        progress.terminal.cache_clear()
        self.terminal.close()
        os.close(self._master)


@pytest.fixture
def screen(
    monkeypatch: pytest.MonkeyPatch, own_log: logging.Logger, clock: Clock
) -> Iterator[Callable[[], Screen]]:
    """Make a screen; in the test itself, since pytest puts streams in place between phases."""
    made = []

    def make() -> Screen:
        made.append(Screen())
        monkeypatch.setattr("sys.stderr", made[-1].terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "80")
        progress.terminal.cache_clear()
        own_log.handlers.clear()
        parameter, context = SimpleNamespace(name="verbose"), SimpleNamespace(meta={})
        _set_verbosity(context, parameter, 0)
        return made[-1]

    yield make
    for each in made:
        each.close()


def plain(text: str) -> str:
    """Text without what moves the cursor or colours it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)


def is_gone(text: str) -> bool:
    """Return True if the line is cleared in the end."""
    return "\x1b[2K" in text and not plain(text.rpartition("\x1b[2K")[2])


def test_items_pass_in_order() -> None:
    assert list(track(iter(range(5)), "counting", total=5)) == [0, 1, 2, 3, 4]


def test_a_line_every_30_seconds_without_a_terminal(
    clock: Clock, spoken: pytest.LogCaptureFixture
) -> None:
    with Progress("scoring", 100, "records") as shown:
        for second in range(70):
            clock.seconds = second
            shown.note = f"up to chr1:{second}"
            shown.advance()
    assert [record.getMessage() for record in spoken.records] == [
        "scoring: 31 of 100 records, 1.03 per second, 1:07 left, up to chr1:30",
        "scoring: 61 of 100 records, 1.02 per second, 0:38 left, up to chr1:60",
    ]


def test_what_an_earlier_run_did_is_no_speed(
    clock: Clock, spoken: pytest.LogCaptureFixture
) -> None:
    shown = Progress("scoring", unit="records", done=1_000_000)
    clock.seconds = 40
    shown.advance(8_000)
    (record,) = spoken.records
    assert record.getMessage() == "scoring: 1,008,000 records, 200 per second"


def test_short_work_says_nothing(
    clock: Clock, screen: Callable[[], Screen], spoken: pytest.LogCaptureFixture
) -> None:
    seen = screen()
    for _ in track(range(100), "binning"):
        clock.seconds += 0.019
    assert seen.read() == ""
    assert not spoken.records


def test_quiet_is_silent(
    caplog: pytest.LogCaptureFixture, clock: Clock, screen: Callable[[], Screen]
) -> None:
    seen = screen()
    caplog.set_level(logging.WARNING, logger="genomix")
    for _ in track(range(3), "binning"):
        clock.seconds += 100
    assert seen.read() == ""
    assert not caplog.records


def test_a_bar_on_a_terminal(
    capfd: pytest.CaptureFixture[str], clock: Clock, screen: Callable[[], Screen]
) -> None:
    seen = screen()
    for i in track(range(5), "binning ATAC", unit="contigs"):
        clock.seconds += 1
        if i == 2:  # two are done, in two seconds
            text = plain(seen.read())
            assert text.strip().startswith("binning ATAC ━")
            assert "2 of 5 contigs, 1 per second, 0:03 left" in text
            assert max(map(len, text.splitlines())) <= 80
    # Taken away in the end, with the cursor where it was.
    assert is_gone(seen.read())
    assert seen.seen.count("\x1b[?25h") >= seen.seen.count("\x1b[?25l")
    assert capfd.readouterr() == ("", "")


def test_log_lines_stand_above_the_bar(clock: Clock, screen: Callable[[], Screen]) -> None:
    seen, log = screen(), logging.getLogger("genomix")
    with Progress("epoch 1 of 2", 10, "batches") as outer:
        clock.seconds = 3
        outer.advance()
        seen.read()
        log.info("a line that is whole")
        # Cleared, written, and the bar once more below it.
        before, line, after = seen.read().partition("a line that is whole")
        assert "\x1b[2K" in before
        assert line
        assert "epoch 1 of 2" not in plain(before)
        assert "epoch 1 of 2" in plain(after)
        for _ in track(range(3), "resampling"):
            clock.seconds += 3
        both = plain(seen.read())
        assert "epoch 1 of 2" in both
        assert "resampling" in both
    assert not progress._Bars._one


def test_an_error_takes_the_bar_away(clock: Clock, screen: Callable[[], Screen]) -> None:
    seen = screen()
    kept = track(range(5), "binning")
    for _ in kept:
        clock.seconds += 2
        if clock.seconds > 5:
            break
    assert "binning" in plain(seen.read())
    progress.clear()
    assert is_gone(seen.read())
    kept.close()  # type: ignore[attr-defined]
    assert seen.read() == ""
