"""Genomic regions, given as ``chr1:1,000-2,000,chr2``, a BED file or a list of sites."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.intervals import ContigNames, canonical, merge
from genomix_cli.genome.vcf.input import Input
from genomix_cli.genome.vcf.lines import Lines

#: End and start of a region that spans a whole contig. It includes POS 0, the telomere.
END = 2**62
START = -1

_BED = tuple(
    kind + compressed
    for kind in (".bed", ".narrowpeak", ".broadpeak")
    for compressed in ("", ".gz", ".bgz")
)
# A comma before three digits separates thousands, any other separates regions.
_NUMBER = r"\d{1,3}(?:,\d{3})+(?!\d)|\d+"
_REGION = re.compile(
    r"(?:\{(?P<braced>[^{}]+)\}|(?P<name>[^,:{}]+))"
    rf"(?::(?:(?P<start>{_NUMBER})(?P<dash>-(?P<end>{_NUMBER})?)?|-(?P<until>{_NUMBER})))?"
    r"(?:,|$)"
)


class Interval(NamedTuple):
    """Interval of a contig, 0-based and half-open."""

    contig: str
    start: int
    end: int


class Regions:
    """Sorted, merged intervals by contig.

    A record belongs to the regions if its POS does, wherever its REF ends (``--regions-overlap 0``
    of bcftools), so disjoint regions never give a record twice. Contigs ``chr1`` and ``1`` are the
    same. A region that spans a whole contig includes POS 0, the telomere, except where records are
    found through the index of a BCF.

    Parameters
    ----------
    intervals : iterable of Interval
        Intervals in any order; if a contig has two spellings, the first is kept.

    Attributes
    ----------
    by_contig : dict of str to NDArray
        int64 ``[n, 2]``: start and end, 0-based and half-open.
    """

    def __init__(self, intervals: Iterable[Interval]) -> None:
        names: dict[str, str] = {}
        by_name: dict[str, list[tuple[int, int]]] = {}
        for contig, start, end in intervals:
            name = names.setdefault(canonical(contig), contig)
            by_name.setdefault(name, []).append((start, end))
        merged = {name: merge(*zip(*pairs, strict=True)) for name, pairs in by_name.items()}
        self.by_contig = {name: pairs for name, pairs in merged.items() if len(pairs)}
        self._names = ContigNames(self.by_contig, "the regions")

    @classmethod
    def parse(cls, text: str) -> Regions:
        """Parse a list such as ``chr1:1,000-2,000,chr2,chr3:500-,{HLA-A*01:01}:7``.

        Positions are 1-based and ends are included; a single position means one base. Names with a
        colon go in braces.

        Raises
        ------
        UsageError
            If the text is not such a list.
        """
        return cls(_parsed(text))

    @classmethod
    def read(cls, path: str | Path) -> Regions:
        """Read regions from a file, plain or compressed.

        A file with the suffix of BED or of ENCODE peaks is 0-based and half-open. Any other file is
        a VCF, each POS of which is a region, or a table of CHROM, POS and END, 1-based with the end
        included. A line without END is one base; a line with only CHROM is a whole contig. All
        lines must have the same number of columns.

        Raises
        ------
        DataError
            If the file cannot be read or has no regions, or a line is invalid.
        """
        is_bed = str(path).lower().endswith(_BED)
        regions = cls(_read_lines(path, is_bed))
        if not regions.by_contig:
            raise DataError("has no regions", where=path)
        return regions

    @classmethod
    def wanted(cls, text: str | None, path: Path | None) -> Regions | None:
        """Parse `text` if given, else read `path`; return None if neither is given."""
        if text is not None:
            return cls.parse(text)
        return None if path is None else cls.read(path)

    def find(self, contig: str) -> NDArray[np.int64] | None:
        """Return the intervals of a contig, int64 ``[n, 2]``, in any spelling; None without any."""
        name = self._names.find(contig)
        return None if name is None else self.by_contig[name]

    def select(self, lines: Lines) -> Lines:
        """Return the lines whose POS lies in the regions."""
        inside = np.zeros(len(lines), bool)
        for start, stop, contig in lines.runs:
            intervals = self.find(contig)
            if intervals is not None and len(intervals):
                pos = lines.pos[start:stop] - 1
                last = np.searchsorted(intervals[:, 0], pos, "right") - 1
                inside[start:stop] = (last >= 0) & (pos < intervals[last, 1])
        return lines.only(inside)

    def __str__(self) -> str:
        """Return text that :meth:`parse` reads; the same regions always give the same text."""
        return ",".join(
            _spelled(name, start, end)
            for name in sorted(self.by_contig)
            for start, end in self.by_contig[name].tolist()
        )


def _spelled(name: str, start: int, end: int) -> str:
    name = f"{{{name}}}" if ":" in name else name
    if start == START and end == END:
        return name
    return f"{name}:{start + 1}-{'' if end == END else end}"


def _parsed(text: str) -> Iterator[Interval]:
    rest = text.strip()
    while True:
        match = _REGION.match(rest)
        if match is None:
            raise UsageError(
                "is not a region",
                where="regions",
                expected="CONTIG, CONTIG:POS, CONTIG:FROM-TO or CONTIG:FROM-",
                found=repr(rest[:60]),
                hint="put a contig with a colon in its name in braces: {HLA-A*01:01}:1-100",
            )
        yield _interval(match)
        if match.end() == len(rest) and not rest.endswith(","):
            return
        rest = rest[match.end() :]


def _interval(match: re.Match[str]) -> Interval:
    numbers = {
        key: int(match[key].replace(",", "")) for key in ("start", "end", "until") if match[key]
    }
    start = numbers["start"] - 1 if "start" in numbers else START
    end = numbers.get("end", numbers.get("until", END))
    if "start" in numbers and not match["dash"]:
        end = start + 1
    if end <= start:
        raise UsageError("ends before it starts", where=f"region {match[0].rstrip(',')}")
    return Interval(match["braced"] or match["name"], start, end)


def _read_lines(path: str | Path, is_bed: bool) -> Iterator[Interval]:
    with Input(path, kind="regions") as source:
        if source.is_bcf:
            raise DataError("is BCF", where=path, hint="write it as VCF: bcftools view")
        columns, first = 3, 0
        for number, line in enumerate(chain.from_iterable(source.blocks()), 1):
            if number == 1 and line.startswith("##fileformat=VCF"):
                columns = 2  # the third is ID, which may be a number
            if line.strip() and not line.startswith(("#", "track", "browser")):
                where = f"{path}:{number}"
                width = line.count("\t") + 1 if "\t" in line else len(line.split())
                first = first or width
                # A truncated line would otherwise be another region, or a whole contig.
                if width != first:
                    what = "the line has another number of columns than the first"
                    raise DataError(what, where=where, expected=str(first), found=str(width))
                yield _from_line(line.split()[:columns], is_bed, where)


def _from_line(line: list[str], is_bed: bool, where: str) -> Interval:
    """Return the interval of a line; a third column that is not a number is not END."""
    contig, *columns = line
    if not columns:
        return Interval(contig, START, END)
    numbers = [int(text) for text in columns if text.isascii() and text.isdigit()]
    if not columns[0].isdigit() or (is_bed and len(numbers) < 2) or (not is_bed and not numbers[0]):
        raise DataError(
            "is not a region",
            where=where,
            expected="CHROM, START (0-based), END"
            if is_bed
            else "CHROM, POS (1-based), optionally END",
            found=" ".join(line)[:60],
        )
    start = numbers[0] if is_bed else numbers[0] - 1
    end = numbers[-1] if len(numbers) > 1 else start + 1
    if end < start:
        raise DataError("ends before it starts", where=where, found=" ".join(line)[:60])
    return Interval(contig, start, end)
