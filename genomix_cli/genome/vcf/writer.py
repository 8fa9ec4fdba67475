"""Writing of VCF, BCF and tables: outputs appear whole or not at all, and can be resumed."""

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
from genomix_cli.outputs import file_errors

log = logging.getLogger("genomix")

# Compressing threads; more than cores, since each sometimes waits for Python's lock.
THREADS = 4
# Seconds to wait for a thread whose output is no longer needed.
PATIENCE = 1.0
# zlib level of drafts that are only converted to another format.
DRAFT_LEVEL = 1


class Format(Enum):
    """Output formats; the values are those of ``-O``, if it has one for the format."""

    VCF = "v"
    VCF_GZ = "z"
    BCF_RAW = "u"
    BCF = "b"
    TSV = "t"
    TSV_GZ = "t.gz"
    PARQUET = "parquet"

    @property
    def is_table(self) -> bool:
        """True for tables, whose lines are not VCF records."""
        return self in (Format.TSV, Format.TSV_GZ, Format.PARQUET)

    @property
    def is_bcf(self) -> bool:
        """True for BCF, which htslib encodes."""
        return self in (Format.BCF, Format.BCF_RAW)

    @property
    def is_bgzf(self) -> bool:
        """True for text in BGZF."""
        return self in (Format.VCF_GZ, Format.TSV_GZ)


_LETTERS = {f.value: f for f in (Format.VCF, Format.VCF_GZ, Format.BCF_RAW, Format.BCF, Format.TSV)}
# In order of precedence.
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
        Output; without `letter`, its suffix decides, and an unknown suffix means VCF. The suffix of
        Parquet overrides `letter`.
    letter : {"v", "z", "u", "b", "t"}, optional
        VCF, VCF.gz, uncompressed BCF, BCF (as in bcftools) or TSV; overrides other suffixes. With
        ``t``, the output is compressed if its name ends in ``.gz`` or ``.bgz``.

    Raises
    ------
    UsageError
        If there is no such letter.
    """
    if letter is not None and letter not in _LETTERS:
        choices = "v (VCF), z (VCF.gz), b (BCF), u (uncompressed BCF) or t (TSV)"
        raise UsageError("no such output type", where="-O", expected=choices, found=letter)
    name = Path(path).name.lower()
    by_name = _by_suffix(name)
    if letter is None or by_name is Format.PARQUET:
        return by_name or Format.VCF
    if letter == "t" and name.endswith((".gz", ".bgz")):
        return Format.TSV_GZ
    return _LETTERS[letter]


def _by_suffix(name: str) -> Format | None:
    return next((form for form, ends in _SUFFIXES.items() if name.endswith(ends)), None)


def warn_of_suffix(path: str | Path, letter: str | None = None) -> None:
    """Say that an output with an unknown suffix, such as ``.csv``, is written as VCF.

    The arguments are those of :func:`format_of`; with `letter`, the suffix means nothing.
    """
    suffix = Path(path).suffix
    if letter is not None or not suffix or is_streamed(path):
        return
    if _by_suffix(Path(path).name.lower()) is None:
        known = ".vcf, .vcf.gz, .bcf, .tsv, .tsv.gz or .parquet"
        log.warning("%s: %s is an unknown extension: written as VCF; use %s", path, suffix, known)


def table_format(path: Path) -> Format:
    """Return the table format for an output; TSV for standard output and devices.

    Raises
    ------
    UsageError
        If the suffix is not that of a table.
    """
    form = format_of(path)
    if form.is_table:
        return form
    if is_streamed(path):
        return Format.TSV
    raise UsageError(
        "does not have the extension of a table", where=path, expected=".tsv, .tsv.gz or .parquet"
    )


def cell(name: Any) -> str:
    """Return a name as the text of a table cell.

    Raises
    ------
    DataError
        If it contains a tab or a line break.
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
        """Pass on everything written so far."""

    def finish(self) -> None:
        """Pass on everything and write the end mark, if the format has one."""

    def close(self) -> None:
        """Stop threads; unless :meth:`finish` was called first, the output stays incomplete."""


class Output:
    """Output of lines to a file or standard output; made by :func:`open_output`.

    Attributes
    ----------
    resumed : dict or None
        State of the commit to resume from; None for a new output.
    """

    def __init__(self, sink: Sink, draft: Draft | None = None) -> None:
        self._sink = sink
        self._draft = draft
        self.resumed = draft.last.state if draft is not None and draft.last is not None else None

    def lines(self, lines: Iterable[str]) -> None:
        """Append lines, given without line breaks."""
        lines = list(lines)
        if lines:
            self.text("\n".join([*lines, ""]).encode("utf-8", "surrogateescape"))

    def text(self, data: bytes) -> None:
        """Append whole lines, including line breaks."""
        if data:
            self._sink.write(data)

    def commit(self, state: dict[str, Any]) -> None:
        """End a block and make the output so far durable, together with `state`.

        Parameters
        ----------
        state : dict
            Plain data for JSON. ``records``, if present, is the number of records so far.
        """
        self.end_block()
        if self._draft is not None:
            self._draft.commit(state)

    def end_block(self) -> None:
        """End a block as :meth:`commit` does, with the same bytes, but not durably."""
        self._sink.flush()


@dataclass(frozen=True)
class _Whole:
    """Sink that writes all bytes to a raw stream, which may accept fewer at a time."""

    raw: Any
    name: str

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        with file_errors(self.name):
            while rest:
                rest = rest[self.raw.write(rest) :]

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""

    finish = close = flush


class _BcfPump(threading.Thread):
    """Thread that encodes lines as BCF: htslib reads from a pipe and writes to a descriptor."""

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
        """Do nothing: htslib decides when to write."""

    def finish(self) -> None:
        self._complete = True
        self._end()

    def close(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        # An abandoned thread may be blocked on a reader that does not read.
        self.join(None if self._complete or self._error else PATIENCE)

    def _end(self) -> None:
        """Wait for the thread, and raise its error if it failed."""
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

    Until then, a draft beside it holds the data (see `genomix_cli.genome.vcf.drafts`). If the work
    is interrupted or the disk is full, the draft is kept up to the last commit. `resume` continues
    from there, and the final bytes are the same. After any other error, the draft is removed.

    Parameters
    ----------
    path : str or Path
        File to write. ``-`` (standard output) and devices are written directly, without a draft.
    format : Format
        BCF and Parquet are converted from the draft at the end; BCF on standard output is encoded
        line by line.
    columns : sequence of Column, optional
        Columns of a Parquet file; by default, all are text.
    index : bool
        If True, write a ``.tbi`` index (``.csi`` for BCF and long contigs). The first two columns
        of a TSV must then be contig and 1-based position.
    resume : bool
        If True, continue from a draft if there is one.
    identity : str
        Everything the bytes depend on: inputs, settings, version.

    Yields
    ------
    Output

    Raises
    ------
    UsageError
        If the output cannot be indexed or resumed, or the draft is of other inputs or settings.
    MissingExtraError
        If the format is Parquet and pyarrow is not installed.
    DataError
        If the output is complete but cannot be indexed, because it is not sorted.
    GenomixError
        If the output cannot be written.
    BrokenPipeError
        If the reader of standard output has gone.
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
    """Return True for standard output and for devices, which are written without a draft."""
    # Not the real path: that of /dev/stdout, where it is a pipe, does not exist.
    target = Path(path)
    return str(path) == STANDARD_STREAM or (target.exists() and not target.is_file())


def check_target(
    path: str | Path, format: Format, *, index: bool = False, resume: bool = False
) -> None:
    """Refuse an output that could not be written, before any work is done.

    The arguments are those of :func:`open_output`.

    Raises
    ------
    UsageError
        If the path is a folder or lies in none, or the output cannot be resumed or indexed.
    MissingExtraError
        If the format is Parquet and pyarrow is not installed.
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
    """Yield an output to a stream without Python's buffer, which would fail again at exit."""
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
    """Settings for turning a draft into the output: format, target, index."""

    path: str | Path
    target: Path
    format: Format
    columns: Sequence[Column] | None
    index: bool

    def sink(self, draft: Draft) -> Sink:
        """Return the sink for lines; text that will be converted is lightly compressed."""
        raw = _Whole(draft.data, str(self.path))
        if self.format in (Format.VCF, Format.TSV):
            return raw
        if self.format.is_bgzf:
            return BgzfWriter(raw, threads=THREADS)
        return BgzfWriter(raw, threads=THREADS, level=DRAFT_LEVEL)

    def publish(self, draft: Draft) -> None:
        """Turn the complete draft into the output and its index, and move both into place."""
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
            self._place(index)
        if problem is not None:
            raise problem

    def _index(self, product: Path) -> tuple[Path | None, DataError | None]:
        """Return the index, or the error that prevents it, to raise after the output is saved."""
        from genomix_cli.genome.vcf.htslib import index_file

        preset = "bcf" if self.format.is_bcf else "tsv" if self.format.is_table else "vcf"
        draft = product.with_name("index")
        try:
            return index_file(product, draft, str(self.path), preset=preset), None
        except DataError as problem:
            return None, problem

    def _place(self, index: Path | None) -> None:
        """Move the index beside its file, and remove those of the file that was there before."""
        for suffix in (".tbi", ".csi"):
            place = Path(f"{self.target}{suffix}")
            if index is not None and index.suffix == suffix:
                os.replace(index, place)
            elif os.path.exists(place):  # unlike Path's, False for a name that is too long
                place.unlink()
                if index is None:
                    log.warning("%s: removed, since it indexed an earlier file", place)


@contextmanager
def _drafted(draft: Draft, work: _Work) -> Iterator[Output]:
    """Yield the output of a draft; publish it afterwards, or keep or remove it on an error."""
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
    """Return True if resuming can succeed: the error is not one of the data or the request."""
    if isinstance(error, GenomixError):
        return not isinstance(error, (DataError, CheckError, UsageError))
    return isinstance(error, (KeyboardInterrupt, SystemExit))
