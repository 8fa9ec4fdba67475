"""Reports on files and folders: their kind, main facts and, for a scored VCF, highest scores."""

from __future__ import annotations

import codecs
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from genomix_cli.errors import DataError, GenomixError, UsageError
from genomix_cli.formats import detect
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.genome.parquet import MAGIC
from genomix_cli.genome.vcf.input import STANDARD_STREAM
from genomix_cli.inspection import comparisons, data, models
from genomix_cli.inspection.data import look_closer
from genomix_cli.inspection.report import METRICS, Report
from genomix_cli.inspection.vcf import vcf
from genomix_cli.provenance import LINE

__all__ = ["Report", "inspect", "look_closer"]

KINDS = (
    "a model or run folder, an evaluation, a leaderboard, a simulated genome, a shard, a cohort, a "
    "file of sequences, a VCF, a table of scores, reasons or metrics, a FASTA, a bigWig or a "
    "contact map"
)
_MODELS = {"cohorts": models.cohort_model, "sequences": models.sequence_model}
_COMPARISONS = {
    METRICS: comparisons.evaluation,
    comparisons.LEADERBOARD: comparisons.leaderboard,
}
_BY_START: dict[Any, Callable[[Path], Report]] = {
    detect.HDF5: data.hdf5,
    detect.BIGWIG: data.bigwig,
    b">": data.fasta,
    LINE.encode(): data.table,
    MAGIC: data.table,
}


def inspect(path: Path, top: int = 10) -> Report:
    """Describe a file or folder.

    Parameters
    ----------
    path : Path
        A pipe, or ``-`` for standard input, is copied to a temporary file first.
    top : int
        Number of rows in a table of the highest scores.

    Returns
    -------
    Report

    Raises
    ------
    UsageError
        If there is no such file.
    DataError
        If the file is damaged, or not of a kind that genomix reads or writes.
    """
    path = Path(path)
    if str(path) == STANDARD_STREAM or path.is_fifo():
        return _of_pipe(path, top)
    if not path.exists():
        raise UsageError("no such file", where=path)
    if path.is_dir():
        return _folder(path)
    start = _start(path)
    if start.startswith(detect.VCF):
        return vcf(path, top)
    for magic, describe in _BY_START.items():
        if start.startswith(magic):
            return describe(path)
    raise DataError("is not a kind of file that genomix knows", where=path, expected=KINDS)


def _of_pipe(path: Path, top: int) -> Report:
    """Describe what a pipe gives; most kinds of file cannot be read in one pass."""
    with tempfile.TemporaryDirectory(prefix="genomix-") as folder:
        copy = Path(folder) / "standard-input"
        with copy.open("wb") as file:
            if str(path) == STANDARD_STREAM:
                shutil.copyfileobj(sys.stdin.buffer, file)
            else:
                with path.open("rb") as pipe:
                    shutil.copyfileobj(pipe, file)
        try:
            return replace(inspect(copy, top), path=path)
        except GenomixError as error:
            error.where = str(error.where).replace(str(copy), str(path))
            raise


def _start(path: Path) -> bytes:
    """Return the first bytes of a file, after a byte order mark and white space."""
    try:
        start = detect.first_bytes(path)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read: {error}", where=path) from error
    if not start:
        raise DataError("is empty", where=path, expected=KINDS)
    return start.removeprefix(codecs.BOM_UTF8).lstrip(b" \n\r\t")


def _folder(path: Path) -> Report:
    if (path / "config.json").is_file():
        return _MODELS.get(RunFolder(path).domain, models.variant_model)(path)
    if (path / "manifest.json").is_file():
        return data.simulated_genome(path)
    if (path / "train.json").is_file():
        resume = f"genomix train ... -o {path} --resume"
        return Report(path, "unfinished run", {"resume with": resume})
    for name, describe in _COMPARISONS.items():
        if (path / name).is_file():
            return describe(path)
    raise DataError("is not a kind of folder that genomix knows", where=path, expected=KINDS)
