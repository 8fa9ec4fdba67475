"""``genomix doctor``: whether scores from this device can be trusted."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from genomix_cli.cli.options import Config, Device, Model, Quiet, Threads, Verbose
from genomix_cli.errors import CheckError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("doctor")(doctor)


def doctor(
    model: Model = "gmt-mini-sim",
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, or auto: bf16 on a GPU, fp32 on a CPU.")
    ] = "auto",
    store: Annotated[
        bool,
        typer.Option("--store", help="Store the answers of this machine's CPU as the right ones."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: Device = "auto",
    threads: Threads = 0,
    config: Config = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Run a model on this device against stored answers; exit code 3 when it cannot be trusted."""
    from genomix_cli.variants.score.doctor import examine, summarise, write_reference

    if store:
        write_reference(model)
        return
    diagnosis = examine(model, device, precision)
    if as_json:
        typer.echo(json.dumps(asdict(diagnosis), indent=2))
    else:
        rows = summarise(diagnosis)
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            typer.echo(f"{name:<{width}}  {value}")
    if not diagnosis.sound:
        raise CheckError(
            "do not trust scores from here: " + "; ".join(diagnosis.problems),
            where=diagnosis.device,
            hint="try --precision fp32, another driver or PyTorch, or --device cpu",
        )
    if not as_json:
        typer.echo("This device can be trusted.")
