"""Reading of FASTA: whole records, windows along them, or the regions of a BED file.

Letters in shapes: n sequences, L bases of each.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.iupac import ANY, encode, reverse_complement
from genomix_cli.genome.vcf.input import Input
from genomix_cli.progress import track
from genomix_cli.sequences.prepare import parsed_input
from genomix_cli.sequences.prepare.parsed_input import (
    LeftOut,
    OneLength,
    Parsed,
    Places,
    first_twice,
)
from genomix_cli.sequences.prepare.spool import PIECE, RowSpool

if TYPE_CHECKING:
    from genomix_cli.sequences.requests.prepare import PrepareRequest

log = logging.getLogger("genomix")

CROSSES = "windows cross the end of their contig"
UNKNOWN = "windows are mostly unknown bases"
_BED_COMMENTS = ("#", "track", "browser")


class Record(NamedTuple):
    """A FASTA record: id, line number of its header, letters."""

    name: str
    line: int
    letters: bytes


class Region(NamedTuple):
    """A line of a BED file, 0-based and half-open."""

    line: int
    contig: str
    start: int
    end: int
    name: str
    strand: int


def read_fasta(paths: Sequence[Path], request: PrepareRequest, folder: Path) -> Parsed:
    """Read FASTA files as requested: records, windows or regions.

    Raises
    ------
    DataError
        If a file is damaged or empty, a letter is not a base, lengths differ, an id is repeated, or
        nothing is left.
    """
    if request.bed is not None:
        return _regions(paths[0], request.bed, request, folder)
    return (_windows if request.window else _records)(paths, request, folder)


def records(path: Path) -> Iterator[Record]:
    """Yield the records of a FASTA (plain, gzipped or bgzipped), one in memory at a time.

    Raises
    ------
    DataError
        If the file is not a FASTA, or is truncated.
    """
    name, start, letters, line = "", 0, bytearray(), 0
    with Input(path) as source:
        for block in source.blocks():
            part: list[str] = []
            for text in block:
                line += 1
                if text[:1] != ">":
                    part.append(text)
                    continue
                letters += _joined(part)
                part = []
                if start:
                    record, letters = Record(name, start, bytes(letters)), bytearray()
                    yield record
                elif letters:
                    raise _no_fasta(path)
                words = text[1:].split(None, 1)
                if not words:
                    raise DataError("a record without an id", where=f"{path}:{line}")
                name, start, letters = words[0], line, bytearray()
            letters += _joined(part)
            if not start and letters:
                raise _no_fasta(path)
    if not start:
        raise DataError("has no records", where=path)
    yield Record(name, start, bytes(letters))


def _no_fasta(path: Path) -> DataError:
    return DataError("is not a FASTA file", where=path, expected="'>' first")


def _joined(lines: list[str]) -> bytes:
    return "".join("".join(lines).split()).encode("utf-8", "surrogateescape")


def _records(paths: Sequence[Path], request: PrepareRequest, folder: Path) -> Parsed:
    """Return one sequence per record."""
    spool = RowSpool(folder)
    lengths = OneLength("cut them into windows: --window 200 --stride 100")
    names: list[str] = []
    for path in paths:
        for record in track(records(path), f"reading {path.name}", unit="sequences"):
            where = f"{path}:{record.line}"
            lengths.check(record.name, len(record.letters), where)
            spool.add(encode(record.letters, f"{where}: {record.name}"))
            made = f"sequence_{len(names) + 1}" if request.make_ids else record.name
            names.append(made)
    parsed_input.check_unique(names, paths[-1], "let them be numbered: --make-ids")
    return Parsed("records", names, names, lengths.length, lambda: spool.blocks(lengths.length))


def _windows(paths: Sequence[Path], request: PrepareRequest, folder: Path) -> Parsed:
    """Return windows of one length along the records."""
    length, stride = request.window or 0, request.stride or request.window or 0
    spool, places, left_out = RowSpool(folder), Places(), LeftOut()
    names: list[str] = []
    contigs: set[str] = set()
    for path in paths:
        for record in track(records(path), f"cutting {path.name}", unit="sequences"):
            if record.name in contigs:
                raise DataError(f"{record.name!r} is repeated", where=f"{path}:{record.line}")
            contigs.add(record.name)
            codes = encode(record.letters, f"{path}:{record.line}: {record.name}")
            starts = window_starts(codes, record.name, length, stride, request.max_n, left_out)
            if len(starts):
                views = np.lib.stride_tricks.sliding_window_view(codes, length)
                step = max(PIECE // length, 1)
                for i in range(0, len(starts), step):
                    spool.add(views[starts[i : i + step]])
                places.add(record.name, len(codes), starts)
                names += [f"{record.name}:{start}-{start + length}" for start in starts.tolist()]
    if not names:
        raise DataError("no window is left", where=paths[0], found=str(left_out))
    return Parsed(
        rows="windows",
        names=names,
        units=names,
        length=length,
        blocks=lambda: spool.blocks(length),
        contigs=places.contigs,
        windows=places.windows(),
        left_out=left_out,
        facts={"stride": stride},
    )


def window_starts(
    codes: NDArray[np.uint8], contig: str, length: int, stride: int, max_n: float, left_out: LeftOut
) -> NDArray[np.int64]:
    """Return the starts of a contig's complete windows with few unknown bases, int64 ``[n]``."""
    every = np.arange(0, len(codes), stride)
    whole = every[every + length <= len(codes)]
    crossing = len(every) - len(whole)
    if crossing:
        left_out.add(CROSSES, f"{contig}:{every[len(whole)]}", crossing)
    unknown = _Unknown(codes)
    is_gap = unknown.before(whole + length) - unknown.before(whole) > max_n * length
    if is_gap.any():
        left_out.add(UNKNOWN, f"{contig}:{whole[is_gap][0]}", int(is_gap.sum()))
    return whole[~is_gap]


class _Unknown:
    """Counts of unknown bases, stored as runs because a running sum takes four bytes per base.

    Parameters
    ----------
    codes : NDArray
        uint8 ``[bases]``.
    """

    def __init__(self, codes: NDArray[np.uint8]) -> None:
        is_unknown = np.concatenate([[False], codes == ANY, [False]])
        edges = np.flatnonzero(is_unknown[1:] != is_unknown[:-1])
        self._starts, self._ends = edges[::2], edges[1::2]
        self._sums = np.concatenate([[0], np.cumsum(self._ends - self._starts)])

    def before(self, position: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of unknown bases before each position."""
        runs = np.searchsorted(self._starts, position)
        reach = np.concatenate([[0], self._ends])[runs]
        return self._sums[runs] - np.maximum(reach - position, 0)


def _regions(path: Path, bed: Path, request: PrepareRequest, folder: Path) -> Parsed:
    """Return the regions of a BED file, each on its strand."""
    with Fasta(path) as fasta:
        cutter = Cutter(fasta, request, folder)
        for region in regions_of(bed):
            cutter.add(region, f"{bed}:{region.line}")
    if not cutter.names:
        raise DataError("no region is left", where=bed, found=str(cutter.left_out))
    check_regions(cutter.names, bed)
    return cutter.parsed("regions")


def regions_of(bed: Path) -> list[Region]:
    """Return the regions of a BED file, without their names if those are not unique.

    Raises
    ------
    DataError
        If there are no regions, or a line is not a region.
    """
    regions = list(read_bed(bed))
    if not regions:
        raise DataError("has no regions", where=bed)
    names = [region.name for region in regions]
    twice = first_twice(names)
    if all(names) and twice is None:
        return regions
    if any(names):
        why = f"{twice!r} is there twice" if twice else "some regions have none"
        log.warning("%s: names are not used, since %s; regions are named by place", bed, why)
    return [region._replace(name="") for region in regions]


def check_regions(names: Sequence[str], bed: Path) -> None:
    """Refuse two regions of one name; the default name is the region's place."""
    parsed_input.check_unique(names, bed, "give each region a name of its own in column 4")


class Cutter:
    """Cutter of regions from a reference.

    Parameters
    ----------
    fasta : Fasta
    request : PrepareRequest
    folder : Path
        Folder of the spool.

    Attributes
    ----------
    names : list of str
    places : Places
    left_out : LeftOut
    """

    def __init__(self, fasta: Fasta, request: PrepareRequest, folder: Path) -> None:
        self.names: list[str] = []
        self.places, self.left_out = Places(), LeftOut()
        self._fasta, self._window, self._max_n = fasta, request.window, request.max_n
        self._spool = RowSpool(folder)
        self._lengths = OneLength("centre windows of one length on them: --window 200")

    def add(self, region: Region, where: str) -> NDArray[np.uint8] | None:
        """Add a region and return its bases on its strand; if left out, count the reason."""
        fasta = self._fasta
        contig = fasta.names.require(region.contig)
        start, end = span(region, self._window)
        if start < 0 or end > fasta.lengths[contig]:
            self.left_out.add(CROSSES, where)
            return None
        codes = encode(fasta.letters(contig, start, end), f"{fasta.path}: {contig}:{start}-{end}")
        if (codes == ANY).mean() > self._max_n:
            self.left_out.add(UNKNOWN, where)
            return None
        name = f"{contig}:{start}-{end}({'+' if region.strand > 0 else '-'})"
        self.names.append(region.name or name)
        self._lengths.check(self.names[-1], end - start, where)
        codes = codes if region.strand > 0 else reverse_complement(codes)
        self._spool.add(codes)
        self.places.add(contig, fasta.lengths[contig], start, region.strand)
        return codes

    @property
    def length(self) -> int:
        """Length of each region in bases; 0 before the first."""
        return self._lengths.length

    def parsed(self, rows: str) -> Parsed:
        """Return the regions that were cut; `rows` is their kind."""
        length = self.length
        return Parsed(
            rows=rows,
            names=self.names,
            units=self.names,
            length=length,
            blocks=lambda: self._spool.blocks(length),
            contigs=self.places.contigs,
            windows=self.places.windows(),
            left_out=self.left_out,
        )


def span(region: Region, window: int | None) -> tuple[int, int]:
    """Return the region, or a window of fixed length with the same middle."""
    if window is None:
        return region.start, region.end
    start = (region.start + region.end) // 2 - window // 2
    return start, start + window


def read_bed(path: Path) -> Iterator[Region]:
    """Yield the regions of a BED file, plain or compressed, in their order.

    Raises
    ------
    DataError
        If a line is not a region; the message names the line.
    """
    with Input(path, kind="regions") as source:
        for number, line in enumerate(chain.from_iterable(source.blocks()), 1):
            if line.strip() and not line.startswith(_BED_COMMENTS):
                yield _region(line.split("\t" if "\t" in line else None), number, path)


def _region(cells: list[str], line: int, path: Path) -> Region:
    strand = cells[5].strip() if len(cells) > 5 else "+"
    numbers = [int(cell) for cell in cells[1:3] if cell.isascii() and cell.isdigit()]
    if len(numbers) < 2 or numbers[1] <= numbers[0] or strand not in ("+", "-", "."):
        raise DataError(
            "is not a region",
            where=f"{path}:{line}",
            expected="contig, start (0-based), end, and optionally name, score, strand (+, - or .)",
            found=" ".join(cells)[:60],
        )
    name = cells[3].strip() if len(cells) > 3 else ""
    sign = -1 if strand == "-" else 1
    return Region(line, cells[0], numbers[0], numbers[1], "" if name == "." else name, sign)
