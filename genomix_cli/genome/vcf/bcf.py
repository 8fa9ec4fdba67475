"""Encoding of text VCF as BCF by the htslib inside pysam, which is called directly.

pysam's own ``VariantFile.write`` adds and removes INFO/END, and loses the reason if standard output
cannot be written. Here, records are encoded as by ``bcftools view``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pysam.libchtslib

from genomix_cli.errors import DataError, GenomixError

pysam.set_verbosity(0)

_DECLARED = re.compile(r"##(contig|FILTER|INFO|FORMAT)=<(?:[^\"]*?,)?ID=([^,>]+)")
_TEXT = b"r"
_END_OF_FILE = -1

_lib = ctypes.CDLL(pysam.libchtslib.__file__, use_errno=True)


class _KString(ctypes.Structure):
    """``kstring_t``, htslib's growing string."""

    _fields_ = (("size", ctypes.c_size_t), ("room", ctypes.c_size_t), ("text", ctypes.c_char_p))


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_lib, name, None)
    if function is None:
        raise GenomixError(
            f"pysam's htslib has no {name}, which writing BCF needs",
            where=pysam.libchtslib.__file__,
            hint="write VCF.gz, or install another pysam: pip install 'pysam>=0.22.1'",
        )
    function.restype, function.argtypes = result, arguments
    return function


_P, _I, _S = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
_K = ctypes.POINTER(_KString)
_hts_open = _function("hts_open", _P, _S, _S)
_hdopen = _function("hdopen", _P, _I, _S)
_hts_hopen = _function("hts_hopen", _P, _P, _S, _S)
_hts_close = _function("hts_close", _I, _P)
_read_header = _function("bcf_hdr_read", _P, _P)
_write_header = _function("bcf_hdr_write", _I, _P, _P)
_free_header = _function("bcf_hdr_destroy", None, _P)
_header_text = _function("bcf_hdr_format", _I, _P, _I, _K)
_new_record = _function("bcf_init", _P)
_free_record = _function("bcf_destroy", None, _P)
_read = _function("bcf_read", _I, _P, _P, _P)
_write = _function("bcf_write", _I, _P, _P, _P)
_record_text = _function("vcf_format", _I, _P, _P, _K)


def write_bcf(
    source: str | int,
    target: str | int,
    name: str,
    *,
    compressed: bool = True,
    complete: Callable[[], bool] = lambda: True,
) -> None:
    """Encode text VCF as BCF.

    Parameters
    ----------
    source, target : str or int
        Path, or a descriptor, which is closed at the end.
    name : str
        Name of the output, for messages.
    compressed : bool
        If False, write BGZF of level 0, which stores the data without compression.
    complete : callable
        Returns True if `source` ended because all data were written, and False if its writer
        failed.

    Raises
    ------
    DataError
        If a record cannot be encoded, for example because its contig or a tag is not declared.
    GenomixError
        If the output cannot be written.
    BrokenPipeError
        If the reader of the output has gone.
    InterruptedError
        If `complete` returns False; an output given as a descriptor then gets no end mark.
    """
    with _opened(source, _TEXT, name) as reader:
        header = _read_header(reader)
        if not header:
            raise DataError("BCF cannot hold this header", where=name)
        try:
            with _opened(target, b"wb" if compressed else b"wb0", name) as writer:
                try:
                    _encode(reader, writer, header, name)
                    if not complete():
                        raise InterruptedError
                except BaseException:
                    _divert(target)
                    raise
        finally:
            _free_header(header)


@contextmanager
def _opened(where: str | int, mode: bytes, name: str) -> Iterator[Any]:
    """Yield an open file of htslib, and raise errors that htslib reports only on closing."""
    if isinstance(where, int):
        stream = _hdopen(where, mode)
        file = _hts_hopen(stream, os.fsencode(name), mode) if stream else None
    else:
        file = _hts_open(os.fsencode(where), mode)
    if not file:
        raise (
            DataError("BCF cannot hold this header", where=name) if mode == _TEXT else _failed(name)
        )
    try:
        yield file
    except BaseException:
        _hts_close(file)
        raise
    if _hts_close(file) < 0 and mode != _TEXT:
        raise _failed(name)


def _encode(reader: Any, writer: Any, header: Any, name: str) -> None:
    # Recorded first, because htslib adds undeclared names to the header as it meets them.
    declared = _declared(_text(_header_text, header, 0))
    if _write_header(writer, header) < 0:
        raise _failed(name)
    record, number = _new_record(), 0
    try:
        while (status := _read(reader, header, record)) >= 0:
            number += 1
            if _write(writer, header, record) < 0:
                raise _refusal(_text(_record_text, header, record), declared, name)
    finally:
        _free_record(record)
    if status != _END_OF_FILE:
        raise DataError(
            f"BCF cannot hold record {number + 1:,}: it is not a valid VCF record", where=name
        )


def _text(function: Any, *arguments: Any) -> str:
    """Return the string that a function of htslib writes into its last argument."""
    # Never freed, but used at most twice: for the header, and for the record that fails.
    string = _KString()
    function(*arguments, ctypes.byref(string))
    return (string.text or b"").decode("utf-8", "surrogateescape")


def _declared(header: str) -> set[tuple[str, str]]:
    return {(match[1], match[2]) for match in map(_DECLARED.match, header.splitlines()) if match}


def _refusal(line: str, declared: set[tuple[str, str]], name: str) -> Exception:
    """Return the error for a record that could not be written: an undeclared name, or the disk."""
    fields = line.rstrip("\n").split("\t", 9)
    used = [("contig", fields[0])]
    used += [("FILTER", key) for key in fields[6].split(";") if key not in (".", "PASS")]
    used += [("INFO", entry.partition("=")[0]) for entry in fields[7].split(";") if entry != "."]
    used += [("FORMAT", key) for key in (fields[8].split(":") if len(fields) > 8 else ())]
    missing = next((f"{kind} {key}" for kind, key in used if (kind, key) not in declared), None)
    if missing is None:
        return _failed(name)
    return DataError(
        f"BCF cannot hold this record: the header declares no {missing}",
        where=f"{name} at {fields[0]}:{fields[1]}",
        hint="write VCF, or add it to the header first: bcftools annotate -h",
    )


def _failed(name: str) -> Exception:
    """Return the error for htslib's last failure, from ``errno``."""
    code = ctypes.get_errno()
    if code == errno.EPIPE:
        return BrokenPipeError(code, os.strerror(code))
    reason = os.strerror(code) if code else "htslib does not say why"
    return GenomixError(f"cannot be written: {reason}", where=name)


def _divert(target: str | int) -> None:
    """Redirect a descriptor to nowhere, so that no end mark makes the output look complete."""
    if isinstance(target, int):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, target)
        os.close(nowhere)
