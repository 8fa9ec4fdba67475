"""Options of commands, declared on the fields of request dataclasses.

A request is a frozen dataclass. A field ``epochs: int = option(10, "Epochs, at most", min=1)``
defines the command's ``--epochs``: its help, the check of its value, its key in settings files and
its row on the reference page. A required option, or one whose type many requests share, is written
``output: Annotated[Path, Option("File to write")]``. A field that is itself a dataclass is a group
of options.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from genomix_cli.errors import UsageError

REQUIRED = dataclasses.MISSING
_OPTION = "option"


@dataclasses.dataclass(frozen=True)
class Option:
    """Option of a command.

    Attributes
    ----------
    help : str
        One line, without a full stop.
    flags : str
        Spellings, such as ``-o --output`` or ``--control/--no-control``; default: the field's name.
    min, max : float, optional
        Limits of a number, both inclusive.
    choices : iterable of str
        Allowed values, such as a `Registry`.
    open : bool
        If True, other values than `choices` are allowed too.
    env : str
        Environment variable that sets the option.
    metavar : str
        Placeholder for the value in help.
    parse : callable, optional
        Function from the text (for a repeated option, a list of texts) to the value. Raises
        `UsageError`.
    commas : bool
        If True, a tuple is given as one value with commas, not by repeating the option.
    shown : str
        Text for the default in help, if the value itself is not informative.
    panel : str, optional
        Heading in help, which also applies to the following options of the class; "" is the first
        panel.
    old : str
        Former spellings, which are accepted silently.
    model : bool
        True for the name or folder of a model. In a settings file, it is a path if the folder
        exists beside that file.
    argument : bool
        True for a positional argument; with `flags`, an option that is also accepted as one.
    unless : str
        Name of another option. If that is given, this option counts only if it is on the command
        line too.
    hidden : bool
        If True, the option is accepted but not shown in help.
    rare : bool
        If True, only ``--help-all`` shows the option.
    writes : bool or str
        True if the value is a path that the command writes. For a flag, the name of the file that
        it writes in the folder of ``--model``. Paths of all other options are read.
    reads : bool
        True if the value is one of `choices` or a file to read; without choices, it may also be
        something else.
    """

    help: str
    flags: str = ""
    min: float | None = None
    max: float | None = None
    choices: Iterable[str] = ()
    open: bool = False
    env: str = ""
    metavar: str = ""
    parse: Callable[[Any], Any] | None = None
    commas: bool = False
    shown: str = ""
    panel: str | None = None
    old: str = ""
    model: bool = False
    argument: bool = False
    unless: str = ""
    hidden: bool = False
    rare: bool = False
    writes: bool | str = False
    reads: bool = False

    def holds(self, value: Any) -> bool:
        """Return True if a number, or each of a tuple of numbers, is within the limits."""
        numbers = value if isinstance(value, tuple) else (value,)
        return all(
            (self.min is None or n >= self.min) and (self.max is None or n <= self.max)
            for n in numbers
            if isinstance(n, (int, float))
        )

    def __str__(self) -> str:
        if self.max is None:
            return "" if self.min is None else f"{self.min:g} or more"
        return f"from {self.min or 0:g} to {self.max:g}"


def option(default: Any, help: str, flags: str = "", **details: Any) -> Any:
    """Return a request field that is an option with a default; `details` are fields of `Option`."""
    metadata = {_OPTION: Option(help, flags, **details)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Without(NamedTuple):
    """Names of group fields that are not options of a request.

    Used as ``Annotated[Group, Without(...)]`` in that request.
    """

    names: tuple[str, ...]


#: Mark of an option or group as rare in one request, used as ``Annotated[Seed, RARE]``.
RARE = "rare"


@dataclasses.dataclass(frozen=True)
class Leaf:
    """Option together with the request field that it sets.

    Attributes
    ----------
    path : tuple of str
        Names of the fields that lead from the request to the field.
    option : Option
    kind : type
        Type of the field, without None.
    default : Any
        `REQUIRED` if there is none.
    """

    path: tuple[str, ...]
    option: Option
    kind: Any
    default: Any

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """Spellings that help shows."""
        if self.option.argument and not self.option.flags:
            return ()
        return tuple(self.option.flags.split()) or (f"--{self.path[-1].replace('_', '-')}",)

    @cached_property
    def flag(self) -> str:
        """Name of the option in messages and settings files."""
        long = [flag.partition("/")[0] for flag in self.flags]
        names = [flag for flag in long if flag.startswith("--")]
        # An option with only a negative form, such as "/--no-grow", is named by that.
        return (names or [self.metavar or self.flags[0].removeprefix("/")])[0]

    @property
    def usage(self) -> str:
        """Placeholder of an argument, in brackets if it is optional."""
        return self.metavar if self.is_required else f"[{self.metavar}]"

    @property
    def name(self) -> str:
        """Python name of the option, unique within a command; lower case, as in older Click."""
        return self.flag.removeprefix("--").replace("-", "_").lower()

    @property
    def is_flag(self) -> bool:
        """True if the option takes no value."""
        return self.kind is bool and self.option.parse is None

    @property
    def is_list(self) -> bool:
        """True if the option may be repeated."""
        return get_origin(self.kind) in (tuple, Mapping, dict) and not self.option.commas

    @property
    def is_path(self) -> bool:
        """True if the value is a path, which a settings file gives relative to itself."""
        return Path in (self.kind, *get_args(self.kind))

    @property
    def is_required(self) -> bool:
        """True if there is no default."""
        return self.default is REQUIRED

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """Allowed values; empty if any value is allowed."""
        if get_origin(self.kind) is Literal:
            return get_args(self.kind)
        return tuple(self.option.choices)

    @property
    def metavar(self) -> str:
        """Placeholder for the value in help."""
        if self.option.metavar or self.is_flag:
            return self.option.metavar
        if self.choices and len("|".join(self.choices)) <= 30 and not self.option.commas:
            return "|".join(self.choices)
        if get_origin(self.kind) in (Mapping, dict):
            return "NAME=FILE" if self.is_path else "NAME=VALUE"
        if self.option.commas:
            return "A,B,..."
        each = (*get_args(self.kind), self.kind)[0]
        return {int: "N", float: "X", Path: "PATH"}.get(each, "TEXT")

    def convert(self, given: Any) -> Any:
        """Convert a given value to that of the field.

        Parameters
        ----------
        given : str, list of str or bool
            Value from Click or a settings file.

        Raises
        ------
        UsageError
            If the value is invalid; the message names the option.
        """
        if self.is_flag:
            return given
        value = self.option.parse(given) if self.option.parse else self._parse(given)
        self.check(value, given)
        return value

    def check(self, value: Any, given: Any = None) -> None:
        """Refuse a value that is not among the choices or is out of range.

        Parameters
        ----------
        value : Any
            Value of the field.
        given : Any, optional
            Value as the user gave it, for the message.

        Raises
        ------
        UsageError
            If the value is refused; the message names the option.
        """
        if self.choices and not self.option.open:
            for each in value if isinstance(value, tuple) else (value,):
                if each is not None and each not in self.choices:
                    kind = getattr(self.option.choices, "kind", "")
                    told = f"unknown {kind} {each!r}" if kind else "unknown"
                    self._refuse(told, " or ".join(self.choices), "" if kind else each)
        if not self.option.holds(value):
            self._refuse("out of range", str(self.option), value if given is None else given)

    def _parse(self, given: Any) -> Any:
        origin = get_origin(self.kind)
        if origin in (Mapping, dict):
            kind = get_args(self.kind)[1]
            if kind is Any:
                return parse_settings(given, self.flag)
            pairs = parse_pairs(given, self.flag, self.metavar.partition("=")[2])
            return {name: self._number(kind, text) for name, text in pairs.items()}
        if origin is tuple:
            kind = get_args(self.kind)[0]
            texts = parse_names(given) if self.option.commas else given
            return tuple(self._number(kind, text) for text in texts)
        return self._number(self.kind, given)

    def _number(self, kind: Any, text: str) -> Any:
        if kind not in (int, float):
            return Path(text) if kind is Path else text
        try:
            return kind(text)
        except ValueError:
            self._refuse("not a number", "a whole number" if kind is int else "a number", text)

    def _refuse(self, what: str, expected: str, found: Any) -> None:
        raise UsageError(what, where=self.flag, expected=expected, found=str(found))


def leaves(request: Any, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Yield the options of a request, in the order of its fields.

    Parameters
    ----------
    request : type or dataclass instance
        The values of an instance become the defaults.
    path : tuple of str
        Names of the fields that lead to `request`.
    """
    instance = None if isinstance(request, type) else request
    hints = get_type_hints(request if instance is None else type(instance), include_extras=True)
    panel = ""
    for field in dataclasses.fields(request):
        here = (*path, field.name)
        kind, *notes = _bare(hints[field.name])
        own = field.metadata.get(_OPTION)
        if own is not None:
            panel = panel if own.panel is None else own.panel
            own = dataclasses.replace(own, panel=panel)
        option = own or next((note for note in notes if isinstance(note, Option)), None)
        rare = RARE in notes
        default = _default(field) if instance is None else getattr(instance, field.name)
        if option is not None:
            yield Leaf(here, _marked(option, rare), kind, default)
        elif dataclasses.is_dataclass(kind):
            without = next((note.names for note in notes if isinstance(note, Without)), ())
            for leaf in leaves(kind if default is REQUIRED else default, here):
                if leaf.path[-1] not in without:
                    yield dataclasses.replace(leaf, option=_marked(leaf.option, rare))


def _marked(option: Option, rare: bool) -> Option:
    return dataclasses.replace(option, rare=True) if rare else option


def check_options(request: Any) -> None:
    """Refuse a request with a value that is not among the choices or is out of range.

    Raises
    ------
    UsageError
        If there is one; the message names the option.
    """
    for leaf in leaves(request):
        leaf.check(leaf.default)


def build(request: Any, values: Mapping[tuple[str, ...], Any]) -> Any:
    """Build a request from values of its options, by `Leaf.path`.

    Other options get the defaults of the class `request` or, if it is an instance, its own values.
    """
    instance = None if isinstance(request, type) else request
    own = {path[0]: value for path, value in values.items() if len(path) == 1}
    hints = get_type_hints(request if instance is None else type(instance), include_extras=True)
    for field in dataclasses.fields(request):
        inner = {path[1:]: v for path, v in values.items() if path[0] == field.name and path[1:]}
        default = _default(field) if instance is None else getattr(instance, field.name)
        kind = _bare(hints[field.name])[0]
        if inner or (default is REQUIRED and dataclasses.is_dataclass(kind)):
            own[field.name] = build(kind if default is REQUIRED else default, inner)
    return request(**own) if instance is None else dataclasses.replace(instance, **own)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _bare(hint: Any) -> tuple[Any, ...]:
    """Return a type without None, followed by its annotations."""
    notes: tuple[Any, ...] = ()
    while True:
        if get_origin(hint) is Annotated:
            hint, *more = get_args(hint)
            notes = (*more, *notes)
        elif get_origin(hint) in (Union, types.UnionType):
            kinds = [kind for kind in get_args(hint) if kind is not type(None)]
            if len(kinds) > 1:  # such as Literal["auto"] | Mode
                hint = Literal[tuple(each for kind in kinds for each in get_args(kind))]
            else:
                hint = kinds[0]
        else:
            return (hint, *notes)


def parse_pairs(values: Iterable[str] | None, option: str, what: str = "FILE") -> dict[str, str]:
    """Parse ``NAME=WHAT`` values of an option into a mapping, in the given order.

    Raises
    ------
    UsageError
        If a value is not a pair, or a name is repeated.
    """
    pairs: dict[str, str] = {}
    for value in values or ():
        name, equals, rest = value.partition("=")
        if not (name and equals and rest):
            noun = option.removeprefix("--")
            raise UsageError(f"not a {noun}", where=option, expected=f"NAME={what}", found=value)
        if name in pairs:
            raise UsageError(f"{name} was given twice", where=option)
        pairs[name] = rest
    return pairs


def parse_settings(values: Iterable[str], option: str) -> dict[str, Any]:
    """Parse ``KEY=VALUE`` settings into a mapping; the last value of a repeated key wins.

    Values are parsed by `parse_value`.

    Raises
    ------
    UsageError
        If a setting is not a pair.
    """
    settings = {}
    for value in values:
        key, equals, text = (part.strip() for part in value.partition("="))
        if not (key and equals):
            raise UsageError("not a setting", where=option, expected="NAME=VALUE", found=value)
        settings[key] = parse_value(text)
    return settings


def parse_names(value: str) -> tuple[str, ...]:
    """Split names at commas; empty names are dropped."""
    return tuple(name.strip() for name in value.split(",") if name.strip())


def parse_words(value: str) -> tuple[str, ...]:
    """Split names at commas and spaces."""
    return tuple(value.replace(",", " ").split())


def parse_value(text: str) -> Any:
    """Parse a value as TOML; what is not TOML, such as an unquoted word, is text."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text
