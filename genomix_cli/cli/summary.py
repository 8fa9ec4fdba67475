"""What a command did: rows on stderr, tables on stdout."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence

import typer

log = logging.getLogger("genomix")


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
