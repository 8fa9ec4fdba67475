"""Options that several commands share, each spelled once."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.models import TyperPath

from genomix_cli.config import read_toml
from genomix_cli.errors import UsageError


def _set_verbosity(ctx: typer.Context) -> None:
    """(Re)configure logging from -v and -q, whichever came so far."""
    levels = ctx.meta.get("genomix.verbosity", 0)
    log = logging.getLogger("genomix")
    log.setLevel({-1: logging.WARNING, 0: logging.INFO}.get(max(levels, -1), logging.DEBUG))
    if log.handlers:
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.logging import RichHandler

        log.addHandler(RichHandler(console=Console(stderr=True), show_path=False, show_time=False))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("[genomix] %(message)s"))
        log.addHandler(handler)
    log.propagate = False


def _verbose(ctx: typer.Context, value: int) -> int:
    ctx.meta["genomix.verbosity"] = ctx.meta.get("genomix.verbosity", 0) + value
    _set_verbosity(ctx)
    return value


def _quiet(ctx: typer.Context, value: bool) -> bool:
    if value:
        ctx.meta["genomix.verbosity"] = ctx.meta.get("genomix.verbosity", 0) - 1
    _set_verbosity(ctx)
    return value


def _threads(value: int) -> int:
    """Threads of numerical libraries; torch reads the same setting where it is imported."""
    import os

    if value:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = str(value)
    return value


def _load_config(ctx: typer.Context, value: Path | None) -> Path | None:
    """Let a TOML file supply defaults: command line, then environment, then this file."""
    value = value or _own_config()
    if value is None:
        return None
    table = _table_names(ctx)
    settings: Any = read_toml(value)
    for name in table:
        settings = settings.get(name, {})
        if not isinstance(settings, dict):
            raise UsageError(f"{name} is not a table", where=value, expected=f"[{'.'.join(table)}]")
    options = {
        flag.removeprefix("--"): parameter
        for parameter in ctx.command.params
        for flag in parameter.opts
        if flag.startswith("--") and flag != "--config"
    }
    settings = {key.replace("_", "-"): item for key, item in settings.items()}
    unknown = [key for key in settings if key not in options]
    if unknown:
        where = f"{value} [{'.'.join(table)}]"
        raise UsageError(f"unknown key {', '.join(unknown)}", where=where, hint=_known(options))
    ctx.default_map = dict(ctx.default_map or {}) | {
        str(options[key].name): _relative_to(value.parent, options[key], item)
        for key, item in settings.items()
    }
    return value


def _own_config() -> Path | None:
    """The user's settings where every program of a desktop or workstation looks for them."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    path = Path(home).expanduser() / "genomix" / "config.toml"
    return path if path.is_file() else None


def _table_names(ctx: typer.Context) -> list[str]:
    """``["prepare", "variants"]``: the tables that lead to a command's settings."""
    if ctx.parent is None:
        return []
    return [*_table_names(ctx.parent), ctx.info_name or ""]  # type: ignore[arg-type]


def _known(options: dict[str, Any]) -> str:
    return "known keys: " + ", ".join(sorted(options))


def _relative_to(folder: Path, parameter: Any, item: Any) -> Any:
    """Paths of a settings file are relative to the file, as in any build tool."""
    if {"--track", "--modality"} & set(parameter.opts):
        pairs = [str(entry).partition("=") for entry in _as_list(item)]
        return [f"{name}{equals}{folder / path}" for name, equals, path in pairs]
    is_path = isinstance(parameter.type, TyperPath)
    if parameter.multiple:
        return [str(folder / str(entry)) if is_path else entry for entry in _as_list(item)]
    if is_path or ("--model" in parameter.opts and (folder / str(item)).exists()):
        return str(folder / str(item))
    return item


def _as_list(item: Any) -> list[Any]:
    return item if isinstance(item, list) else [item]


Verbose = Annotated[
    int,
    typer.Option("-v", "--verbose", count=True, callback=_verbose, help="Show debug messages too."),
]
Quiet = Annotated[
    bool, typer.Option("-q", "--quiet", callback=_quiet, help="Only warnings and errors.")
]
Threads = Annotated[
    int,
    typer.Option(
        "--threads", min=0, callback=_threads, help="CPU threads; 0: all.", envvar="GENOMIX_THREADS"
    ),
]
Device = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.", envvar="GENOMIX_DEVICE")
]
Devices = Annotated[
    str,
    typer.Option("--devices", help="GPUs that share the work: how many, or which, as in 0,2."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="TOML file with defaults, a table per command; else ~/.config/genomix/config.toml.",
        envvar="GENOMIX_CONFIG",
        is_eager=True,
        callback=_load_config,
    ),
]
Fasta = Annotated[
    Path, typer.Option("--fasta", "-f", help="Reference FASTA.", envvar="GENOMIX_FASTA")
]
Tracks = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        "-t",
        help="NAME=FILE.bw, as H3K27ac=k.bw or ATAC@K562=a.bw; repeat.",
        envvar="GENOMIX_TRACKS",
    ),
]
Uncovered = Annotated[
    str | None,
    typer.Option(
        "--uncovered", help="Bases without signal: missing or zero; default: as in training."
    ),
]
Contacts = Annotated[
    Path | None,
    typer.Option(
        "--contacts", help=".cool or .mcool[::/resolutions/N].", envvar="GENOMIX_CONTACTS"
    ),
]
Model = Annotated[
    str,
    typer.Option("--model", "-m", help="Run folder, or a name that ships.", envvar="GENOMIX_MODEL"),
]


def parse_tracks(values: list[str] | None) -> dict[str, Path]:
    """``NAME=FILE`` pairs as a mapping in the order given.

    Raises
    ------
    UsageError
        If a value is no pair, or a name comes twice.
    """
    return {name: Path(path) for name, path in parse_pairs(values, "--track", "FILE").items()}


def parse_pairs(values: list[str] | None, option: str, what: str) -> dict[str, str]:
    """``NAME=WHAT`` values of an option as a mapping in the order given.

    Raises
    ------
    UsageError
        If a value is no pair, or a name comes twice.
    """
    pairs: dict[str, str] = {}
    for value in values or []:
        name, equals, rest = value.partition("=")
        if not (name and equals and rest):
            noun = option.removeprefix("--")
            raise UsageError(f"not a {noun}", where=option, expected=f"NAME={what}", found=value)
        if name in pairs:
            raise UsageError(f"{name} was given twice", where=option)
        pairs[name] = rest
    return pairs


def parse_names(value: str) -> tuple[str, ...]:
    """Names between commas."""
    return tuple(name.strip() for name in value.split(",") if name.strip())


def parse_value(text: str) -> Any:
    """As TOML has it, but a word needs no quotes."""
    import tomllib

    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def parse_fields(values: list[str] | None) -> dict[str, Any]:
    """``--set`` of a model, repeated."""
    return {name: parse_value(text) for name, text in parse_pairs(values, "--set", "VALUE").items()}
