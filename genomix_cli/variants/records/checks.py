"""Checks of the records of a VCF against the reference, before any model runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, count, pairwise, repeat
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from genomix_cli.genome.alphabet import BASES, encode
from genomix_cli.genome.vcf.lines import ALT, REF, Lines, Run
from genomix_cli.genome.vcf.reader import Record
from genomix_cli.variants.records.alleles import (
    CONTIG_ABSENT,
    MISSING_ALT,
    STAR,
    SYMBOLIC,
    Stretch,
    classify_allele,
)
from genomix_cli.variants.records.inputs import MAX_SHIFT, Allele, place_allele
from genomix_cli.variants.records.reference import Reference

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
        allele = Allele(record.pos - 1, _CODES[record.fields[REF]], _CODES[record.fields[ALT]])
        return Checked(record, contig, (allele,), (None,), None)

    def placed(self) -> Iterator[tuple[str, Allele, int]]:
        """Yield contig, allele and POS of each scorable allele, in order."""
        rows = np.flatnonzero((self.kinds == SUBSTITUTION) | (self.kinds == OTHER))
        lines, new = self.lines, tuple.__new__
        pos, kinds = lines.pos[rows].tolist(), self.kinds[rows].tolist()
        ref, alt = (lines.letters[lines.column(number)[0][rows]].tolist() for number in (REF, ALT))
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
            begins, ends = near.column(REF)
            last = int((near.pos - 1 + ends - begins).max())
            stretch = Stretch.of(reference, contig, first, last)
            kinds[start:stop] = found = _kinds(near, stretch)
            for i in np.flatnonzero(found == OTHER).tolist():
                others[start + i] = _checked(near[i], contig, stretch)
    return CheckedLines(lines, contigs, kinds, others)


def _kinds(lines: Lines, stretch: Stretch) -> NDArray[np.uint8]:
    """Return the kind of each line, uint8 ``[n]``; `OTHER` for lines that need a full check."""
    kinds = np.full(len(lines), OTHER, np.uint8)
    ref, ref_end = lines.column(REF)
    alt, alt_end = lines.column(ALT)
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
