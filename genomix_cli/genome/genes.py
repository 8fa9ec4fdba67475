"""Genes of a GTF: transcription start sites and parts of transcripts.

Specification: https://mblab.wustl.edu/GTF22.html. GENCODE and Ensembl annotate UTRs differently, so
UTRs are derived: the exons of a coding transcript outside its CDS.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.genome.intervals import ContigNames, merge
from genomix_cli.genome.tables import open_text, short_lines

#: Bases upstream of a transcription start site that count as promoter.
PROMOTER = 1_000
#: Bases at either end of an intron that count as splice site.
SPLICE = 2
#: Parts of transcripts and their meaning; if several overlap, the first takes precedence.
PARTS = {
    "CDS": "coding sequence",
    "splice": f"first or last {SPLICE} bases of an intron",
    "5UTR": "5' untranslated region",
    "3UTR": "3' untranslated region",
    "exon": "exon of a transcript without coding sequence",
    "promoter": f"{PROMOTER:,} bases before a transcription start site",
    "intron": "intron",
}
INTERGENIC = "intergenic"

_FEATURES = {"exon", "CDS", "stop_codon"}
_TRANSCRIPT = re.compile(r'\btranscript_id "([^"]+)"')
_GENE = re.compile(r'\bgene_name "([^"]+)"'), re.compile(r'\bgene_id "([^"]+)"')
_STRANDS = {"+": 1, "-": -1}
# Offset larger than any contig, which separates the intervals of different groups in one array.
_APART = 1 << 40

Ints = NDArray[np.int64]


class Sites(NamedTuple):
    """Transcription start sites of a contig, sorted.

    Attributes
    ----------
    pos : sequence of int
        0-based.
    strand : sequence of int
        1 or -1.
    gene : sequence of int
        Index of the gene's name.
    """

    pos: Sequence[int]
    strand: Sequence[int]
    gene: Sequence[int]

    def nearest(self, pos: int) -> int:
        """Return the index of the site nearest to a position; ties go to the one before it."""
        after = bisect_left(self.pos, pos)
        if after == len(self.pos):
            return after - 1
        before = max(after - 1, 0)
        return after if self.pos[after] - pos < abs(pos - self.pos[before]) else before

    def within(self, start: int, end: int) -> range:
        """Return the indices of the sites in a 0-based, half-open interval."""
        return range(bisect_left(self.pos, start), bisect_left(self.pos, end))


class Stretches(NamedTuple):
    """Half-open intervals of a contig, sorted by start; those of different genes may overlap.

    Attributes
    ----------
    starts, ends : sequence of int
        0-based.
    reach : sequence of int
        Running maximum of the ends.
    gene : sequence of int
        Index of the gene's name.
    """

    starts: Sequence[int]
    ends: Sequence[int]
    reach: Sequence[int]
    gene: Sequence[int]

    def genes_at(self, start: int, end: int) -> list[int]:
        """Return the genes of the intervals that overlap ``start .. end``, sorted by start."""
        found = []
        i = bisect_left(self.starts, end) - 1
        while i >= 0 and self.reach[i] > start:
            if self.ends[i] > start:
                found.append(self.gene[i])
            i -= 1
        return found[::-1]


class Part(NamedTuple):
    """Part of a transcript, and the genes with this part at the position."""

    name: str
    genes: tuple[str, ...]


class Genes:
    """Transcription start sites and parts of transcripts; made by :func:`read_genes`.

    Attributes
    ----------
    names : list of str
        Gene names by index.
    contigs : ContigNames
    """

    def __init__(
        self,
        names: list[str],
        sites: Mapping[str, Sites],
        parts: Mapping[str, Mapping[str, Stretches]],
        path: Path,
    ) -> None:
        self.names = names
        self.contigs = ContigNames(sites, path)
        self._sites = sites
        self._parts = parts

    def sites(self, contig: str) -> Sites:
        """Return the transcription start sites of a contig, named as in the file."""
        return self._sites[contig]

    def part(self, contig: str, start: int, end: int) -> Part:
        """Return the first of `PARTS` that overlaps an interval (0-based, half-open)."""
        for name, stretches in self._parts[contig].items():
            genes = stretches.genes_at(start, end)
            if genes:
                return Part(name, tuple(dict.fromkeys(self.names[i] for i in genes)))
        return Part(INTERGENIC, ())


def read_genes(path: Path, lengths: Mapping[str, int] | None = None) -> Genes:
    """Read the exons and coding sequences of a GTF, plain or gzipped.

    Genes are named by ``gene_name``, or by ``gene_id`` without one.

    Parameters
    ----------
    path : Path
    lengths : mapping of str to int, optional
        Length of each contig of the reference, which no exon may exceed.

    Raises
    ------
    UsageError
        If the file does not exist.
    DataError
        If the file is not a GTF, has no exon, or belongs to another assembly than `lengths`.
    """
    table = _Table(path)
    with open_text(path) as handle:
        for number, line in enumerate(short_lines(handle, path), 1):
            if not line.startswith("#"):
                table.add(line, number)
    if lengths is not None:
        table.refuse_other(lengths)
    return table.genes()


class _Table:
    """Growing columns of exons and coding sequences, with transcripts by index."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._gene_names: dict[tuple[str, str], int] = {}
        self._transcripts: dict[tuple[str, str], int] = {}
        self._gene, self._strand = array("q"), array("q")  # of each transcript
        # Transcript, start and end of exons, and of coding sequence.
        self._exons = array("q"), array("q"), array("q")
        self._coding = array("q"), array("q"), array("q")

    def add(self, line: str, number: int) -> None:
        """Add a line that is not a comment."""
        fields = line.split("\t", 8)
        if len(fields) < 9:
            if line.strip():
                raise self._wrong("has too few columns", number, "9, separated by tabs", line)
            return
        contig, _, feature, start, end, _, strand, _, notes = fields
        if feature not in _FEATURES:
            return
        match = _TRANSCRIPT.search(notes)
        if match is None:
            raise self._wrong('has no transcript_id "..."', number, "a GTF", notes)
        index = self._transcripts.get((contig, match[1]))
        if index is None:
            index = self._new(contig, match[1], strand, notes, number)
        try:
            first, last = int(start) - 1, int(end)
        except ValueError as error:
            expected = "whole numbers"
            raise self._wrong("has no positions", number, expected, f"{start} {end}") from error
        if not 0 <= first < last < _APART:
            raise self._wrong(
                "ends before it starts", number, "1 <= start <= end", f"{start} {end}"
            )
        for column, value in zip(
            self._exons if feature == "exon" else self._coding, (index, first, last), strict=True
        ):
            column.append(value)

    def _new(self, contig: str, name: str, strand: str, notes: str, number: int) -> int:
        if strand not in _STRANDS:
            raise self._wrong("has no strand", number, "+ or -", strand)
        gene = next((m[1] for m in (pattern.search(notes) for pattern in _GENE) if m), None)
        if gene is None:
            raise self._wrong("has no gene_name and no gene_id", number, "a GTF", notes)
        self._gene.append(self._gene_names.setdefault((contig, gene), len(self._gene_names)))
        self._strand.append(_STRANDS[strand])
        return self._transcripts.setdefault((contig, name), len(self._transcripts))

    def _wrong(self, what: str, number: int, expected: str, found: str) -> DataError:
        hint = "convert GFF3 to it: gffread -T" if "ID=" in found else None
        where = f"{self.path}:{number}"
        return DataError(what, where=where, expected=expected, found=repr(found[:60]), hint=hint)

    def refuse_other(self, lengths: Mapping[str, int]) -> None:
        """Refuse exons beyond the end of a contig, and a GTF without any contig in common."""
        names = ContigNames(lengths, "")
        contigs = list(dict.fromkeys(contig for contig, _ in self._transcripts))
        known = {contig: names.find(contig) for contig in contigs}
        if contigs and not any(known.values()):
            raise DataError(
                "has no contig in common with the reference",
                where=self.path,
                expected=", ".join([*lengths][:5]),
                found=", ".join(contigs[:5]),
            )
        limit = [lengths.get(known[contig] or "", _APART) for contig, _ in self._transcripts]
        transcript, _, end = (np.asarray(column, np.int64) for column in self._exons)
        beyond = np.flatnonzero(end > np.array(limit, np.int64)[transcript])
        if len(beyond):
            contig, name = [*self._transcripts][transcript[beyond[0]]]
            raise DataError(
                f"{name} lies beyond the end of {contig}: this looks like another assembly",
                where=self.path,
                expected=f"at most {lengths[known[contig] or '']:,}",
                found=f"{end[beyond[0]]:,}",
            )

    def genes(self) -> Genes:
        """Return start sites and parts of all transcripts."""
        transcript, start, end = (np.asarray(column, np.int64) for column in self._exons)
        if not len(start):
            raise DataError("has no exon", where=self.path, expected="a GTF")
        order = np.lexsort((start, transcript))
        transcript, start, end = transcript[order], start[order], end[order]
        is_first = np.r_[True, transcript[1:] != transcript[:-1]]
        is_last = np.r_[is_first[1:], True]
        # Ignore a transcript with coding sequence but no exon.
        gene, strand = (np.asarray(c, np.int64) for c in (self._gene, self._strand))
        low, high = self._coding_bounds(len(gene))
        exons = _split_exons(start, end, low[transcript], high[transcript], strand[transcript] > 0)
        inner, outer = ~is_first, ~is_last
        span_of, span_start, span_end = transcript[is_first], start[is_first], end[is_last]
        forward = strand[span_of] > 0
        site = np.where(forward, span_start, span_end - 1)
        parts = {
            **{name: (transcript, *bounds) for name, bounds in exons.items()},
            "splice": (
                np.r_[transcript[inner], transcript[outer]],
                np.r_[start[inner] - SPLICE, end[outer]],
                np.r_[start[inner], end[outer] + SPLICE],
            ),
            "promoter": (
                span_of,
                np.where(forward, site - PROMOTER, site + 1),
                np.where(forward, site, site + 1 + PROMOTER),
            ),
            "intron": (span_of, span_start, span_end),
        }
        contigs = [contig for contig, _ in self._gene_names]
        names = [name for _, name in self._gene_names]
        by_part = {
            name: _by_contig(gene[parts[name][0]], *parts[name][1:], contigs) for name in PARTS
        }
        sites = _sites(gene[span_of], site, strand[span_of], contigs)
        by_contig = {
            contig: {part: found[contig] for part, found in by_part.items() if contig in found}
            for contig in sites
        }
        return Genes(names, sites, by_contig, self.path)

    def _coding_bounds(self, count: int) -> tuple[Ints, Ints]:
        """Return the bounds of each transcript's coding sequence; empty without any."""
        transcript, start, end = (np.asarray(column, np.int64) for column in self._coding)
        low, high = np.full(count, _APART), np.full(count, -1)
        np.minimum.at(low, transcript, start)
        np.maximum.at(high, transcript, end)
        return low, high


def _split_exons(
    start: Ints, end: Ints, low: Ints, high: Ints, forward: NDArray[np.bool_]
) -> dict[str, tuple[Ints, Ints]]:
    """Return starts and ends of the parts of exons; empty if an exon lacks a part.

    `low` and `high` bound the coding sequence of each exon's transcript.
    """
    coding = high > 0
    before = start, np.where(coding, np.minimum(end, low), start)
    after = np.where(coding, np.maximum(start, high), end), end
    return {
        "CDS": (np.maximum(start, low), np.minimum(end, high)),
        "5UTR": (np.where(forward, before[0], after[0]), np.where(forward, before[1], after[1])),
        "3UTR": (np.where(forward, after[0], before[0]), np.where(forward, after[1], before[1])),
        "exon": (start, np.where(coding, start, end)),
    }


def _by_contig(gene: Ints, start: Ints, end: Ints, contigs: Sequence[str]) -> dict[str, Stretches]:
    """Return intervals by contig, merged within each gene; `contigs` is the contig of each gene."""
    start = np.maximum(start, 0)
    real = start < end
    apart = gene[real] * _APART
    merged = merge(start[real] + apart, end[real] + apart)
    gene, merged = merged[:, 0] // _APART, merged % _APART
    found = {}
    for contig, rows in _groups(gene, contigs):
        rows = rows[np.lexsort((gene[rows], merged[rows, 0]))]
        starts, ends = merged[rows].T
        columns = starts, ends, np.maximum.accumulate(ends), gene[rows]
        found[contig] = Stretches(*map(_compact, columns))
    return found


def _sites(gene: Ints, pos: Ints, strand: Ints, contigs: Sequence[str]) -> dict[str, Sites]:
    found = {}
    for contig, rows in _groups(gene, contigs):
        sites = np.unique(np.stack([pos[rows], gene[rows], strand[rows]], axis=1), axis=0)
        pos, of_gene, strands = sites.T
        found[contig] = Sites(*map(_compact, (pos, strands, of_gene)))
    return found


def _compact(column: Ints) -> Sequence[int]:
    """Return numbers in a type that Python's bisect reads several times faster than an NDArray."""
    return array("q", column.tobytes())


def _groups(gene: Ints, contigs: Sequence[str]) -> Iterable[tuple[str, Ints]]:
    """Yield each contig and the rows whose gene lies on it."""
    names, code = np.unique(np.array(contigs, object), return_inverse=True)
    of_row = code[gene]
    order = np.argsort(of_row, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(of_row[order])) + 1):
        if len(rows):
            yield str(names[of_row[rows[0]]]), rows
