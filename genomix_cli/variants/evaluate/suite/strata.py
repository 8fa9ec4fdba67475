"""Strata: subsets of variants that are evaluated separately."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.formats.genome_shard import Shard
from genomix_cli.formats.schema import VariantTable
from genomix_cli.variants.evaluate.suite.peaks import Peaks
from genomix_cli.variants.records.inputs import STRIDE

Rows = NDArray[np.int64]

CLASSES = ("SNV", "insertion", "deletion", "MNV")
DISTANCES = ("in a peak", "under 500 bp", "under 5 kb", "farther")
_LIMITS = (1, 500, 5_000)


class Stratification(NamedTuple):
    """Division of variants: its title, the names of its strata, and the stratum of each row."""

    title: str
    names: tuple[str, ...]
    member: NDArray[np.int64]


def stratifications(shard: Shard, rows: Rows, peaks: Peaks | None) -> Iterator[Stratification]:
    """Yield stratifications by class, tissue, distance to a peak, and contig, if known."""
    table = shard.variants
    yield Stratification("variant class", CLASSES, variant_class(table, rows))
    if shard.tissues:
        yield Stratification("tissue", shard.tissues, table.tissue[rows].astype(np.int64))
    if peaks is not None:
        distance = peaks.distance(shard, rows)
        yield Stratification("distance to peak", DISTANCES, np.digitize(distance, _LIMITS))
    yield Stratification("contig", tuple(shard.contigs), table.contig[rows].astype(np.int64))


def variant_class(table: VariantTable, rows: Rows) -> NDArray[np.int64]:
    """Return each row's index into `CLASSES`; a trimmed pure indel has one empty allele."""
    ref, alt = np.char.str_len(table.ref[rows]), np.char.str_len(table.alt[rows])
    conditions = [(ref == 1) & (alt == 1), ref == 0, alt == 0]
    return np.select(conditions, [0, 1, 2], 3).astype(np.int64)


def named_groups(shard: Shard, rows: Rows) -> Stratification | None:
    """Return the groups of the rows that the user named; None if there are none.

    Unnamed groups are 50-kb loci in a tissue. The file keeps only numbers, so a named group is
    labelled by its position.
    """
    table = shard.variants
    group = table.group[rows]
    contig, pos = table.contig[rows].astype(np.int64), table.pos[rows]
    locus = contig << 40 | pos // STRIDE
    key = np.stack([locus, table.tissue[rows].astype(np.int64)])
    loci = np.unique(key, axis=1, return_inverse=True)[1].reshape(-1)
    numbers, index = np.unique(group, return_inverse=True)
    pairs = len(np.unique(np.stack([loci, index]), axis=1).T)
    if pairs == len(numbers) == len(np.unique(loci)):
        return None
    first = np.full(len(numbers), np.iinfo(np.int64).max)
    last = np.zeros(len(numbers), np.int64)
    np.minimum.at(first, index, pos)
    np.maximum.at(last, index, pos)
    names = list(shard.contigs)
    of_group = contig[np.unique(group, return_index=True)[1]]
    ranges = tuple(
        f"{names[c]}:{a + 1}-{b + 1}" for c, a, b in zip(of_group, first, last, strict=True)
    )
    return Stratification("group", ranges, index.astype(np.int64))
