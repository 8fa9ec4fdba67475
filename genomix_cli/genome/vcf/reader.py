"""VCF as text, in and out, leaving untouched whatever is not asked to change.

Columns are found up to INFO; everything behind it passes as it is, and so do bytes that are
no UTF-8. Specification: https://samtools.github.io/hts-specs/VCFv4.4.pdf
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
        return tuple(match[1] for match in map(_CONTIG.match, self.meta) if match)

    @property
    def samples(self) -> list[str]:
        """Names of the samples, in the order of their columns."""
        return self.columns.split("\t")[len(COLUMNS) + 1 :]

    def refuse_for_bcf(self, where: object) -> None:
        """Refuse a header that text VCF can hold and BCF cannot, before hours of work.

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
        """The header without the ``##`` lines that begin with any of `starts`."""
        return self._replace(meta=tuple(m for m in self.meta if not m.startswith(starts)))

    def only(self, *starts: str) -> list[str]:
        """The ``##`` lines that begin with any of `starts`."""
        return [line for line in self.meta if line.startswith(starts)]

    def plus(self, lines: Iterable[str]) -> Header:
        """The header with more ``##`` lines; a line break in one becomes a space."""
        return self._replace(meta=(*self.meta, *(" ".join(m.splitlines()) for m in lines)))

    @property
    def lines(self) -> list[str]:
        """All lines, without their ends."""
        return [*self.meta, self.columns]

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


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


class VcfReader:
    """Records of a VCF, one after another.

    Plain, gzip, BGZF and BCF are told apart by their content. Windows line ends are accepted, with
    a warning. Empty lines are passed over.

    Parameters
    ----------
    path : str or Path
        A file, or ``-`` for standard input.
    regions : Regions, optional
        Only records whose POS lies in them. Where an index (``.csi``, ``.tbi``) lies beside the
        file, the rest is not read.
    again : bool
        Whether another reader of the file has warned of what is odd about it.

    Attributes
    ----------
    name : str
        The file as messages name it.
    header : Header

    Raises
    ------
    DataError
        If it cannot be read, is no VCF, or is truncated; while iterating too, with the place.
    """

    def __init__(
        self, path: str | Path, regions: Regions | None = None, again: bool = False
    ) -> None:
        self.path = Path(path)
        self._regions = regions
        # The line that was read last; those of an index or a BCF have no numbers.
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
        """A place in the file, as messages name it: by the line if it is known."""
        if record.line:
            return f"{self.name}:{record.line}"
        return f"{self.name} at {record.chrom}:{record.pos}"

    def __iter__(self) -> Iterator[Record]:
        return self._records

    def lines(self) -> Iterator[Lines]:
        """The records, many at a time; a reader is read either way, not both."""
        return self._lines

    def _text(self, index: Path | None) -> Iterator[bytes]:
        """The header, then pieces of whole lines."""
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
        """Lines of the regions; if there is no contig of them at all, this is said."""
        seen = set(self.header.contigs)
        for lines in blocks:
            seen.update(run.contig for run in lines.runs)
            yield regions.select(lines)
        if all(regions.find(contig) is None for contig in seen):
            names = ", ".join([*regions.by_contig][:5])
            log.warning("%s: has no contig of the regions, e.g. %s", self.name, names)

    def _read_header(self, pieces: Iterator[bytes]) -> list[bytes]:
        """Read the header; what is left of its last piece, if anything."""
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
