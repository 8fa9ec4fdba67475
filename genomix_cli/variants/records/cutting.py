"""Cut a VCF into blocks, and into parts for several machines, without changing any score.

The last bits of a score depend on which alleles share a batch. A batch never spans several cores (a
core is the middle of a shared window). Files are therefore cut only between cores, or at fixed
records within a core with very many records.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

import numpy as np

from genomix_cli.errors import DataError
from genomix_cli.genome.vcf.lines import ALT, INFO, Lines
from genomix_cli.genome.vcf.reader import Record, VcfReader
from genomix_cli.variants.records.inputs import STRIDE, Mode
from genomix_cli.variants.requests.score import Part

#: Limits of a block, which bound the work that an interruption can lose.
BLOCK_CORES = 16
BLOCK_RECORDS = 20_000
# Records may carry thousands of genotypes, so a block is also limited by its length.
BLOCK_CHARACTERS = 1 << 26
#: Contig, and index of a core on the contig.
Core = tuple[str, int]
# Share windows up to this many bases per allele (200 alleles per Mb), in cores with alleles.
DENSE = 5_000


def core_of(record: Record, stride: int) -> Core:
    """Return the contig and the index of the core that contains a record."""
    return record.fields[0], (record.pos - 1) // stride


def blocks(pieces: Iterable[Lines], size: int) -> Iterator[Lines]:
    """Cut lines into blocks of `size` lines, or fewer if lines are long."""
    block: list[Lines] = []
    count = characters = 0
    for lines in pieces:
        start = 0
        # Cumulative length of INFO and later columns after each line.
        total = np.append(0, np.cumsum(lines.stops - lines.column(INFO)[0]))
        while start < len(lines):
            enough = BLOCK_CHARACTERS - characters + total[start]
            full = int(np.searchsorted(total, enough))
            stop = min(start + size - count, max(full, start + 1), len(lines))
            block.append(lines[start:stop])
            count, characters = count + stop - start, characters + int(total[stop] - total[start])
            start = stop
            if count == size or characters >= BLOCK_CHARACTERS:
                yield Lines.joined(block)
                block, count, characters = [], 0, 0
    if block:
        yield Lines.joined(block)


def cut_blocks(pieces: Iterable[Lines], stride: int = STRIDE) -> Iterator[Lines]:
    """Cut lines into blocks of whole cores, small enough for memory and for resuming.

    `stride` is the number of bases of a core.
    """
    block: list[Lines] = []
    cores: set[Core] = set()
    last: Core | None = None
    count = characters = in_core = 0
    for core, lines in _by_core(pieces, stride):
        if core != last:
            full = count >= BLOCK_RECORDS or characters > BLOCK_CHARACTERS
            # An unsorted file may return to earlier cores, which count only once.
            if full or (core not in cores and len(cores) == BLOCK_CORES):
                yield Lines.joined(block)
                block, cores, count, characters = [], set(), 0, 0
            last, in_core = core, 0
            cores.add(core)
        while len(lines):
            if in_core == BLOCK_RECORDS:  # counted from the core's start, so all parts cut alike
                yield Lines.joined(block)
                block, cores, count, characters, in_core = [], {core}, 0, 0, 0
            taken = lines[: BLOCK_RECORDS - in_core]
            lines = lines[len(taken) :]
            in_core, count = in_core + len(taken), count + len(taken)
            characters += int((taken.stops - taken.column(INFO)[0]).sum())
            block.append(taken)
    if block:
        yield Lines.joined(block)


def _by_core(pieces: Iterable[Lines], stride: int) -> Iterator[tuple[Core, Lines]]:
    """Yield each core with its neighbouring lines."""
    for lines in pieces:
        for start, stop, contig in lines.runs:
            cores = (lines.pos[start:stop] - 1) // stride
            cuts = (np.flatnonzero(np.diff(cores)) + 1).tolist()
            for a, b in pairwise([0, *cuts, stop - start]):
                yield (contig, int(cores[a])), lines[start + a : start + b]


def part_bounds(records: Iterable[Record], part: Part, reader: VcfReader, stride: int) -> slice:
    """Return the slice of the records in a part.

    Parts are about equal in size, unless the records lie in fewer cores than there are parts.

    Parameters
    ----------
    records : iterable of Record
        All records of the file.
    part : Part
    reader : VcfReader
        Reader of the file, used for messages.
    stride : int
        Bases of a core.

    Raises
    ------
    DataError
        If the records are not sorted, because the parts could then not be concatenated.
    """
    starts: list[int] = []
    seen: set[str] = set()
    last, last_pos, count = ("", 0), 0, 0
    for record in records:
        core = core_of(record, stride)
        if record.pos < last_pos if core[0] == last[0] else core[0] in seen:
            raise DataError(
                "not sorted, so it cannot be split into parts",
                where=reader.where(record),
                hint="run: bcftools sort",
            )
        if core != last or count - starts[-1] == BLOCK_RECORDS:
            seen.add(core[0])
            starts.append(count)
        last, last_pos = core, record.pos
        count += 1
    starts.append(count)
    # Cut where a block can start: at the first such record at or after an equal share of all.
    shares = (count * i // part.total for i in (part.number - 1, part.number))
    low, high = (starts[bisect_left(starts, share)] for share in shares)
    return slice(low, high)


def head(pieces: Iterator[Lines]) -> tuple[Lines, Iterator[Lines]]:
    """Return the first lines, enough to characterise the file, and an iterator over all lines."""
    taken: list[Lines] = []
    count = characters = 0
    while count < BLOCK_RECORDS and characters < BLOCK_CHARACTERS:
        lines = next(pieces, None)
        if lines is None:
            break
        taken.append(lines)
        count, characters = count + len(lines), characters + len(lines.data)
    whole = Lines.joined(taken)
    return whole[:BLOCK_RECORDS], chain([whole], pieces)


def suited_mode(lines: Lines, stride: int = STRIDE) -> Mode:
    """Return ``"shared"`` if alleles are dense enough to share windows, otherwise ``"centred"``."""
    alleles = sum(text.count(b",") + 1 for text in lines.texts(ALT))
    cores = {core for core, _ in _by_core([lines], stride)}
    return "shared" if alleles * DENSE >= len(cores) * stride else "centred"
