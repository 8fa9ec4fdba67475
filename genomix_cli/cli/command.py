"""Commands built from the options of a request: parsing, checking and calling in one place."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_type_hints

from typer.core import TyperArgument, TyperCommand, TyperOption

from genomix_cli.cli.help import write_help
from genomix_cli.cli.inputs import NamedPath, require_inputs
from genomix_cli.cli.overwriting import refuse_overwriting
from genomix_cli.config import read_toml
from genomix_cli.errors import UsageError, printable
from genomix_cli.options import Leaf, Option, Threads, build, leaves
from genomix_cli.progress import terminal

log = logging.getLogger("genomix")

# Names of parameters that every command has, besides those of its request.
CONFIG, VERBOSE, QUIET, THREADS = "config", "verbose", "quiet", "threads"
HELP_ALL = "help_all"
TASK = "task"
# Every machine can start this many threads, and few have more CPUs.
MOST_THREADS = 64
# Keys in the context of Click: the settings file, and whether help is to have every option.
_SETTINGS, _EVERYTHING = "genomix.settings", "genomix.everything"


@dataclass(frozen=True)
class Action:
    """A request, and the function that takes it.

    Attributes
    ----------
    request : type
        Dataclass with options, see `genomix_cli.options`.
    run : callable
        Function of the request that returns the exit code, None for success.
    help : str
        One line of help for a task.
    """

    request: type
    run: Callable[[Any], int | None]
    help: str = ""


@dataclass(frozen=True)
class OfProcess:
    """Options that act on the whole process."""

    threads: Threads = 0


@dataclass(frozen=True)
class Command:
    """A command with its help.

    Attributes
    ----------
    help : str
        One line, a blank line, and paragraphs.
    tasks : dict of str to Action
        Actions by the value of ``--task``, the default first; a single action needs no such option.
    examples : tuple of str
        Examples, which run on test_data/.
    threads : bool
        True to add an option for the threads of numerical libraries, which is not in the request.
    """

    help: str
    tasks: Mapping[str, Action]
    examples: tuple[str, ...] = ()
    threads: bool = True

    def leaves(self) -> list[Leaf]:
        """Return the options of all tasks, each name once."""
        options: dict[str, Leaf] = {}
        if len(self.tasks) > 1:
            options[TASK] = _task_leaf(self.tasks)
        for action in self.tasks.values():
            for leaf in leaves(action.request):
                options.setdefault(leaf.name, leaf)
        if self.threads:
            options.setdefault(THREADS, next(leaves(OfProcess)))
        return sorted(options.values(), key=lambda leaf: (bool(leaf.flags), not leaf.is_required))

    @cached_property
    def _names(self) -> dict[str, set[str]]:
        """Return the names of the options of each task."""
        return {
            task: {leaf.name for leaf in leaves(action.request)}
            for task, action in self.tasks.items()
        }

    def having(self, name: str) -> list[str]:
        """Return the tasks that have an option."""
        return [task for task, names in self._names.items() if name in names]

    def only_for(self, name: str) -> str:
        """Return in words the tasks that have an option; empty if all have it."""
        having = self.having(name)
        lacking = [task for task in self.tasks if task not in having]
        if not having or not lacking:
            return ""
        return ", ".join(having) if len(having) < 3 else f"all but {', '.join(lacking)}"


def command(run: Callable[[Any], int | None], *examples: str, threads: bool = True) -> Command:
    """Return a command for a function; its docstring is the help, its argument the request."""
    (request,) = (kind for name, kind in get_type_hints(run).items() if name != "return")
    return Command(inspect.getdoc(run) or "", {"": Action(request, run)}, examples, threads)


def _task_leaf(tasks: Mapping[str, Action]) -> Leaf:
    told = "; ".join(f"{name}: {action.help}" for name, action in tasks.items())
    return Leaf((TASK,), Option(told, choices=tuple(tasks)), str, next(iter(tasks)))


class RequestCommand(TyperCommand):
    """The Click command of a `Command`."""

    def __init__(
        self, name: str, spec: Command, table: list[str], known: Iterable[str] = ()
    ) -> None:
        self.spec = spec
        self.by_name = {leaf.name: leaf for leaf in spec.leaves()}
        own = (key for leaf in self.by_name.values() for key in keys(leaf))
        self.known = sorted({*known, *own})
        self.table = table
        params = [p for leaf in self.by_name.values() for p in _parameters(leaf)]
        super().__init__(
            name, params=[*params, *common_options()], help=spec.help, rich_markup_mode=None
        )

    def invoke(self, ctx: Any) -> Any:
        """Check all values, then call the function of the task."""
        given = self._given(ctx)
        if given.get(THREADS):
            threads = _available(self.by_name[THREADS].convert(given[THREADS]))
            given[THREADS] = str(threads)
            limit_threads(threads)
        request = self.request(ctx, given)
        require_inputs(leaves(request))
        return self.action(ctx, given).run(request)

    def action(self, ctx: Any, given: Mapping[str, Any]) -> Action:
        """Return the action of the task, and refuse options of other tasks."""
        if TASK not in self.by_name or len(self.spec.tasks) == 1:
            return next(iter(self.spec.tasks.values()))
        leaf = self.by_name[TASK]
        task = leaf.convert(given.get(TASK, leaf.default))
        action = self.spec.tasks[task]
        own = {leaf.name for leaf in leaves(action.request)} | {TASK, THREADS}
        foreign = [n for n in self.by_name if n not in own and _source(ctx, n) == "COMMANDLINE"]
        if foreign:
            flags = ", ".join(self.by_name[name].flag for name in foreign)
            serve = [
                name
                for name, other in self.spec.tasks.items()
                if {*foreign} <= {leaf.name for leaf in leaves(other.request)}
            ]
            expected = f"--task {' or '.join(serve)}" if serve else None
            raise UsageError(f"does not apply to --task {task}", where=flags, expected=expected)
        return action

    def request(self, ctx: Any, given: Mapping[str, Any]) -> Any:
        """Build the request; report all mistakes of the call in one message."""
        action = self.action(ctx, given)
        values, faults = {}, []
        for leaf in leaves(action.request):
            try:
                if leaf.name in given:
                    values[leaf.path] = leaf.convert(given[leaf.name])
                elif leaf.is_required:
                    hint = f"give it, or set {leaf.option.env}" if leaf.option.env else None
                    faults.append(UsageError(f"{leaf.flag} is missing", hint=hint))
            except UsageError as error:
                faults.append(error)
        if len(faults) == 1:
            raise faults[0]
        if faults:
            raise UsageError("; ".join(fault.line() for fault in faults))
        request: Any = build(action.request, values)
        settings = ctx.meta.get(_SETTINGS)
        refuse_overwriting(
            leaves(request), *([NamedPath("--config", settings)] if settings else [])
        )
        return request

    def _given(self, ctx: Any) -> dict[str, Any]:
        """Return values from the command line, the environment or a settings file."""
        given: dict[str, Any] = {}
        for name, value in ctx.params.items():
            if _source(ctx, name) == "DEFAULT":
                continue
            # An option that can also be an argument has two parameters.
            given.setdefault(name.removesuffix("_argument"), value)
        # Values from a file or the environment give way to conflicting options.
        for name in [n for n in given if n in self.by_name]:
            other = self.by_name[name].option.unless
            if other in given and _source(ctx, name) != "COMMANDLINE":
                del given[name]
        return given

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the usage after the command's name; for Click, every argument is optional."""
        options = self.by_name.values()
        arguments = [leaf for leaf in options if leaf.option.argument and not leaf.flags]
        return ["[OPTIONS]", *(leaf.usage for leaf in arguments if not leaf.option.hidden)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help without cutting option names."""
        everything = ctx.meta.get(_EVERYTHING, False)
        write_help(ctx, formatter, self.spec, self.by_name.values(), everything=everything)


def _source(ctx: Any, name: str) -> str:
    """Return ``COMMANDLINE``, ``ENVIRONMENT``, ``DEFAULT_MAP`` (a settings file) or ``DEFAULT``."""
    source = ctx.get_parameter_source(name)
    return "DEFAULT" if source is None or source.name == "DEFAULT" else str(source.name)


def keys(leaf: Leaf) -> list[str]:
    """Return the names that settings files may use for an option."""
    spelled = [*leaf.flags, *leaf.option.old.split()]
    return [f.partition("/")[0][2:] for f in spelled if f.startswith("--")]


def _parameters(leaf: Leaf) -> list[Any]:
    """Return the Click parameters of an option, as text; `Leaf.convert` makes values of it."""
    option = leaf.option
    made: list[Any] = []
    if leaf.flags:
        declared = [f" {flag}" if flag.startswith("/") else flag for flag in leaf.flags]
        made.append(
            TyperOption(
                param_decls=[leaf.name, *declared, *option.old.split()],
                type=bool if leaf.is_flag else str,
                is_flag=leaf.is_flag,
                multiple=leaf.is_list,
                default=None,
                envvar=option.env or None,
                help=option.help,
                shell_complete=_completing(leaf),
            )
        )
    if option.argument:
        name = f"{leaf.name}_argument" if leaf.flags else leaf.name
        count = -1 if leaf.is_list else 1
        made.append(
            TyperArgument(
                param_decls=[name],
                type=str,
                required=False,
                nargs=count,
                metavar=leaf.metavar,
                hidden=bool(leaf.flags),
            )
        )
    return made


def _completing(leaf: Leaf) -> Callable[..., list[str]] | None:
    """Return the function for shell completion of an option's value, if it has choices."""
    if not leaf.choices:
        return None

    def complete(ctx: Any, param: Any, incomplete: str) -> list[str]:
        # In a list with commas, complete the last value.
        done, comma, begun = (
            incomplete.rpartition(",") if leaf.option.commas else ("", "", incomplete)
        )
        return [f"{done}{comma}{each}" for each in leaf.choices if each.startswith(begun)]

    return complete


def common_options() -> list[Any]:
    """Return the options that every command has."""
    return [
        TyperOption(
            param_decls=[CONFIG, "--config"],
            type=str,
            default=None,
            is_eager=True,
            envvar="GENOMIX_CONFIG",
            expose_value=False,
            callback=_load_config,
            help="TOML file with defaults, a table per command (~/.config/genomix/config.toml)",
        ),
        TyperOption(
            param_decls=[VERBOSE, "-v", "--verbose"],
            type=int,
            count=True,
            default=0,
            expose_value=False,
            callback=_set_verbosity,
            help="Show debug messages too",
        ),
        TyperOption(
            param_decls=[QUIET, "-q", "--quiet"],
            type=bool,
            is_flag=True,
            default=False,
            expose_value=False,
            callback=_set_verbosity,
            help="Show warnings and errors only",
        ),
        TyperOption(
            param_decls=[HELP_ALL, "--help-all"],
            type=bool,
            is_flag=True,
            default=False,
            is_eager=True,
            expose_value=False,
            callback=_help_with_everything,
            help="Show rarely needed options too",
        ),
    ]


def _help_with_everything(ctx: Any, param: Any, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_EVERYTHING] = True
        ctx.command.get_help_option(ctx).callback(ctx, param, True)


def _available(threads: int) -> int:
    """Limit the number of threads: OpenMP ends the process if it cannot start them."""
    cpus = os.cpu_count() or 1
    most = max(cpus, MOST_THREADS)
    if threads > most:
        log.warning("--threads %d: limited to %d; there are %d CPUs", threads, most, cpus)
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


def _load_config(ctx: Any, param: Any, value: str | None) -> str | None:
    """Read defaults from a TOML file; command line and environment take precedence."""
    path = Path(value) if value else _own_config()
    if path is None:
        return None
    ctx.meta[_SETTINGS] = path
    command: RequestCommand = ctx.command
    title = ".".join(command.table)
    settings: Any = read_toml(path)
    for name in command.table:
        settings = settings.get(name, {})
        if not isinstance(settings, dict):
            raise UsageError(f"{name} is not a table", where=path, expected=f"[{title}]")
    settings = {key.replace("_", "-"): item for key, item in settings.items()}
    known = {*command.known, THREADS, VERBOSE, QUIET}
    unknown = [key for key in settings if key not in known]
    if unknown:
        hint = f"known keys: {', '.join(sorted(known))}"
        raise UsageError(f"unknown key {', '.join(unknown)}", where=f"{path} [{title}]", hint=hint)
    own = {key: leaf for leaf in command.by_name.values() for key in keys(leaf)}
    ctx.default_map = dict(ctx.default_map or {}) | {
        own[key].name if key in own else key: _relative_to(path.parent, own.get(key), item)
        for key, item in settings.items()
    }
    return value


def _own_config() -> Path | None:
    """Return the user's settings file in the standard configuration folder, if it exists."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    path = Path(home) / "genomix" / "config.toml"
    # Unlike Path.is_file, this is also False if the home is another user's, as in containers.
    return path if os.path.isfile(path) else None


def _relative_to(folder: Path, leaf: Leaf | None, item: Any) -> Any:
    """Resolve paths in a settings file relative to that file, as build tools do."""
    if leaf is None:
        return item
    if leaf.is_list:
        items = item if isinstance(item, list) else [item]
        return [_relative_each(folder, leaf, str(each)) for each in items]
    if isinstance(item, list) and leaf.option.commas:
        item = ",".join(map(str, item))
    return item if leaf.is_flag else _relative_each(folder, leaf, str(item))


def _relative_each(folder: Path, leaf: Leaf, text: str) -> str:
    if leaf.is_path:
        name, equals, path = text.rpartition("=") if "NAME=" in leaf.metavar else ("", "", text)
        return f"{name}{equals}{folder / path}"
    if leaf.option.model and (folder / text).exists():
        return str(folder / text)
    return text
