"""VCF-like records of every substitution in a genome or in regions of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from genomix_cli.errors import UsageError
from genomix_cli.genome.alphabet import BASES, UNKNOWN_BASE
from genomix_cli.genome.vcf.lines import Lines
from genomix_cli.genome.vcf.reader import COLUMNS, MAGIC, MISSING, Header, VcfReader, contig_line
from genomix_cli.genome.vcf.record import Record
from genomix_cli.genome.vcf.regions import Interval, Regions
from genomix_cli.variants.records.reference import Reference

log = logging.getLogger("genomix")

NAME = "every SNV"
# Bases to read at a time.
PIECE = 100_000
_REST = [
    "\t".join((MISSING, ref, ",".join(alt for alt in BASES if alt != ref), *[MISSING] * 3))
    for ref in BASES
]


class EverySnv:
    """Source of records with the interface of `VcfReader`: each known base with its three ALTs.

    Parameters
    ----------
    reference : Reference
        Reference sequence, read lazily.
    regions : Regions, optional
        Regions to cover; the whole reference by default.
    again : bool
        True if unknown bases were already logged.

    Attributes
    ----------
    name : str
    header : Header
    bases : int
        Number of bases in the regions.

    Raises
    ------
    UsageError
        If the reference has none of the regions.
    """

    name = NAME

    def __init__(
        self, reference: Reference, regions: Regions | None = None, again: bool = False
    ) -> None:
        self.path = Path(NAME)
        self._reference, self._again = reference, again
        self._intervals = list(_inside(reference, regions))
        self.bases = sum(end - start for _, start, end in self._intervals)
        if not self.bases:
            raise UsageError("are not in the reference", where="--regions", found=str(regions))
        meta = [contig_line(name, length) for name, length in reference.lengths.items()]
        self.header = Header((f"{MAGIC}v4.3", *meta), "\t".join(COLUMNS))
        self._lines = self._read()

    def lines(self) -> Iterator[Lines]:
        """Yield the records, many at a time."""
        return self._lines

    def where(self, record: Record) -> str:
        """Return the place of a record."""
        return f"{record.chrom}:{record.pos}"

    def _read(self) -> Iterator[Lines]:
        unknown = 0
        for contig, first, last in self._intervals:
            for start in range(first, last, PIECE):
                end = min(start + PIECE, last)
                codes = self._reference.fetch(contig, start, end).tolist()
                known = [(pos, c) for pos, c in enumerate(codes, start + 1) if c < UNKNOWN_BASE]
                unknown += len(codes) - len(known)
                yield Lines.of_texts([f"{contig}\t{pos}\t{_REST[code]}" for pos, code in known])
        if unknown and not self._again:
            log.warning("%s unknown bases have no SNVs", f"{unknown:,}")


#: Sources of records.
Records = VcfReader | EverySnv


def _inside(reference: Reference, regions: Regions | None) -> Iterator[Interval]:
    """Yield the regions in the order of the reference, with its contig names."""
    for contig, length in reference.lengths.items():
        if regions is None:
            yield Interval(contig, 0, length)
            continue
        found = regions.find(contig)
        for start, end in [] if found is None else found.tolist():
            if start < length:
                yield Interval(contig, max(start, 0), min(end, length))
