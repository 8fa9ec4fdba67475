"""Reading of genotypes from a VCF: one sequence per person, one column per variant site.

Letters in shapes: n people, S sites, L columns.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.genome.alphabet import UNKNOWN_BASE
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.iupac import ANY, LETTERS, decode, from_bases
from genomix_cli.genome.vcf.reader import Record, VcfReader
from genomix_cli.genome.vcf.regions import Regions
from genomix_cli.progress import track
from genomix_cli.sequences.prepare.columns import Sites, columns_of
from genomix_cli.sequences.prepare.genotypes import has_genotypes, parse
from genomix_cli.sequences.prepare.like import Like
from genomix_cli.sequences.prepare.parsed_input import Codes, LeftOut, Parsed, first_twice
from genomix_cli.sequences.prepare.spool import ColumnSpool

if TYPE_CHECKING:
    from genomix_cli.sequences.requests.prepare import PrepareRequest

GENOTYPES, HAPLOTYPES = "genotypes", "haplotypes"
_SET = {letter: LETTERS.index(letter) for letter in "ACGT"}
_CONTIG_LENGTH = re.compile(r"##contig=<(?:[^\"]*,)?ID=([^,>]+).*?[,<]length=(\d+)")
_FIRST_SAMPLE = 9


def read_vcf(paths: Sequence[str | Path], request: PrepareRequest, folder: Path) -> Parsed:
    """Read the SNVs of one or more VCFs of the same people.

    Raises
    ------
    DataError
        If a file is damaged or unsorted, has no samples or other samples than the first file, a
        genotype is invalid, REF differs from the reference, phased and unphased genotypes are
        mixed, or no site is left.
    """
    with ExitStack() as stack:
        regions = _asked_regions(request)
        readers = [stack.enter_context(VcfReader(path, regions)) for path in paths]
        fasta = stack.enter_context(Fasta(request.fasta)) if request.fasta else None
        people = _people(readers)
        like = None if request.like is None else Like(request.like)
        sink = _Sink(people, request, fasta, like, folder)
        for reader in readers:
            sink.sites.lengths |= _lengths(reader)
            for record in track(reader, f"reading {reader.path.name}", unit="records"):
                sink.add(record, reader)
        if not len(sink.spool):
            reasons = str(sink.left_out) or "no records"
            raise DataError("has no site to use", where=readers[0].name, found=reasons)
        return sink.found(readers[0].name)


def _asked_regions(request: PrepareRequest) -> Regions | None:
    if request.regions_file is not None:
        return Regions.read(request.regions_file)
    return None if request.regions is None else Regions.parse(request.regions)


def _people(readers: Sequence[VcfReader]) -> list[str]:
    first, *others = (reader.header.columns.split("\t")[_FIRST_SAMPLE:] for reader in readers)
    name = readers[0].name
    if not first:
        raise DataError("has no samples", where=name, expected="genotypes of people")
    twice = first_twice(first)
    if twice is not None:
        raise DataError(f"the sample {twice!r} is repeated", where=name)
    for reader, people in zip(readers[1:], others, strict=True):
        if people != first:
            raise DataError(
                "has other samples, or the same in another order",
                where=reader.name,
                expected=f"the {len(first):,} of {name}",
                found=f"{len(people):,}",
                hint="reorder them: bcftools view -S",
            )
    return first


def _lengths(reader: VcfReader) -> dict[str, int]:
    """Return the lengths of contigs in the header, 0 if not given."""
    matches = (_CONTIG_LENGTH.match(line) for line in reader.header.meta)
    known = {match[1]: int(match[2]) for match in matches if match}
    return {contig: known.get(contig, 0) for contig in reader.header.contigs}


class _Sink:
    """Collector of records that become columns.

    Parameters
    ----------
    people : list of str
    request : PrepareRequest
    fasta : Fasta, optional
    like : Like, optional
        File whose columns the output takes over.
    folder : Path
        Folder of the spool.
    """

    def __init__(
        self,
        people: list[str],
        request: PrepareRequest,
        fasta: Fasta | None,
        like: Like | None,
        folder: Path,
    ) -> None:
        self.people, self.request = people, request
        self.fasta, self.like = fasta, like
        self.spool = ColumnSpool(folder, len(people))
        self.sites = Sites()
        self.left_out = LeftOut()
        # Numbers of phased diploid genotypes, and of unphased heterozygous ones.
        self.phased = self.unphased = 0
        # With `like`: column of each spooled site.
        self.places = array("q")
        self._seen: set[str] = set()
        self._contig, self._pos = "", -1
        # With `like`: columns already used at the current position.
        self._taken: set[int] = set()

    def add(self, record: Record, reader: VcfReader) -> None:
        """Add a record; if it is not used, count the reason."""
        self._check_order(record, reader)
        if reason := self._use(record, reader):
            site = f"{record.chrom}:{record.pos} {record.ref}>{record.fields[4]}"
            self.left_out.add(reason, site)

    def _use(self, record: Record, reader: VcfReader) -> str:
        """Use a record and return nothing, or return the reason why it is not used."""
        sets = alleles(record.ref, record.fields[4])
        if isinstance(sets, str):
            return sets
        if len(record.fields) < _FIRST_SAMPLE or not has_genotypes(record.fields[8]):
            return "records have no genotypes (GT)"
        self._check_reference(record, sets[0], reader)
        column = None if self.like is None else self.like.find(record, sets, reader, self._taken)
        if self.like is not None and column is None:
            return f"sites or alternatives are not in {self.like.name}"
        genotypes = parse(record.fields[8], len(self.people), sets, _Where(reader, record))
        limits = self.request
        if limits.max_missing < 1 and genotypes.missing > limits.max_missing:
            return "sites have too many missing genotypes (--max-missing)"
        if limits.min_maf > 0 and genotypes.rare < limits.min_maf:
            return "sites are too rare (--min-maf)"
        self.phased += genotypes.phased
        self.unphased += genotypes.unphased
        self.spool.add(genotypes.packed)
        if column is None:
            alternatives = int(np.bitwise_or.reduce(sets[1:]))
            self.sites.add(record.chrom, record.pos - 1, sets[0], alternatives)
        else:
            self.places.append(column)
            self._taken.add(column)
        return ""

    def _check_order(self, record: Record, reader: VcfReader) -> None:
        if record.chrom != self._contig:
            if record.chrom in self._seen:
                raise DataError(
                    f"the contig {record.chrom} is not contiguous",
                    where=reader.where(record),
                    hint="sort it: bcftools sort",
                )
            self._seen.add(record.chrom)
            self._contig, self._pos = record.chrom, -1
        elif record.pos < self._pos:
            raise DataError(
                "positions are not sorted",
                where=reader.where(record),
                expected=f"{self._pos:,} or more",
                found=f"{record.pos:,}",
                hint="sort it: bcftools sort",
            )
        if record.pos != self._pos:
            self._pos = record.pos
            self._taken.clear()

    def _check_reference(self, record: Record, ref: int, reader: VcfReader) -> None:
        if record.pos < 1:
            raise DataError("a SNV before the first base", where=reader.where(record))
        if self.fasta is None:
            return
        base = self.fasta.fetch(record.chrom, record.pos - 1, record.pos)
        if base[0] != UNKNOWN_BASE and from_bases(base)[0] != ref:
            raise DataError(
                "REF differs from the reference",
                where=reader.where(record),
                expected=f"{decode(from_bases(base))} as {self.fasta.path}",
                found=record.ref,
                hint="use the FASTA of the VCF's assembly",
            )

    def found(self, name: str) -> Parsed:
        """Return the result, after the last record."""
        rows = self._rows(name)
        facts = {"sites": len(self.spool)}
        if self.like is None:
            contigs, columns = columns_of(self.sites, self.fasta, self.request.flank)
            places = np.flatnonzero(columns.site >= 0).astype(np.int64)
        else:
            contigs, columns = self.like.contigs, self.like.columns
            places = np.asarray(self.places, np.int64)
            facts["sites not in the VCF"] = self.like.n_sites - len(places)
        people, names, warnings = self.people, self.people, list[str]()
        if rows == HAPLOTYPES:
            if self.request.haplotypes == "auto":
                counts = f"{len(people):,} people become {2 * len(people):,} rows"
                warnings.append(
                    f"genotypes are phased: {counts}, NAME/1 and NAME/2, always in one part; for "
                    "one row a person: --haplotypes no"
                )
            people = [person for person in people for _ in "12"]
            names = [f"{person}/{i}" for person in self.people for i in "12"]
        # Sites without genotypes are unknown; the bases beside sites are the reference.
        template = np.where(columns.site >= 0, ANY, columns.ref).astype(np.uint8)
        return Parsed(
            rows=rows,
            names=names,
            units=people,
            length=len(template),
            blocks=lambda: _unpacked(self.spool, template, places, rows),
            contigs=contigs,
            columns=columns,
            left_out=self.left_out,
            facts=facts,
            warnings=warnings,
        )

    def _rows(self, name: str) -> str:
        """Return the kind of the rows of the named VCF: genotypes or haplotypes."""
        asked, like = self.request.haplotypes, self.like
        if asked != "auto":
            return HAPLOTYPES if asked == "yes" else GENOTYPES
        counts = f"{self.phased:,} phased, {self.unphased:,} heterozygous and not"
        if like is not None and like.rows in (GENOTYPES, HAPLOTYPES):
            if like.rows == HAPLOTYPES and self.unphased:
                raise DataError(
                    f"is not phased, but {like.name} has haplotypes",
                    where=name,
                    found=counts,
                    hint="phase it, or use it as it is: --haplotypes yes",
                )
            return like.rows
        if self.phased and self.unphased:
            raise DataError(
                "some genotypes are phased and some are not",
                where=name,
                found=counts,
                hint="choose --haplotypes no (one sequence per person, with IUPAC "
                "letters) or yes (two)",
            )
        return HAPLOTYPES if self.phased else GENOTYPES


class _Where:
    """A position that is formatted only when a message needs it."""

    def __init__(self, reader: VcfReader, record: Record) -> None:
        self._reader, self._record = reader, record

    def __str__(self) -> str:
        record = self._record
        return f"{self._reader.where(record)} ({record.chrom}:{record.pos})"


def alleles(ref: str, alt: str) -> list[int] | str:
    """Return the sets of REF and each ALT of a SNV; or why the record is not a SNV."""
    ref, alt = ref.upper(), alt.upper()
    if len(ref) == len(alt) == 1 and ref in _SET and alt in _SET:
        return [_SET[ref], _SET[alt]]
    alts = alt.split(",")
    if "*" in alts:
        return "records have an allele * (deleted)"
    if any(a[:1] == "<" or "[" in a or "]" in a for a in alts):
        return "records have a symbolic allele"
    if alts == ["."]:
        return "records have no ALT"
    if any(len(a) != len(ref) for a in alts):
        return "records are indels"
    if len(ref) > 1:
        return "records are of several bases"
    if any(a not in _SET for a in (ref, *alts)):
        return "records have an allele that is no base"
    return [_SET[a] for a in (ref, *alts)]


def _unpacked(
    spool: ColumnSpool, template: Codes, places: NDArray[np.int64], rows: str
) -> Iterator[Codes]:
    """Yield rows ``[m, L]`` of packed genotypes ``[m, S]`` and the column of each site."""
    whole = len(places) == len(template) and (np.diff(places) == 1).all()
    for packed in spool.blocks():
        first: Codes = packed & 15  # type: ignore[assignment]
        second: Codes = packed >> 4  # type: ignore[assignment]
        if rows == GENOTYPES:
            sites = first | second
        else:
            sites = np.stack([first, second], 1).reshape(-1, packed.shape[1])
        if whole:
            yield sites
            continue
        codes = np.tile(template, (len(sites), 1))
        codes[:, places] = sites
        yield codes
