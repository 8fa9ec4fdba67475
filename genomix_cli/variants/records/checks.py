"""Check the records of a VCF against the reference, block by block, before any model runs."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from genomix_cli.errors import CheckError, DataError
from genomix_cli.genome.alphabet import decode, encode
from genomix_cli.genome.vcf.reader import Record
from genomix_cli.variants.records.alleles import (
    CONTIG_ABSENT,
    NOT_PREPARED,
    OFF_CONTIG,
    REF_MISMATCH,
    Stretch,
    classify_allele,
)
from genomix_cli.variants.records.every_snv import Records
from genomix_cli.variants.records.inputs import MAX_SHIFT, Allele, place_allele
from genomix_cli.variants.records.reference import Reference

log = logging.getLogger("genomix")

CheckRef = Literal["w", "e", "x"]

#: Number of records in the audit of REF, and the least number that allows a verdict.
AUDIT_RECORDS = 10_000
AUDIT_LEAST = 20
# Share of differing REFs that means another assembly: within one, errors are far rarer.
AUDIT_SHARE = 0.2
# Share of differing records whose ALT is the FASTA's base that means REF and ALT are swapped;
# by chance it is one in three.
SWAPPED_SHARE = 0.8
# Records may carry thousands of genotypes, so a block is also limited by its length.
BLOCK_CHARACTERS = 1 << 26
# Records within the same interval of this many bases share one read of the reference.
NEIGHBOURHOOD = 65_536
_REF, _ALT, _INFO = 3, 4, 7
_CODES = {letter: encode(letter) for letter in "ACGTacgt"}
_NO_ALLELE = (None,)
_BASES = re.compile(r"[ACGTacgt]+")


class Source(Protocol):
    """File that records come from, as messages name it and its places."""

    name: str

    def where(self, record: Record, /) -> str:
        """Return the place of a record."""


class Checked(NamedTuple):
    """Record and its alleles that can be scored.

    Attributes
    ----------
    record : Record
    contig : str
        Name in the FASTA; empty if the FASTA lacks it.
    alleles : tuple of Allele or None
        One per ALT, trimmed; None if it cannot be scored.
    reasons : tuple of str or None
        One per ALT: why it cannot be scored.
    site : str or None
        Problem with POS or REF: a key of `genomix_cli.variants.records.alleles.REASONS`.
    """

    record: Record
    contig: str
    alleles: tuple[Allele | None, ...]
    reasons: tuple[str | None, ...]
    site: str | None


def check_records(records: Sequence[Record], reference: Reference) -> list[Checked]:
    """Classify every ALT of some records and left-align those that can be scored.

    The reference is read once for neighbouring records, so sorted records are fastest.
    """
    runs = groupby(records, lambda record: (record.fields[0], record.pos // NEIGHBOURHOOD))
    return [
        checked for (chrom, _), run in runs for checked in _check_run(list(run), chrom, reference)
    ]


def _check_run(run: Sequence[Record], chrom: str, reference: Reference) -> list[Checked]:
    """Check records of one contig that lie close together."""
    contig = reference.names.find(chrom)
    if contig is None:
        return [_off_reference(record) for record in run]
    # Left-aligning an indel needs the bases that it may move over.
    first = min([record.pos for record in run]) - 1 - MAX_SHIFT
    last = max([record.pos - 1 + len(record.fields[_REF]) for record in run])
    stretch = Stretch.of(reference, contig, first, last)
    letters, start = stretch.letters, stretch.first
    made, new = [], tuple.__new__
    for record in run:  # one loop, and no call that can be spared: this is done for every record
        _, pos, fields = record
        ref, alt, at = fields[_REF], fields[_ALT], pos - 1 - start
        is_as_said = at >= 0 and letters.startswith(ref, at)
        site = None if is_as_said else stretch.site(pos - 1, ref)
        if "," in alt:
            made.append(_several(record, contig, site, stretch))
            continue
        reason = classify_allele(ref, alt) or site
        alleles = _NO_ALLELE if reason else (_placed(pos - 1, ref, alt, stretch),)
        made.append(new(Checked, (record, contig, alleles, (reason,), site)))
    return made


def _several(record: Record, contig: str, site: str | None, stretch: Stretch) -> Checked:
    """Check a record of several ALTs."""
    ref, alts = record.ref, record.alts
    reasons = tuple([classify_allele(ref, alt) or site for alt in alts])
    alleles = tuple(
        [
            None if reason else _placed(record.pos - 1, ref, alt, stretch)
            for alt, reason in zip(alts, reasons, strict=True)
        ]
    )
    return Checked(record, contig, alleles, reasons, site)


def _off_reference(record: Record) -> Checked:
    """Check a record whose contig the reference lacks."""
    reasons = tuple([classify_allele(record.ref, alt) or CONTIG_ABSENT for alt in record.alts])
    return Checked(record, "", (None,) * len(reasons), reasons, CONTIG_ABSENT)


def _placed(pos: int, ref: str, alt: str, stretch: Stretch) -> Allele:
    if len(ref) == 1 == len(alt):  # a substitution needs no trimming, and its codes are shared
        return Allele(pos, _CODES[ref], _CODES[alt])
    return place_allele(pos, ref, alt, stretch.letters, stretch.first)


class CheckedVariants:
    """Iterator over blocks of checked records, in the order of the file.

    Parameters
    ----------
    reader : VcfReader or EverySnv
    reference : Reference
    blocks : iterable of list of Record
        Records of `reader` in blocks; see :func:`blocks`.
    check_ref : {"w", "e", "x"}
        A REF that differs from the reference is counted (``w``), an error (``e``), or excluded
        by the caller (``x``).
    knows_contigs : bool
        True if VCF and reference are known to share contigs.
    state : mapping, optional
        Result of :meth:`state` after an earlier part of the same file.

    Attributes
    ----------
    counts : Counter
        ``records``, ``alleles``, ``scored``, ``ref_mismatch_records``, and alleles by reason.
    first_mismatch : str or None
        Position of the first record whose REF differs.
    contigs : dict of str to None
        Contig names of the VCF in order of appearance.
    first_unsorted : str or None
        Position of the first record that is out of order.

    Raises
    ------
    CheckError
        While iterating: if more than 20 % of the REFs differ, or one and `check_ref` is ``"e"``.
    DataError
        While iterating: if VCF and reference have no contig in common.
    """

    def __init__(
        self,
        reader: Records,
        reference: Reference,
        blocks: Iterable[list[Record]],
        *,
        check_ref: CheckRef = "w",
        knows_contigs: bool = False,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self._knows_contigs = knows_contigs
        self.reader = reader
        self.reference = reference
        self.check_ref = check_ref
        state = state or {}
        self.counts: Counter[str] = Counter(state.get("counts"))
        self.first_mismatch: str | None = state.get("first_mismatch")
        self.first_unsorted: str | None = state.get("first_unsorted")
        self.contigs: dict[str, None] = dict.fromkeys(state.get("contigs", ()))
        self._last: tuple[str, int] = tuple(state.get("last", ("", 0)))
        self._audit = ReferenceAudit(reader, reference)
        self._blocks = iter(blocks)

    def state(self) -> dict[str, Any]:
        """Return everything known so far as plain data, to resume from."""
        return {
            "counts": dict(self.counts),
            "first_mismatch": self.first_mismatch,
            "first_unsorted": self.first_unsorted,
            "contigs": list(self.contigs),
            "last": list(self._last),
        }

    def __iter__(self) -> Iterator[list[Checked]]:
        return self

    def __next__(self) -> list[Checked]:
        records = next(self._blocks)
        self._check_order(records)
        if not self._knows_contigs:
            names = [*self.reader.header.contigs, *self.contigs]
            check_contigs(names, self.reference, self.reader)
            self._knows_contigs = True
        block = check_records(records, self.reference)
        self._audit.look_at(block)
        self._count(block)
        return block

    def _check_order(self, records: Sequence[Record]) -> None:
        contig, last = self._last
        for record in records:
            _, pos, fields = record
            chrom = fields[0]
            if chrom == contig and pos >= last:  # nearly always
                last = pos
                continue
            goes_back = chrom == contig or chrom in self.contigs
            if goes_back and self.first_unsorted is None:
                self.first_unsorted = self.reader.where(record)
                log.warning(
                    "%s: not sorted; the order is kept, but tabix cannot index it",
                    self.first_unsorted,
                )
            self.contigs[chrom] = None
            contig, last = chrom, pos
        self._last = contig, last

    def _count(self, block: Sequence[Checked]) -> None:
        reasons = Counter([reason for checked in block for reason in checked.reasons])
        scored = reasons.pop(None, 0)
        self.counts["records"] += len(block)
        self.counts["alleles"] += scored + reasons.total()
        self.counts["scored"] += scored
        self.counts.update({reason: n for reason, n in reasons.items() if reason is not None})
        mismatches = [checked for checked in block if checked.site == REF_MISMATCH]
        self.counts["ref_mismatch_records"] += len(mismatches)
        if not mismatches:
            return
        where = self.reader.where(mismatches[0].record)
        self.first_mismatch = self.first_mismatch or where
        if self.check_ref == "e":
            raise CheckError(
                "REF differs from the FASTA",
                where=where,
                **_bases(mismatches[0], self.reference),
                hint="--check-ref w scores the other records, x leaves such records out",
            )


def blocks(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    """Cut records into blocks of `size`, or fewer where records are long."""
    block: list[Record] = []
    characters = 0
    for record in records:
        block.append(record)
        characters += sum(map(len, record.fields[_INFO:]))
        if len(block) == size or characters >= BLOCK_CHARACTERS:
            yield block
            block, characters = [], 0
    if block:
        yield block


@dataclass
class ReferenceAudit:
    """Judge from the first records whether the VCF belongs to the FASTA at all."""

    reader: Source
    reference: Reference
    compared: int = 0
    swapped: int = 0
    differing: list[Checked] = field(default_factory=list)

    def look_at(self, block: Sequence[Checked]) -> None:
        """Take in a block and judge by all records seen so far.

        Raises
        ------
        CheckError
            If more than 20 % of at least 20 REFs differ.
        """
        before = self.compared
        for checked in block:
            if self.compared == AUDIT_RECORDS:
                break
            comparable = checked.site not in (CONTIG_ABSENT, NOT_PREPARED)
            if not (comparable and _BASES.fullmatch(checked.record.ref)):
                continue
            self.compared += 1
            if checked.site in (REF_MISMATCH, OFF_CONTIG):
                self.differing.append(checked)
                self.swapped += _alt_is_reference(checked, self.reference)
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
            where=self.reader.where(first.record),
            **_bases(first, self.reference),
            hint=f"run: bcftools norm --check-ref s --fasta-ref {self.reference.path}"
            if swapped
            else "give the FASTA that the variants were called against",
        )


def check_contigs(names: Iterable[str], reference: Reference, reader: Source) -> None:
    """Refuse a VCF that has no contig in common with the FASTA.

    Raises
    ------
    DataError
        With the names of both.
    """
    names = list(dict.fromkeys(names))
    if any(reference.names.find(name) for name in names):
        return
    raise DataError(
        f"has no contig in common with {reference.path}",
        where=reader.name,
        expected=_some(reference.names),
        found=_some(names),
        hint="give the FASTA that the variants were called against",
    )


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _alt_is_reference(checked: Checked, reference: Reference) -> bool:
    start = checked.record.pos - 1
    return any(
        _BASES.fullmatch(alt)
        and np.array_equal(reference.fetch(checked.contig, start, start + len(alt)), encode(alt))
        for alt in checked.record.alts
    )


def _bases(checked: Checked, reference: Reference) -> dict[str, str]:
    """Return the bases of the FASTA and of the record at the site, for a message."""
    record = checked.record
    shown = record.ref[:20]
    start = record.pos - 1
    expected = decode(reference.fetch(checked.contig, start, start + len(shown)))
    if checked.site == OFF_CONTIG:
        expected = f"POS up to {reference.lengths[checked.contig]:,}"
    return {"expected": expected, "found": f"{shown} at {record.chrom}:{record.pos}"}
