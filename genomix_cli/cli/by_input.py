"""One command for several domains: what its input holds says which of their functions runs.

Such a command has the options of all functions, those with the same flag once. What only one
domain has is in a help panel of its own, and refused where the input is of another.
"""

from __future__ import annotations

import gzip
import inspect
import json
import zlib
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from keyword import iskeyword
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

import typer

from genomix_cli.errors import UsageError

REQUIRED = inspect.Parameter.empty
# The command's parameter that decides.
INPUT = "input_path"

_HDF5 = b"\x89HDF\r\n\x1a\n"
# mudata's own first line, before that of HDF5.
_MUDATA = b"MuData"
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_SUFFIX = ".h5mu"
_SEQUENCES = "genomix-sequences"
_SHARD = "genomix-shard"

# Newer Typer carries its own copy of Click: these are subclasses and bases in both copies.
MissingParameter: Any = next(
    kind for kind in typer.BadParameter.__subclasses__() if kind.__name__ == "MissingParameter"
)


class Domain(NamedTuple):
    """What an input can be.

    Attributes
    ----------
    name : str
        As help calls it: ``cohorts``.
    phrase : str
        What an input of it is: ``a cohort``.
    owns : callable
        Whether the file or folder at a path is of this domain.
    """

    name: str
    phrase: str
    owns: Callable[[Path], bool]


def is_cohort(path: Path) -> bool:
    """Whether a file is a MuData file, or would have been by its name.

    An AnnData file is one too, so that its owner hears what to make of it.
    """
    start = _start(path)
    if not start.startswith((_HDF5, _MUDATA)):
        return not path.exists() and path.name.endswith(_SUFFIX)
    import h5py

    try:
        with h5py.File(path) as file:
            return "obs" in file
    except OSError:  # damaged; the command says so
        return start.startswith(_MUDATA)


def is_sequences(path: Path) -> bool:
    """Whether a file is one of sequences, by what it says of itself."""
    return _is_format(path, _SEQUENCES)


def is_genome_shard(path: Path) -> bool:
    """Whether a file is a genome shard, by what it says of itself."""
    return _is_format(path, _SHARD)


def _is_format(path: Path, name: str) -> bool:
    start = _start(path)
    if not start.startswith(_HDF5):
        return False
    import h5py

    try:
        with h5py.File(path) as file:
            return bool(file.attrs.get("format") == name)
    except OSError:  # damaged; the command says so
        return name.encode() in start


def is_scored_classes(path: Path) -> bool:
    """Whether a path is a run folder of cohorts or sequences, or a table with a row per sample."""
    if path.is_dir():
        return _domain_of_run(path) != "variants"
    start = _start(path)
    if start.startswith(_GZIP):
        start = _unzipped(path)
    first = start.decode(errors="replace").splitlines()[:1] or [""]
    return start.startswith(_PARQUET) or first[0].split("\t")[0] == "sample"


def _start(path: Path) -> bytes:
    """The first bytes; none of what is no plain file, for a pipe can be read only once."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return file.read(4096)
    except OSError:  # the command says so
        pass
    return b""


def _unzipped(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(4096)
    except (OSError, EOFError, zlib.error):
        return b""


def _domain_of_run(folder: Path) -> str:
    try:
        data = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return ""
    return str(data.get("domain", "variants")) if isinstance(data, dict) else ""


VARIANTS = Domain("variants", "of variants", lambda path: True)
COHORTS = Domain("cohorts", "a cohort", is_cohort)
SEQUENCES = Domain("sequences", "a file of sequences", is_sequences)
GENERATED = Domain("generated sequences", "a file of sequences", is_sequences)
SHARDS = Domain("genome shards", "a genome shard", is_genome_shard)
SCORED_CLASSES = Domain("cohorts and sequences", "of samples or sequences", is_scored_classes)


class Own(NamedTuple):
    """An option as one domain's function declares it.

    Attributes
    ----------
    name : str
        Of the function's parameter.
    kind : Any
        Its type, without None.
    default : Any
        `REQUIRED` if there is none.
    info : OptionInfo
        Of Typer.
    """

    name: str
    kind: Any
    default: Any
    info: Any

    @property
    def flags(self) -> tuple[str, ...]:
        """As they are typed."""
        # In an annotation Typer keeps the first flag where a default would be.
        first = () if self.info.default is ... else (self.info.default,)
        given = (*first, *(self.info.param_decls or ()))
        return given or (f"--{self.name.replace('_', '-')}",)

    @property
    def is_list(self) -> bool:
        """Whether it may come more than once."""
        return get_origin(self.kind) is list


@dataclass(frozen=True)
class Option:
    """An option of the command.

    Attributes
    ----------
    own : dict of str to Own
        What each domain that has it declares.
    n_domains : int
        Of the command.
    """

    own: dict[str, Own]
    n_domains: int

    @property
    def flag(self) -> str:
        """The first long one; of ``--with/--without`` the one that is there."""
        single = [part.strip() for flag in self.flags for part in flag.split("/")]
        return next(flag for flag in single if flag.startswith("--"))

    @property
    def name(self) -> str:
        """Of the command's parameter."""
        name = self.flag.removeprefix("--").replace("-", "_")
        return f"{name}_" if iskeyword(name) else name

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """Of all domains."""
        return tuple(dict.fromkeys(flag for own in self.own.values() for flag in own.flags))

    @property
    def kind(self) -> Any:
        """A list where one domain takes several."""
        kinds = [own.kind for own in self.own.values()]
        return next((own.kind for own in self.own.values() if own.is_list), kinds[0])

    @property
    def is_shared(self) -> bool:
        """Whether every domain has it."""
        return len(self.own) == self.n_domains

    @property
    def is_required(self) -> bool:
        """Whether it is, whatever the input."""
        return self.is_shared and all(own.default is REQUIRED for own in self.own.values())

    def check(self) -> None:
        """Refuse what cannot be one option."""
        elements = {own.kind if not own.is_list else get_args(own.kind)[0] for own in self._owns()}
        limits = {(own.info.min, own.info.max, own.info.envvar) for own in self._owns()}
        if len(elements) > 1 or len(limits) > 1:
            raise TypeError(f"{self.flags[0]} is not the same in {' and '.join(self.own)}")

    def _owns(self) -> list[Own]:
        return list(self.own.values())

    def parameter(self) -> inspect.Parameter:
        """For the signature of the command."""
        info = copy(self._owns()[0].info)
        info.default, info.param_decls = self.flags[0], self.flags[1:]
        info.help = self._by_domain({name: own.info.help for name, own in self.own.items()})
        if not self.is_shared:
            info.rich_help_panel = f"Only for {' and '.join(self.own)}"
        defaults = {name: own.default for name, own in self.own.items()}
        default = self._owns()[0].default
        if any(other is not default and other != default for other in defaults.values()):
            default = None
            info.show_default = "; ".join(
                f"{value} for {name}"
                for name, value in defaults.items()
                if value not in (None, "", REQUIRED)
            )
            required = [name for name, other in defaults.items() if other is REQUIRED]
            if required:
                info.help += f" Required for {' and '.join(required)}."
        elif default is REQUIRED and not self.is_required:
            default = None
        kind = self.kind if default is not None else self.kind | None
        annotation = Annotated[kind, info]  # type: ignore[valid-type]
        form = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(self.name, form, default=default, annotation=annotation)

    def _by_domain(self, texts: dict[str, str]) -> str:
        """One text where all say the same."""
        if len(set(texts.values())) == 1:
            return next(iter(texts.values()))
        return " ".join(f"{name.capitalize()}: {text}" for name, text in texts.items())

    def value(self, domain: str, given: Any) -> Any:
        """What a domain's function gets of what was given: of several the last, if it takes one."""
        if isinstance(given, list) and not self.own[domain].is_list:
            return given[-1]
        return given


def add_command(
    app: typer.Typer,
    name: str,
    functions: dict[Domain, Callable[..., Any]],
    *,
    help: str,
    argument: Any,
) -> None:
    """Add a command that runs the function of its input's domain.

    Parameters
    ----------
    app : Typer
    name : str
    functions : dict
        Of each domain, as for a Typer command of its own; the first parameter is the input. The
        first domain takes what no other owns.
    help : str
        One line; what the functions say of themselves follows.
    argument : Any
        `typer.Argument` of the input.

    Raises
    ------
    TypeError
        If options of the same flag cannot be one.
    """
    command = _Command(functions)
    paragraphs = [help]
    for domain, function in functions.items():
        paragraphs.append(f"{domain.name.capitalize()}: {inspect.getdoc(function)}")
    form = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        inspect.Parameter("ctx", form, annotation=typer.Context),
        inspect.Parameter(INPUT, form, annotation=Annotated[Path, argument]),
        *(option.parameter() for option in command.options),
    ]

    def run(ctx: typer.Context, **values: Any) -> Any:
        return command.run(ctx, values)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    app.command(name, cls=_shown_as_required(command.options), help="\n\n".join(paragraphs))(run)


def _shown_as_required(options: Sequence[Option]) -> Any:
    """A command whose help marks what only one domain has, and that one requires."""
    from typer.core import TyperCommand

    marked = {o.name for o in options if all(own.default is REQUIRED for own in o.own.values())}

    class ByInput(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            for parameter in self.params:
                parameter.required = parameter.required or parameter.name in marked
            super().format_help(ctx, formatter)

    return ByInput


class _Command:
    """The functions of a command, and its options."""

    def __init__(self, functions: dict[Domain, Callable[..., Any]]) -> None:
        self._functions = functions
        signatures = {domain.name: _parameters(run) for domain, run in functions.items()}
        self._contexts = {
            name: [p.name for p in parameters if p.annotation is typer.Context]
            for name, parameters in signatures.items()
        }
        declared = {
            name: [p for p in parameters if p.annotation is not typer.Context]
            for name, parameters in signatures.items()
        }
        self._inputs = {name: parameters[0].name for name, parameters in declared.items()}
        self.options = _merged(
            {name: [_own(p) for p in found[1:]] for name, found in declared.items()}
        )

    def run(self, ctx: typer.Context, values: dict[str, Any]) -> Any:
        """Call the function of the input's domain with its own parameters."""
        path = values[INPUT]
        default, *others = self._functions
        domain = next((domain for domain in others if domain.owns(path)), default)
        self._refuse_foreign(ctx, domain, path)
        arguments: dict[str, Any] = {self._inputs[domain.name]: path}
        arguments |= dict.fromkeys(self._contexts[domain.name], ctx)
        for option in self.options:
            if domain.name in option.own:
                own = option.own[domain.name]
                arguments[own.name] = self._argument(ctx, option, domain, values[option.name])
        return self._functions[domain](**arguments)

    def _argument(self, ctx: typer.Context, option: Option, domain: Domain, given: Any) -> Any:
        if _source(ctx, option.name) != "DEFAULT":
            return option.value(domain.name, given)
        default = option.own[domain.name].default
        if default is REQUIRED:
            parameter = next(p for p in ctx.command.params if p.name == option.name)
            raise MissingParameter(ctx=ctx, param=parameter)
        return default

    def _refuse_foreign(self, ctx: typer.Context, domain: Domain, path: Path) -> None:
        """Refuse what was typed for another domain; settings made for good are left alone."""
        for option in self.options:
            if domain.name in option.own or _source(ctx, option.name) != "COMMANDLINE":
                continue
            owners = [other for other in self._functions if other.name in option.own]
            names = " and ".join(owner.name for owner in owners)
            found = self._called(path, domain, owners)
            raise UsageError(f"{option.flag} is for {names}, and {found}")

    def _called(self, path: Path, domain: Domain, owners: Sequence[Domain]) -> str:
        if domain is not next(iter(self._functions)):
            return f"{path} is {domain.phrase}"
        if not path.exists():
            return f"there is no {path}"
        return f"{path} is not {owners[0].phrase}"


def _source(ctx: typer.Context, name: str) -> str:
    """``COMMANDLINE``, ``ENVIRONMENT``, ``DEFAULT_MAP`` (a settings file) or ``DEFAULT``."""
    source = ctx.get_parameter_source(name)
    return "DEFAULT" if source is None else source.name


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function, eval_str=True).parameters.values())


def _own(parameter: inspect.Parameter) -> Own:
    kind, info = get_args(parameter.annotation)
    if get_origin(kind) in (Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    return Own(parameter.name, kind, parameter.default, info)


def _merged(declared: dict[str, list[Own]]) -> list[Option]:
    """The options of all domains: those with the same flag are one; the shared ones first."""
    options: list[Option] = []
    for domain, owns in declared.items():
        for own in owns:
            same = next((o for o in options if set(o.flags) & set(own.flags)), None)
            if same is None:
                options.append(Option({domain: own}, len(declared)))
            else:
                options[options.index(same)] = Option({**same.own, domain: own}, len(declared))
    for option in options:
        option.check()
    return sorted(options, key=lambda option: not option.is_shared)
