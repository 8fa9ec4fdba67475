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


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows on stdout: drawn on a terminal, tab-separated elsewhere."""
    if not sys.stdout.isatty():
        for row in (header, *rows):
            typer.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
