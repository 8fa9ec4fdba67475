"""Options that every command has: its settings file, messages, threads, and help."""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from typing import Any

from typer.core import TyperOption

from genomix_cli.cli.help import CONFIG_HELP, GENERAL
from genomix_cli.cli.settings import load_settings
from genomix_cli.errors import printable
from genomix_cli.progress import terminal

log = logging.getLogger("genomix")

CONFIG, VERBOSE, QUIET, HELP_ALL = "config", "verbose", "quiet", "help_all"
# Key in the context of Click: whether help is to have every option.
EVERYTHING = "genomix.everything"
# Every machine can start this many threads, and few have more CPUs.
MOST_THREADS = 64


def common_options() -> list[Any]:
    """Return the Click options that act through callbacks, before a request is built."""
    option = partial(TyperOption, expose_value=False)
    flag = partial(option, type=bool, is_flag=True, default=False)
    return [
        option(
            param_decls=[CONFIG, "--config"],
            type=str,
            default=None,
            is_eager=True,
            envvar="GENOMIX_CONFIG",
            callback=load_settings,
            help=CONFIG_HELP,
        ),
        option(
            param_decls=[VERBOSE, "-v", "--verbose"],
            type=int,
            count=True,
            default=0,
            callback=_set_verbosity,
            help=GENERAL["-v, --verbose"],
        ),
        flag(
            param_decls=[QUIET, "-q", "--quiet"],
            callback=_set_verbosity,
            help=GENERAL["-q, --quiet"],
        ),
        flag(
            param_decls=[HELP_ALL, "--help-all"],
            is_eager=True,
            callback=_help_with_everything,
            help=GENERAL["--help-all"],
        ),
    ]


def _help_with_everything(ctx: Any, param: Any, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[EVERYTHING] = True
        ctx.command.get_help_option(ctx).callback(ctx, param, True)


def available(threads: int, where: str) -> int:
    """Limit the number of threads: OpenMP ends the process if it cannot start them."""
    cpus = os.cpu_count() or 1
    most = max(cpus, MOST_THREADS)
    if threads > most:
        log.warning("%s %d: limited to %d; there are %d CPUs", where, threads, most, cpus)
    return min(threads, most)


def limit_threads(threads: int) -> None:
    """Set the threads of numerical libraries, including torch if it is imported later."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def _set_verbosity(ctx: Any, param: Any, value: int) -> int:
    """Configure logging from the -v and -q options parsed so far."""
    change = -(value or 0) if param.name == QUIET else value or 0
    levels = ctx.meta["genomix.verbosity"] = ctx.meta.get("genomix.verbosity", 0) + change
    log.setLevel({-1: logging.WARNING, 0: logging.INFO}.get(max(levels, -1), logging.DEBUG))
    if log.handlers:
        return value
    handler: logging.Handler
    if sys.stderr.isatty():
        from rich.logging import RichHandler

        handler = RichHandler(console=terminal(), show_path=False, show_time=False)
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("[genomix] %(message)s"))
    handler.addFilter(_make_printable)
    log.addHandler(handler)
    log.propagate = False
    return value


def _make_printable(record: logging.LogRecord) -> bool:
    record.msg, record.args = printable(record.getMessage()), ()
    return True
