"""Audit of a whole VCF: its order, its counts, and whether it belongs to the reference."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from genomix_cli.errors import CheckError, DataError, first_few
from genomix_cli.genome.alphabet import decode, encode
from genomix_cli.genome.vcf.lines import Lines
from genomix_cli.genome.vcf.reader import Record
from genomix_cli.variants.records.alleles import (
    CONTIG_ABSENT,
    NOT_PREPARED,
    OFF_CONTIG,
    REF_MISMATCH,
)
from genomix_cli.variants.records.checks import OTHER, REASON_OF, Checked, CheckedLines, check_lines
from genomix_cli.variants.records.every_snv import Records
from genomix_cli.variants.records.reference import Reference
from genomix_cli.variants.requests.score import CheckRef

log = logging.getLogger("genomix")
#: Number of records in the REF audit, and the smallest number for a verdict.
AUDIT_RECORDS = 10_000
AUDIT_LEAST = 20
# Fraction of differing REFs that indicates another assembly; errors within one are far rarer.
AUDIT_SHARE = 0.2
# Hint for scored variants; looked-up variants have another one.
CALLED_AGAINST = "give the FASTA that the variants were called against"
# Fraction of differing records whose ALT is the FASTA base that indicates swapped REF and ALT; by
# chance it is one in three.
SWAPPED_SHARE = 0.8
_BASES = re.compile(r"[ACGTacgt]+")


class Source(Protocol):
    """Source of records, with the names for messages."""

    name: str

    def where(self, record: Record, /) -> str:
        """Return the place of a record."""


class CheckedVariants:
    """Iterator over blocks of checked records, in the order of the file.

    Parameters
    ----------
    reader : VcfReader or EverySnv
    reference : Reference
    blocks : iterable of Lines
        Lines of `reader` in blocks; see :func:`blocks`.
    check_ref : {"w", "e", "x"}
        Treatment of a REF that differs from the reference: count it (``w``), raise an error
        (``e``), or let the caller exclude it (``x``).
    knows_contigs : bool
        True if VCF and reference are known to share contigs.
    state : mapping, optional
        Result of :meth:`state` from an earlier part of the same file.

    Attributes
    ----------
    counts : Counter
        ``records``, ``alleles``, ``scored``, ``ref_mismatch_records``, and alleles by reason.
    first_mismatch : str or None
        Position of the first record whose REF differs.
    contigs : dict of str to None
        Contig names of the VCF in order of appearance.
    first_unsorted : str or None
        Position of the first unsorted record.

    Raises
    ------
    CheckError
        While iterating: if more than 20 % of the REFs differ, or any if `check_ref` is ``"e"``.
    DataError
        While iterating: if VCF and reference have no contig in common.
    """

    def __init__(
        self,
        reader: Records,
        reference: Reference,
        blocks: Iterable[Lines],
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
        """Return the current state as plain data, from which a run can resume."""
        return {
            "counts": dict(self.counts),
            "first_mismatch": self.first_mismatch,
            "first_unsorted": self.first_unsorted,
            "contigs": list(self.contigs),
            "last": list(self._last),
        }

    def __iter__(self) -> Iterator[CheckedLines]:
        return self

    def __next__(self) -> CheckedLines:
        lines = next(self._blocks, None)
        if lines is None:
            self._audit.doubt()
            raise StopIteration
        self._check_order(lines)
        if not self._knows_contigs:
            names = [*self.reader.header.contigs, *self.contigs]
            check_contigs(names, self.reference, self.reader)
            self._knows_contigs = True
        block = check_lines(lines, self.reference)
        self._audit.look_at(block)
        self._count(block)
        return block

    def _check_order(self, lines: Lines) -> None:
        contig, last = self._last
        for start, stop, name in lines.runs:
            pos = lines.pos[start:stop]
            goes_back = np.diff(pos, prepend=last if name == contig else pos[0]) < 0
            goes_back[0] |= name != contig and name in self.contigs
            if self.first_unsorted is None and goes_back.any():
                self.first_unsorted = self.reader.where(lines[start + int(goes_back.argmax())])
                log.warning(
                    "%s: not sorted; the order is kept, but tabix cannot index such a file",
                    self.first_unsorted,
                )
            self.contigs[name] = None
            contig, last = name, int(pos[-1])
        self._last = contig, last

    def _count(self, block: CheckedLines) -> None:
        of_kind = np.bincount(block.kinds, minlength=len(REASON_OF)).tolist()
        reasons = Counter(dict(zip(REASON_OF, of_kind, strict=False)))
        reasons.update(reason for checked in block.others.values() for reason in checked.reasons)
        scored = reasons.pop(None, 0)
        self.counts["records"] += len(block)
        self.counts["alleles"] += scored + reasons.total()
        self.counts["scored"] += scored
        self.counts.update({reason: n for reason, n in reasons.items() if reason and n})
        mismatches = [c for c in block.others.values() if c.site == REF_MISMATCH]
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
                hint="--check-ref w warns and scores the other records, x excludes such records",
            )


@dataclass
class ReferenceAudit:
    """Audit of the first records that decides whether the VCF belongs to the FASTA."""

    reader: Source
    reference: Reference
    hint: str = CALLED_AGAINST
    compared: int = 0
    swapped: int = 0
    differing: list[Checked] = field(default_factory=list)

    def look_at(self, block: CheckedLines) -> None:
        """Add a block and judge by all records seen so far.

        Raises
        ------
        CheckError
            If more than 20 % of at least 20 REFs differ.
        """
        if self.compared == AUDIT_RECORDS:
            return
        comparable = block.kinds != OTHER
        for i, checked in block.others.items():
            known = checked.site not in (CONTIG_ABSENT, NOT_PREPARED)
            comparable[i] = known and _BASES.fullmatch(checked.record.ref) is not None
        rows = np.flatnonzero(comparable)[: AUDIT_RECORDS - self.compared].tolist()
        self.compared += len(rows)
        for i in rows:
            other = block.others.get(i)
            if other is not None and other.site in (REF_MISMATCH, OFF_CONTIG):
                self.differing.append(other)
                self.swapped += _alt_is_reference(other, self.reference)
        if rows:
            self._judge()

    def _judge(self) -> None:
        count = len(self.differing)
        if self.compared < AUDIT_LEAST or count <= AUDIT_SHARE * self.compared:
            return
        first, (verdict, hint) = self.differing[0], self._verdict()
        raise CheckError(
            f"REF differs from the FASTA in {count:,} of {self.compared:,} records: {verdict}",
            where=self.reader.where(first.record),
            **_bases(first, self.reference),
            hint=hint,
        )

    def doubt(self) -> None:
        """Warn of a file of too few records for a verdict if most of their REFs differ."""
        count = len(self.differing)
        if self.compared < AUDIT_LEAST and count > self.compared / 2:
            log.warning(
                "%s: REF differs from the FASTA in %s of %s records: %s; %s",
                self.reader.name,
                count,
                self.compared,
                *self._verdict(),
            )

    def _verdict(self) -> tuple[str, str]:
        """Return what the differing REFs look like, and what to do."""
        if self.swapped >= SWAPPED_SHARE * len(self.differing):
            norm = f"run: bcftools norm --check-ref s --fasta-ref {self.reference.path}"
            return "REF and ALT look swapped", norm
        return "this looks like another assembly", self.hint


def check_contigs(
    names: Iterable[str], reference: Reference, reader: Source, hint: str = CALLED_AGAINST
) -> None:
    """Refuse a VCF that has no contig in common with the FASTA; `hint` suggests a remedy.

    Raises
    ------
    DataError
        If no contig is shared; the message names contigs of both.
    """
    names = list(dict.fromkeys(names))
    if any(reference.names.find(name) for name in names):
        return
    raise DataError(
        f"has no contig in common with {reference.path}",
        where=reader.name,
        expected=first_few(reference.names),
        found=first_few(names),
        hint=hint,
    )


def _alt_is_reference(checked: Checked, reference: Reference) -> bool:
    start = checked.record.pos - 1
    return any(
        _BASES.fullmatch(alt)
        and np.array_equal(reference.fetch(checked.contig, start, start + len(alt)), encode(alt))
        for alt in checked.record.alts
    )


def _bases(checked: Checked, reference: Reference) -> dict[str, str]:
    """Return the bases of the FASTA and of the record at a site, for messages."""
    record = checked.record
    shown = record.ref[:20]
    start = record.pos - 1
    expected = decode(reference.fetch(checked.contig, start, start + len(shown)))
    if checked.site == OFF_CONTIG:
        expected = f"POS up to {reference.lengths[checked.contig]:,}"
    return {"expected": expected, "found": f"{shown} at {record.chrom}:{record.pos}"}
