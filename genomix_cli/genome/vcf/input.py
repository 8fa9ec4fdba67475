"""Input of VCF or BCF from a file or standard input, plain or compressed.

Text is read in large blocks that are split into lines at once; reading line by line would take
several times as long.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import logging
import os
import sys
import threading
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from genomix_cli.errors import DataError
from genomix_cli.genome.tables import LONGEST, too_long
from genomix_cli.genome.vcf import bgzf

log = logging.getLogger("genomix")

STANDARD_STREAM = "-"
BCF = b"BCF\x02"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

#: Bytes of text that are split into lines at a time.
BLOCK = 1 << 18
#: Lines per block for sources that yield single lines.
LINES = 1000
# Bytes at the start of a file from which the number of records is estimated.
SAMPLE = 1 << 20


class Input:
    """Open input file, whose format is known but whose text has not been read.

    Parameters
    ----------
    path : str or Path
        File, or ``-`` for standard input.
    again : bool
        True if the file was opened before, so its oddities have been reported already.
    kind : str
        What the file should hold, for the message that it is empty.

    Attributes
    ----------
    name : str
        Name in messages.
    is_bcf : bool

    Raises
    ------
    DataError
        If the input cannot be read or is empty, or a file lacks the end mark of BGZF.
    """

    def __init__(self, path: str | Path, again: bool = False, kind: str = "a VCF header") -> None:
        self.path = Path(path)
        self._log = log.debug if again else log.warning
        self.name = "standard input" if str(path) == STANDARD_STREAM else str(path)
        self.is_file = str(path) != STANDARD_STREAM and self.path.is_file()
        self._raw = _open(path, self.name)
        try:
            self.stream = _Stream(self._raw, self.name)
            if not self.stream.start:
                raise DataError("is empty", where=self.name, expected=kind)
            self.is_bgzf = bgzf.is_bgzf(self.stream.start)
            # A file, unlike a pipe, can be checked for truncation before hours of work.
            if self.is_bgzf and self.is_file and not bgzf.has_end(self.path):
                raise without_end(self.path)
            self.is_bcf = self.stream.peek(len(BCF)) == BCF
        except BaseException:
            self.close()
            raise
        self._count = 0
        self._saw_return = False

    def __enter__(self) -> Input:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if str(self.path) != STANDARD_STREAM:
            self._raw.close()

    def blocks(self) -> Iterator[list[str]]:
        """Yield the text as lists of lines without line breaks.

        Only line feeds, with or without a carriage return, break lines.

        Raises
        ------
        DataError
            If the file is damaged or truncated; the message gives the line.
        """
        for data in self.pieces():
            yield data.decode("utf-8", "surrogateescape").split("\n")

    def pieces(self) -> Iterator[bytes]:
        """Yield the text as bytes of whole lines, separated by line feeds.

        Raises
        ------
        DataError
            If the file is damaged or truncated; the message gives the line.
        """
        for data in self._text():
            text = self._without_returns(data) if b"\r" in data else data
            self._count += text.count(b"\n") + 1
            yield text

    def _text(self) -> Iterator[bytes]:
        """Yield decompressed bytes, cut at line ends."""
        pieces: list[bytes] = []
        for data in self._decompressed():
            end = data.rfind(b"\n")
            if end < 0:
                pieces.append(data)
                if len(pieces) * BLOCK > LONGEST:
                    raise too_long(f"{self.name}:{self._count + 1}")
                continue
            pieces.append(data[:end])
            yield b"".join(pieces)
            pieces = [data[end + 1 :]]
        if rest := b"".join(pieces):
            yield rest

    def _decompressed(self) -> Iterator[bytes]:
        stream: Any = io.BufferedReader(self.stream, BLOCK)
        if self.stream.start.startswith(bgzf.GZIP):
            stream = gzip.GzipFile(fileobj=stream)
        # From a pipe, read1 returns what is available instead of waiting for a full block.
        read = stream.read if self.is_file else stream.read1
        where = lambda: f"{self.name}:{self._count + 1}"  # noqa: E731
        try:
            data = read(BLOCK)
            if data.startswith(BYTE_ORDER_MARK):
                self._log("%s: byte order mark is left out", self.name)
                data = data[len(BYTE_ORDER_MARK) :]
            while data:
                yield data
                data = read(BLOCK)
        except EOFError as error:
            raise DataError(
                "the compressed file is truncated",
                where=where(),
                hint="copy or download it again",
            ) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"is damaged: {error}", where=where()) from error
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", where=self.name) from error
        if self.is_bgzf and not self.stream.complete:
            raise without_end(self.name)

    def _without_returns(self, data: bytes) -> bytes:
        plain = data.replace(b"\r\n", b"\n").removesuffix(b"\r")
        if len(plain) < len(data) and not self._saw_return:
            self._saw_return = True
            self._log("%s: Windows line ends are read as plain ones", self.name)
        return plain


class _Stream(io.RawIOBase):
    """Raw stream that allows a look at its start, and remembers its last bytes.

    Standard input cannot be rewound once its format is known, and its end cannot be read first.
    """

    def __init__(self, raw: Any, name: str) -> None:
        self._raw = raw
        self._name = name
        self.start = self._ahead = self._end = b""
        while len(self.start) < bgzf.HEADER_SIZE and self._more():
            pass

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._ahead:
            count = min(len(buffer), len(self._ahead))
            buffer[:count] = self._ahead[:count]
            self._ahead = self._ahead[count:]
        else:
            count = self._raw.readinto(buffer) or 0
        last = bytes(buffer[max(0, count - len(bgzf.END)) : count])
        self._end = (self._end + last)[-len(bgzf.END) :]
        return count

    def peek(self, count: int) -> bytes:
        """Return the first `count` bytes, decompressed; fewer if the input is short or damaged."""
        while True:
            if not self.start.startswith(bgzf.GZIP):
                return self.start[:count]
            try:
                data = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(self.start, count)
            except zlib.error:
                return b""
            if len(data) == count or len(self.start) > BLOCK or not self._more():
                return data

    def _more(self) -> bool:
        """Read more of the start; return False at the end of the input."""
        try:
            data: bytes = self._raw.read(1 << 14)
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", where=self._name) from error
        self.start += data or b""
        self._ahead = self.start
        return bool(data)

    @property
    def complete(self) -> bool:
        """True if the last bytes read are the end mark of BGZF."""
        return self._end == bgzf.END


def _open(path: str | Path, name: str) -> Any:
    if str(path) == STANDARD_STREAM:
        # Unbuffered: a thread that waits for data in Python's buffer would block the exit.
        return getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=name) from error


def without_end(where: object) -> DataError:
    """Return the error for a file without the empty block that ends BGZF.

    The missing block is the only sign that a file was cut between two blocks and lacks records.
    """
    return DataError(
        "is truncated, or lacks the BGZF end-of-file block",
        where=where,
        hint="copy it again; if it is whole, run: zcat FILE | genomix score -",
    )


def expected_records(path: Path) -> float | None:
    """Estimate the number of records of a text VCF from its first megabyte.

    Returns None for BCF, for damaged files, and for anything that is not a regular file.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(SAMPLE)
    text, rest = bytearray(), start
    while rest.startswith(bgzf.GZIP):
        inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            text += inflate.decompress(rest)
        except zlib.error:
            return None
        rest = inflate.unused_data
    text += rest
    if text.startswith(BCF):
        return None
    header = text.count(b"\n#") + 1
    return max(text.count(b"\n") - header, 0) * path.stat().st_size / max(len(start), 1)


class BcfInput:
    """Reader that returns the records of a BCF as lines of text, through htslib.

    Parameters
    ----------
    source : Input
        Input, which the caller must close.
    index : Path, optional
        Index of the file, for access by region.
    """

    def __init__(self, source: Input, index: Path | None = None) -> None:
        from genomix_cli.genome.vcf.htslib import BcfFile

        self._source = source
        self._feeder: _Feeder | None = None
        if source.is_file:
            self.file = BcfFile(source.path, source.name, index)
            return
        self._feeder = _Feeder(source.stream)
        try:
            self.file = BcfFile(self._feeder.descriptor, source.name)
        except BaseException:
            self._feeder.close()
            raise

    def blocks(self) -> Iterator[list[str]]:
        """Yield the records as lists of lines.

        Raises
        ------
        DataError
            If the input cannot be read, is damaged, or is truncated.
        """
        yield from in_blocks(iter(self.file))
        if self._feeder is not None:
            self._feeder.join()
            if self._feeder.error is not None:
                problem = f"cannot be read: {self._feeder.error.strerror}"
                raise DataError(problem, where=self._source.name)
            if self._source.is_bgzf and not self._source.stream.complete:
                raise without_end(self._source.name)

    def close(self) -> None:
        """Close the reader, but not its source."""
        self.file.close()
        if self._feeder is not None:
            self._feeder.close()


class _Feeder(threading.Thread):
    """Thread that copies a stream to a pipe, since htslib needs a descriptor at its start."""

    def __init__(self, stream: _Stream) -> None:
        super().__init__(daemon=True, name="bcf input")
        self._stream = stream
        self.error: OSError | None = None
        self.descriptor, self._end = os.pipe()
        self.start()

    def run(self) -> None:
        buffer = memoryview(bytearray(1 << 16))
        # htslib closes the pipe early if it finds the data damaged.
        with contextlib.suppress(BrokenPipeError), open(self._end, "wb", buffering=0) as pipe:
            while count := self._read(buffer):
                rest = buffer[:count]
                while rest:
                    rest = rest[pipe.write(rest) :]

    def _read(self, buffer: memoryview) -> int:
        try:
            return self._stream.readinto(buffer)
        except OSError as error:
            self.error = error
            return 0

    def close(self) -> None:
        os.close(self.descriptor)


def in_blocks(lines: Iterator[str]) -> Iterator[list[str]]:
    """Yield lines in lists of `LINES`, which are cheaper to pass on than single lines."""
    while block := list(islice(lines, LINES)):
        yield block
