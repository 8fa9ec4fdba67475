"""A VCF cut into blocks, and into parts for several machines, without changing any score.

The last bits of a score depend on which alleles go through the model together. Those are alleles
of one core, the central half of a shared window, so nothing is ever cut within a core, except at
fixed places of one that holds very many records.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal, NamedTuple

from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.vcf.reader import Record, VcfReader
from genomix_cli.variants.records.checks import BLOCK_CHARACTERS, characters_of
from genomix_cli.variants.records.inputs import STRIDE

#: Of a block, at most: what goes on together, and is lost at most when interrupted.
BLOCK_CORES = 16
BLOCK_RECORDS = 20_000
# Alleles per core from which on shared windows are the default: 200 per Mb.
DENSE = 10


class Part(NamedTuple):
    """One of `total` parts of the input, `number` counted from 1."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read ``i/n``.

        Raises
        ------
        UsageError
            If it is something else, or `i` is not in ``1..n``.
        """
        number, slash, total = text.partition("/")
        if slash and number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total):
            return cls(int(number), int(total))
        raise UsageError("not a part", where="--shard", expected="I/N, as in 1/8", found=text)


def core_of(record: Record, stride: int) -> tuple[str, int]:
    """The contig and the central half of a shared window in which a record lies."""
    return record.fields[0], (record.pos - 1) // stride


def cut_blocks(records: Iterable[Record], stride: int = STRIDE) -> Iterator[list[Record]]:
    """Blocks of whole cores, small enough to hold in memory and to lose when interrupted.

    Parameters
    ----------
    records : iterable of Record
    stride : int
        Bases of a core.
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
            if full or (core not in cores and len(cores) == BLOCK_CORES):
                yield block
                block, cores, characters = [], set(), 0
            last, in_core = core, 0
            cores.add(core)
        elif in_core == BLOCK_RECORDS:
            yield block
            block, cores, characters, in_core = [], {core}, 0, 0
        in_core += 1
        characters += len(fields[-1])
        block.append(record)
    if block:
        yield block


def part_bounds(records: Iterable[Record], part: Part, reader: VcfReader, stride: int) -> slice:
    """Which records are of a part: about as many in each, cut where a core ends.

    Parameters
    ----------
    records : iterable of Record
        All of them.
    part : Part
    reader : VcfReader
        Where they come from, for messages.
    stride : int
        Bases of a core.

    Raises
    ------
    DataError
        If they are not sorted: the parts could not be put together again.
    """
    starts: list[int] = []
    seen: set[str] = set()
    last, last_pos, count = ("", 0), 0, 0
    for record in records:
        core = core_of(record, stride)
        if core != last:
            if core[0] != last[0] and core[0] in seen:
                raise _unsorted(reader, record)
            seen.add(core[0])
            starts.append(count)
        if core[0] == last[0] and record.pos < last_pos:
            raise _unsorted(reader, record)
        last, last_pos = core, record.pos
        count += 1
    starts.append(count)
    low, high = (_cut(starts, count, i, part.total) for i in (part.number - 1, part.number))
    return slice(low, high)


def _cut(starts: list[int], count: int, index: int, parts: int) -> int:
    """The first start of a core at or behind an equal share of the records."""
    return starts[bisect_left(starts, count * index // parts)]


def _unsorted(reader: VcfReader, record: Record) -> DataError:
    return DataError(
        "not sorted, so it cannot be cut into parts",
        where=reader.where(record),
        hint="run: bcftools sort",
    )


def head(records: Iterator[Record]) -> list[Record]:
    """The first records, as many as tell what the file is like."""
    taken: list[Record] = []
    characters = 0
    for record in islice(records, BLOCK_RECORDS):
        taken.append(record)
        characters += characters_of(record)
        if characters >= BLOCK_CHARACTERS:
            break
    return taken


def suited_mode(records: Iterable[Record], stride: int = STRIDE) -> Literal["shared", "centred"]:
    """``"shared"`` where windows would have enough alleles in common, else ``"centred"``."""
    alleles = 0
    cores = set()
    for record in records:
        alleles += record.fields[4].count(",") + 1
        cores.add(core_of(record, stride))
    return "shared" if alleles >= DENSE * len(cores) else "centred"
