"""The ``genomix`` command: its sub-commands, and how any failure ends."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, NoReturn

import click
import typer

from genomix_cli import __version__
from genomix_cli.cli import evaluate, explain, inspect, prepare, score, simulate, train
from genomix_cli.errors import Exit, GenomixError

app = typer.Typer(
    name="genomix",
    help="Genomics pipelines from raw files to scored, explained results.\n\n"
    "simulate -> prepare -> train -> score -> explain   (+ evaluate, inspect)",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for group in (simulate, prepare):
    app.add_typer(group.app)
for command in (train, score, explain, evaluate, inspect):
    command.register(app)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"genomix {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Options of the bare command."""


def main() -> NoReturn:
    """Run the command line; a user's mistake is one line on stderr and an exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except GenomixError as error:
        code = _fail(error.line(), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = Exit.USAGE
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = _fail("interrupted", 128 + signal.SIGINT)
    except BrokenPipeError:
        # The reader (`| head`) has gone: stop quietly, and spare the interpreter's own flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    sys.exit(code or Exit.DONE)


def _fail(message: str, code: int) -> int:
    print(f"genomix: error: {message}", file=sys.stderr)
    return code


def _terminate(signum: int, frame: object) -> NoReturn:
    """Unwind on SIGTERM, so that drafts of outputs are removed."""
    sys.exit(128 + signum)
