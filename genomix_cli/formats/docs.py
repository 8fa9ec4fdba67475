"""Refresh the tables in the pages on file formats from the tables in the code.

``python -m genomix_cli.formats.docs docs/shard_format.md docs/cohort_format.md``
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from genomix_cli.formats.cohort import KINDS
from genomix_cli.formats.schema import LAYOUTS, Array, Layout

_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)


def refresh(page: str, blocks: Mapping[str, str]) -> str:
    """Return a Markdown page with its generated blocks replaced by those of the same name."""
    return _BLOCK.sub(lambda match: f"{match[1]}{blocks[match[2]]}\n", page)


def format_blocks() -> dict[str, str]:
    """Return the generated blocks of the pages on shards and cohorts."""
    kinds = ([f"`{kind.name}`", kind.text, kind.domain] for kind in KINDS.values())
    layouts = {layout.name: _layout(layout) for layout in LAYOUTS.values()}
    return {"kinds": table(["kind", "values", "domain"], kinds), **layouts}


def _layout(layout: Layout) -> str:
    attributes = [["`format`", "text", f"`{layout.format}`"]]
    attributes += [[f"`{a.name}`", a.kind, a.text] for a in layout.attributes if a.name != "format"]
    history = "".join(f"- {number}: {text}\n" for number, text in enumerate(layout.history, 1))
    return (
        f"## The {layout.name} layout: `{layout.format}`, version {layout.version}\n\n"
        f"{layout.text}\n\nAttributes of the root:\n\n"
        f"{table(['name', 'kind', 'meaning'], attributes)}\nDatasets:\n\n"
        f"{table(['path', 'type', 'shape', 'meaning'], map(_row, layout.arrays))}\n"
        f"Versions:\n\n{history}"
    )


def _row(array: Array) -> list[str]:
    text = array.text if array.required else f"Optional. {array.text}"
    shape = ", ".join(map(str, array.shape))
    return [f"`{array.path}`", array.dtype, f"[{shape}]", text]


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(refresh(path.read_text(), format_blocks()))
