"""The pages on our formats, from the tables that the code uses.

``python -m genomix_cli.formats.docs docs/shard_format.md docs/cohort_format.md``
"""

from __future__ import annotations

import sys
from pathlib import Path

from genomix_cli.formats import cohort
from genomix_cli.formats.schema import GENOME, SEQUENCES, WINDOWS, Array, Layout

_INTRODUCTION = """\
# Shard formats

Generated from `genomix_cli/formats/schema.py`, the table that the writer and the reader's gate use
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
from genomix_cli.formats.genome_shard import open_shard

shard = open_shard("shard.h5")                   # refuses what is not a whole, valid shard
shard.contigs, shard.tracks                      # {"chr22": 50818468}, ("ATAC", ...)
shard.codes("chr22", 17_000_000, 17_100_000)     # uint8 [100000], 4 outside the blocks
shard.signal("chr22", 340_000, 342_000)          # value float32 [track, 2000], observed bool
shard.contacts("chr22", 17_000_000, 20)          # float32 [20, 20]
shard.variants.pos, shard.variants.label         # columns, read-only views
```

```python
from genomix_cli.formats.sequences import open_sequences

sequences = open_sequences("sequences.h5")
sequences.codes                                  # uint8 [n, length], a read-only memory map
sequences.label("population")                    # classes ("ACB", ...), int64 [n], -1 unknown
sequences.take([0, 5]).names                     # str [2]
```
"""


def render() -> str:
    """The whole page, Markdown."""
    return "\n".join([_INTRODUCTION, _PYTHON, *map(_layout, (GENOME, WINDOWS, SEQUENCES))])


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


_COHORT = """\
# The cohort file

Generated from `genomix_cli/formats/cohort.py`, the table that the writer and the reader's gate use
too. Do not edit: run `make docs`.

A cohort file is a [MuData](https://mudata.readthedocs.io) `.h5mu`: HDF5 with one AnnData per omics,
which mudata, scanpy and muon open as it is. `genomix prepare cohort` makes one of real tables,
`genomix simulate cohort` of a model that knows the right answer. The same inputs, version and
command give the same bytes.

A reader refuses a file whose `format` is another, whose `format_version` is newer than it knows, or
which lacks anything that is required below.
"""

_COHORT_PYTHON = """\
## Opening one

```python
import mudata

mdata = mudata.read_h5mu("cohort.h5mu")
mdata.obs["label"].value_counts()        # samples of each class; NaN where it is unknown
expression = mdata.mod["expression"]     # an AnnData: scanpy's functions take it
expression.X                             # float32 [samples with the modality, features]
mdata.obsmap["expression"]               # row of each sample in it, from 1; 0: it has no row
```

mudata may warn that `var_names` are not unique, or that they are intersecting, across modalities.
They mean to: a gene is a feature of expression, of copy number and of mutations, and `mdata.mod[m]`
keeps them apart. Nothing in genomix uses the joint `mdata.var`.

With the gate, and with a row for every sample, missing where the modality is:

```python
from genomix_cli.formats.cohort import open_cohort

with open_cohort("cohort.h5mu") as cohort:
    cohort.modalities, cohort.classes    # ("expression", ...), ("Basal", ...)
    cohort.labels                        # int64 [n], -1 where unknown
    cohort.matrix("expression")          # float32 [n, d], NaN where missing
    cohort.present("expression")         # bool [n]
    cohort.kinds["expression"].domain    # "finite numbers"
```
"""

_COHORT_MISSING = """\
## What is missing

A sample without a modality has no row in it; it stays in `mdata.obs`. A value that was not measured
in a sample that has the modality is NaN. A mutation is 0 only where the gene was looked at: a gene
that is not on the sample's panel is NaN. A label that is not known is a missing category.

## What `genomix prepare cohort` reads

Each file is told by its content. Text may be gzipped; `#` lines before the header are passed over;
empty, `NA`, `NaN`, `N/A`, `null`, `.`, `[Not Available]`, `[Not Applicable]`, `[Not Evaluated]` and
`[Unknown]` are missing. Columns are found under the names that are usual; in any capitals.

- **Matrix**, TSV, CSV or Parquet: names, then numbers, samples in rows or in columns. It becomes
  what `--kind` says.
- **MAF**: `Hugo_Symbol`, `Tumor_Sample_Barcode`, and if you like `Variant_Classification` and
  `Mutation_Status`. It becomes mutations.
- **Segments**: `sample` (or `ID`, `GDC_Aliquot`), `chrom`, `start`, `end` (1-based, both ends
  belong to it) and `seg.mean` (or `Segment_Mean`, `value`). They become copy_number of `--bins`.
- **Fragment lengths**: `sample`, `length`, `count`. A length that is not there was counted 0 times.
  They become fragments, with `var["length"]`.
- **DELFI bins**: `sample`, `contig`, `start`, `end` (0-based, half-open), `short`, `long`. They
  become fragments, with `var["readout"]`.
- **`.h5ad`, `.h5mu`**: `X` is checked and made dense; layers, `raw` and `obsm` are not taken over.
- **A cBioPortal study** (`--study`): its clinical files, mutations with the gene-panel matrix, copy
  number, segments, expression and methylation.

In a matrix, features named `chr1:0-5000000` get `contig`, `start` and `end` in `var`; with
`chr1:0-5000000:short` also `readout`; and fragments named `167` or `len_167` get `length`.
"""


def render_cohort() -> str:
    """The whole page on cohort files, Markdown."""
    entries = [
        [f"`{_escaped(e.path)}`", e.kind, e.text if e.required else f"Optional. {e.text}"]
        for e in cohort.ENTRIES
    ]
    kinds = [[f"`{kind.name}`", kind.text, kind.domain] for kind in cohort.KINDS.values()]
    history = [f"- {number}: {text}" for number, text in enumerate(cohort.HISTORY, 1)]
    return "\n".join(
        [
            _COHORT,
            _COHORT_PYTHON,
            f"## What is in it: `{cohort.FORMAT}`, version {cohort.VERSION}\n",
            "`mdata` is the MuData object, `m` a modality; n samples in all, n_m of them with the "
            "modality,\nd_m features of it, K classes, L latent variables.\n",
            *_table(["path", "type", "meaning"], entries),
            "\n## Kinds\n",
            "Values outside their domain are refused when a file is made; NaN is missing.\n",
            *_table(["kind", "values", "domain"], kinds),
            "",
            _COHORT_MISSING,
            "## Versions\n",
            *history,
            "",
        ]
    )


def _escaped(path: str) -> str:
    """A bar would end the cell."""
    return path.replace("|", "\\|")


if __name__ == "__main__":
    for page, text in zip(sys.argv[1:], (render(), render_cohort()), strict=True):
        Path(page).write_text(text)
