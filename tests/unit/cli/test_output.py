"""What people read is printed in one place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import rich.console

import genomix_cli
from genomix_cli.cli import output

PACKAGE = Path(genomix_cli.__file__).parent
# The first of them prints what is printable, the second its errors and its version.
PRINTING = {"cli/output.py", "cli/main.py"}


def test_nothing_else_prints() -> None:
    printing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\btyper\.echo\(|(?<![\w.])print\(", path.read_text())
    }
    assert printing == PRINTING


def test_cells_on_a_terminal_are_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(rich.console.Console, "is_terminal", False)
    output.print_table(["name \x1b[2J"], [["[bold]a\x07"]])
    output.print_facts([("kind\x9b", "[red]b")])
    shown = capsys.readouterr().out
    assert r"name \x1b[2J" in shown
    assert r"[bold]a\x07" in shown
    assert r"kind\x9b" in shown
    assert "[red]b" in shown
