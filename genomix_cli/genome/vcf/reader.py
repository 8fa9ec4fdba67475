"""Reading of VCF as text, without changing anything that is passed through.

Columns are parsed up to INFO. Everything after it is passed through unchanged, and so are bytes
that are not valid UTF-8. Specification: https://samtools.github.io/hts-specs/VCFv4.4.pdf
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from genomix_cli.errors import DataError
from genomix_cli.genome.vcf.indexed import find_index, jump
from genomix_cli.genome.vcf.input import BcfInput, Input
from genomix_cli.genome.vcf.lines import Lines
from genomix_cli.genome.vcf.record import Record
from genomix_cli.genome.vcf.regions import Regions

log = logging.getLogger("genomix")

MAGIC = "##fileformat=VCF"
COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
MISSING = "."

_CONTIG = re.compile(r'##contig=<(?:[^",]*(?:"[^"]*")?,)*?ID=([^,>]+)')


class Header(NamedTuple):
    """Header lines of a VCF, without line breaks.

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
        """Names of the contigs that the header declares."""
        return tuple(match[1] for match in map(_CONTIG.match, self.meta) if match)

    @property
    def samples(self) -> list[str]:
        """Names of the samples, in the order of their columns."""
        return self.columns.split("\t")[len(COLUMNS) + 1 :]

    def refuse_for_bcf(self, where: object) -> None:
        """Refuse a header that is valid in text VCF but not in BCF, before hours of work.

        Raises
        ------
        DataError
            If a sample is named twice.
        """
        twice = [name for name, count in Counter(self.samples).items() if count > 1]
        if twice:
            raise DataError(
                f"has repeated sample names: {', '.join(twice[:3])}",
                where=where,
                expected="unique names, for an output in BCF",
                hint="write a .vcf.gz, or rename the samples with bcftools reheader",
            )

    def without(self, *starts: str) -> Header:
        """Return the header without the ``##`` lines that begin with any of `starts`."""
        return self._replace(meta=tuple(m for m in self.meta if not m.startswith(starts)))

    def only(self, *starts: str) -> list[str]:
        """Return the ``##`` lines that begin with any of `starts`."""
        return [line for line in self.meta if line.startswith(starts)]

    def plus(self, lines: Iterable[str]) -> Header:
        """Return the header with more ``##`` lines; line breaks inside them become spaces."""
        return self._replace(meta=(*self.meta, *(" ".join(m.splitlines()) for m in lines)))

    @property
    def lines(self) -> list[str]:
        """All header lines, without line breaks."""
        return [*self.meta, self.columns]

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


def info_line(
    key: str, number: str, kind: str, description: str, *, source: str = "", version: str = ""
) -> str:
    """Return an ``##INFO`` header line."""
    fields = {"ID": key, "Number": number, "Type": kind, "Description": _quoted(description)}
    if source:
        fields |= {"Source": _quoted(source), "Version": _quoted(version)}
    return f"##INFO=<{','.join(f'{name}={value}' for name, value in fields.items())}>"


def _quoted(text: str) -> str:
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def contig_line(name: str, length: int | None) -> str:
    """Return a ``##contig`` header line; a `length` of None is left out."""
    return f"##contig=<ID={name}{'' if length is None else f',length={length}'}>"


class VcfReader:
    """Reader of the records of a VCF or BCF, in file order.

    Plain text, gzip, BGZF and BCF are recognised by their content. Windows line ends are accepted
    with a warning. Empty lines are skipped.

    Parameters
    ----------
    path : str or Path
        File, or ``-`` for standard input.
    regions : Regions, optional
        Return only records whose POS lies in these regions. If the file has an index (``.csi`` or
        ``.tbi``), the rest is not read.
    again : bool
        True if the file was opened before, so its oddities have been reported already.

    Attributes
    ----------
    name : str
        Name of the file in messages.
    header : Header

    Raises
    ------
    DataError
        If the file cannot be read, is not VCF, or is truncated. Errors during iteration give the
        line or position.
    """

    def __init__(
        self, path: str | Path, regions: Regions | None = None, again: bool = False
    ) -> None:
        self.path = Path(path)
        self._regions = regions
        # Number of the last line read; lines read through an index or from a BCF have none.
        self._line = 0
        self._numbered = True
        self._open = ExitStack()
        try:
            self._input = self._open.enter_context(Input(path, again))
            self.name = self._input.name
            index = find_index(self.path) if regions and self._input.is_bgzf else None
            pieces = self._bcf(index) if self._input.is_bcf else self._text(index)
        except BaseException:
            self.close()
            raise
        self._lines = self._parsed(pieces)
        if regions is not None:
            self._lines = self._inside(regions, self._lines)
        self._records = chain.from_iterable(self._lines)

    def __enter__(self) -> VcfReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; standard input stays open."""
        self._open.close()

    def where(self, record: Record) -> str:
        """Return the location of a record for messages: its line if known, else its position."""
        if record.line:
            return f"{self.name}:{record.line}"
        return f"{self.name} at {record.chrom}:{record.pos}"

    def __iter__(self) -> Iterator[Record]:
        return self._records

    def lines(self) -> Iterator[Lines]:
        """Return an iterator over blocks of records; use either this or iteration, not both."""
        return self._lines

    def _text(self, index: Path | None) -> Iterator[bytes]:
        """Read the header, and return the remaining text in pieces of whole lines."""
        pieces = self._input.pieces()
        rest = self._read_header(pieces)
        if index is None or self._regions is None:
            return chain(rest, pieces)
        from genomix_cli.genome.vcf.htslib import IndexedText

        file = self._open.enter_context(closing(IndexedText(self.path, index)))
        self._numbered = False
        return map(_encoded, jump(file, self._regions))

    def _bcf(self, index: Path | None) -> Iterator[bytes]:
        file = self._open.enter_context(closing(BcfInput(self._input, index)))
        self._numbered = False
        *meta, columns = file.file.header
        self.header = Header(tuple(meta), columns)
        if index is None or self._regions is None:
            return map(_encoded, file.blocks())
        return map(_encoded, jump(file.file, self._regions))

    def _parsed(self, pieces: Iterator[bytes]) -> Iterator[Lines]:
        number = self._line + 1 if self._numbered else 0
        for data in pieces:
            yield Lines.parse(data, number, self._wrong)
            if number:
                number += data.count(b"\n") + 1

    def _inside(self, regions: Regions, blocks: Iterator[Lines]) -> Iterator[Lines]:
        """Yield the lines within regions, and warn if the file has none of their contigs."""
        seen = set(self.header.contigs)
        for lines in blocks:
            seen.update(run.contig for run in lines.runs)
            yield regions.select(lines)
        if all(regions.find(contig) is None for contig in seen):
            names = ", ".join([*regions.by_contig][:5])
            log.warning("%s: has no contig of the regions, e.g. %s", self.name, names)

    def _read_header(self, pieces: Iterator[bytes]) -> list[bytes]:
        """Read the header, and return what follows it in the last piece read."""
        meta: list[str] = []
        for data in pieces:
            end = -1
            while end < len(data):
                start, end = end + 1, data.find(b"\n", end + 1)
                end = len(data) if end < 0 else end
                text = data[start:end].decode("utf-8", "surrogateescape")
                if not meta and not text.startswith(MAGIC):
                    raise self._wrong("is not a VCF", 1, f"{MAGIC}v4.x", repr(text[:40]))
                if not text.startswith("##"):
                    self._finish_header(meta, text)
                    return [data[end + 1 :]] if end < len(data) else []
                meta.append(text)
        if not meta:
            raise DataError("is empty", where=self.name, expected="a VCF header")
        problem = "the #CHROM line is missing"
        raise self._wrong(problem, len(meta), "it after the ## lines", "the end")

    def _finish_header(self, meta: list[str], text: str) -> None:
        self._line = len(meta) + 1
        if tuple(text.split("\t", len(COLUMNS))[: len(COLUMNS)]) != COLUMNS:
            problem = "the #CHROM line is " + ("wrong" if text.startswith("#CHROM") else "missing")
            raise self._wrong(problem, self._line, "<TAB>".join(COLUMNS), repr(text[:60]))
        self.header = Header(tuple(meta), text)

    def _wrong(self, what: str, line: int, expected: str, found: str) -> DataError:
        where = f"{self.name}:{line}" if line else self.name
        return DataError(what, where=where, expected=expected, found=found)


def _encoded(lines: Sequence[str]) -> bytes:
    return "\n".join(lines).encode("utf-8", "surrogateescape")
