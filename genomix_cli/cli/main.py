"""The ``genomix`` command: its sub-commands, and how any failure ends."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from genomix_cli import __version__
from genomix_cli.cli import doctor, evaluate, explain, inspect, prepare, score, simulate, train
from genomix_cli.errors import Exit, GenomixError

CHAIN = ["simulate", "prepare", "train", "score", "explain", "evaluate", "inspect", "doctor"]
STDOUT = 1
INTERRUPTED = 128 + signal.SIGINT

# Newer Typer carries its own copy of Click: this is the base of both copies' usage errors.
ClickException: Any = typer.BadParameter.__bases__[0].__bases__[0]


class InOrder(TyperGroup):
    """Lists the commands in the order in which they are used."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Names of the commands, the chain first."""
        return sorted(super().list_commands(ctx), key=CHAIN.index)


app = typer.Typer(
    name="genomix",
    cls=InOrder,
    help="Genomics pipelines from raw files to scored, explained results.\n\n"
    "simulate -> prepare -> train -> score -> explain   (+ evaluate, inspect, doctor)",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for group in (simulate, prepare):
    app.add_typer(group.app)
for command in (train, score, explain, evaluate, inspect, doctor):
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
        code = app(prog_name="genomix", standalone_mode=False)
        sys.stdout.flush()
    except GenomixError as error:
        code = _fail(error.line(), error.exit_code)
    except ClickException as error:
        error.show()
        code = error.exit_code
    except typer.Abort as error:
        if isinstance(error.__cause__, EOFError):
            raise error.__cause__ from None  # Click takes it for Ctrl-D at a prompt: it is a bug
        code = INTERRUPTED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = _reader_has_gone()
    except SystemExit as stop:
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        code = _reader_has_gone()
    if code == INTERRUPTED:
        _fail("interrupted", code)
    sys.exit(code if isinstance(code, int) else Exit.DONE)


def _reader_has_gone() -> int:
    """Stop quietly after ``| head``, and spare the interpreter's own flush."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), STDOUT)
    return 128 + signal.SIGPIPE


def _fail(message: str, code: int) -> int:
    print(f"genomix: error: {message}", file=sys.stderr)
    return code


def _terminate(signum: int, frame: object) -> NoReturn:
    """Unwind on SIGTERM, so that drafts of outputs are removed."""
    sys.exit(128 + signum)
