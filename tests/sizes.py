"""Valid and invalid sizes for configurations."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any


def each_size(config_class: Any, sizes: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Yield every integer field with each size; a field of several integers has that size in all.

    Fields of several integers are also shortened.
    """
    for field in dataclasses.fields(config_class):
        default = field.default
        if type(default) is int:
            yield from ((field.name, size) for size in sizes)
        elif isinstance(default, tuple) and default and type(default[0]) is int:
            yield from ((field.name, [size] * len(default)) for size in sizes)
            yield from ((field.name, list(default[:n])) for n in range(len(default)))
