"""Commands built from the options of a request: parsing, checking and calling in one place."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

from typer.core import TyperArgument, TyperCommand, TyperOption

from genomix_cli.cli.common import EVERYTHING, available, common_options, limit_threads
from genomix_cli.cli.help import write_help
from genomix_cli.cli.inputs import NamedPath, require_inputs
from genomix_cli.cli.overwriting import refuse_folders, refuse_overwriting
from genomix_cli.cli.settings import SETTINGS, keys
from genomix_cli.errors import UsageError
from genomix_cli.options import Leaf, Option, build, leaves
from genomix_cli.shared_options import Threads

# Names of options that are in no request.
TASK, THREADS = "task", "threads"


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
            leaf = self.by_name[THREADS]
            asked = self._converted(ctx, leaf, given[THREADS])
            threads = available(asked, self._origin(ctx, leaf))
            given[THREADS] = str(threads)
            limit_threads(threads)
        request = self.request(ctx, given)
        refuse_folders(leaves(request))
        require_inputs(leaves(request), lambda leaf: self._origin(ctx, leaf))
        return self.action(ctx, given).run(request)

    def action(self, ctx: Any, given: Mapping[str, Any]) -> Action:
        """Return the action of the task, and refuse options of other tasks."""
        if TASK not in self.by_name or len(self.spec.tasks) == 1:
            return next(iter(self.spec.tasks.values()))
        leaf = self.by_name[TASK]
        task = self._converted(ctx, leaf, given.get(TASK, leaf.default))
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
                    values[leaf.path] = self._converted(ctx, leaf, given[leaf.name])
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
        settings = ctx.meta.get(SETTINGS)
        refuse_overwriting(
            leaves(request), *([NamedPath("--config", settings)] if settings else [])
        )
        return request

    def _converted(self, ctx: Any, leaf: Leaf, given: Any) -> Any:
        """Return the value of an option; a mistake names where the value comes from."""
        try:
            return leaf.convert(given)
        except UsageError as error:
            if error.where == leaf.flag:
                error.where = self._origin(ctx, leaf)
            raise

    def _origin(self, ctx: Any, leaf: Leaf) -> str:
        """Return the option, the variable or the settings file that gives a value."""
        source = _source(ctx, leaf.name)
        if source == "ENVIRONMENT":
            return leaf.option.env
        if source == "DEFAULT_MAP":
            return f"{ctx.meta[SETTINGS]} [{'.'.join(self.table)}] {leaf.flag.lstrip('-')}"
        return leaf.flag if leaf.flags else ""

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
        everything = ctx.meta.get(EVERYTHING, False)
        write_help(ctx, formatter, self.spec, self.by_name.values(), everything=everything)


def _source(ctx: Any, name: str) -> str:
    """Return ``COMMANDLINE``, ``ENVIRONMENT``, ``DEFAULT_MAP`` (a settings file) or ``DEFAULT``."""
    source = ctx.get_parameter_source(name)
    return "DEFAULT" if source is None or source.name == "DEFAULT" else str(source.name)


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
