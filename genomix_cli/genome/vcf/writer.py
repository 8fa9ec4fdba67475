"""Outputs for records: VCF, BCF and tables, whole or not at all, and gone on with later."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from genomix_cli.errors import CheckError, DataError, GenomixError, UsageError
from genomix_cli.genome.parquet import Column, require_pyarrow, write_parquet
from genomix_cli.genome.vcf.bgzf import BgzfWriter
from genomix_cli.genome.vcf.drafts import Draft, sync
from genomix_cli.genome.vcf.input import STANDARD_STREAM
from genomix_cli.provenance import file_errors

log = logging.getLogger("genomix")

# More than cores, for each waits now and then until Python lets it hand over a block.
THREADS = 4
# Seconds to wait for a thread whose work is no longer wanted.
PATIENCE = 1.0
# Drafts that are read again at once.
DRAFT_LEVEL = 1


class Format(Enum):
    """Formats of outputs; the values are those of ``-O`` where it has one."""

    VCF = "v"
    VCF_GZ = "z"
    BCF_RAW = "u"
    BCF = "b"
    TSV = "t"
    TSV_GZ = "t.gz"
    PARQUET = "parquet"

    @property
    def is_table(self) -> bool:
        """True if rows are lines of a table, not records of a VCF."""
        return self in (Format.TSV, Format.TSV_GZ, Format.PARQUET)

    @property
    def is_bcf(self) -> bool:
        """True if htslib encodes it."""
        return self in (Format.BCF, Format.BCF_RAW)

    @property
    def is_bgzf(self) -> bool:
        """True for text in BGZF."""
        return self in (Format.VCF_GZ, Format.TSV_GZ)


_LETTERS = {f.value: f for f in (Format.VCF, Format.VCF_GZ, Format.BCF_RAW, Format.BCF, Format.TSV)}
# The first that fits counts.
_SUFFIXES = {
    Format.PARQUET: (".parquet",),
    Format.TSV_GZ: (".tsv.gz", ".tsv.bgz", ".txt.gz", ".txt.bgz"),
    Format.TSV: (".tsv", ".txt"),
    Format.BCF: (".bcf",),
    Format.VCF: (".vcf",),
    Format.VCF_GZ: (".gz", ".bgz"),
}


def format_of(path: str | Path, letter: str | None = None) -> Format:
    """Return the format to write to a file.

    Parameters
    ----------
    path : str or Path
        Its suffix decides where `letter` does not; without either it is VCF. Parquet goes by the
        suffix alone.
    letter : {"v", "z", "u", "b", "t"}, optional
        VCF, VCF.gz, uncompressed BCF, BCF or TSV, as in bcftools: wins over the suffix. ``t`` is
        compressed if the name ends in ``.gz`` or ``.bgz``.

    Raises
    ------
    UsageError
        If there is no such letter.
    """
    if letter is not None and letter not in _LETTERS:
        choices = "v (VCF), z (VCF.gz), b (BCF), u (uncompressed BCF) or t (TSV)"
        raise UsageError("no such output type", where="-O", expected=choices, found=letter)
    name = Path(path).name.lower()
    by_name = next((form for form, ends in _SUFFIXES.items() if name.endswith(ends)), None)
    if letter is None or by_name is Format.PARQUET:
        return by_name or Format.VCF
    if letter == "t" and name.endswith((".gz", ".bgz")):
        return Format.TSV_GZ
    return _LETTERS[letter]


def table_format(path: Path) -> Format:
    """Return the kind of table that a name asks for.

    Raises
    ------
    UsageError
        If it asks for something else.
    """
    form = format_of(path)
    if form.is_table:
        return form
    if str(path) == STANDARD_STREAM or (path.exists() and not path.is_file()):
        return Format.TSV
    raise UsageError(
        "does not have the extension of a table", where=path, expected=".tsv, .tsv.gz or .parquet"
    )


def cell(name: Any) -> str:
    """Return a name as text that fits a cell of a table.

    Raises
    ------
    DataError
        If it does not.
    """
    text = str(name)
    if "\t" in text or "\n" in text or "\r" in text:
        raise DataError(
            f"{text!r} does not fit a table", hint="rename it, since it contains a tab or newline"
        )
    return text


class Sink(Protocol):
    """Destination of the bytes of an output."""

    def write(self, data: bytes, /) -> None:
        """Append bytes."""

    def flush(self) -> None:
        """Hand on everything that was written."""

    def finish(self) -> None:
        """Hand on everything and whatever marks the end."""

    def close(self) -> None:
        """Let go of threads; without :meth:`finish` first, the output stays incomplete."""


class Output:
    """Lines to a file or standard output; made by :func:`open_output`.

    Attributes
    ----------
    resumed : dict or None
        State of the commit to go on from; None at the start.
    """

    def __init__(self, sink: Sink, draft: Draft | None = None) -> None:
        self._sink = sink
        self._draft = draft
        self.resumed = draft.last.state if draft is not None and draft.last is not None else None

    def lines(self, lines: Iterable[str]) -> None:
        """Append lines, given without their ends."""
        lines = list(lines)
        if lines:
            self.text("\n".join([*lines, ""]).encode("utf-8", "surrogateescape"))

    def text(self, data: bytes) -> None:
        """Append whole lines, with their ends."""
        if data:
            self._sink.write(data)

    def commit(self, state: dict[str, Any]) -> None:
        """End a block: what was written so far lasts, and `state` with it.

        Parameters
        ----------
        state : dict
            Plain data for JSON. ``records``, if it is there, is the number of records so far.
        """
        self.end_block()
        if self._draft is not None:
            self._draft.commit(state)

    def end_block(self) -> None:
        """End a block without the promise of :meth:`commit`; the bytes are the same."""
        self._sink.flush()


@dataclass(frozen=True)
class _Whole:
    """A raw stream that writes all it is given: the system may take less at a time."""

    raw: Any
    name: str

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        with file_errors(self.name):
            while rest:
                rest = rest[self.raw.write(rest) :]

    def flush(self) -> None:
        """Nothing is held back."""

    finish = close = flush


class _BcfPump(threading.Thread):
    """Encodes lines as they come: htslib reads them from a pipe and writes to a descriptor."""

    def __init__(self, descriptor: int, name: str, compressed: bool) -> None:
        super().__init__(daemon=True, name="bcf output")
        self._target = os.dup(descriptor)
        self._name = name
        self._compressed = compressed
        self._source, self._pipe = os.pipe()
        self._complete = False
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        from genomix_cli.genome.vcf.bcf import write_bcf

        try:
            write_bcf(
                self._source,
                self._target,
                self._name,
                compressed=self._compressed,
                complete=lambda: self._complete,
            )
        except BaseException as error:
            self._error = error

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._pipe, rest) :]
        except BrokenPipeError:
            self._end()
            raise

    def flush(self) -> None:
        """Nothing: htslib does as it sees fit."""

    def finish(self) -> None:
        self._complete = True
        self._end()

    def close(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        # Given up, it may be writing to somebody who does not read.
        self.join(None if self._complete or self._error else PATIENCE)

    def _end(self) -> None:
        """Wait for the thread; raises what has ended it."""
        self.close()
        if self._error is not None:
            raise self._error


@contextmanager
def open_output(
    path: str | Path,
    format: Format,
    *,
    columns: Sequence[Column] | None = None,
    index: bool = False,
    resume: bool = False,
    identity: str = "",
) -> Iterator[Output]:
    """Open an output that appears whole when the block ends without an error, or not at all.

    Until then it is a draft beside it (see `genomix_cli.genome.vcf.drafts`). If the work is
    interrupted or the disk full, the draft is kept as far as it was committed, and `resume`
    continues from there: the final bytes are the same. After any other error the draft is removed.

    Parameters
    ----------
    path : str or Path
        ``-`` is standard output, written as it comes, and so is what is neither file nor folder.
    format : Format
        BCF and Parquet are made from the draft in the end, BCF on standard output line by line.
    columns : sequence of Column, optional
        Of a Parquet file; without them all are text.
    index : bool
        Make ``.tbi`` (``.csi`` for BCF and long contigs). The first two columns of a TSV are then
        contig and position, 1-based.
    resume : bool
        Go on from a draft if there is one.
    identity : str
        Whatever the bytes depend on: inputs, settings, version.

    Raises
    ------
    UsageError
        If there can be no index, nothing to go on with, or a draft of something else.
    MissingExtraError
        If Parquet needs pyarrow.
    GenomixError
        If it cannot be written.
    BrokenPipeError
        If nobody reads standard output any longer.
    """
    check_target(path, format, index=index, resume=resume)
    target = Path(os.path.realpath(path))
    with ExitStack() as stack:
        if is_streamed(path):
            yield stack.enter_context(_streamed(path, format))
        else:
            work = _Work(path, target, format, columns, index)
            draft = Draft(target, f"{format.value} {identity}", resume=resume)
            yield stack.enter_context(_drafted(draft, work))


def is_streamed(path: str | Path) -> bool:
    """Return True for standard output, and for what is neither file nor folder."""
    target = Path(os.path.realpath(path))
    return str(path) == STANDARD_STREAM or (target.exists() and not target.is_file())


def check_target(
    path: str | Path, format: Format, *, index: bool = False, resume: bool = False
) -> None:
    """Refuse before any work what would fail after it: see :func:`open_output`.

    Raises
    ------
    UsageError
    MissingExtraError
    """
    is_stream = is_streamed(path)
    if str(path) != STANDARD_STREAM and Path(path).is_dir():
        raise UsageError("is a folder", where=path, expected="a file to write")
    if not is_stream and not Path(os.path.realpath(path)).parent.is_dir():
        raise UsageError("no such folder", where=Path(path).parent, hint="create it first")
    if is_stream and resume:
        raise UsageError(
            "only a run that writes a file can be resumed",
            where="--resume",
            hint="name one with -o",
        )
    if is_stream and format is Format.PARQUET:
        raise UsageError("Parquet cannot be written to standard output", where=path)
    if format is Format.PARQUET:
        require_pyarrow()
    if index and (is_stream or not (format.is_bgzf or format is Format.BCF)):
        expected = "a file that is VCF.gz, TSV.gz or BCF"
        raise UsageError("this output cannot be indexed", where=path, expected=expected)


@contextmanager
def _streamed(path: str | Path, format: Format) -> Iterator[Output]:
    """Standard output or a device, without Python's buffer, which would fail once more later."""
    if str(path) == STANDARD_STREAM:
        sys.stdout.flush()
        name, descriptor = "standard output", os.dup(sys.stdout.fileno())
    else:
        with file_errors(path):
            name, descriptor = str(path), os.open(path, os.O_WRONLY)
    with open(descriptor, "wb", buffering=0) as raw:
        sink: Sink = _Whole(raw, name)
        if format.is_bcf:
            sink = _BcfPump(raw.fileno(), name, format is Format.BCF)
        elif format.is_bgzf:
            sink = BgzfWriter(sink, threads=THREADS)
        try:
            yield Output(sink)
            sink.finish()
        finally:
            sink.close()


@dataclass(frozen=True)
class _Work:
    """Product of a draft: format, place, index."""

    path: str | Path
    target: Path
    format: Format
    columns: Sequence[Column] | None
    index: bool

    def sink(self, draft: Draft) -> Sink:
        """Return the destination of lines: text to be converted is compressed, if lightly."""
        raw = _Whole(draft.data, str(self.path))
        if self.format in (Format.VCF, Format.TSV):
            return raw
        if self.format.is_bgzf:
            return BgzfWriter(raw, threads=THREADS)
        return BgzfWriter(raw, threads=THREADS, level=DRAFT_LEVEL)

    def publish(self, draft: Draft) -> None:
        """Turn the whole draft into the output, and the index with it."""
        product = draft.path
        if self.format.is_bcf:
            from genomix_cli.genome.vcf.bcf import write_bcf

            product = draft.folder / "product"
            compressed = self.format is Format.BCF
            write_bcf(str(draft.path), str(product), str(self.path), compressed=compressed)
        elif self.format is Format.PARQUET:
            product = draft.folder / "product"
            with file_errors(self.path):
                write_parquet(draft.path, product, self.columns, str(self.path))
        index, problem = self._index(product) if self.index else (None, None)
        with file_errors(self.path):
            sync(product)
            os.replace(product, self.target)
            if index is not None:
                self._place(index)
        if problem is not None:
            raise problem

    def _index(self, product: Path) -> tuple[Path | None, DataError | None]:
        """The index, or why there can be none: hours of work are not lost for want of it."""
        from genomix_cli.genome.vcf.htslib import index_file

        preset = "bcf" if self.format.is_bcf else "tsv" if self.format.is_table else "vcf"
        draft = product.with_name("index")
        try:
            return index_file(product, draft, str(self.path), preset=preset), None
        except DataError as problem:
            return None, problem

    def _place(self, index: Path) -> None:
        """Put the index beside its file, in place of an older one of either kind."""
        for suffix in {".tbi", ".csi"} - {index.suffix}:
            Path(f"{self.target}{suffix}").unlink(missing_ok=True)
        os.replace(index, f"{self.target}{index.suffix}")


@contextmanager
def _drafted(draft: Draft, work: _Work) -> Iterator[Output]:
    """A draft while it is written, and what becomes of it."""
    try:
        sink = work.sink(draft)
        try:
            yield Output(sink, draft)
            sink.finish()
        finally:
            sink.close()
        work.publish(draft)
    except BaseException as error:
        if draft.last is None or not draft.path.exists() or not _can_go_on(error):
            draft.remove()
        else:
            draft.close()
            records = draft.last.state.get("records")
            what = "the part done" if records is None else f"the {records:,} records done"
            log.warning("%s: kept %s; --resume continues from there", work.path, what)
        raise
    draft.remove()


def _can_go_on(error: BaseException) -> bool:
    """Return True if the same work can succeed another time: data and request are right."""
    if isinstance(error, GenomixError):
        return not isinstance(error, (DataError, CheckError, UsageError))
    return isinstance(error, (KeyboardInterrupt, SystemExit))
