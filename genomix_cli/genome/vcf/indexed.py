"""Reading of indexed VCF and BCF files by region."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genomix_cli.errors import DataError
from genomix_cli.genome.vcf.input import in_blocks
from genomix_cli.genome.vcf.regions import END, Regions

log = logging.getLogger("genomix")

# Regions closer together than this many bases are read together, as one block covers both anyway.
NEAR = 1 << 15


def jump(file: Any, regions: Regions) -> Iterator[list[str]]:
    """Yield blocks of the lines in regions, in the file's order, and some lines between regions.

    The caller selects the exact lines; nearby regions are read together.

    Parameters
    ----------
    file : BcfFile or IndexedText
    regions : Regions

    Raises
    ------
    DataError
        If the file is damaged, or its index belongs to another file.
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
    """Yield lines whose POS lies in an interval; htslib also returns lines that overlap it."""
    lines = file.fetch(contig, max(start, 0), None if end >= END else end)
    try:
        for block in in_blocks(lines):
            yield [line for line in block if start < int(line.split("\t", 2)[1]) <= end]
    except ValueError as error:
        raise DataError("does not match its index", where=file.name) from error


def find_index(path: Path) -> Path | None:
    """Return the index beside a file, or None, and warn if it is older than the file.

    As in htslib, a ``.csi`` takes precedence over a ``.tbi``.
    """
    names = (Path(f"{path}{suffix}") for suffix in (".csi", ".tbi"))
    index = next((name for name in names if name.is_file()), None)
    if index is not None and index.stat().st_mtime < path.stat().st_mtime:
        log.warning("%s: the index is older than its file", index)
    return index
