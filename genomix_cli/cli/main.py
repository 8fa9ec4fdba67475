"""The ``genomix`` command: its subcommands, and the handling of failures."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from genomix_cli import __version__
from genomix_cli.cli.help import write_group_help
from genomix_cli.cli.streams import STDOUT, standard_streams
from genomix_cli.errors import DISK_REFUSES, Exit, GenomixError, printable
from genomix_cli.progress import clear

# Commands in the order of use; each has a module of the same name.
CHAIN = {
    "simulate": "Simulate data with a known truth",
    "prepare": "Turn raw files into shards, cohorts and sequences",
    "train": "Train a model of variants, of a cohort or of sequences",
    "score": "Score variants, the samples of a cohort, or sequences",
    "explain": "Explain why an input scores as it does",
    "evaluate": "Evaluate scores, models, or generated sequences",
    "inspect": "Describe a file",
    "doctor": "Check whether scores from this device can be trusted",
}
EXAMPLES = (
    "genomix score test_data/variants.vcf.gz -f test_data/genome.fa.gz -o scored.vcf",
    "genomix inspect scored.vcf",
)
# Options for a number after -v.
LEVELS = {"0": ["-q"], "1": [], "2": ["-v"], "3": ["-vv"]}
INTERRUPTED = 128 + signal.SIGINT

# Newer Typer carries its own copy of Click: this is the base of both copies' usage errors.
ClickException: Any = typer.BadParameter.__bases__[0].__bases__[0]


class Root(TyperGroup):
    """The bare command; subcommands are imported on demand."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Accept ``-v 2`` for ``-vv``, as in bcftools."""
        for i in range(len(args) - 1, 0, -1):
            if args[i - 1] in ("-v", "--verbose") and args[i] in LEVELS:
                args = [*args[: i - 1], *LEVELS[args[i]], *args[i + 1 :]]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, those of the main chain first."""
        return list(CHAIN)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the Click command of a name, None if there is none."""
        if cmd_name not in CHAIN:
            return None
        from genomix_cli.cli.command import RequestCommand
        from genomix_cli.cli.domains import VerbGroup

        module = import_module(f"genomix_cli.cli.{cmd_name}")
        if hasattr(module, "VERB"):
            return VerbGroup(module.VERB)
        return RequestCommand(cmd_name, module.COMMAND, [cmd_name])

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, with one line per command."""
        text = (
            "Genomics pipelines from raw files to scored, explained results.\n\n"
            "simulate -> prepare -> train -> score -> explain   (+ evaluate, inspect, doctor)"
        )
        options = {
            "--version": "Show the version",
            "-h, --help": "Show this message and exit",
            "--install-completion": "Complete commands and options in this shell",
        }
        write_group_help(ctx, formatter, text, CHAIN, EXAMPLES, options=options)


app = typer.Typer(
    name="genomix",
    cls=Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    # Commands have their own --help-all; verbs have short help and always show all of it.
    context_settings={
        "help_option_names": ["-h", "--help", "--help-all"],
        "max_content_width": 100,
    },
)


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
    with standard_streams():
        try:
            code = _run()
        finally:
            clear()
    sys.exit(code if isinstance(code, int) else Exit.DONE)


def _run() -> Any:
    """Run the command, and return its exit code; None for success."""
    try:
        code = app(prog_name="genomix", standalone_mode=False)
        sys.stdout.flush()
    except GenomixError as error:
        code = _fail(error.line(), error.exit_code)
    except ClickException as error:
        error.message = printable(error.message)
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
    except OSError as error:
        # Last resort for errors without a better message: a full disk is not a bug of genomix.
        if error.errno not in DISK_REFUSES:
            raise
        code = _fail(f"{error.filename or 'the disk'}: {error.strerror}", Exit.FAILED)
    except SystemExit as stop:
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        code = _reader_has_gone()
    if code == INTERRUPTED:
        _fail("interrupted", code)
    return code


def _reader_has_gone() -> int:
    """Stop quietly after ``| head``, and prevent the interpreter's final flush."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), STDOUT)
    return 128 + signal.SIGPIPE


def _fail(message: str, code: int) -> int:
    clear()
    print(f"genomix: error: {printable(message)}", file=sys.stderr)
    return code


def _terminate(signum: int, frame: object) -> NoReturn:
    """Unwind on SIGTERM, so that drafts of outputs are removed."""
    sys.exit(128 + signum)
