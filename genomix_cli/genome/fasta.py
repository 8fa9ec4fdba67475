"""Reference sequences from an indexed FASTA file, plain or bgzipped."""

from __future__ import annotations

import gzip
import logging
import os
import zlib
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pysam
from numpy.typing import NDArray

from genomix_cli.errors import DataError, GenomixError, guarded
from genomix_cli.genome.alphabet import UNKNOWN_BASE, encode
from genomix_cli.genome.intervals import ContigNames
from genomix_cli.genome.readahead import ReadAhead
from genomix_cli.genome.vcf.bgzf import GZIP, HEADER_SIZE, has_end, is_bgzf
from genomix_cli.outputs import atomic_path

log = logging.getLogger("genomix")

# Bases to cache, since neighbouring windows overlap and seeking in a bgzipped file is slow.
KEPT_BASES = 1_000_000

# Number of headers to compare with the index, evenly spread, and the longest accepted header.
CHECKED_CONTIGS = 64
LONGEST_HEADER = 1 << 16
# Bytes to examine at a time.
_PIECE = 1 << 20
# Compressed bytes that contain any accepted header; a block has at most 64 KiB in either form.
_FEW_BLOCKS = 4 << 16


class Fasta:
    """Reference with random access; lower case (soft-masked) is read as upper case.

    A missing index is built beside the file.

    Parameters
    ----------
    path : str or Path
        FASTA, plain or bgzipped.

    Attributes
    ----------
    lengths : dict of str to int
        Length of each contig by its name in the file, in file order.
    names : ContigNames
        Maps other spellings to names in the file, such as ``chr1`` to ``1``.

    Raises
    ------
    DataError
        If the file is missing, is not a FASTA, is gzip but not BGZF, or has no index and its folder
        is not writable.
    """

    #: False, since a FASTA stores its contigs completely.
    partial = False

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _check_format(self.path)
        if not _is_indexed(self.path):
            _build_index(self.path)
        self._file = _open(self.path)
        self.lengths = dict(zip(self._file.references, self._file.lengths, strict=True))
        self.names = ContigNames(self.lengths, self.path)
        self._ahead = ReadAhead(self._read, KEPT_BASES)

    def __enter__(self) -> Fasta:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def fetch(self, contig: str, start: int, end: int) -> NDArray[np.uint8]:
        """Return the codes of an interval; positions off the contig are unknown.

        Parameters
        ----------
        contig : str
            Any usual spelling of the contig's name.
        start, end : int
            0-based, half-open; `start` may be negative and `end` beyond the contig.

        Returns
        -------
        NDArray
            uint8 ``[end - start]``.

        Raises
        ------
        DataError
            If the file has no such contig, or is shorter than its index says.
        """
        contig = self.names.require(contig)
        first = min(max(start, 0), end)
        last = max(min(end, self.lengths[contig]), first)
        codes = np.full(end - start, UNKNOWN_BASE, np.uint8)
        if first < last:
            stretch, part = self._ahead.get(contig, first, last)
            codes[first - start : last - start] = stretch[part]
        return codes

    def contig(self, contig: str) -> NDArray[np.uint8]:
        """Return the codes of a whole contig, uint8 ``[length]``."""
        contig = self.names.require(contig)
        return self.fetch(contig, 0, self.lengths[contig])

    def letters(self, contig: str, start: int, end: int) -> str:
        """Return the letters of an interval as in the file, with either case and IUPAC codes.

        Raises
        ------
        DataError
            If the file has no such contig, or is shorter than its index says.
        """
        contig = self.names.require(contig)
        try:
            sequence: str = self._file.fetch(contig, start, end)
        except (OSError, ValueError) as error:
            raise self._damaged(contig, start, end) from error
        if len(sequence) != end - start:
            raise self._damaged(contig, start, end)
        return sequence

    def _read(self, contig: str, start: int, end: int) -> NDArray[np.uint8]:
        return encode(self.letters(contig, start, min(end, self.lengths[contig])))

    def _damaged(self, contig: str, start: int, end: int) -> DataError:
        return DataError(
            f"cannot read {contig}:{start + 1}-{end}",
            where=self.path,
            hint="the file is truncated, or the index belongs to another file: delete the .fai",
        )


def _check_format(path: Path) -> None:
    """Refuse a file that is not a FASTA before htslib prints its own messages."""
    start = _start(path)
    compressed = start.startswith(GZIP)
    if compressed and not is_bgzf(start):
        raise DataError(
            "is compressed with gzip, which does not allow random access",
            where=path,
            hint=f"run: gunzip {path.name} && bgzip {path.stem}",
        )
    try:
        with gzip.open(path) if compressed else path.open("rb") as handle:
            text = handle.read(4096).lstrip()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be decompressed: {error}", where=path) from error
    if not text.startswith(b">"):
        found = repr(text[:20].decode("ascii", "replace")) if text else "an empty file"
        raise DataError("is not a FASTA file", where=path, expected="'>' first", found=found)


def _start(path: Path) -> bytes:
    """Return enough of the file to distinguish plain text, gzip and BGZF."""
    try:
        with path.open("rb") as handle:
            return handle.read(HEADER_SIZE)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=path) from error


def _index_files(path: Path) -> dict[str, Path]:
    """Return the index files by their option of ``samtools faidx``."""
    files = {"--fai-idx": Path(f"{path}.fai")}
    if _start(path).startswith(GZIP):
        files["--gzi-idx"] = Path(f"{path}.gzi")
    return files


def _is_indexed(path: Path) -> bool:
    """Return True if index files exist and match the file, not an earlier one of this name.

    Modification times do not help: after copying a folder, the index is often the older file.
    """
    files = _index_files(path)
    if not all(file.is_file() for file in files.values()):
        return False
    try:
        rows = _index_rows(files["--fai-idx"])
        if "--gzi-idx" not in files:
            with path.open("rb") as handle:
                return _fits(rows, partial(_plain_text, handle))
        # Keep the index of a truncated file: reading then fails, which a new index would hide.
        return not has_end(path) or _fits(
            rows, partial(_bgzf_text, path, _blocks(files["--gzi-idx"]))
        )
    except (ValueError, TypeError, ArithmeticError, OSError, EOFError, zlib.error):
        return False


class _Row(NamedTuple):
    """Line of a .fai: a contig and its bytes in the (uncompressed) file."""

    name: str
    bases: int
    offset: int
    per_line: int
    width: int

    @property
    def end(self) -> int:
        """Offset of the byte after the contig's last base."""
        if not self.bases:
            return self.offset
        lines, rest = divmod(self.bases - 1, self.per_line)
        return self.offset + lines * self.width + rest + 1


def _index_rows(index: Path) -> list[_Row]:
    lines = [line.split("\t") for line in index.read_text().splitlines()]
    return [_Row(fields[0], *map(int, fields[1:5])) for fields in lines]


def _fits(rows: list[_Row], text: Callable[[int, int], bytes]) -> bool:
    """Return True if headers are where the index expects them, and the file ends accordingly.

    Checking the end alone would accept the index of a file of equal size with contigs in another
    order. `text` returns the bytes between two offsets.
    """
    if not rows or len(text(rows[-1].end - 1, rows[-1].end + 4095).rstrip()) != 1:
        return False
    step = -(-len(rows) // CHECKED_CONTIGS)
    for i in range(0, len(rows), step):
        before = rows[i - 1].end if i else 0
        if rows[i].offset - before > LONGEST_HEADER:
            return False
        header = text(before, rows[i].offset).strip().split(b"\n")
        words = header[0].split()
        if len(header) != 1 or words[:1] != [b">" + rows[i].name.encode()]:
            return False
    return True


def _plain_text(handle: BinaryIO, start: int, end: int) -> bytes:
    handle.seek(start)
    return handle.read(end - start)


def _blocks(index: Path) -> NDArray[np.uint64]:
    """Return the block starts of a .gzi, ``[n, 2]``: compressed and uncompressed offset.

    The file contains a count, then such a pair for every block except the first.
    """
    return np.vstack([np.zeros((1, 2), "<u8"), np.fromfile(index, "<u8")[1:].reshape(-1, 2)])


def _bgzf_text(path: Path, blocks: NDArray[np.uint64], start: int, end: int) -> bytes:
    """Return text bytes ``start .. end`` of a bgzipped file, using its block starts."""
    byte, first = blocks[int(np.searchsorted(blocks[:, 1], start, "right")) - 1].tolist()
    out = bytearray()
    with path.open("rb") as handle:
        handle.seek(byte)
        rest = handle.read(_FEW_BLOCKS)
    while rest and len(out) < end - first:
        inflate = zlib.decompressobj(31)
        out += inflate.decompress(rest)
        rest = inflate.unused_data
    return bytes(out[start - first : end - first])


def _build_index(path: Path) -> None:
    log.info("indexing %s", path)
    _refuse_duplicates(path)
    files = _index_files(path)
    try:
        with atomic_path(files["--fai-idx"], shared=True) as draft:
            drafts = {option: str(draft.with_name(file.name)) for option, file in files.items()}
            _faidx(*chain.from_iterable(drafts.items()), str(path))
            # Publish the .fai last (by the rename of atomic_path), so its presence means complete.
            if "--gzi-idx" in files:
                os.replace(drafts["--gzi-idx"], files["--gzi-idx"])
    except pysam.SamtoolsError as error:
        raise DataError(
            "is not a well-formed FASTA file",
            where=path,
            hint=f"run `samtools faidx {path.name}` to find the line",
        ) from error
    except GenomixError as error:
        raise DataError(
            "has no matching index, and none can be written beside it",
            where=path,
            hint=f"run `samtools faidx {path.name}` in a writable folder",
        ) from error


def _refuse_duplicates(path: Path) -> None:
    """Refuse a file with a repeated contig name: htslib would index only the first."""
    seen: set[bytes] = set()
    opener = gzip.open if _start(path).startswith(GZIP) else open
    with guarded(path), opener(path, "rb") as handle:
        # Read in pieces, since a contig may be a single line.
        begins = True
        for line in iter(partial(handle.readline, _PIECE), b""):
            is_name, begins = begins and line.startswith(b">"), line.endswith(b"\n")
            if not is_name:
                continue
            name = (line[1:].split() or [b""])[0]
            if name in seen:
                raise DataError(
                    f"has two contigs called {name.decode(errors='replace')}",
                    where=path,
                    hint="rename or remove one of them",
                )
            seen.add(name)


def _faidx(*arguments: str) -> None:
    """Run ``samtools faidx`` without the messages of htslib."""
    verbosity = pysam.set_verbosity(0)
    try:
        pysam.samtools.faidx(*arguments)
    finally:
        pysam.set_verbosity(verbosity)


def _open(path: Path) -> pysam.FastaFile:
    try:
        return pysam.FastaFile(str(path))
    except (OSError, ValueError) as error:
        raise DataError(
            "its index cannot be read", where=path, hint=f"delete {path.name}.fai and try again"
        ) from error
