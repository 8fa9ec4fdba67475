"""Refuse outputs that would replace an input of the same command, or that cannot be written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from genomix_cli.cli.inputs import STANDARD_STREAM, NamedPath, folder_of, inputs_of
from genomix_cli.errors import UsageError
from genomix_cli.options import Leaf
from genomix_cli.outputs import check_makeable

# Placeholder of options that name a folder for several outputs.
FOLDER = "DIR"
# Suffixes of index files, which are read together with their file.
INDEXES = (".fai", ".gzi", ".tbi", ".csi")
# Files that `prepare cohort --study` reads from a folder.
OF_A_STUDY = ("data_*", "meta_*", "*.seg")
# Files of a run folder, without tables: those are for people to read, and other commands write
# files with such names too.
OF_A_RUN = (
    *("config.json", "model.safetensors", "train.json", "metrics.json", "README.md", "report.html"),
    *("checkpoints/", "logs/", "reference.json", "heads.safetensors", "cross_validation.json"),
    *("fold-*.bed", "fold-*/", "predictions.parquet", "timing.json", "*_mqc.json"),
)


def refuse_overwriting(leaves: Iterable[Leaf], *others: NamedPath) -> None:
    """Refuse a request with an output that would replace an input.

    Parameters
    ----------
    leaves : iterable of Leaf
        Options of the request, whose defaults are its values.
    others : NamedPath
        Further inputs.

    Raises
    ------
    UsageError
        If an output would replace an input; the message names both.
    """
    leaves = list(leaves)
    inputs = [*others, *(each for leaf in leaves for each in inputs_of(leaf))]
    for output in (each for leaf in leaves for each in _written(leaf, leaves)):
        for source in inputs:
            if _replaces(output.path, source.path):
                raise UsageError(
                    f"is an input of this command, or holds one: {source.flag} {source.path}",
                    where=f"{output.flag} {output.path}",
                    hint="choose another output",
                )


def refuse_folders(leaves: Iterable[Leaf]) -> None:
    """Refuse a request with a folder for outputs that cannot be made, before hours of work.

    Raises
    ------
    UsageError
    DiskError
    """
    for leaf in leaves:
        if leaf.option.writes and leaf.metavar == FOLDER and leaf.default is not None:
            check_makeable(leaf.default)


def _written(leaf: Leaf, leaves: Iterable[Leaf]) -> Iterator[NamedPath]:
    """Yield the path that an option writes, unless it is a stream or a device."""
    if not leaf.option.writes or leaf.default in (None, False, STANDARD_STREAM):
        return
    path: Path = leaf.default
    if leaf.is_flag:  # a file in the folder of the model
        (model,) = (each.default for each in leaves if each.name == "model")
        path = folder_of(model) / str(leaf.option.writes)
    if path.is_file() or path.is_dir() or not path.exists():
        yield NamedPath(leaf.flag, path)


def _replaces(output: Path, source: Path) -> bool:
    """Return True if `output` is `source` or part of it, or a folder around it."""
    return any(
        _is_same(output, path) or (output.is_dir() and _is_below(path, output))
        for path in _parts(source)
    )


def _parts(source: Path) -> Iterator[Path]:
    """Yield an input and the files read with it: indexes of a file, or files of a folder.

    Other files in a folder do not count: users may keep scores in the folder of the model.
    """
    yield source
    if not source.is_dir():
        yield from (Path(f"{source}{suffix}") for suffix in INDEXES)
        return
    for name in (*OF_A_STUDY, *OF_A_RUN):
        yield from source.glob(f"{name}**/*" if name.endswith("/") else name)


def _is_same(a: Path, b: Path) -> bool:
    """Return True if two paths lead to the same file, even if it does not exist yet."""
    if a.exists() and b.exists():
        return a.samefile(b)
    return os.path.realpath(a) == os.path.realpath(b)


def _is_below(path: Path, folder: Path) -> bool:
    """Return True if `path`, or what it links to, lies in a folder."""
    root = os.path.realpath(folder)
    lies = Path(os.path.realpath(path.parent)) / path.name
    return lies.is_relative_to(root) or Path(os.path.realpath(path)).is_relative_to(root)
