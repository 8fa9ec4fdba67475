"""``genomix inspect``: what any of our files is."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genomix_cli.cli.options import Config, Force, Quiet, Verbose

if TYPE_CHECKING:
    from genomix_cli.inspection import Report, Table

WIDTH = 80

log = logging.getLogger("genomix")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("inspect")(inspect)


def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="File or folder.")],
    top: Annotated[int, typer.Option("--top", min=0, help="Alleles of a scored VCF to show.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Draw a cohort into this folder.")
    ] = None,
    beside: Annotated[
        Path | None, typer.Option("--beside", help="Compare a cohort with this one.")
    ] = None,
    force: Force = False,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Say what a file is: a VCF and its scores, a model, a shard, sequences, a cohort, a FASTA."""
    from genomix_cli.inspection import inspect as describe
    from genomix_cli.inspection import look_closer

    report = describe(path, top)
    if plots is not None or beside is not None:
        report = look_closer(report, beside, plots, force=force)
    if plots is not None:
        log.info("%s pictures, shown by %s", report.facts["pictures"], plots / "index.html")
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2, default=str))
    else:
        typer.echo("\n".join(_lines(report)))


def _lines(report: Report) -> Iterator[str]:
    yield f"{report.path}: {report.kind}"
    width = max(map(len, report.facts), default=0)
    for name, value in report.facts.items():
        for i, text in enumerate(_texts(value)):
            yield f"  {'' if i else name:<{width}}  {text}"
    for table in report.tables:
        yield ""
        yield from _table(table)


def _texts(value: Any) -> list[str]:
    """A fact on one line, or a long list with a line for each entry."""
    text = _text(value)
    return list(map(str, value)) if isinstance(value, list) and len(text) > WIDTH else [text]


def _table(table: Table) -> Iterator[str]:
    yield f"{table.title}:"
    rows = [table.columns, *([_text(value) for value in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numeric = [all(_is_number(row[i]) for row in table.rows) for i in range(len(table.columns))]
    for row in rows:
        yield "  " + _row(row, widths, numeric)


def _row(cells: Sequence[str], widths: list[int], numeric: list[bool]) -> str:
    aligned = (
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, numeric, strict=True)
    )
    return "  ".join(aligned).rstrip()


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (int, float))


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
