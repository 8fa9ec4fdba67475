"""Check that the paths that a request reads exist, before heavy imports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from genomix_cli.errors import UsageError
from genomix_cli.formats.detect import PRETRAINED, model_folder
from genomix_cli.genome.tracks import contact_file
from genomix_cli.options import Leaf

STANDARD_STREAM = Path("-")


class NamedPath(NamedTuple):
    """A path, and the option that gave it."""

    flag: str
    path: Path


def require_inputs(leaves: Iterable[Leaf], origin: Callable[[Leaf], str]) -> None:
    """Refuse a request with a missing input.

    Parameters
    ----------
    leaves : iterable of Leaf
        Options of the request, whose defaults are its values.
    origin : callable
        Function that returns what gave an option its value; empty for an argument.

    Raises
    ------
    UsageError
        If a path or model does not exist; the message names what gave it.
    """
    for leaf in leaves:
        for value in _values(leaf):
            if leaf.option.model:
                try:
                    if not Path(value).is_file():
                        model_folder(value)
                except UsageError as error:
                    error.where = f"{origin(leaf)} {error.where}".lstrip()
                    raise
            elif leaf.is_path or (leaf.option.reads and leaf.choices):
                path = contact_file(value)
                if value not in (STANDARD_STREAM, *leaf.choices) and not path.exists():
                    raise UsageError("no such file", where=f"{origin(leaf)} {path}".lstrip())


def inputs_of(leaf: Leaf) -> Iterator[NamedPath]:
    """Yield the paths that an option reads."""
    for value in _values(leaf):
        if leaf.is_path and value != STANDARD_STREAM:
            yield NamedPath(leaf.flag, contact_file(value))
        elif leaf.option.model:
            yield NamedPath(leaf.flag, folder_of(value))
        elif leaf.option.reads and Path(value).is_file():
            yield NamedPath(leaf.flag, Path(value))


def folder_of(model: str) -> Path:
    """Return the folder of a model, which may be the name of one that ships with genomix."""
    return Path(model) if Path(model).exists() else PRETRAINED / model


def _values(leaf: Leaf) -> tuple[Any, ...]:
    """Return the values of an option that reads paths."""
    values = leaf.default
    if leaf.option.writes or values is None:
        return ()
    if isinstance(values, dict):
        values = tuple(values.values())
    return values if isinstance(values, tuple) else (values,)
