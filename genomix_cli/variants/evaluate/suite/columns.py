"""Scores of other tools: fields of a VCF or columns of a table, matched to the shard by allele."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import CheckError, DataError, UsageError
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.intervals import ContigNames, merge
from genomix_cli.genome.parquet import MAGIC
from genomix_cli.genome.parquet_alleles import ParquetAlleles
from genomix_cli.genome.tables import (
    TextTable,
    find_locus,
    first_bytes,
    is_missing,
    number,
    open_table,
    place,
    unknown_name,
)
from genomix_cli.genome.vcf.indexed import find_index
from genomix_cli.genome.vcf.reader import Record, VcfReader
from genomix_cli.genome.vcf.regions import Interval, Regions
from genomix_cli.progress import track
from genomix_cli.variants.records.audit import AUDIT_LEAST, AUDIT_SHARE
from genomix_cli.variants.records.inputs import MAX_SHIFT, Allele, place_allele
from genomix_cli.variants.records.labels import info_numbers

Key = tuple[str, int, bytes, bytes]
Floats = NDArray[np.float64]
#: Function that gives the location of a row for messages, and its cells: contig, pos, ref, alt
#: and the columns.
Placed = tuple[Callable[[], str], list[str]]
Direction = Literal["up", "down", "learn"]
_BASES = frozenset("ACGTN")
# Name of an INFO field in the header.
_INFO = re.compile(r"##INFO=<ID=([^,>]+)")
# Names of the parts of an annotated string, in the description of its field.
_FORMAT = re.compile(r'Format: *\'?([^"\']*\|[^"\']*)')
# Scores of SIFT and PolyPhen as written by VEP: deleterious(0.02).
_IN_BRACKETS = re.compile(r"[^()]*\(([^()]+)\)")


class Column(NamedTuple):
    """Requested score of another tool.

    Attributes
    ----------
    name : str
        Name in reports: ``FIELD`` or ``FIELD:PART``.
    field : str
        INFO key, or column of a table.
    parts : tuple of str
        Parts of an annotated string; the strongest value counts.
    direction : {"up", "down", "learn"}
        ``up`` if larger scores mean that an effect is more likely, ``down`` if less likely, and
        ``learn`` to choose by the training part.
    """

    name: str
    field: str
    parts: tuple[str, ...]
    direction: Direction

    @classmethod
    def parse(cls, text: str) -> Column:
        """Parse ``FIELD``, ``FIELD:PART`` or ``FIELD:PART,PART``, each optionally with ``=down``.

        Raises
        ------
        UsageError
            If the text has none of these forms.
        """
        name, equals, direction = text.partition("=")
        field, colon, parts = name.partition(":")
        names = tuple(parts.split(",")) if colon else ()
        if not field or not all(names or (field,)) or (equals and direction not in DIRECTIONS):
            raise UsageError(
                "does not name a score",
                where="--info, --column",
                expected="KEY or KEY:PART, optionally followed by =up, =down or =learn",
                found=text,
            )
        return cls(name, field, names, cast("Direction", direction or "up"))

    def strongest(self, values: Iterable[float]) -> float:
        """Return the strongest of several values of an allele; NaN if there is none."""
        known = [value for value in values if not math.isnan(value)]
        pick = min if self.direction == "down" else max
        return pick(known, default=math.nan)


DIRECTIONS = get_args(Direction)


def read_columns(
    vcf: Path, columns: Sequence[Column], shard: Shard, rows: NDArray[np.int64], part: str = "test"
) -> dict[Column, Floats]:
    """Read INFO fields for rows of the variant table, float64 ``[n]``; NaN without a value.

    `part` names the rows in messages. If the file is indexed, only records near the rows are read.

    Indels match in any spelling, since they are left-aligned like those of the shard.

    Raises
    ------
    DataError
        If the VCF cannot be read, a value is not a number, or none of the rows has a value.
    CheckError
        If more than 20 % of the REFs at positions of the rows differ from the shard.
    UsageError
        If an annotated string lacks the named part, or no part is named; or if neither the header
        nor any row has the field.
    """
    found = _Found(shard, rows, columns)
    near = Regions(Interval(name, *span) for name, span in found.near(shard.contigs))
    with VcfReader(vcf, None if find_index(vcf) is None else near) as reader:
        declared = [found[1] for found in map(_INFO.match, reader.header.meta) if found]
        readers = [_reader_of(column, reader) for column in columns]
        for record in track(reader, f"reading {vcf.name}"):
            matches = [found.rows(record.chrom, record.pos, record.ref, alt) for alt in record.alts]
            if any(matches):
                for column, read in zip(columns, readers, strict=True):
                    for at, value in zip(matches, read(record), strict=True):
                        found.values[column][at] = value
    return found.checked(vcf, part, declared)


def read_table(
    path: Path, columns: Sequence[Column], shard: Shard, rows: NDArray[np.int64], part: str = "test"
) -> dict[Column, Floats]:
    """Read columns of a table with contig (or chrom), pos (1-based), ref and alt.

    Otherwise as `read_columns`. From Parquet, only row groups are read whose statistics allow a
    match; from text with a tabix index beside it, only lines near the rows.

    Raises
    ------
    MissingExtraError
        If the table is Parquet and pyarrow is not installed.
    DataError
        As in `read_columns`; also if a column of the locus is missing, or two rows of an allele
        differ.
    UsageError
        If the file or a column does not exist.
    """
    found = _Found(shard, rows, columns)
    is_parquet = first_bytes(path).startswith(MAGIC)
    each_row = _parquet_rows if is_parquet else _text_rows
    for where, cells in track(each_row(path, columns, found), f"reading {path.name}"):
        contig, pos, ref, alt = (cell.strip() for cell in cells[:4])
        if not (pos.isascii() and pos.isdigit()):
            raise DataError("pos is not a position", where=where(), found=pos)
        at = found.rows(contig, int(pos), ref, alt)
        for column, cell in zip(columns, cells[4:], strict=True) if at else ():
            found.enter(column, at, number(cell, where), where())
    return found.checked(path, part)


def _text_rows(path: Path, columns: Sequence[Column], found: _Found) -> Iterator[Placed]:
    """Yield locus and columns of the rows of a text table; with an index, only of nearby rows."""
    index = find_index(path)
    with open_table(path, comment="##") as table:
        locus = find_locus(table.columns, f"{path}:{table.header}")
        _check_columns(columns, table.columns, path)
        table.refuse_repeated([column.field for column in columns])
        at = [*locus.values(), *(table.columns.index(column.field) for column in columns)]
        rows = _numbered(table) if index is None else _indexed(table, index, found)
        for where, cells in rows:
            yield where, [cells[i] for i in at]


def _numbered(table: TextTable) -> Iterator[Placed]:
    for line, cells in table.rows():
        yield partial(place, table.path, line, 1), cells


def _indexed(table: TextTable, index: Path, found: _Found) -> Iterator[Placed]:
    """Yield the rows of an indexed table near the wanted alleles."""
    from genomix_cli.genome.vcf.htslib import IndexedText

    with closing(IndexedText(table.path, index)) as file:
        for contig, (start, end) in found.near(file.contigs):
            for text in file.fetch(contig, start, end):
                cells = table.split(text)
                where = partial("{} near {}:{}".format, table.path, contig, start + 1)
                if len(cells) != len(table.columns):
                    raise DataError(
                        "a row has another number of columns than the header",
                        where=where(),
                        expected=str(len(table.columns)),
                        found=str(len(cells)),
                    )
                yield where, cells


def _parquet_rows(path: Path, columns: Sequence[Column], found: _Found) -> Iterator[Placed]:
    """Yield locus and columns of the Parquet rows near the wanted alleles."""
    table = ParquetAlleles(path)
    _check_columns(columns, table.columns, path)
    fields = [column.field for column in columns]
    for number_of_row, cells in table.rows(found.spans(table.contigs), fields):
        yield partial(place, path, number_of_row, 0), cells
    table.close()


def _check_columns(columns: Sequence[Column], names: Sequence[str], path: Path) -> None:
    for column in columns:
        if column.parts or column.field not in names:
            raise unknown_name(column.name, names, what="column", where=path, option="--column")


class _Found:
    """Collector of the values found for the rows."""

    def __init__(self, shard: Shard, rows: NDArray[np.int64], columns: Sequence[Column]) -> None:
        self._shard = shard
        self._wanted = _wanted(shard, rows)
        self._places = {key[:2] for key in self._wanted}
        self._names = ContigNames(shard.contigs, shard.path)
        self._compared, self._differing = 0, list[str]()
        self.values = {column: np.full(len(rows), np.nan) for column in columns}

    def rows(self, contig: str, pos: int, ref: str, alt: str) -> list[int]:
        """Return the indices of the rows of an allele; `pos` is 1-based."""
        name = self._names.find(contig)
        if name is None:
            return []
        if (name, pos - 1) in self._places:
            self._compare(name, pos - 1, ref[:1].upper())
        return self._wanted.get(_placed(self._shard, name, pos - 1, ref, alt), [])

    def spans(self, contigs: Iterable[str]) -> dict[str, NDArray[np.int64]]:
        """Return intervals ``[m, 2]`` by contig that contain every spelling of the alleles."""
        starts: dict[str, list[int]] = {}
        for contig, pos in sorted(self._places):
            starts.setdefault(contig, []).append(pos)
        own = {contig: self._names.find(contig) for contig in contigs}
        return {
            contig: merge(np.array(starts[name]) - MAX_SHIFT, np.array(starts[name]) + MAX_SHIFT)
            for contig, name in own.items()
            if name in starts
        }

    def near(self, contigs: Iterable[str]) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield contig and ends of each of these intervals, for look-up by an index."""
        for contig, spans in self.spans(contigs).items():
            for start, end in spans.tolist():
                yield contig, (max(0, start), end)

    def _compare(self, contig: str, pos: int, base: str) -> None:
        """Compare the first base of a REF with the shard."""
        expected = decode(self._shard.codes(contig, pos, pos + 1))
        if base in _BASES and "N" not in (base, expected):
            self._compared += 1
            if base != expected:
                self._differing.append(f"{base} at {contig}:{pos + 1}, which is {expected}")

    def enter(self, column: Column, at: list[int], value: float, where: str) -> None:
        """Enter the value of an allele, which may already have one."""
        before = self.values[column][at[0]]
        if not math.isnan(before) and not math.isnan(value) and before != value:
            raise DataError(
                f"two values of {column.name} for the same allele",
                where=where,
                expected=f"{before:g}",
                found=f"{value:g}",
            )
        if not math.isnan(value):
            self.values[column][at] = value

    def checked(
        self, path: Path, part: str, declared: Sequence[str] | None = None
    ) -> dict[Column, Floats]:
        """Return all values; refuse another assembly, or a column without values."""
        differing = len(self._differing)
        if self._compared >= AUDIT_LEAST and differing > AUDIT_SHARE * self._compared:
            raise CheckError(
                f"REF differs from the shard in {differing:,} of {self._compared:,} rows: this "
                "looks like another assembly",
                where=path,
                found=self._differing[0],
                hint=f"give scores on the assembly of {self._shard.path.name}",
            )
        for column, values in self.values.items():
            if np.isnan(values).all():
                key = column.field
                if declared is not None and key not in declared:
                    raise unknown_name(key, declared, what="INFO key", where=path, option="--info")
                raise DataError(f"no {part} variant has {column.name}", where=path)
        return self.values


def _reader_of(column: Column, reader: VcfReader) -> Callable[[Record], Sequence[float]]:
    """Return a function that gives a column's value for each ALT of a record."""
    if not column.parts:
        parts = _parts_of(column.field, reader)
        if len(parts) > 1:
            raise UsageError(
                f"{column.field} has several parts: name one",
                where=reader.name,
                expected=f"--info {column.field}:PART",
                found=", ".join(parts),
            )
        return lambda record: info_numbers(reader, record, column.field)
    annotation = _Annotation.of(column, reader)
    return lambda record: annotation.values(record)


def _parts_of(field: str, reader: VcfReader) -> list[str]:
    """Return the names of the parts of an annotated string from the header."""
    start = f"##INFO=<ID={field},"
    line = next((m for m in reader.header.meta if m.startswith(start)), "")
    described = _FORMAT.search(line)
    return [] if described is None else [part.strip() for part in described[1].split("|")]


class _Annotation(NamedTuple):
    """Annotated string of a VCF: comma-separated entries of parts separated by bars.

    Attributes
    ----------
    column : Column
    reader : VcfReader
    parts : list of str
        Names of all parts, from the header.
    at : list of int
        Indices of the parts to read.
    """

    column: Column
    reader: VcfReader
    parts: list[str]
    at: list[int]

    @classmethod
    def of(cls, column: Column, reader: VcfReader) -> _Annotation:
        """Read the names of parts from the header."""
        parts = _parts_of(column.field, reader)
        if not parts:
            raise DataError(
                f"the header does not describe the parts of {column.field}",
                where=reader.name,
                expected='Description="... Format: A|B|C"',
            )
        for part in column.parts:
            if part not in parts:
                what = f"part of {column.field} called"
                raise unknown_name(part, parts, what=what, where=reader.name)
        return cls(column, reader, parts, [parts.index(part) for part in column.parts])

    def values(self, record: Record) -> list[float]:
        """Return the strongest value of each ALT over entries and parts; NaN without one."""
        of_alt: list[list[float]] = [[] for _ in record.alts]
        for entry in filter(None, (record.info(self.column.field) or "").split(",")):
            fields = entry.split("|")
            if len(fields) == len(self.parts):
                for i in self._alts(record, fields):
                    of_alt[i] += self._numbers(fields, record)
            elif not is_missing(entry):
                raise DataError(
                    f"{self.column.field} has another number of parts than its header says",
                    where=self.reader.where(record),
                    expected=str(len(self.parts)),
                    found=str(len(fields)),
                )
        return [self.column.strongest(values) for values in of_alt]

    def _alts(self, record: Record, fields: Sequence[str]) -> Sequence[int]:
        """Return the indices of the ALTs of an entry, by its allele number or allele."""
        alts = record.alts
        if len(alts) == 1:
            return (0,)
        if "ALLELE_NUM" in self.parts:
            text = fields[self.parts.index("ALLELE_NUM")]
            return [int(text) - 1] if text.isdigit() and 0 < int(text) <= len(alts) else ()
        allele = fields[0]  # true for VEP, SnpEff and SpliceAI
        # VEP omits the first base if all alleles share it.
        shares = any(len(a) != len(record.ref) for a in alts) and all(
            a[0] == record.ref[0] for a in alts
        )
        spelled = [a[1:] or "-" if shares else a for a in alts]
        return [i for i, names in enumerate(zip(alts, spelled, strict=True)) if allele in names]

    def _numbers(self, fields: Sequence[str], record: Record) -> Iterator[float]:
        for i in self.at:
            for text in fields[i].split("&"):
                inner = _IN_BRACKETS.fullmatch(text)
                yield number(
                    inner[1] if inner else text,
                    lambda: f"{self.reader.where(record)}, {self.column.name}",
                )


def _wanted(shard: Shard, rows: NDArray[np.int64]) -> dict[Key, list[int]]:
    """Return the row indices of each allele, one per tissue."""
    table, names = shard.variants, list(shard.contigs)
    wanted: dict[Key, list[int]] = {}
    for at, row in enumerate(rows):
        key = names[table.contig[row]], int(table.pos[row]), table.ref[row], table.alt[row]
        wanted.setdefault((key[0], key[1], bytes(key[2]), bytes(key[3])), []).append(at)
    return wanted


def _placed(shard: Shard, contig: str, pos: int, ref: str, alt: str) -> Key:
    """Return the key of an allele, trimmed and placed as in the table of a shard."""
    ref, alt = ref.upper(), alt.upper()
    if len(ref) == 1 == len(alt) or not _BASES.issuperset(ref + alt):
        return contig, pos, ref.encode(), alt.encode()
    first = max(0, pos - MAX_SHIFT)
    letters = decode(shard.codes(contig, first, pos + len(ref)))
    allele: Allele = place_allele(pos, ref, alt, letters, first)
    return contig, allele.pos, decode(allele.ref).encode(), decode(allele.alt).encode()
