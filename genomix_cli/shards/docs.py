"""The page on shard formats, from the schema.

``python -m genomix_cli.shards.docs docs/shard_format.md``
"""

from __future__ import annotations

import sys
from pathlib import Path

from genomix_cli.shards.schema import GENOME, WINDOWS, Array, Layout

_INTRODUCTION = """\
# Shard formats

Generated from `genomix_cli/shards/schema.py`, the table that the writer and the reader's gate use
too. Do not edit: run `make docs`.

Shards are HDF5 files. Every dataset is contiguous and uncompressed, so that a reader maps it into
memory at the offset that HDF5 gives (`Dataset.id.get_offset()`), and every array of at least 64
bytes starts at a multiple of 64. Numbers are little-endian, coordinates 0-based and half-open.
The same inputs, version and command give the same bytes.

A reader refuses a file whose `format` is another, whose `format_version` is newer than it knows, or
which lacks anything that is required below. The same word in two shapes is the same number (within
a contig, where the paths name one). `<contig>` stands for each name in the attribute `contigs`.
"""

_PYTHON = """\
## Reading one

```python
from genomix_cli.shards.reader import open_shard

shard = open_shard("shard.h5")                   # refuses what is not a whole, valid shard
shard.contigs, shard.tracks                      # {"chr22": 50818468}, ("ATAC", ...)
shard.codes("chr22", 17_000_000, 17_100_000)     # uint8 [100000], 4 outside the blocks
shard.signal("chr22", 340_000, 342_000)          # value float32 [track, 2000], observed bool
shard.contacts("chr22", 17_000_000, 20)          # float32 [20, 20]
shard.variants.pos, shard.variants.label         # columns, read-only views
```
"""


def render() -> str:
    """The whole page, Markdown."""
    return "\n".join([_INTRODUCTION, _PYTHON, *map(_layout, (GENOME, WINDOWS))])


def _layout(layout: Layout) -> str:
    attributes = [["`format`", "text", f"`{layout.format}`"]]
    attributes += [[f"`{a.name}`", a.kind, a.text] for a in layout.attributes if a.name != "format"]
    history = [f"- {number}: {text}" for number, text in enumerate(layout.history, 1)]
    return "\n".join(
        [
            f"## The {layout.name} layout: `{layout.format}`, version {layout.version}\n",
            f"{layout.text}\n",
            "Attributes of the root:\n",
            *_table(["name", "kind", "meaning"], attributes),
            "\nDatasets:\n",
            *_table(["path", "type", "shape", "meaning"], [_row(a) for a in layout.arrays]),
            "\nVersions:\n",
            *history,
            "",
        ]
    )


def _row(array: Array) -> list[str]:
    text = array.text if array.required else f"Optional. {array.text}"
    shape = ", ".join(map(str, array.shape))
    return [f"`{array.path}`", array.dtype, f"[{shape}]", text]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
