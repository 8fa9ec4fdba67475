"""Text for people is printed in one place, and in full on a terminal of any width."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
import rich.console

import genomix_cli
from genomix_cli.cli import output
from genomix_cli.cohorts.inspect.overview import Listing
from genomix_cli.inspection import Report

PACKAGE = Path(genomix_cli.__file__).parent
# The first of them prints what is printable, the second its errors and its version.
PRINTING = {"cli/output.py", "cli/main.py"}

WIDTHS = (40, 60, 80, 100, 200)
INTERVAL = "0.8500 [0.8000, 0.9000]"
HEADER = ("model", "accuracy", "macro F1", "AUROC", "log loss", "trials", "vs best baseline")
ROWS = (
    ("omics-transformer", *[INTERVAL] * 4, "20", "not distinguishable"),
    ("[bold]a name[/bold]", *[INTERVAL] * 4, "", ""),
)
PATH = "/a/long/path/to/a/folder/" + "x" * 120 + "/scored.vcf.gz"
FACTS = [("path", PATH), ("contigs", "chr1, chr2, chr3"), ("", "and one line more")]


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


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=WIDTHS)
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A terminal as both streams; its text in lines, without colours."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("TERM", "xterm")

    def shown(function: Any, *arguments: Any) -> list[str]:
        screen = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", screen)
            patch.setattr("sys.stderr", screen)
            function(*arguments)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
        assert max(map(len, lines)) <= request.param
        return lines

    shown.width = request.param  # type: ignore[attr-defined]
    return shown


def words(lines: list[str]) -> set[str]:
    return {word for line in lines for word in re.sub("[│┃]", " ", line).split()}


def test_a_wide_table(terminal: Any) -> None:
    lines = terminal(output.print_table, HEADER, ROWS)
    expected = {word for row in (HEADER, *ROWS) for cell in row for word in cell.split()}
    assert expected <= words(lines)
    assert any("┃" in line for line in lines) == (terminal.width >= 100)


def test_a_narrow_table_is_drawn(terminal: Any) -> None:
    lines = terminal(output.print_table, ("name", "n"), [("one", "1"), ("three hundred", "300")])
    assert any("│ one           │   1 │" in line for line in lines)


BOARD = ("model", "kind", "variants", "AUROC", "AUPRC", "ranking in groups", "behind the leader")
ENTRANTS = [
    ("stack", "stack", "576", *[INTERVAL] * 3, ""),
    ("kmer-logistic-with-a-name", "baseline", "576", *[INTERVAL] * 3, "nan"),
]


def test_no_name_breaks_where_others_could_give_way(terminal: Any) -> None:
    lines = terminal(output.print_table, BOARD, ENTRANTS)
    if terminal.width > 40:
        assert any("kmer-logistic-with-a-name" in line for line in lines)
    assert "kmer-logistic-with-a-name" in "".join(part for line in lines for part in line.split())


def test_the_ends_of_an_interval_go_below_its_value_together(terminal: Any) -> None:
    header = ("metric", "value", "Bayes ceiling", "verdict")
    row = ("calibration error", INTERVAL, INTERVAL, "nan")
    lines = terminal(output.print_table, header, [row])
    if terminal.width == 80:
        assert "│ calibration error │           0.8500 │           0.8500 │     nan │" in lines
        assert "│                   │ [0.8000, 0.9000] │ [0.8000, 0.9000] │         │" in lines
    if terminal.width >= 100:
        assert f"│ calibration error │ {INTERVAL} │ {INTERVAL} │     nan │" in lines
    lines = terminal(output.print_table, ("what", "value"), [("words " * 40, INTERVAL)])
    assert any(line.endswith("│ [0.8000, 0.9000] │") for line in lines)


def test_facts_and_rows(terminal: Any) -> None:
    for function, rows in (
        (output.print_facts, FACTS),
        (output.show, [(name, value, "") for name, value in FACTS]),
    ):
        lines = terminal(function, rows)
        assert PATH in "".join(part for line in lines for part in line.split())
        assert {"contigs", "chr1,", "chr3", "more"} <= words(lines)


def test_a_name_longer_than_half_a_terminal_folds(terminal: Any) -> None:
    name = "x" * 70 + "y"
    lines = terminal(output.print_facts, [(name, "1234")])
    assert "".join(lines).count("x") == 70
    assert "y" in "".join(lines)
    assert "1234" in "".join(lines)


METRICS = {
    "test": {
        "auroc": {"value": 0.91234, "low": 0.9, "high": 0.92},
        "auprc": {"value": 0.5, "low": None, "high": None},
        "bayes_auroc": 0.95,
    },
    "mean": {"auroc": {"mean": 0.9, "sd": 0.012}},
}


def test_what_was_held_out(terminal: Any) -> None:
    lines = terminal(output.print_held_out, METRICS)
    expected = {"auroc", "0.9123", "0.9000", "0.9200", "0.9500", "auprc", "folds", "SD", "0.0120"}
    assert expected <= words(lines)
    assert any(line.startswith("│") for line in lines)


def test_elsewhere_columns_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("name", "n"), [("one", "1"), ("three hundred", "300")])
    output.print_table(("metric", "value"), [("AUROC", INTERVAL), ("log loss", "")], aligned=True)
    output.print_facts([("path", "a"), ("contigs", "chr1")])
    output.print_held_out(METRICS)
    assert capsys.readouterr().out == (
        "name\tn\none\t1\nthree hundred\t300\n"
        "metric    value\nAUROC     0.8500 [0.8000, 0.9000]\nlog loss\n"
        "path     a\ncontigs  chr1\n"
        "part\tmetric\tvalue\tlow\thigh\tBayes ceiling\n"
        "test\tauroc\t0.9123\t0.9000\t0.9200\t0.9500\ntest\tauprc\t0.5000\t\t\t\n"
        "part\tmetric\tmean\tSD\nfolds\tauroc\t0.9000\t0.0120\n"
    )


def test_a_report(terminal: Any) -> None:
    report = Report(Path("scored.vcf"), "a VCF", dict(FACTS), (Listing("Alleles", HEADER, ROWS),))
    lines = terminal(output.print_report, report)
    assert "scored.vcf: a VCF" in lines
    assert {"Alleles", "[0.8000,", "0.9000]", "distinguishable"} <= words(lines)
