"""Reading of BCF and of indexed text, and making of indexes, through pysam.

htslib prints its own messages to stderr. They are silenced here, and its failures are turned into
`GenomixError`.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pysam
from pysam.libcutils import set_encoding_error_handler

from genomix_cli.errors import DataError, GenomixError
from genomix_cli.genome.tables import leading_lines

pysam.set_verbosity(0)
# Bytes that are not UTF-8 are passed through, as they are in text.
set_encoding_error_handler("surrogateescape")

# Errors that pysam raises; some come from naming the file, which fails for a descriptor.
FAILURES = (OSError, ValueError, TypeError, KeyError, RuntimeError, OverflowError)
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

CSI, TBI = b"CSI\1", b"TBI\1"
TAB = "\t"
AGAIN = "copy or download it again"


class BcfFile:
    """BCF file whose records are read as lines of text.

    Parameters
    ----------
    source : Path or int
        File, or a descriptor to read from.
    name : str
        Name in messages.
    index : Path, optional
        Index, which :meth:`fetch` needs.

    Raises
    ------
    DataError
        If the file or its index is damaged; also during iteration.
    """

    def __init__(self, source: Path | int, name: str, index: Path | None = None) -> None:
        self.name = name
        if index is not None:
            check_index(index)
        # Given a path, pysam would load an index beside the file; given a descriptor, it does not.
        self._own = os.open(source, os.O_RDONLY) if isinstance(source, Path) and not index else None
        target = self._own if self._own is not None else source
        try:
            self._file = pysam.VariantFile(
                target if isinstance(target, int) else str(target),
                index_filename=None if index is None else str(index),
            )
            self.header: list[str] = str(self._file.header).splitlines()
        except FAILURES as error:
            raise DataError("the header is damaged or truncated", where=name) from error
        if index is not None and self._file.index is None:
            self.close()
            raise bad_index(index)

    @property
    def contigs(self) -> tuple[str, ...]:
        """Contigs that the header declares, in header order."""
        return tuple(map(str, self._file.header.contigs))

    def in_order(self, contigs: Iterable[str]) -> list[str]:
        """Return those of `contigs` that have records, in the order of the file."""
        offsets: dict[str, int] = {}
        for contig in contigs:
            if next(self.fetch(contig, 0, None), None) is not None:
                offsets[contig] = self._file.tell()
        return sorted(offsets, key=offsets.__getitem__)

    def __iter__(self) -> Iterator[str]:
        return self._text(lambda: self._file, self.name)

    def fetch(self, contig: str, start: int, end: int | None) -> Iterator[str]:
        """Return an iterator over the records that overlap a 0-based, half-open interval."""
        return self._text(lambda: self._file.fetch(contig, start, end), f"{self.name} at {contig}")

    def _text(self, records: Callable[[], Iterable[Any]], where: str) -> Iterator[str]:
        last = ""
        try:
            for record in records():
                last = str(record)[:-1]
                yield last
        except FAILURES as error:
            after = f" after {':'.join(last.split(TAB, 2)[:2])}" if last else ""
            raise DataError(f"is damaged or truncated{after}", where=where, hint=AGAIN) from error

    def close(self) -> None:
        """Close the file, ignoring errors: after a failure, pysam fails again on closing."""
        with contextlib.suppress(*FAILURES):
            self._file.close()
        if self._own is not None:
            os.close(self._own)
            self._own = None


class IndexedText:
    """BGZF text file that is read through its index.

    Parameters
    ----------
    path : Path
    index : Path

    Raises
    ------
    DataError
        If the index cannot be read.
    """

    def __init__(self, path: Path, index: Path) -> None:
        self.name = str(path)
        check_index(index)
        try:
            self._file = pysam.TabixFile(str(path), index=str(index), encoding="utf-8")
        except FAILURES as error:
            raise bad_index(index) from error

    @property
    def contigs(self) -> tuple[str, ...]:
        """Contigs that have records, in the order of the file."""
        return tuple(self._file.contigs)

    def in_order(self, contigs: Iterable[str]) -> list[str]:
        """Return those of `contigs` that have records, in the order of the file."""
        wanted = set(contigs)
        return [contig for contig in self.contigs if contig in wanted]

    def fetch(self, contig: str, start: int, end: int | None) -> Iterator[str]:
        """Yield the lines that overlap a 0-based, half-open interval."""
        # Braces allow names with colons.
        to = "" if end is None else str(end)
        region = f"{{{contig}}}:{start + 1}-{to}"
        try:
            yield from self._file.fetch(region=region)
        except FAILURES as error:
            raise DataError(
                f"is damaged or truncated, or does not match its index, on {contig}",
                where=self.name,
                hint="copy or download it again, or index it again "
                "(a VCF: tabix -f -p vcf FILE; of a table, -S counts the lines before its rows)",
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def check_index(index: Path) -> None:
    """Refuse a truncated or inconsistent index, which would crash htslib.

    Specifications: https://samtools.github.io/hts-specs/tabix.pdf and CSIv1.pdf

    Raises
    ------
    DataError
        If the index ends before the data that it announces, or is not an index.
    """
    try:
        with gzip.open(index) as file:
            data = file.read()
        is_csi = data.startswith(CSI)
        if is_csi:
            shift, depth, size = struct.unpack_from("<3i", data, 4)
            names, at = data[16:][:size][28:], 16 + size + 4
            sound = size >= 0 and 0 < shift <= 30 and 0 <= depth <= 15
        else:
            size = struct.unpack_from("<i", data, 32)[0]
            names, at = data[36:][:size], 36 + size
            sound = data.startswith(TBI) and size >= 0
        count = struct.unpack_from("<i", data, at - 4 if is_csi else 4)[0]
        if not sound or (names and names[-1]):
            raise ValueError(index)
        for _ in range(count):
            at = _after_contig(data, at, is_csi)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise bad_index(index) from error


def _after_contig(data: bytes, at: int, is_csi: bool) -> int:
    """Return the offset after the entry of a contig: its bins, each with chunks of 16 bytes."""
    bins, at = _count(data, at)
    for _ in range(bins):
        chunks, at = _count(data, at + (12 if is_csi else 4))
        at += 16 * chunks
    if not is_csi:
        intervals, at = _count(data, at)
        at += 8 * intervals
    if at > len(data):
        raise EOFError
    return at


def _count(data: bytes, at: int) -> tuple[int, int]:
    """Read a non-negative int32; return it and the offset after it."""
    count = struct.unpack_from("<i", data, at)[0]
    if count < 0:
        raise ValueError(count)
    return count, at + 4


def bad_index(index: Path) -> DataError:
    """Return the error for an index that is damaged."""
    return DataError("the index is damaged", where=index, hint="rebuild it: bcftools index -f FILE")


def index_file(path: Path, draft: Path, name: str, *, preset: str) -> Path:
    """Index a BGZF file.

    Parameters
    ----------
    path : Path
        File sorted by contig and position.
    draft : Path
        Path of the new index, without its suffix.
    name : str
        Name of the output, for messages.
    preset : {"vcf", "bcf", "tsv"}
        In ``tsv``, columns 1 and 2 are contig and 1-based position, after ``##`` lines and a line
        of column names.

    Returns
    -------
    Path
        Path of the index: ``.tbi``, or ``.csi`` for BCF and for positions beyond 2^29 - 1.

    Raises
    ------
    DataError
        If the file is not sorted.
    GenomixError
        If the disk is full.
    """
    columns: dict[str, Any] = {"preset": preset}
    if preset == "tsv":
        skipped = len(leading_lines(path)[0]) + 1
        columns = {"seq_col": 0, "start_col": 1, "end_col": 1, "line_skip": skipped}
    for suffix in (".csi",) if preset == "bcf" else (".tbi", ".csi"):
        index = draft.with_name(draft.name + suffix)
        try:
            pysam.tabix_index(
                str(path), force=True, index=str(index), csi=suffix == ".csi", **columns
            )
        except FAILURES as error:
            failure = error
        else:
            return index
    code = getattr(failure, "errno", None)
    if code in DISK_FULL:
        reason = os.strerror(code or 0)
        raise GenomixError(f"the index cannot be written: {reason}", where=name) from failure
    raise DataError(
        "is complete, but cannot be indexed because it is not sorted",
        where=name,
        hint="sort it: bcftools sort",
    ) from failure
