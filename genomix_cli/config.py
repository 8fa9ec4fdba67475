"""Configuration as frozen dataclasses: conversion to and from plain data, and TOML settings.

All problems of a configuration are reported together.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from genomix_cli.errors import DataError, UsageError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Within:
    """Range of a numeric field, used as ``Annotated[float, Within(0, 1)]``.

    Attributes
    ----------
    low, high : float
        Limits, both inclusive unless `above` is True.
    above : bool
        If True, `low` itself is excluded.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def holds(self, value: Any) -> bool:
        """Return True if a number, or each of a tuple of numbers, is allowed."""
        numbers = value if isinstance(value, tuple) else (value,)
        return all(
            (self.low < n if self.above else self.low <= n) and n <= self.high for n in numbers
        )

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"above {self.low:g}" if self.above else f"{self.low:g} or more"
        return f"{'above' if self.above else 'from'} {self.low:g} to {self.high:g}"


Positive = Annotated[float, Within(0, above=True)]
NotNegative = Annotated[float, Within(0)]
Share = Annotated[float, Within(0, 1)]
Count = Annotated[int, Within(1)]
Whole = Annotated[int, Within(0)]
# Limits on layers, and on bases or bins of a window; more would exhaust time or memory.
Depth = Annotated[int, Within(0, 1000)]
Layers = Annotated[int, Within(1, 1000)]
Extent = Annotated[int, Within(1, 10_000_000)]


def to_dict(config: Any) -> dict[str, Any]:
    """Return a configuration dataclass as JSON-ready plain data; tuples become lists."""
    plain: dict[str, Any] = _plain(dataclasses.asdict(config))
    return plain


def from_dict(cls: type[T], data: Mapping[str, Any], *, where: object = None) -> T:
    """Build the dataclass `cls` from plain data.

    Raises
    ------
    UsageError
        If the data do not fit; the message names all unknown keys, missing keys and wrong types.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = get_type_hints(cls, include_extras=True)
    problems = [f"unknown key {key!r}" for key in data if key not in fields]
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in data:
            if _is_required(field):
                problems.append(f"missing key {name!r}")
            continue
        value = _coerce(data[name], hints[name])
        if not _fits(value, hints[name]):
            problems.append(f"{name!r} is {data[name]!r}, not {_type_name(hints[name])}")
        values[name] = value
    if problems:
        hint = f"known: {', '.join(fields)}" if set(data) - set(fields) else None
        raise UsageError(f"invalid {cls.__name__}: {', '.join(problems)}", where=where, hint=hint)
    return cls(**values)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises
    ------
    DataError
        If the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"is not TOML: {error}", where=path) from error


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


def _coerce(value: Any, hint: Any) -> Any:
    """Convert lists to tuples and integers to floats, which JSON and TOML do not distinguish."""
    if get_origin(hint) is Annotated:
        return _coerce(value, get_args(hint)[0])
    if get_origin(hint) is tuple and isinstance(value, list):
        each = _hints_of_items(hint, len(value))
        return tuple(map(_coerce, value, each)) if len(each) == len(value) else tuple(value)
    if get_origin(hint) in (Union, types.UnionType):
        tried = [(_coerce(value, arg), arg) for arg in get_args(hint)]
        return next((coerced for coerced, arg in tried if _fits(coerced, arg)), value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _hints_of_items(hint: Any, length: int) -> tuple[Any, ...]:
    """Return the type of each item of a tuple; repeat that of ``tuple[T, ...]``."""
    args = get_args(hint)
    return args[:1] * length if args[-1] is Ellipsis else args


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Annotated:
        kind, *rules = get_args(hint)
        return _fits(value, kind) and all(rule.holds(value) for rule in rules)
    if origin is Literal:
        return value in get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, arg) for arg in get_args(hint))
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        each = _hints_of_items(hint, len(value))
        return len(each) == len(value) and all(map(_fits, value, each))
    if hint is int and (isinstance(value, bool) or not _is_small(value)):
        return False
    return hint is Any or isinstance(value, origin or hint)


def _is_small(value: Any) -> bool:
    """Return False for integers too large for any size, since Python integers are unbounded."""
    return not isinstance(value, int) or abs(value) < 2**63


def _type_name(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        kind, *rules = get_args(hint)
        return " ".join([_type_name(kind), *map(str, rules)])
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(map(_type_name, get_args(hint)))
    if get_origin(hint) is tuple:
        names = ["..." if arg is Ellipsis else _type_name(arg) for arg in get_args(hint)]
        return f"({', '.join(names)})"
    return getattr(hint, "__name__", None) if get_origin(hint) is None else str(hint)  # type: ignore[return-value]
