"""Recognise alleles that a model has seen in training, in any file of the same genome."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from genomix_cli.formats.genome_shard import Shard
from genomix_cli.formats.seen import NAME, Items, Keys, Rows, Seen, among, digests
from genomix_cli.genome.alphabet import encode
from genomix_cli.genome.intervals import canonical
from genomix_cli.variants.records.inputs import Allele
from genomix_cli.variants.records.reference import Reference

#: Bases on either side that distinguish an allele from the same one in another genome.
AROUND = 20

Placed = tuple[str, Allele]
Fetch = Callable[[str, int, int], NDArray[np.uint8]]


class SeenAlleles:
    """Finder of alleles that a model has seen.

    Parameters
    ----------
    seen : Seen
    reference : Reference

    Attributes
    ----------
    count : int
        Number of alleles found so far.
    """

    def __init__(self, seen: Seen, reference: Reference) -> None:
        self._seen = seen
        self._reference = reference
        self.count = 0

    def parts(self, placed: Sequence[Placed]) -> list[str]:
        """Return the training part that contains each allele, empty if none does."""
        names = _names(placed)
        part = [""] * len(placed)
        # Nearly all alleles are new and need no comparison of the sequence around them.
        rows = np.flatnonzero(among(names, self._seen.names)).tolist()
        around = _around(self._reference.fetch, [placed[i] for i in rows])
        items = Items(names[rows], around, names[rows])
        for i, name in zip(rows, self._seen.parts(items).tolist(), strict=True):
            part[i] = "" if name == NAME else name
        self.count += sum(map(bool, part))
        return part


def seen_alleles(shard: Shard, train: Rows, valid: Rows) -> Seen:
    """Return the alleles seen by a training on these rows of a shard's variant table."""
    items = items_of(shard, np.concatenate([train, valid]))
    rows = np.arange(len(train) + len(valid))
    return Seen.of(items, rows[: len(train)], rows[len(train) :], by_name=True)


def items_of(shard: Shard, rows: Rows) -> Items:
    """Return digests of the alleles in rows of a shard's variant table."""
    table, contigs = shard.variants, list(shard.contigs)
    bases = ([encode(column[i].decode()) for column in (table.ref, table.alt)] for i in rows)
    placed = [
        (contigs[table.contig[i]], Allele(int(table.pos[i]), *codes))
        for i, codes in zip(rows, bases, strict=True)
    ]
    names = _names(placed)
    return Items(names, _around(shard.codes, placed), names)


def _around(fetch: Fetch, placed: Iterable[Placed]) -> Keys:
    """Return digests of the sequence around each allele."""
    return digests(
        fetch(contig, pos - AROUND, pos + len(ref) + AROUND).tobytes()
        for contig, (pos, ref, _) in placed
    )


def _names(placed: Iterable[Placed]) -> Keys:
    """Return digests of the position and bases of each allele."""
    return digests(
        f"{canonical(contig)}:{allele.pos}:".encode()
        + allele.ref.tobytes()
        + b">"
        + allele.alt.tobytes()
        for contig, allele in placed
    )
