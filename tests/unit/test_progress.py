"""A bar on a terminal, log lines elsewhere, silence when quiet; the items untouched."""

from __future__ import annotations

import io
import logging

import pytest

from genomix_cli import progress


@pytest.fixture
def spoken(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="genomix")
    return caplog


def test_items_pass_in_order() -> None:
    assert list(progress.track(iter(range(5)), "counting", total=5)) == [0, 1, 2, 3, 4]


def test_log_lines_without_a_terminal(
    spoken: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY_SECONDS", -1.0)
    list(progress.track(["a", "b"], "binning"))
    assert [record.getMessage() for record in spoken.records] == [
        "binning: 0 of 2",
        "binning: 1 of 2",
    ]


def test_no_line_for_short_work(spoken: pytest.LogCaptureFixture) -> None:
    list(progress.track(range(100), "binning"))
    assert not spoken.records


def test_quiet_is_silent(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY_SECONDS", -1.0)
    caplog.set_level(logging.WARNING, logger="genomix")
    assert list(progress.track(range(3), "binning")) == [0, 1, 2]
    assert not caplog.records


def test_a_bar_on_a_terminal(
    spoken: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert list(progress.track(range(3), "binning ATAC")) == [0, 1, 2]
    assert "binning ATAC" in terminal.getvalue()
    assert not spoken.records
