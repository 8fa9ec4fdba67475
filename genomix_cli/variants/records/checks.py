"""Check the records of a VCF against the reference, block by block, before any model runs."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, pairwise, repeat
from typing import Any, Literal, NamedTuple, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import CheckError, DataError
from genomix_cli.genome.alphabet import BASES, decode, encode
from genomix_cli.genome.vcf.lines import ALT as _ALT
from genomix_cli.genome.vcf.lines import INFO as _INFO
from genomix_cli.genome.vcf.lines import REF as _REF
from genomix_cli.genome.vcf.lines import Lines, Run
from genomix_cli.genome.vcf.reader import Record
from genomix_cli.variants.records.alleles import (
    CONTIG_ABSENT,
    MISSING_ALT,
    NOT_PREPARED,
    OFF_CONTIG,
    REF_MISMATCH,
    STAR,
    SYMBOLIC,
    Stretch,
    classify_allele,
)
from genomix_cli.variants.records.every_snv import Records
from genomix_cli.variants.records.inputs import MAX_SHIFT, Allele, place_allele
from genomix_cli.variants.records.reference import Reference

log = logging.getLogger("genomix")

CheckRef = Literal["w", "e", "x"]

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
# Records may carry thousands of genotypes, so a block is also limited by its length.
BLOCK_CHARACTERS = 1 << 26
# Records within the same interval of this many bases share one read of the reference.
NEIGHBOURHOOD = 65_536
_CODES = {letter: encode(letter) for letter in "ACGTacgt"}
_CODE_OF = {ord(letter): codes for letter, codes in _CODES.items()}
_NO_ALLELE = (None,)
#: Reason why the only ALT of a record is not scored, indexed by the kind of the record.
REASON_OF = (None, MISSING_ALT, STAR, SYMBOLIC)
SUBSTITUTION, OTHER = 0, 255
# Kind of a record by the byte of its single-letter ALT.
_OF_LETTER = np.full(256, OTHER, np.uint8)
_OF_LETTER[[ord(base) for base in BASES]] = SUBSTITUTION
_OF_LETTER[[ord("."), ord("*")]] = REASON_OF.index(MISSING_ALT), REASON_OF.index(STAR)
_IS_BASE = _OF_LETTER == SUBSTITUTION
_BASES = re.compile(r"[ACGTacgt]+")


class Source(Protocol):
    """Source of records, with the names for messages."""

    name: str

    def where(self, record: Record, /) -> str:
        """Return the place of a record."""


class Checked(NamedTuple):
    """Record with its scorable alleles.

    Attributes
    ----------
    record : Record
    contig : str
        Name in the FASTA; empty if the FASTA lacks it.
    alleles : tuple of Allele or None
        One per ALT, trimmed; None if the ALT cannot be scored.
    reasons : tuple of str or None
        One per ALT: the reason why it cannot be scored.
    site : str or None
        Problem with POS or REF: a key of `genomix_cli.variants.records.alleles.REASONS`.
    """

    record: Record
    contig: str
    alleles: tuple[Allele | None, ...]
    reasons: tuple[str | None, ...]
    site: str | None


class CheckedLines(Sequence[Checked]):
    """Sequence of the checked records of some lines, created on access.

    Nearly all records have one ALT and a single-base REF that matches the reference. For these,
    only one number is stored.

    Attributes
    ----------
    lines : Lines
    contigs : list of (Run, str)
        Runs of lines, and the name of their contig in the reference; empty if it is missing.
    kinds : NDArray
        uint8 ``[n]``: `SUBSTITUTION`, or the index in `REASON_OF` of the reason why the only ALT is
        not scored, or `OTHER`.
    others : dict of int to Checked
        Records of kind `OTHER` by line index, in order.
    """

    def __init__(
        self,
        lines: Lines,
        contigs: list[tuple[Run, str]],
        kinds: NDArray[np.uint8],
        others: dict[int, Checked],
    ) -> None:
        self.lines, self.contigs, self.kinds, self.others = lines, contigs, kinds, others

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, at: int) -> Checked: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Checked]: ...

    def __getitem__(self, at: int | slice) -> Checked | Sequence[Checked]:
        if isinstance(at, slice):
            return [self[i] for i in range(len(self))[at]]
        at = range(len(self))[at]
        contig = next(name for run, name in self.contigs if at < run.stop)
        return self._made(at, self.lines[at], int(self.kinds[at]), contig)

    def __iter__(self) -> Iterator[Checked]:
        contigs = chain.from_iterable(
            repeat(name, run.stop - run.start) for run, name in self.contigs
        )
        yield from map(self._made, count(), self.lines, self.kinds.tolist(), contigs)

    def _made(self, at: int, record: Record, kind: int, contig: str) -> Checked:
        if kind == OTHER:
            return self.others[at]
        if kind != SUBSTITUTION:
            return Checked(record, contig, _NO_ALLELE, (REASON_OF[kind],), None)
        allele = Allele(record.pos - 1, _CODES[record.fields[_REF]], _CODES[record.fields[_ALT]])
        return Checked(record, contig, (allele,), (None,), None)

    def placed(self) -> Iterator[tuple[str, Allele, int]]:
        """Yield contig, allele and POS of each scorable allele, in order."""
        rows = np.flatnonzero((self.kinds == SUBSTITUTION) | (self.kinds == OTHER))
        lines, new = self.lines, tuple.__new__
        pos, kinds = lines.pos[rows].tolist(), self.kinds[rows].tolist()
        ref, alt = (
            lines.letters[lines.column(number)[0][rows]].tolist() for number in (_REF, _ALT)
        )
        for run, contig in self.contigs:
            first, last = np.searchsorted(rows, (run.start, run.stop)).tolist()
            for i in range(first, last):
                if kinds[i] == SUBSTITUTION:
                    codes = pos[i] - 1, _CODE_OF[ref[i]], _CODE_OF[alt[i]]
                    yield contig, new(Allele, codes), pos[i]
                    continue
                for allele in self.others[int(rows[i])].alleles:
                    if allele is not None:
                        yield contig, allele, pos[i]


def check_records(records: Sequence[Record], reference: Reference) -> CheckedLines:
    """Classify every ALT of the records and left-align those that can be scored.

    Neighbouring records share one read of the reference, so sorted records are fastest.
    """
    return check_lines(records if isinstance(records, Lines) else Lines.of(records), reference)


def check_lines(lines: Lines, reference: Reference) -> CheckedLines:
    """Classify and left-align the ALTs of unparsed lines, as `check_records` does for records."""
    kinds = np.full(len(lines), OTHER, np.uint8)
    contigs: list[tuple[Run, str]] = []
    others: dict[int, Checked] = {}
    for run in lines.runs:
        contig = reference.names.find(run.contig)
        contigs.append((run, contig or ""))
        if contig is None:
            others |= {i: _off_reference(lines[i]) for i in range(run.start, run.stop)}
            continue
        places = lines.pos[run.start : run.stop] // NEIGHBOURHOOD
        cuts = (np.flatnonzero(np.diff(places)) + 1 + run.start).tolist()
        for start, stop in pairwise([run.start, *cuts, run.stop]):
            near = lines[start:stop]
            # Left-aligning an indel needs the bases that it may shift across.
            first = int(near.pos.min()) - 1 - MAX_SHIFT
            begins, ends = near.column(_REF)
            last = int((near.pos - 1 + ends - begins).max())
            stretch = Stretch.of(reference, contig, first, last)
            kinds[start:stop] = found = _kinds(near, stretch)
            for i in np.flatnonzero(found == OTHER).tolist():
                others[start + i] = _checked(near[i], contig, stretch)
    return CheckedLines(lines, contigs, kinds, others)


def _kinds(lines: Lines, stretch: Stretch) -> NDArray[np.uint8]:
    """Return the kind of each line, uint8 ``[n]``; `OTHER` for lines that need a full check."""
    kinds = np.full(len(lines), OTHER, np.uint8)
    ref, ref_end = lines.column(_REF)
    alt, alt_end = lines.column(_ALT)
    at = lines.pos - 1 - stretch.first
    expected = np.frombuffer(stretch.letters.encode("ascii", "replace"), np.uint8)
    bases = lines.letters[ref]
    plain = (ref_end - ref == 1) & _IS_BASE[bases] & (at >= 0) & (at < len(expected))
    plain[plain] = expected[at[plain]] == bases[plain]
    first = lines.letters[alt]
    single = plain & (alt_end - alt == 1)
    kinds[single] = _OF_LETTER[first[single]]
    kinds[single & (first == bases)] = OTHER
    symbolic = np.flatnonzero(plain & (alt_end - alt > 1) & (first == ord("<")))
    commas = np.flatnonzero(lines.letters == ord(",")) if len(symbolic) else symbolic
    before, up_to = (np.searchsorted(commas, at[symbolic]) for at in (alt, alt_end))
    kinds[symbolic[before == up_to]] = REASON_OF.index(SYMBOLIC)
    return kinds


def _checked(record: Record, contig: str, stretch: Stretch) -> Checked:
    """Check a record of any kind."""
    ref, alts, at = record.ref, record.alts, record.pos - 1 - stretch.first
    is_as_said = at >= 0 and stretch.letters.startswith(ref, at)
    site = None if is_as_said else stretch.site(record.pos - 1, ref)
    reasons = tuple([classify_allele(ref, alt) or site for alt in alts])
    alleles = tuple(
        [
            None if reason else _placed(record.pos - 1, ref, alt, stretch)
            for alt, reason in zip(alts, reasons, strict=True)
        ]
    )
    return Checked(record, contig, alleles, reasons, site)


def _off_reference(record: Record) -> Checked:
    """Return the result for a record whose contig the reference lacks."""
    reasons = tuple([classify_allele(record.ref, alt) or CONTIG_ABSENT for alt in record.alts])
    return Checked(record, "", (None,) * len(reasons), reasons, CONTIG_ABSENT)


def _placed(pos: int, ref: str, alt: str, stretch: Stretch) -> Allele:
    if len(ref) == 1 == len(alt):  # substitutions need no trimming and share code arrays
        return Allele(pos, _CODES[ref], _CODES[alt])
    return place_allele(pos, ref, alt, stretch.letters, stretch.first)


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


def blocks(pieces: Iterable[Lines], size: int) -> Iterator[Lines]:
    """Cut lines into blocks of `size` lines, or fewer if lines are long."""
    block: list[Lines] = []
    count = characters = 0
    for lines in pieces:
        start = 0
        # Cumulative length of INFO and later columns after each line.
        total = np.append(0, np.cumsum(lines.stops - lines.column(_INFO)[0]))
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
        expected=_some(reference.names),
        found=_some(names),
        hint=hint,
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
    """Return the bases of the FASTA and of the record at a site, for messages."""
    record = checked.record
    shown = record.ref[:20]
    start = record.pos - 1
    expected = decode(reference.fetch(checked.contig, start, start + len(shown)))
    if checked.site == OFF_CONTIG:
        expected = f"POS up to {reference.lengths[checked.contig]:,}"
    return {"expected": expected, "found": f"{shown} at {record.chrom}:{record.pos}"}
