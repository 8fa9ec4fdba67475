"""Detection of file and folder kinds, from their first bytes or their metadata."""

from __future__ import annotations

import codecs
import gzip
import json
import re
import zlib
from pathlib import Path

from genomix_cli.errors import DataError, GenomixError, UsageError, guarded
from genomix_cli.genome.parquet import MAGIC
from genomix_cli.genome.vcf.bgzf import GZIP

# mudata writes its own header before the HDF5 signature.
_MUDATA = b"MuData"
HDF5 = (b"\x89HDF\r\n\x1a\n", _MUDATA)
BIGWIG = (b"\x26\xfc\x8f\x88", b"\x88\x8f\xfc\x26")
VCF = (b"##fileformat=VCF", b"BCF\x02")
_SIZE = 4096
_SUFFIX = ".h5mu"
_SEQUENCES = "genomix-sequences"
_SHARD = "genomix-shard"
EVALUATION = "genomix-evaluation"
_CONFIG, _REQUEST = "config.json", "train.json"
#: Folder of the models that ship with genomix, one subfolder each.
PRETRAINED = Path(__file__).parents[1] / "pretrained"


def is_hdf5(path: Path) -> bool:
    """Return True if a file begins as HDF5 does."""
    return _start(path).startswith(HDF5)


def is_cohort(path: Path) -> bool:
    """Return True for a MuData or AnnData file, or a missing file with the suffix ``.h5mu``.

    AnnData files count so that their owners get the message on how to convert them.
    """
    start = _start(path)
    if not start.startswith(HDF5):
        return not path.exists() and path.name.endswith(_SUFFIX)
    from genomix_cli.genome.hdf5 import open_hdf5

    try:
        with open_hdf5(path) as file, guarded(path):
            return "obs" in file
    except DataError:  # the command will report it
        return start.startswith(_MUDATA)


def is_sequences(path: Path) -> bool:
    """Return True if the `format` attribute of a file says that it holds sequences."""
    return _is_format(path, _SEQUENCES)


def is_genome_shard(path: Path) -> bool:
    """Return True if the `format` attribute of a file says that it is a genome shard."""
    return _is_format(path, _SHARD)


def _is_format(path: Path, name: str) -> bool:
    start = _start(path)
    if not start.startswith(HDF5):
        return False
    from genomix_cli.genome.hdf5 import open_hdf5

    try:
        with open_hdf5(path) as file, guarded(path):
            return bool(file.attrs.get("format") == name)
    except DataError:  # the command will report it
        return name.encode() in start


def is_evaluation(path: Path) -> bool:
    """Return True for a folder in which `evaluate` wrote the results of models on a shard."""
    try:
        data = json.loads((path / "metrics.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and data.get("format") == EVALUATION


def is_scored_classes(path: Path) -> bool:
    """Return True for a run folder of cohorts or sequences, or a table with one row per sample.

    A text table counts if its first column is ``sample``; any Parquet file counts.
    """
    if path.is_dir():
        return domain_of_run(path) != "variants"
    if _start(path).startswith(MAGIC):
        return True
    from genomix_cli.genome.tables import leading_lines

    try:
        names = leading_lines(path)[1] if path.is_file() else ""
    except (GenomixError, OSError):
        return False
    return re.split("[\t,]", names)[0].strip('"') == "sample"


def domain_of_run(folder: Path) -> str:
    """Return the domain of a run, such as ``sequences``; empty if the folder holds no run."""
    try:
        data = json.loads((folder / _CONFIG).read_text())
    except (OSError, ValueError):
        return ""
    return str(data.get("domain", "variants")) if isinstance(data, dict) else ""


def is_table_or_fasta(path: Path) -> bool:
    """Return True for text that begins as a FASTA, or as a table without alleles."""
    start = _start(path).removeprefix(codecs.BOM_UTF8)
    if not start or start.startswith((*HDF5, *VCF, *BIGWIG, MAGIC, b"#")):
        return False
    names = re.split(rb"[\t,; ]+", start.split(b"\n")[0].strip().lower())
    return not {b"alt", b"alternate", b"alternate_allele"} & {name.strip(b'"') for name in names}


def model_folder(name: str) -> Path:
    """Return the folder of a model, given by its path or by the name of a model that ships.

    Raises
    ------
    UsageError
        If neither exists, or the run has not finished.
    """
    for folder in (Path(name), PRETRAINED / name):
        if (folder / _CONFIG).is_file():
            return folder
    if (Path(name) / _REQUEST).is_file():
        raise UsageError(
            "is a run that has not finished", where=name, hint="run genomix train with --resume"
        )
    shipped = sorted(p.parent.name for p in PRETRAINED.glob(f"*/{_CONFIG}"))
    raise UsageError(
        "no such model",
        where=name,
        expected=f"a run folder, or one of: {', '.join(shipped) or 'none ships'}",
    )


def first_bytes(path: Path) -> bytes:
    """Return the first 4 KiB of a file, decompressed; empty for a pipe, which is read only once.

    Raises
    ------
    OSError, EOFError, zlib.error
        If the file cannot be read or decompressed.
    """
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        start = file.read(_SIZE)
    if start.startswith(GZIP):
        with gzip.open(path) as text:
            start = text.read(_SIZE)
    return start


def _start(path: Path) -> bytes:
    """Return the first bytes; empty if they cannot be read, which the command will report."""
    try:
        return first_bytes(path)
    except (OSError, EOFError, zlib.error):
        return b""
