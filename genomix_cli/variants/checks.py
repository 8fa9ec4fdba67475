"""Records of a VCF checked against the reference, block by block, before any model runs."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from genomix_cli.errors import CheckError, DataError
from genomix_cli.genome.alphabet import decode, encode
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.vcf import Record, VcfReader
from genomix_cli.variants.alleles import (
    CONTIG_ABSENT,
    OFF_CONTIG,
    REF_MISMATCH,
    classify_allele,
    classify_site,
)
from genomix_cli.variants.inputs import Allele, trim_allele

log = logging.getLogger("genomix")

CheckRef = Literal["w", "e"]
CHECK_REF: tuple[CheckRef, ...] = ("w", "e")

#: The audit of REF: over this many records, unless there are too few to tell.
AUDIT_RECORDS = 10_000
AUDIT_LEAST = 20
# Reference panels and sequencing never differ from their own assembly this often.
AUDIT_SHARE = 0.2
# By chance a third of single-base ALTs is the FASTA's base.
SWAPPED_SHARE = 0.8
# A block ends here too: records may carry thousands of genotypes.
BLOCK_CHARACTERS = 1 << 26
_BASES = re.compile(r"[ACGTacgt]+")


class Checked(NamedTuple):
    """A record, and what can be scored of it.

    Attributes
    ----------
    record : Record
    contig : str
        As the FASTA spells it; empty if it has none such.
    alleles : tuple of Allele or None
        One per ALT, trimmed; None where it cannot be scored.
    reasons : tuple of str or None
        One per ALT: why it cannot be scored.
    site : str or None
        What is wrong with POS or REF: a key of `genomix_cli.variants.alleles.REASONS`.
    """

    record: Record
    contig: str
    alleles: tuple[Allele | None, ...]
    reasons: tuple[str | None, ...]
    site: str | None


def check_record(record: Record, fasta: Fasta) -> Checked:
    """Classify every ALT of a record, and trim those that can be scored."""
    pos, ref, alts = record.pos - 1, record.ref, record.alts
    site = classify_site(fasta, record.chrom, pos, ref)
    reasons = tuple(classify_allele(ref, alt) or site for alt in alts)
    alleles = tuple(
        trim_allele(pos, ref, alt) if reason is None else None
        for alt, reason in zip(alts, reasons, strict=True)
    )
    return Checked(record, fasta.names.find(record.chrom) or "", alleles, reasons, site)


class CheckedVariants:
    """Blocks of checked records, in the order of the file.

    Parameters
    ----------
    reader : VcfReader
    fasta : Fasta
    block : int
        Records per block at most.
    check_ref : {"w", "e"}
        Whether a REF that differs from the FASTA is counted or an error.

    Attributes
    ----------
    counts : Counter
        ``records``, ``alleles``, ``scored``, ``ref_mismatch_records``, and alleles by reason.
    first_mismatch : int or None
        Line of the first record whose REF differs.
    contigs : dict of str to None
        Names in the order in which they came, as the VCF spells them.

    Raises
    ------
    CheckError
        While iterating: if most REFs differ, or one does and `check_ref` is ``"e"``.
    DataError
        While iterating: if VCF and FASTA have no contig in common.
    """

    def __init__(
        self, reader: VcfReader, fasta: Fasta, *, block: int, check_ref: CheckRef = "w"
    ) -> None:
        self.reader = reader
        self.fasta = fasta
        self.check_ref = check_ref
        self.counts: Counter[str] = Counter()
        self.first_mismatch: int | None = None
        self.contigs: dict[str, None] = {}
        self._audit = ReferenceAudit(reader, fasta)
        self._last = ("", 0)
        self._sorted = True
        self._blocks = blocks(reader, block)

    def __iter__(self) -> Iterator[list[Checked]]:
        return self

    def __next__(self) -> list[Checked]:
        records = next(self._blocks)
        is_first = not self.counts["records"]
        for record in records:
            self._check_order(record)
        if is_first:
            check_contigs([*self.reader.header.contigs, *self.contigs], self.fasta, self.reader)
        block = [check_record(record, self.fasta) for record in records]
        self._audit.look_at(block)
        for checked in block:
            self._count(checked)
        return block

    def _check_order(self, record: Record) -> None:
        contig, last = self._last
        known = record.chrom in self.contigs
        if self._sorted and known and (record.chrom != contig or record.pos < last):
            self._sorted = False
            where = self.reader.where(record.line)
            log.warning("%s: not sorted; the order is kept, but tabix cannot index it", where)
        self.contigs[record.chrom] = None
        self._last = record.chrom, record.pos

    def _count(self, checked: Checked) -> None:
        reasons = [reason for reason in checked.reasons if reason is not None]
        self.counts.update(reasons)
        self.counts["records"] += 1
        self.counts["alleles"] += len(checked.reasons)
        self.counts["scored"] += len(checked.reasons) - len(reasons)
        if checked.site == REF_MISMATCH:
            self.counts["ref_mismatch_records"] += 1
            self.first_mismatch = self.first_mismatch or checked.record.line
            if self.check_ref == "e":
                raise CheckError(
                    "REF is not what the FASTA says",
                    where=self.reader.where(checked.record.line),
                    **_bases(checked, self.fasta),
                    hint="--check-ref w scores the others",
                )


def blocks(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    """Cut into blocks of `size` records, fewer where they are long; none if there are none."""
    block: list[Record] = []
    characters = 0
    for record in records:
        block.append(record)
        characters += sum(map(len, record.fields))
        if len(block) == size or characters >= BLOCK_CHARACTERS:
            yield block
            block, characters = [], 0
    if block:
        yield block


class ReferenceAudit:
    """Tells from the first records whether the VCF belongs to the FASTA at all.

    Parameters
    ----------
    reader : VcfReader
    fasta : Fasta
    """

    def __init__(self, reader: VcfReader, fasta: Fasta) -> None:
        self.reader = reader
        self.fasta = fasta
        self.compared = 0
        self.swapped = 0
        self.differing: list[Checked] = []

    def look_at(self, block: Sequence[Checked]) -> None:
        """Take in a block, and judge by all that were seen.

        Raises
        ------
        CheckError
            If more than 20 % of at least 20 REFs differ.
        """
        before = self.compared
        for checked in block:
            if self.compared == AUDIT_RECORDS:
                break
            if checked.site == CONTIG_ABSENT or not _BASES.fullmatch(checked.record.ref):
                continue
            self.compared += 1
            if checked.site in (REF_MISMATCH, OFF_CONTIG):
                self.differing.append(checked)
                self.swapped += _alt_is_reference(checked, self.fasta)
        if self.compared > before:
            self._judge()

    def _judge(self) -> None:
        count = len(self.differing)
        if self.compared < AUDIT_LEAST or count <= AUDIT_SHARE * self.compared:
            return
        first = self.differing[0]
        swapped = self.swapped >= SWAPPED_SHARE * count
        raise CheckError(
            f"REF differs from the FASTA in {count:,} of {self.compared:,} records: "
            + ("REF and ALT look swapped" if swapped else "this looks like another assembly"),
            where=self.reader.where(first.record.line),
            **_bases(first, self.fasta),
            hint=f"run: bcftools norm --check-ref s --fasta-ref {self.fasta.path}"
            if swapped
            else "give the FASTA that the variants were called against",
        )


def check_contigs(names: Iterable[str], fasta: Fasta, reader: VcfReader) -> None:
    """Refuse a VCF that has no contig in common with the FASTA.

    Raises
    ------
    DataError
        With the names of both.
    """
    names = list(dict.fromkeys(names))
    if any(fasta.names.find(name) for name in names):
        return
    raise DataError(
        f"has no contig in common with {fasta.path}",
        where=reader.name,
        expected=_some(fasta.names),
        found=_some(names),
        hint="give the FASTA that the variants were called against",
    )


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _alt_is_reference(checked: Checked, fasta: Fasta) -> bool:
    start = checked.record.pos - 1
    return any(
        _BASES.fullmatch(alt)
        and np.array_equal(fasta.fetch(checked.contig, start, start + len(alt)), encode(alt))
        for alt in checked.record.alts
    )


def _bases(checked: Checked, fasta: Fasta) -> dict[str, str]:
    """What the FASTA and the record have at the site, for a message."""
    record = checked.record
    shown = record.ref[:20]
    start = record.pos - 1
    expected = decode(fasta.fetch(checked.contig, start, start + len(shown)))
    if checked.site == OFF_CONTIG:
        expected = f"POS up to {fasta.lengths[checked.contig]:,}"
    return {"expected": expected, "found": f"{shown} at {record.chrom}:{record.pos}"}
