"""Reading of a table with a column of sequences."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from genomix_cli.errors import UsageError
from genomix_cli.genome.iupac import encode
from genomix_cli.genome.tables import TextTable, open_table
from genomix_cli.sequences.prepare import metadata
from genomix_cli.sequences.prepare.metadata import Metadata, column_number
from genomix_cli.sequences.prepare.parsed_input import OneLength, Parsed, Places
from genomix_cli.sequences.prepare.spool import RowSpool

if TYPE_CHECKING:
    from genomix_cli.sequences.requests.prepare import PrepareRequest

SEQUENCE = "sequence"
_HINT = "name another column: --id-column, or let them be numbered: --make-ids"
_CONTIG_NAMES = ("contig", "chrom", "chr", "chromosome")
_STRANDS = {"+": 1, "-": -1, "1": 1, "-1": -1, ".": 1, "": 1}


def read_table(path: Path, request: PrepareRequest, folder: Path) -> Parsed:
    """Read a table of sequences; its other columns are their metadata.

    Raises
    ------
    DataError
        If a row is ragged, a sequence has another length, a letter is not a base, or an id is
        missing or repeated; the message names the line.
    UsageError
        If a column does not exist.
    """
    spool, lengths = RowSpool(folder), OneLength()
    with open_table(path) as table:
        metadata.check_header(table)
        at = _sequence_column(table, request)
        by = None if request.make_ids else metadata.id_number(table, request.id_column)
        if by == at:
            raise UsageError("has no column with ids", where=path, hint=_HINT)
        others = {i: name for i, name in enumerate(table.columns) if i not in (at, by)}
        cells: dict[str, list[str]] = {name: [] for name in others.values()}
        ids: list[str] = []
        lines: list[int] = []
        for line, row in table.rows():
            where = f"{path}:{line}"
            ids.append(f"sequence_{len(ids) + 1}" if by is None else row[by].strip())
            lines.append(line)
            lengths.check(ids[-1] or "a row without an id", len(row[at].strip()), where)
            spool.add(encode(row[at].strip(), where))
            for i, name in others.items():
                cells[name].append(row[i])
    rest = Metadata(path, ids, lines, cells)
    metadata.check_ids(rest, _HINT)
    places, unused = _places(rest, lengths.length, metadata.named_columns(request))
    return Parsed(
        rows="rows",
        names=ids,
        units=ids,
        length=lengths.length,
        blocks=lambda: spool.blocks(lengths.length),
        contigs=places.contigs,
        windows=places.windows(),
        metadata=rest,
        facts={"coordinates not used": unused} if unused else {},
    )


def _sequence_column(table: TextTable, request: PrepareRequest) -> int:
    number = column_number(table, request.sequence_column, "--sequence-column")
    if number is None:
        number = table.find(SEQUENCE, "seq")
    if number is None:
        raise UsageError(
            "has no column with sequences",
            where=table.path,
            expected=SEQUENCE,
            found=", ".join(table.columns[:10]),
            hint="name it: --sequence-column",
        )
    return number


def _places(table: Metadata, length: int, kept: Collection[str]) -> tuple[Places, str]:
    """Return coordinates if the table has them and they fit the sequences; else the reason.

    The start, end and strand columns are then removed from the table, except those in `kept`.
    """
    by_name = {name.lower(): name for name in table.columns}
    contig = next((by_name[name] for name in _CONTIG_NAMES if name in by_name), None)
    start, end, strand = (by_name.get(name) for name in ("start", "end", "strand"))
    if contig is None or start is None or end is None:
        return Places(), ""
    try:
        starts = [int(cell) for cell in table.columns[start]]
        ends = [int(cell) for cell in table.columns[end]]
        signs = [_STRANDS[cell] for cell in table.columns[strand]] if strand else [1] * len(starts)
    except (ValueError, KeyError):
        return Places(), f"{start}, {end} or {strand or 'strand'} is not one in every row"
    off = sum(last - first != length for first, last in zip(starts, ends, strict=True))
    if off:
        return Places(), f"{off:,} sequences are not as long as {start} to {end}"
    places = Places()
    for name, first, sign in zip(table.columns[contig], starts, signs, strict=True):
        places.add(name, 0, first, sign)
    for column in (start, end, strand):
        if column is not None and column not in kept:
            del table.columns[column]
    return places, ""
