"""What a command did: rows on stderr, tables on stdout."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from genomix_cli.comparison.intervals import Interval, MetricResult
    from genomix_cli.comparison.summaries import Results

log = logging.getLogger("genomix")
# Metrics of the table of models.
SHOWN = ("accuracy", "macro_f1", "auroc", "nll")


def show(rows: Iterable[tuple[str, str, str]]) -> None:
    """Rows of name, value and note: a table on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        for name, value, note in rows:
            log.info("%s: %s%s", name, value, f" ({note})" if note else "")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for row in rows:
        table.add_row(*row)
    Console(stderr=True).print(table)


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, aligned: bool = False
) -> None:
    """Rows on stdout: drawn on a terminal; elsewhere tab-separated, or `aligned` by spaces."""
    if sys.stdout.isatty():
        _draw(header, rows)
        return
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for row in lines:
        if aligned:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            typer.echo("  ".join(cells).rstrip())
        else:
            typer.echo("\t".join(row))


def _draw(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def metric_table(
    metrics: Sequence[MetricResult], titles: Mapping[str, str], digits: int = 3, unknown: str = ""
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of metrics, without the columns that nothing fills."""
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
    """``0.912 [0.880, 0.941]``; the value alone without an interval, `unknown` if it is NaN."""
    return "" if interval is None else interval.text(digits, sign=sign, undefined=unknown)


def print_results(found: Results) -> None:
    """A row per model on stdout, and what to make of it on stderr."""
    from genomix_cli.comparison.metrics.multiclass import METRICS

    header = ("model", *(METRICS[name].title for name in SHOWN), "trials", "to best baseline")
    rows = [
        (
            row.name,
            *(interval_text(row.metrics[name].interval, digits=4) for name in SHOWN),
            str(row.trials),
            "" if row.against_best is None else row.against_best.verdict,
        )
        for row in found.outcomes
    ]
    print_table(header, rows)
    for warning in found.warnings:
        log.warning(warning)
    log.info(found.headline)


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of plain data as a table on stdout; numbers with four digits, nothing for None."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    print_table(names, [[_cell(row.get(name)) for name in names] for row in rows])


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
