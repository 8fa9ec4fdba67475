"""Lines that an indexed VCF or BCF has in or near regions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genomix_cli.errors import DataError
from genomix_cli.genome.vcf.input import in_blocks
from genomix_cli.genome.vcf.regions import END, Regions

log = logging.getLogger("genomix")

# Regions nearer than this are read in one go: as much is decompressed at least.
NEAR = 1 << 15


def jump(file: Any, regions: Regions) -> Iterator[list[str]]:
    """Yield the lines that an indexed file has in or near regions, in the file's order.

    Parameters
    ----------
    file : BcfFile or IndexedText
    regions : Regions
    """
    intervals_of = ((contig, regions.find(contig)) for contig in file.contigs)
    wanted = {contig: some for contig, some in intervals_of if some is not None}
    for contig in file.in_order(wanted):
        intervals = wanted[contig]
        pending: tuple[int, int] | None = None
        for start, end in [*intervals.tolist(), (END * 2, END * 2)]:
            if pending is not None and start - pending[1] < NEAR:
                pending = pending[0], end
                continue
            if pending is not None:
                yield from _span(file, contig, *pending)
            pending = start, end


def _span(file: Any, contig: str, start: int, end: int) -> Iterator[list[str]]:
    """Yield the lines whose POS lies in an interval: htslib gives those too that reach into it."""
    lines = file.fetch(contig, max(start, 0), None if end >= END else end)
    try:
        for block in in_blocks(lines):
            yield [line for line in block if start < int(line.split("\t", 2)[1]) <= end]
    except ValueError as error:
        raise DataError("does not match its index", where=file.name) from error


def find_index(path: Path) -> Path | None:
    """Return the index where htslib looks for it; warn if it is older than its file."""
    names = (Path(f"{path}{suffix}") for suffix in (".csi", ".tbi"))
    index = next((name for name in names if name.is_file()), None)
    if index is not None and index.stat().st_mtime < path.stat().st_mtime:
        log.warning("%s: the index is older than its file", index)
    return index
