"""VCF as text, in and out, leaving untouched whatever is not asked to change.

Lines are split by hand up to INFO; everything behind it passes as it is, and so do bytes that are
no UTF-8. Specification: https://samtools.github.io/hts-specs/VCFv4.4.pdf
"""

from __future__ import annotations

import gzip
import io
import logging
import os
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from genomix_cli.errors import DataError, GenomixError
from genomix_cli.genome import bgzf
from genomix_cli.provenance import atomic_path

log = logging.getLogger("genomix")

STANDARD_STREAM = "-"
MAGIC = "##fileformat=VCF"
COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
MISSING = "."

_INFO = 7
_CONTIG = re.compile(r'##contig=<(?:[^",]*(?:"[^"]*")?,)*?ID=([^,>]+)')
_CONVERT = "convert it: bcftools view FILE.bcf | genomix ... -"


class Header(NamedTuple):
    """The lines before the records.

    Attributes
    ----------
    meta : tuple of str
        The ``##`` lines.
    columns : str
        The ``#CHROM`` line.
    """

    meta: tuple[str, ...]
    columns: str

    @property
    def contigs(self) -> tuple[str, ...]:
        """Contigs that are declared."""
        found = (_CONTIG.match(line) for line in self.meta)
        return tuple(match[1] for match in found if match)

    def without(self, *starts: str) -> Header:
        """The header without the ``##`` lines that begin with any of `starts`."""
        return self._replace(meta=tuple(m for m in self.meta if not m.startswith(starts)))

    def plus(self, lines: Iterable[str]) -> Header:
        """The header with more ``##`` lines; a line break in one becomes a space."""
        return self._replace(meta=(*self.meta, *(" ".join(m.splitlines()) for m in lines)))

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in (*self.meta, self.columns))


def info_line(
    key: str, number: str, kind: str, description: str, *, source: str = "", version: str = ""
) -> str:
    """A ``##INFO`` line."""
    fields = {"ID": key, "Number": number, "Type": kind, "Description": _quoted(description)}
    if source:
        fields |= {"Source": _quoted(source), "Version": _quoted(version)}
    return f"##INFO=<{','.join(f'{name}={value}' for name, value in fields.items())}>"


def _quoted(text: str) -> str:
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def contig_line(name: str, length: int | None) -> str:
    """A ``##contig`` line."""
    return f"##contig=<ID={name}{'' if length is None else f',length={length}'}>"


class Record(NamedTuple):
    """One line.

    Attributes
    ----------
    line : int
        Where it stands in the file, from 1.
    pos : int
        1-based, as the file has it.
    fields : list of str
        The eight fixed columns and, if there are more, the rest of the line.
    """

    line: int
    pos: int
    fields: list[str]

    @property
    def chrom(self) -> str:
        """Contig."""
        return self.fields[0]

    @property
    def ref(self) -> str:
        """REF as spelled."""
        return self.fields[3]

    @property
    def alts(self) -> list[str]:
        """ALT as spelled; ``["."]`` when there is none."""
        return self.fields[4].split(",")

    def info(self, key: str) -> str | None:
        """The value of an INFO key: None when absent, empty for a flag."""
        for entry in self.fields[_INFO].split(";"):
            name, _, value = entry.partition("=")
            if name == key:
                return value
        return None

    def with_info(self, values: Mapping[str, str], replacing: str = "") -> str:
        """The line with more INFO.

        Parameters
        ----------
        values : mapping of str to str
            Appended, in this order.
        replacing : str
            Keys with this prefix are removed first.
        """
        info = self.fields[_INFO]
        if replacing and replacing in info:
            info = ";".join(e for e in info.split(";") if not e.startswith(replacing))
        entries = [] if info in ("", MISSING) else [info]
        entries += [f"{key}={value}" for key, value in values.items()]
        fields = [*self.fields[:_INFO], ";".join(entries) or MISSING, *self.fields[_INFO + 1 :]]
        return "\t".join(fields)


class VcfReader:
    """Records of a VCF, one after another.

    Plain, gzip and BGZF are told apart by their content. Windows line ends are accepted, with a
    warning. Empty lines are passed over.

    Parameters
    ----------
    path : str or Path
        A file, or ``-`` for standard input.

    Attributes
    ----------
    name : str
        The file as messages name it.
    header : Header

    Raises
    ------
    DataError
        If it cannot be read, is no VCF, or is truncated; while iterating too, with the line.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = "standard input" if str(path) == STANDARD_STREAM else str(path)
        self._line = 0
        self._saw_crlf = False
        self._file = _open(path, self.name)
        try:
            self._source = _Source(self._file)
            _refuse_other_formats(self._source.start, self.name)
            _refuse_truncated(path, self._source.start)
            self._lines = self._decoded()
            self.header = self._read_header()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> VcfReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._file is not sys.stdin.buffer:
            self._file.close()

    def where(self, record: Any) -> str:
        """A place in the file, as messages name it."""
        return f"{self.name}:{getattr(record, 'line', record)}"

    def __iter__(self) -> Iterator[Record]:
        for text in self._lines:
            if text:
                yield self._parse(text)

    def _parse(self, text: str) -> Record:
        fields = text.split("\t", len(COLUMNS))
        if len(fields) < len(COLUMNS):
            raise self._wrong(
                "too few columns", f"{len(COLUMNS)} separated by tabs", str(len(fields))
            )
        pos = fields[1]
        if not (pos.isascii() and pos.isdigit()):
            raise self._wrong("POS is no position", "a whole number", repr(pos))
        return Record(self._line, int(pos), fields)

    def _read_header(self) -> Header:
        first = next(self._lines, None)
        if first is None:
            raise DataError("is empty", where=self.name, expected="a VCF header")
        if first.startswith("BCF\x02"):
            raise DataError("is BCF, not VCF", where=self.name, hint=_CONVERT)
        if not first.startswith(MAGIC):
            raise self._wrong("is not a VCF", f"{MAGIC}v4.x", repr(first[:40]))
        meta = [first]
        for text in self._lines:
            if not text.startswith("##"):
                break
            meta.append(text)
        else:
            raise self._wrong("the #CHROM line is missing", "it after the ## lines", "the end")
        if tuple(text.split("\t", len(COLUMNS))[: len(COLUMNS)]) != COLUMNS:
            problem = "the #CHROM line is " + ("wrong" if text.startswith("#CHROM") else "missing")
            raise self._wrong(problem, "<TAB>".join(COLUMNS), repr(text[:60]))
        return Header(tuple(meta), text)

    def _decoded(self) -> Iterator[str]:
        """Lines without their ends, counted."""
        stream: Any = io.BufferedReader(self._source, 1 << 20)
        if self._source.start[:2] == b"\x1f\x8b":
            stream = io.BufferedReader(gzip.GzipFile(fileobj=stream), 1 << 20)
        lines = io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline="\n")
        try:
            for self._line, text in enumerate(lines, 1):
                text = text.removesuffix("\n")
                yield self._without_return(text) if text.endswith("\r") else text
        except EOFError as error:
            raise self._truncated() from error
        except (gzip.BadGzipFile, zlib.error) as error:
            problem = f"is damaged: {error}"
            raise DataError(problem, where=f"{self.name}:{self._line + 1}") from error
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", where=self.name) from error
        if bgzf.is_bgzf(self._source.start) and not self._source.complete:
            raise self._truncated()

    def _without_return(self, text: str) -> str:
        if not self._saw_crlf:
            self._saw_crlf = True
            log.warning("%s: Windows line ends; written back as plain ones", self.name)
        return text.removesuffix("\r")

    def _truncated(self) -> DataError:
        return _truncated(f"{self.name}:{self._line + 1}")

    def _wrong(self, what: str, expected: str, found: str) -> DataError:
        return DataError(what, where=f"{self.name}:{self._line}", expected=expected, found=found)


class _Source(io.RawIOBase):
    """Raw bytes of a stream whose start is known in advance and whose end is remembered.

    Standard input cannot be rewound after its format is told, nor its last block looked up.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.start: bytes = stream.read(bgzf.HEADER_SIZE)
        self._ahead = self.start
        self._end = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._ahead[: len(buffer)] or self._stream.read1(len(buffer))
        self._ahead = self._ahead[len(data) :]
        self._end = (self._end + data)[-len(bgzf.END) :]
        buffer[: len(data)] = data
        return len(data)

    @property
    def complete(self) -> bool:
        """Whether BGZF's end mark came last."""
        return self._end == bgzf.END


def _open(path: str | Path, name: str) -> Any:
    if str(path) == STANDARD_STREAM:
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=name) from error


def _refuse_other_formats(start: bytes, name: str) -> None:
    if not start:
        raise DataError("is empty", where=name, expected="a VCF header")
    if start.startswith(b"BCF\x02"):
        raise DataError("is BCF, not VCF", where=name, hint=_CONVERT)


def _refuse_truncated(path: str | Path, start: bytes) -> None:
    """Look for BGZF's end mark before hours of work, where the file can be looked at twice."""
    if not bgzf.is_bgzf(start) or not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        file.seek(-min(len(bgzf.END), os.path.getsize(path)), os.SEEK_END)
        if file.read() != bgzf.END:
            raise _truncated(path)


def _truncated(where: object) -> DataError:
    return DataError(
        "the compressed file ends too early: it is truncated",
        where=where,
        hint="copy or download it again",
    )


class VcfWriter:
    """Writes a header and lines; made by :func:`vcf_writer`."""

    def __init__(self, stream: bgzf.Sink) -> None:
        self._stream = stream

    def header(self, header: Header) -> None:
        """Write the header; once, and first."""
        self._write(str(header))

    def lines(self, lines: Iterable[str]) -> None:
        """Write records, given without their line ends."""
        self._write("".join(f"{line}\n" for line in lines))

    def _write(self, text: str) -> None:
        self._stream.write(text.encode("utf-8", "surrogateescape"))


@contextmanager
def vcf_writer(path: str | Path) -> Iterator[VcfWriter]:
    """A VCF to write: BGZF if the name ends in ``.gz`` or ``.bgz``, plain otherwise.

    Parameters
    ----------
    path : str or Path
        Appears whole when the block ends without an error, or not at all; ``-`` is standard
        output, written as it comes.

    Raises
    ------
    GenomixError
        If the disk is full or cannot be written to.
    """
    if str(path) == STANDARD_STREAM:
        with _standard_output() as stream:
            yield VcfWriter(stream)
        return
    with atomic_path(Path(path)) as draft, open(draft, "wb", buffering=0) as raw:
        whole = _Whole(raw, str(path))
        if Path(path).suffix not in (".gz", ".bgz"):
            yield VcfWriter(whole)
            return
        compressed = bgzf.BgzfWriter(whole)
        yield VcfWriter(compressed)
        compressed.finish()


@contextmanager
def _standard_output() -> Iterator[_Whole]:
    """Standard output without Python's buffer, which would fail once more when Python ends."""
    sys.stdout.flush()
    with open(sys.stdout.fileno(), "wb", buffering=0, closefd=False) as raw:
        yield _Whole(raw, "standard output")


@dataclass(frozen=True)
class _Whole:
    """A raw stream that writes all it is given: the system may take less at a time."""

    raw: io.RawIOBase | io.FileIO
    name: str

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self.raw.write(rest) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise GenomixError(f"cannot be written: {error.strerror}", where=self.name) from error
