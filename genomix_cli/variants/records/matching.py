"""Find alleles in indexed files and Parquet, whatever their spelling there.

Two alleles match if they are equal once trimmed and left-aligned. Files are read by position, so
queries may come in any order; sorted queries are fastest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genomix_cli.errors import DataError
from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.intervals import ContigNames, merge
from genomix_cli.genome.parquet_alleles import ParquetAlleles
from genomix_cli.genome.tables import leading_lines
from genomix_cli.genome.vcf.indexed import find_index
from genomix_cli.genome.vcf.input import Input
from genomix_cli.genome.vcf.reader import MAGIC, MISSING, Record
from genomix_cli.variants.records.audit import AUDIT_RECORDS, ReferenceAudit, check_contigs
from genomix_cli.variants.records.checks import Checked, check_records
from genomix_cli.variants.records.inputs import MAX_SHIFT, Allele
from genomix_cli.variants.records.reference import Reference

#: 0-based position, reference and alternative bases: trimmed, left-aligned, upper case.
Key = tuple[int, str, str]
#: Values of an allele in a file.
Row = tuple[str, ...]
#: Rows of the alleles of a contig; None for alleles not found so far.
Rows = dict[Key, Row | None]

# Alleles within this many bases share one read: a seek costs as much as reading these lines.
NEAR = 4096
#: Extent of the REF audit: places per contig, rows per place, and contigs. Contig ends are often
#: alike in two assemblies, so the head of a file alone would not suffice.
AUDIT_PLACES, AUDIT_ROWS, AUDIT_CONTIGS = 16, 16, 64


class Wanted(NamedTuple):
    """Alleles of a block to look up.

    Attributes
    ----------
    places : list of (str, Key)
        Contig, named as in the reference, and key of each scorable allele, in order.
    spans : dict of str to list of (int, int)
        Intervals of each contig that any spelling of its alleles overlaps, 0-based half-open.
    """

    places: list[tuple[str, Key]]
    spans: dict[str, list[tuple[int, int]]]

    @classmethod
    def of(cls, block: Iterable[Checked], reference: Reference) -> Wanted:
        """Return the alleles of a block to look up."""
        places: list[tuple[str, Key]] = []
        spans: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for record, contig, alleles, *_ in block:
            for allele in alleles:
                if allele is not None:
                    key = key_of(record, allele)
                    places.append((contig, key))
                    spans[contig].append(_span(contig, key, allele, reference))
        return cls(places, {contig: _merged(each) for contig, each in spans.items()})

    def rows(self) -> dict[str, Rows]:
        """Return rows by contig, all initially None."""
        rows: dict[str, Rows] = {contig: {} for contig in self.spans}
        for contig, key in self.places:
            rows[contig][key] = None
        return rows

    def in_order(self, rows: dict[str, Rows]) -> list[Row | None]:
        """Return the row of each allele, in order."""
        return [rows[contig][key] for contig, key in self.places]


def _span(contig: str, key: Key, allele: Allele, reference: Reference) -> tuple[int, int]:
    pos, ref, alt = key
    if ref and alt:
        return pos, pos + len(ref)
    # An indel may be spelled with the base before it, here or farther to the right.
    return max(pos - 1, 0), pos + len(ref) + _room(contig, allele, reference)


def _room(contig: str, allele: Allele, reference: Reference) -> int:
    """Return the number of bases by which a left-aligned indel can be shifted to the right."""
    bases = allele.ref if len(allele.ref) else allele.alt
    start = allele.pos + len(allele.ref)
    after = reference.fetch(contig, start, start + MAX_SHIFT)
    # It can shift as long as the sequence that follows repeats its bases.
    differs = after != np.concatenate([bases, after])[:MAX_SHIFT]
    return int(differs.argmax()) if differs.any() else MAX_SHIFT


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the intervals sorted, with nearby ones merged."""
    starts, ends = np.array(spans, np.int64).T
    return [(start, end - NEAR) for start, end in merge(starts, ends + NEAR).tolist()]


def key_of(record: Record, allele: Allele) -> Key:
    """Return the key of an allele of a record."""
    ref, alt = record.fields[3], record.fields[4]
    if len(ref) == 1 == len(alt):  # nearly every allele; needs no trimming
        return allele.pos, ref.upper(), alt.upper()
    return allele.pos, decode(allele.ref), decode(allele.alt)


class Kind(NamedTuple):
    """File type of alleles, with its index; Parquet needs none."""

    is_bcf: bool
    is_vcf: bool
    index_path: Path | None

    def open(self, path: Path) -> Any:
        """Open a file for fetching lines by position."""
        from genomix_cli.genome.vcf.htslib import BcfFile, IndexedText

        if self.index_path is None:
            return ParquetAlleles(path)
        if self.is_bcf:
            return BcfFile(path, str(path), self.index_path)
        return IndexedText(path, self.index_path)


def kind_of(path: Path, expected: str) -> Kind:
    """Return the file type of `path`; `expected` names the accepted types in messages.

    Raises
    ------
    DataError
        If the file cannot be read or has no index.
    """
    with Input(path) as source:
        is_bcf, is_bgzf = source.is_bcf, source.is_bgzf
        is_vcf = is_bcf or source.stream.peek(len(MAGIC)) == MAGIC.encode()
    index = find_index(path)
    if index is None or not (is_bcf or is_bgzf):
        how = "tabix -p vcf" if is_vcf else f"tabix {_columns(path)}"
        command = "bcftools index FILE" if is_bcf else f"bgzip FILE && {how} FILE.gz"
        raise DataError(
            "has no index for looking up alleles",
            where=path,
            expected=f"{expected} with a .tbi or .csi beside it",
            hint=f"run: {command}",
        )
    return Kind(is_bcf, is_vcf, index)


def _columns(path: Path) -> str:
    """Return the tabix options for a table whose first columns are the locus."""
    return f"-s 1 -b 2 -e 2 -S {len(leading_lines(path)[0]) + 1}"


class AlleleFile(ABC):
    """File with rows of alleles, searched by position; by default an indexed VCF or BCF.

    Parameters
    ----------
    path : Path
    kind : Kind

    Attributes
    ----------
    name : str
        Name of the file in messages.
    contigs : ContigNames
    """

    # Columns of the locus, and the number of splits of a line.
    pos, ref, alt, last = 1, 3, 4, 8

    def __init__(self, path: Path, kind: Kind) -> None:
        self.name = str(path)
        self._file = kind.open(path)
        self.contigs = ContigNames(self._file.contigs, path)

    @abstractmethod
    def rows_of(self, fields: Sequence[str]) -> list[Row | None]:
        """Return the row of each ALT of a line; None for an ALT without values."""

    def joined(self, before: Row, row: Row, fields: Sequence[str]) -> Row:
        """Return the merged row of an allele that occurs twice in the file."""
        del row, fields
        return before

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def where(self, record: Record) -> str:
        """Return the location of a record, for messages."""
        return f"{self.name} at {record.chrom}:{record.pos}"

    def place(self, fields: Sequence[str]) -> str:
        """Return the location of a line, for messages."""
        return self.where(self.record(fields[0], fields))

    def search(self, wanted: Wanted, rows: dict[str, Rows], reference: Reference) -> None:
        """Enter the file's rows of the wanted alleles into `rows`."""
        for contig, spans in wanted.spans.items():
            name = self.contigs.find(contig)
            if name is not None:
                self._search(name, spans, rows[contig], reference)

    def _lines(self, contig: str, spans: Sequence[tuple[int, int]]) -> Iterator[str]:
        """Yield the lines of a contig that overlap the intervals."""
        if isinstance(self._file, ParquetAlleles):
            return self._file.lines({contig: spans})
        return chain.from_iterable(self._file.fetch(contig, *span) for span in spans)

    def _search(
        self, contig: str, spans: Sequence[tuple[int, int]], rows: Rows, reference: Reference
    ) -> None:
        p, r, a, last = self.pos, self.ref, self.alt, self.last
        others: list[list[str]] = []
        # In a dense file most lines lie between the alleles; do not split these any further.
        places, locus_end = {str(pos + 1) for pos, _, _ in rows}, max(p, r, a) + 1
        for line in self._lines(contig, spans):
            locus = line.split("\t", locus_end)
            try:
                is_single = len(locus[r]) == 1 == len(locus[a])
                if is_single and locus[p] not in places:
                    continue
                fields = [*locus[:-1], *locus[-1].split("\t", last - locus_end)]
                if not is_single:
                    others.append(fields)
                    continue
                key = int(fields[p]) - 1, fields[r].upper(), fields[a].upper()
            except (IndexError, ValueError) as error:
                raise self._no_row(line) from error
            if key in rows:
                self._enter(rows, key, self.rows_of(fields)[0], fields)
        # An allele spelled with more letters may still match.
        records = [self.record(contig, fields) for fields in others]
        for fields, checked in zip(others, check_records(records, reference), strict=True):
            keys = [None if x is None else key_of(checked.record, x) for x in checked.alleles]
            if any(key in rows for key in keys):
                for each, row in zip(keys, self.rows_of(fields), strict=True):
                    if each in rows:
                        self._enter(rows, each, row, fields)

    def _enter(self, rows: Rows, key: Key, row: Row | None, fields: Sequence[str]) -> None:
        before = rows[key]
        if before is None:
            rows[key] = row
        elif row is not None:
            rows[key] = self.joined(before, row, fields)

    def record(self, contig: str, fields: Sequence[str]) -> Record:
        """Return the allele of a line as a VCF record."""
        try:
            pos, ref, alt = fields[self.pos], fields[self.ref], fields[self.alt]
            return Record(0, int(pos), [contig, pos, MISSING, ref, alt, *[MISSING] * 3])
        except (IndexError, ValueError) as error:
            raise self._no_row("\t".join(fields)) from error

    def _no_row(self, line: str) -> DataError:
        expected = "a position, REF and ALT"
        return DataError(
            "is not a row of alleles", where=self.name, expected=expected, found=line[:40]
        )

    def refuse_other_assembly(self, reference: Reference) -> None:
        """Compare REFs sampled along each contig with the reference.

        Raises
        ------
        DataError
            If file and reference have no contig in common.
        CheckError
            If more than 20 % of the REFs differ.
        """
        hint = f"give one of the assembly of {reference.path}"
        check_contigs(self.contigs, reference, self, hint)
        audit = ReferenceAudit(self, reference, hint)
        for contig in islice(filter(reference.names.find, self.contigs), AUDIT_CONTIGS):
            length = reference.lengths[reference.names.require(contig)]
            for start in range(0, length, length // AUDIT_PLACES + 1):
                if audit.compared < AUDIT_RECORDS:
                    lines = islice(self._file.fetch(contig, start, None), AUDIT_ROWS)
                    records = [self.record(contig, line.split("\t", self.last)) for line in lines]
                    audit.look_at(check_records(records, reference))
