"""Parts of a genome that are held out. STUB: the one of the main branch replaces it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome.intervals import ContigNames
from genomix_cli.genome.regions import Regions


@dataclass(frozen=True)
class HeldOut:
    """Contigs, and regions int64 ``[n, 2]`` by contig."""

    contigs: frozenset[str] = frozenset()
    regions: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def of(cls, contigs: tuple[str, ...], names: tuple[str, ...], bed: Path | None) -> HeldOut:
        """From names of contigs and a BED file."""
        known = ContigNames(contigs, "the shard")
        regions: dict[str, NDArray[np.int64]] = {}
        if bed is not None:
            read = Regions.read(bed)
            found = {name: read.find(name) for name in contigs}
            regions = {name: pairs for name, pairs in found.items() if pairs is not None}
        return cls(frozenset(known.require(name) for name in names), regions)

    def touches(self, contig: str, start: int, end: int) -> bool:
        """Whether any base of ``start .. end`` is held out."""
        pairs = self.regions.get(contig)
        if contig in self.contigs:
            return True
        return pairs is not None and bool(((pairs[:, 0] < end) & (pairs[:, 1] > start)).any())

    def holds(self, contig: str, start: int, end: int) -> bool:
        """Whether every base of ``start .. end`` is held out."""
        pairs = self.regions.get(contig)
        if contig in self.contigs:
            return True
        return pairs is not None and bool(((pairs[:, 0] <= start) & (pairs[:, 1] >= end)).any())
