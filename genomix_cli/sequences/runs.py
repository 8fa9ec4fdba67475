"""Trained sequence runs on disk: ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256 as digest
from pathlib import Path
from typing import Any

import numpy as np

from genomix_cli.comparison.splits import Split
from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.run_folder import CONFIG, RunFolder
from genomix_cli.formats.seen import Items, Seen, read_seen
from genomix_cli.formats.sequences import Columns, Sequences
from genomix_cli.provenance import Provenance, named
from genomix_cli.sequences.models.base import State

DOMAIN = "sequences"


@dataclass(frozen=True)
class RunConfig:
    """Everything besides the weights that is needed to use a run.

    Attributes
    ----------
    task : str
        ``classify``, ``contrast``, ``diffuse``, ``align``, ``activity`` or ``profile``.
    model : str
        Name in the registry of classifiers, or name of the task.
    arch : dict
        Fields of the model's configuration class.
    length : int
        Length of a sequence in bases.
    columns : str
        Digest of the columns' positions for aligned sequences; otherwise empty.
    label : str
        Name of the learned phenotype, if any.
    classes : tuple of str
        Classes of that phenotype.
    facts : dict
        Values that only this task has, such as temperature, thresholds or phenotypes.
    provenance : dict
    """

    task: str
    model: str
    arch: Mapping[str, Any]
    length: int
    columns: str = ""
    label: str = ""
    classes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        task: str,
        model: str,
        arch: Mapping[str, Any],
        sequences: Sequences,
        provenance: Provenance,
        **more: Any,
    ) -> RunConfig:
        """Return the configuration of a model trained on these sequences."""
        columns = columns_digest(sequences.columns, sequences.contigs)
        made = provenance.to_dict()
        return cls(task, model, arch, sequences.length, columns, provenance=made, **more)


@dataclass(frozen=True)
class StoredRun:
    """A run as stored on disk.

    Attributes
    ----------
    config : RunConfig
    state : dict of str to NDArray
    path : Path
    sha256 : str
        Digest of the weights file.
    """

    config: RunConfig
    state: State
    path: Path
    sha256: str

    @property
    def name(self) -> str:
        """Name and digest of the run, for outputs."""
        return named(self.path, self.sha256)


def columns_digest(columns: Columns | None, contigs: Mapping[str, int]) -> str:
    """Return a digest of the columns' positions and reference alleles; empty without columns."""
    if columns is None:
        return ""
    names = np.array(list(contigs))[columns.contig]
    text = "\n".join(map(str, zip(names, columns.pos.tolist(), columns.ref.tolist(), strict=True)))
    return digest(text.encode()).hexdigest()


def check_fits(config: RunConfig, sequences: Sequences, where: object) -> None:
    """Refuse sequences that a run cannot read.

    Raises
    ------
    DataError
        If the sequences have another length, or their columns are at other positions.
    """
    if sequences.length != config.length:
        raise DataError(
            "sequences of another length than in training",
            where=where,
            expected=f"{config.length:,} bases",
            found=f"{sequences.length:,}",
        )
    found = columns_digest(sequences.columns, sequences.contigs)
    if config.columns and found != config.columns:
        raise DataError(
            "the columns are not the sites used in training",
            where=where,
            hint="prepare it with --like the training file",
        )


def save_run(folder: Path, config: RunConfig, state: State, seen: Seen | None = None) -> None:
    """Write weights, configuration and the record of seen sequences into an existing folder."""
    RunFolder(folder).save(DOMAIN, to_dict(config), state, seen)


def items_of(sequences: Sequences) -> Items:
    """Return digests of names and bases, for finding sequences that a model has seen.

    A person has the same digest as one row of genotypes and as two rows of haplotypes.
    """
    owner = person_of if sequences.aligned else str
    return Items.of(sequences.names, (row.tobytes() for row in sequences.codes), owner)


def person_of(name: str) -> str:
    """Return the person of a haplotype named by `prepare sequences`; else the name itself."""
    person, slash, number = name.rpartition("/")
    return person if slash and number in ("1", "2") else name


def seen_of(sequences: Sequences, split: Split, initial: Path | None = None) -> Seen:
    """Return the sequences that a run has seen, including those of an initial run with labels."""
    seen = Seen.of(items_of(sequences), split.train, split.valid)
    if initial is None or RunFolder(initial).config(DOMAIN).get("task") == "contrast":
        return seen
    return seen.joined(read_seen(initial))


def read_run(folder: Path, *tasks: str) -> StoredRun:
    """Read and check a run folder.

    Parameters
    ----------
    folder : Path
    *tasks : str
        Accepted tasks; by default all.

    Raises
    ------
    UsageError
        If the folder is not a run folder, or the run is of another task.
    DataError
        If its files are damaged, belong to another domain, or have a newer version.
    """
    folder = Path(folder)
    stored = RunFolder(folder).load(DOMAIN)
    config = _config(stored.config, folder / CONFIG)
    if tasks and config.task not in tasks:
        raise UsageError(
            "is a run of another task",
            where=folder,
            expected=" or ".join(tasks),
            found=config.task,
        )
    return StoredRun(config, stored.state, folder, stored.sha256)


def _config(data: dict[str, Any], where: Path) -> RunConfig:
    try:
        return from_dict(RunConfig, data, where=where)
    except (KeyError, TypeError, UsageError) as error:
        raise DataError(f"is damaged: {error}", where=where) from error
