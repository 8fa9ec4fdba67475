"""Cut a VCF into blocks, and into parts for several machines, without changing any score.

The last bits of a score depend on the alleles that go through the model together. These all
lie in one core, the middle of a shared window, so a file is only cut between cores, or
at fixed records within a core that holds very many.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from genomix_cli.errors import DataError
from genomix_cli.genome.vcf.reader import Record, VcfReader
from genomix_cli.variants.records.checks import BLOCK_CHARACTERS, blocks
from genomix_cli.variants.records.inputs import STRIDE
from genomix_cli.variants.requests import Part

#: Limits of a block, the most work that an interruption can lose.
BLOCK_CORES = 16
BLOCK_RECORDS = 20_000
# Bases per allele, in the cores that hold any, up to which windows are shared (200 per Mb).
DENSE = 5_000


def core_of(record: Record, stride: int) -> tuple[str, int]:
    """Return the contig and the index of the core in which a record lies."""
    return record.fields[0], (record.pos - 1) // stride


def cut_blocks(records: Iterable[Record], stride: int = STRIDE) -> Iterator[list[Record]]:
    """Cut records into blocks of whole cores, small enough for memory and for resuming.

    `stride` is the number of bases of a core.
    """
    block: list[Record] = []
    cores: set[tuple[str, int]] = set()
    last: tuple[str, int] | None = None
    characters = in_core = 0
    for record in records:
        _, pos, fields = record
        core = fields[0], (pos - 1) // stride
        if core != last:
            full = len(block) >= BLOCK_RECORDS or characters > BLOCK_CHARACTERS
            # An unsorted file returns to earlier cores, which do not count twice.
            if full or (core not in cores and len(cores) == BLOCK_CORES):
                yield block
                block, cores, characters = [], set(), 0
            last, in_core = core, 0
            cores.add(core)
        elif in_core == BLOCK_RECORDS:  # counted from the core's start: the same cut in any part
            yield block
            block, cores, characters, in_core = [], {core}, 0, 0
        in_core += 1
        characters += len(fields[-1])
        block.append(record)
    if block:
        yield block


def part_bounds(records: Iterable[Record], part: Part, reader: VcfReader, stride: int) -> slice:
    """Return the slice of records that belong to a part; parts are about equal in size.

    Parameters
    ----------
    records : iterable of Record
        All records of the file.
    part : Part
    reader : VcfReader
        Reader of the file, for messages.
    stride : int
        Bases of a core.

    Raises
    ------
    DataError
        If the records are not sorted, since the parts could not be concatenated.
    """
    starts: list[int] = []
    seen: set[str] = set()
    last, last_pos, count = ("", 0), 0, 0
    for record in records:
        core = core_of(record, stride)
        if record.pos < last_pos if core[0] == last[0] else core[0] in seen:
            raise DataError(
                "not sorted, so it cannot be cut into parts",
                where=reader.where(record),
                hint="run: bcftools sort",
            )
        if core != last:
            seen.add(core[0])
            starts.append(count)
        last, last_pos = core, record.pos
        count += 1
    starts.append(count)
    # Each cut is the first start of a core at or after an equal share of the records.
    shares = (count * i // part.total for i in (part.number - 1, part.number))
    low, high = (starts[bisect_left(starts, share)] for share in shares)
    return slice(low, high)


def head(records: Iterator[Record]) -> list[Record]:
    """Return the first records, as many as it takes to characterise the file."""
    return next(blocks(records, BLOCK_RECORDS), [])


def suited_mode(records: Sequence[Record], stride: int = STRIDE) -> Literal["shared", "centred"]:
    """Return ``"shared"`` if alleles lie close enough to share windows, else ``"centred"``."""
    alleles = sum(record.fields[4].count(",") + 1 for record in records)
    cores = {core_of(record, stride) for record in records}
    return "shared" if alleles * DENSE >= len(cores) * stride else "centred"
