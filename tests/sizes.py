"""Sizes that a configuration may be given, sound or not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any


def each_size(config_class: Any, sizes: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Yield every field of whole numbers with each size; of several numbers all are that size.

    Those of several are also cut short.
    """
    for field in dataclasses.fields(config_class):
        default = field.default
        if type(default) is int:
            yield from ((field.name, size) for size in sizes)
        elif isinstance(default, tuple) and default and type(default[0]) is int:
            yield from ((field.name, [size] * len(default)) for size in sizes)
            yield from ((field.name, list(default[:n])) for n in range(len(default)))
