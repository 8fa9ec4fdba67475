"""Output of commands: data to stdout, messages to stderr; tables are drawn only on a terminal."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import typer

from genomix_cli.errors import printable

if TYPE_CHECKING:
    from rich.table import Column

    from genomix_cli.comparison.intervals import Interval, MetricResult
    from genomix_cli.comparison.summaries import Results
    from genomix_cli.inspection import Report

log = logging.getLogger("genomix")
# Facts longer than this get one line per entry.
WIDTH = 80
# Cells to align at the right of their column.
_NUMERIC = re.compile(r"$|[-+.\d]|nan$")
# Pieces to keep whole in a cell, for less and less space.
_LINES = re.compile(r".+")
_WORDS_AND_BRACKETS = re.compile(r"\[[^\]]*\]|\S+")
_WORDS = re.compile(r"\S+")
# Metrics of held-out variants.
HELD_OUT_METRICS = (
    *("auroc", "auprc", "ranking_accuracy", "brier", "ece"),
    *("pearson", "spearman"),
)


def on_terminal() -> bool:
    """Return True if stdout is a terminal, on which tables are drawn."""
    return sys.stdout.isatty()


def echo(text: str = "", *, end: str = "\n") -> None:
    """Print text to stdout, without terminal control characters."""
    typer.echo(printable(text) + end, nl=False)


def show(rows: Iterable[tuple[str, str, str]]) -> None:
    """Print rows of name, value and note: as a table on a terminal, else as lines."""
    if not sys.stderr.isatty():
        for name, value, note in rows:
            log.info("%s: %s%s", name, value, f" ({note})" if note else "")
        return
    from rich.table import Column

    _draw_plain(rows, Column(), Column(justify="right"), Column(style="dim"), stderr=True)


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, aligned: bool = False
) -> None:
    """Print rows: drawn on a terminal, else tab-separated, or `aligned` by spaces."""
    if on_terminal():
        _draw(header, rows)
        return
    for line in _aligned([header, *rows]) if aligned else map("\t".join, [header, *rows]):
        echo(line)


def _aligned(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> Iterator[str]:
    """Yield rows as lines of aligned columns; columns in `right` are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        for i in right:
            cells[i] = row[i].rjust(widths[i])
        yield "  ".join(cells).rstrip()


def _draw_plain(rows: Iterable[Sequence[str]], *columns: Column, stderr: bool = False) -> None:
    """Draw rows on a terminal without header or lines; names wrap at half of its width."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=stderr)
    cells = [[printable(cell) for cell in row] for row in rows]
    table = Table(*columns, box=None, show_header=False)
    for column in table.columns:
        column.overflow = "fold"
    longest = max((len(name) for name, *_ in cells), default=0)
    table.columns[0].width = min(longest, console.width // 2)
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def _draw(header: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Draw a table on a terminal, with columns of numbers right-aligned.

    If even its words do not fit, each row is printed as several lines, so that nothing is cut.
    """
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    console = Console()
    cells = [[printable(cell) for cell in row] for row in (header, *rows)]
    laid_out = _layout(cells, console.width - 3 * len(header) - 1)
    if laid_out is None:
        typer.echo(printable(title), nl=bool(title))
        for i, row in enumerate(rows):
            typer.echo("", nl=i > 0)
            _draw_plain(zip(header, row, strict=True), Column(style="bold"), Column())
        return
    (names, *drawn), widths = laid_out
    table = Table(title=Text(printable(title)) if title else None, title_justify="left")
    for name, width, *column in zip(names, widths, *drawn, strict=True):
        numeric = all(_NUMERIC.match(cell) for cell in column)
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(Text(name), justify=justify, width=width, overflow="fold")
    for row in drawn:
        table.add_row(*map(Text, row))
    console.print(table)


def _layout(cells: list[list[str]], room: int) -> tuple[list[list[str]], Sequence[int]] | None:
    """Return cells and column widths for a table of `room` characters, besides its lines.

    If space is short, an interval goes below its value, and the longest cells wrap between words.
    Return None if a word would be cut.
    """
    widths = _widest(cells, _LINES)
    if sum(widths) <= room:
        return cells, widths
    cells = [[cell.replace(" [", "\n[") for cell in row] for row in cells]
    wanted = _widest(cells, _LINES)
    for pieces in (_WORDS_AND_BRACKETS, _WORDS):
        widths = _widest(cells, pieces)
        if sum(widths) <= room:
            for _ in range(min(room, sum(wanted)) - sum(widths)):
                widths[max(range(len(widths)), key=lambda i: wanted[i] - widths[i])] += 1
            return cells, widths
    return None


def _widest(cells: Iterable[Sequence[str]], pieces: re.Pattern[str]) -> list[int]:
    """Return the length of the longest piece in each column."""
    return [
        max((len(piece) for cell in column for piece in pieces.findall(cell)), default=0)
        for column in zip(*cells, strict=True)
    ]


def print_facts(facts: Sequence[tuple[str, str]], indent: str = "") -> None:
    """Print names and values, aligned."""
    if on_terminal():
        from rich.table import Column

        _draw_plain(facts, Column(style="bold"), Column())
        return
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        echo(f"{indent}{name:<{width}}  {value}")


def print_report(report: Report) -> None:
    """Print the report of `inspect` on a file: facts, then tables."""
    echo(f"{report.path}: {report.kind}")
    print_facts(
        [
            ("" if i else name, text)
            for name, value in report.facts.items()
            for i, text in enumerate(_texts(value))
        ],
        indent="  ",
    )
    for table in report.tables:
        echo("")
        rows = [[_text(value) for value in row] for row in table.rows]
        if on_terminal():
            _draw(table.columns, rows, table.title)
            continue
        echo(f"{table.title}:")
        numeric = (int, float, type(None))
        right = [
            i
            for i in range(len(table.columns))
            if all(isinstance(row[i], numeric) for row in table.rows)
        ]
        for line in _aligned([table.columns, *rows], right):
            echo(f"  {line}")


def _texts(value: Any) -> list[str]:
    """Return a fact on one line, or a long list with one line per entry."""
    text = _text(value)
    return list(map(str, value)) if isinstance(value, list) and len(text) > WIDTH else [text]


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 5e-5 else f"{value:.4f}"
    return str(value)


def metric_table(
    metrics: Sequence[MetricResult], titles: Mapping[str, str], digits: int = 3, unknown: str = ""
) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of metrics, without empty columns."""
    header = ["metric", "value", "Bayes ceiling", "other", "difference"]
    rows = [
        [
            titles[m.name],
            *(interval_text(x, digits, unknown=unknown) for x in (m.score, m.ceiling, m.other)),
            interval_text(m.difference, digits, unknown=unknown, sign=True),
        ]
        for m in metrics
    ]
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows]


def interval_text(
    interval: Interval | None, digits: int = 3, *, unknown: str = "", sign: bool = False
) -> str:
    """Return ``0.912 [0.880, 0.941]``, the value alone without interval, or `unknown` for NaN."""
    return "" if interval is None else interval.text(digits, sign=sign, undefined=unknown)


def print_results(found: Results) -> None:
    """Print one row per model to stdout, and their interpretation to stderr."""
    from genomix_cli.comparison.metrics.multiclass import METRICS, SHOWN

    header = ["model", *(METRICS[name].title for name in SHOWN), "trials", "vs best baseline"]
    rows = [
        [
            row.name,
            *(interval_text(row.metrics[name].interval, digits=4) for name in SHOWN),
            str(row.trials),
            "" if row.against_best is None else row.against_best.verdict,
        ]
        for row in found.outcomes
    ]
    if found.batches is not None and found.batches.results is not None:
        header.append(f"{METRICS[found.metric].title}, batches held out")
        for cells, row in zip(rows, found.batches.results.outcomes, strict=True):
            cells.append(interval_text(row.metrics[found.metric].interval, digits=4))
    print_table(header, rows)
    for warning in found.warnings:
        log.warning(warning)
    log.info(found.headline)


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of plain data as a table; numbers with four digits, empty cells for None."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    print_table(names, [[_cell(row.get(name)) for name in names] for row in rows])


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_held_out(metrics: Mapping[str, Any]) -> None:
    """Print part, metric, value, interval, ceiling; over folds: mean and standard deviation."""
    rows = []
    for part in ("valid", "test"):
        for name in HELD_OUT_METRICS:
            if name in metrics.get(part, {}):
                ends = [metrics[part][name][key] for key in ("value", "low", "high")]
                line = ["" if end is None else f"{end:.4f}" for end in ends]
                ceiling = metrics[part].get(f"bayes_{name}")
                if ceiling is not None:
                    line.append(f"{ceiling:.4f}")
                rows.append([part, name, *line])
    folds = [
        ["folds", name, f"{fold['mean']:.4f}", f"{fold['sd']:.4f}"]
        for name, fold in metrics.get("mean", {}).items()
    ]
    for header, table in (
        (("part", "metric", "value", "low", "high", "Bayes ceiling"), rows),
        (("part", "metric", "mean", "SD"), folds),
    ):
        if table:
            width = max(map(len, table))
            print_table(header[:width], [[*row, *[""] * (width - len(row))] for row in table])
