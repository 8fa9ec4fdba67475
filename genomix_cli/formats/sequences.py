"""Files of sequences: checked when opened, written as a whole.

Letters: n sequences, L bases of each, T tracks.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.config import from_dict
from genomix_cli.errors import DataError, UsageError, check_text, guarded
from genomix_cli.formats.reader import Contents, Mapped, check
from genomix_cli.formats.schema import SEQUENCES
from genomix_cli.formats.writer import LayoutWriter
from genomix_cli.outputs import atomic_path
from genomix_cli.provenance import Provenance


@dataclass(frozen=True)
class Phenotype:
    """Numeric or categorical phenotype of each sequence.

    Attributes
    ----------
    name : str
    categories : tuple of str or None
        None for a number.
    values : NDArray
        Numbers, float32 ``[n]``, NaN where unknown; or indices of categories, int16 ``[n]``, -1
        where unknown.
    """

    name: str
    categories: tuple[str, ...] | None
    values: NDArray[Any]


class Windows(NamedTuple):
    """Genomic window of each sequence.

    Attributes
    ----------
    contig : NDArray
        int16 ``[n]``: index into the file's contigs.
    start : NDArray
        int64 ``[n]``: 0-based first base.
    strand : NDArray
        int8 ``[n]``: 1 or -1.
    """

    contig: NDArray[np.int16]
    start: NDArray[np.int64]
    strand: NDArray[np.int8]


class Columns(NamedTuple):
    """Genomic position of each column of aligned sequences.

    Attributes
    ----------
    contig : NDArray
        int16 ``[L]``: index into the file's contigs.
    pos : NDArray
        int64 ``[L]``: 0-based.
    site : NDArray
        int32 ``[L]``: index of the variant site, or -1 for a flanking base.
    ref, alt : NDArray
        uint8 ``[L]``: sets of bases; `alt` is 0 for a flanking base.
    """

    contig: NDArray[np.int16]
    pos: NDArray[np.int64]
    site: NDArray[np.int32]
    ref: NDArray[np.uint8]
    alt: NDArray[np.uint8]


@dataclass(frozen=True)
class Profiles:
    """Signal of tracks at each base of sequences.

    Attributes
    ----------
    names : tuple of str
        Names of the tracks; each is also the name of a numeric phenotype.
    opposite : tuple of int
        For each track, the index of the track of the opposite strand; its own index if the track
        covers both strands.
    signal : NDArray
        float32 ``[n, T, L]``, in the direction of the sequences; NaN where nothing was measured.
    """

    names: tuple[str, ...]
    opposite: tuple[int, ...]
    signal: NDArray[np.float32]

    def listed(self) -> list[dict[str, str]]:
        """Return names and opposites as stored in the attribute `profiles`."""
        pairs = zip(self.names, self.opposite, strict=True)
        return [{"name": name, "opposite": self.names[other]} for name, other in pairs]


@dataclass(frozen=True)
class Measurement:
    """Assay behind the numeric phenotypes of a file; unknown fields are empty.

    Attributes
    ----------
    assay : str
        Such as ``lentiMPRA``.
    unit : str
        Such as ``log2 RNA/DNA``.
    left, right : str
        Bases (A, C, G, T) of the construct before and after each sequence.
    """

    assay: str = ""
    unit: str = ""
    left: str = ""
    right: str = ""


@dataclass(frozen=True)
class Sequences:
    """Sequences of equal length: those of a file, or some of them.

    Attributes
    ----------
    names : NDArray
        str ``[n]``; unique.
    codes : NDArray
        uint8 ``[n, L]``: sets of bases, see `genomix_cli.genome.iupac`.
    group : NDArray
        int64 ``[n]``: sequences of one group stay in one fold.
    split : NDArray
        str ``[n]``: name of the split, such as ``train``; empty if none.
    phenotypes : tuple of Phenotype
    default_label : str
        Name of the phenotype to classify by default, or empty.
    contigs : dict of str to int
        Lengths of contigs; 0 if unknown.
    assembly : str
    windows : Windows, optional
        Positions in the genome, if the sequences are windows of it.
    columns : Columns, optional
        Positions of columns, for aligned sequences only.
    measurement : Measurement
        How numeric phenotypes were measured.
    profiles : Profiles, optional
    """

    names: NDArray[Any]
    codes: NDArray[np.uint8]
    group: NDArray[np.int64]
    split: NDArray[Any]
    phenotypes: tuple[Phenotype, ...] = ()
    default_label: str = ""
    contigs: dict[str, int] = field(default_factory=dict)
    assembly: str = ""
    windows: Windows | None = None
    columns: Columns | None = None
    measurement: Measurement = Measurement()
    profiles: Profiles | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def length(self) -> int:
        """Number of bases of each sequence."""
        return self.codes.shape[1]

    @property
    def aligned(self) -> bool:
        """True if each column is the same genomic position in all sequences."""
        return self.columns is not None

    def take(self, rows: Any) -> Sequences:
        """Return some sequences, by index or mask."""
        rows = np.asarray(rows)
        windows = self.windows and Windows(*(values[rows] for values in self.windows))
        profiles = self.profiles and replace(self.profiles, signal=self.profiles.signal[rows])
        return replace(
            self,
            names=self.names[rows],
            codes=self.codes[rows],
            group=self.group[rows],
            split=self.split[rows],
            phenotypes=tuple(replace(p, values=p.values[rows]) for p in self.phenotypes),
            windows=windows,
            profiles=profiles,
        )

    def phenotype(self, name: str) -> Phenotype:
        """Return the phenotype called `name`.

        Raises
        ------
        UsageError
            If there is no such phenotype.
        """
        phenotypes = {phenotype.name: phenotype for phenotype in self.phenotypes}
        if name not in phenotypes:
            expected = " or ".join(phenotypes) or "none is there"
            raise UsageError(f"no phenotype {name!r}", expected=expected)
        return phenotypes[name]

    def label(self, name: str = "") -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Return the classes that occur, and the index of each sequence's class.

        Parameters
        ----------
        name : str
            Name of a categorical phenotype; default: the default label of the file.

        Returns
        -------
        tuple of str
            Classes; categories without a sequence are left out.
        NDArray
            int64 ``[n]``, -1 where unknown.

        Raises
        ------
        UsageError
            If there is no such phenotype, or it is a number.
        """
        if not (name or self.default_label):
            raise UsageError(
                "the file has no default label", where="--label", hint="name a phenotype"
            )
        phenotype = self.phenotype(name or self.default_label)
        if phenotype.categories is None:
            raise UsageError(
                f"{phenotype.name} is a number",
                where="--label",
                expected="a categorical phenotype",
                hint="train --task activity learns numbers",
            )
        known = phenotype.values >= 0
        label = np.full(len(self), -1, np.int64)
        classes, label[known] = np.unique(phenotype.values[known], return_inverse=True)
        return tuple(phenotype.categories[k] for k in classes), label


def open_sequences(path: Path) -> Sequences:
    """Open a file of sequences; arrays are read-only, and memory-mapped unless compressed.

    Raises
    ------
    DataError
        If the file is not HDF5, is truncated, is of another kind or a newer version, or if its
        tables do not agree with each other.
    """
    contents = check(Path(path), SEQUENCES)
    with guarded(path):
        return _read(Path(path), contents)


def _read(path: Path, contents: Contents) -> Sequences:
    arrays = contents.arrays
    attributes = contents.attributes
    names = np.char.decode(arrays["/sequences/name"], "utf-8")
    if len(np.unique(names)) < len(names):
        raise DataError("has two sequences of the same name", where=path, hint="prepare it again")
    splits = np.array([*attributes["splits"], ""])
    sequences = Sequences(
        names=names,
        codes=arrays["/sequences/codes"],
        group=arrays["/sequences/group"].astype(np.int64),
        split=splits[arrays["/sequences/split"]],
        phenotypes=_phenotypes(path, attributes["phenotypes"], arrays),
        default_label=attributes["label"],
        contigs=dict(attributes["contigs"]),
        assembly=attributes["assembly"],
        windows=_optional(Windows, arrays, "sequences"),
        columns=_optional(Columns, arrays, "columns"),
        measurement=_measurement(path, attributes.get("measurement", {})),
        profiles=_profiles(path, attributes, arrays),
    )
    if bool(attributes["aligned"]) != sequences.aligned:
        raise DataError("its attributes contradict its columns", where=path, found="aligned")
    return sequences


def _measurement(path: Path, stored: Any) -> Measurement:
    try:
        measurement = from_dict(Measurement, stored)
    except (TypeError, UsageError) as error:
        raise DataError(f"is damaged: {error}", where=path) from error
    if set(measurement.left + measurement.right) - set("ACGT"):
        raise DataError("has a construct with letters that are not bases", where=path)
    return measurement


def _profiles(path: Path, attributes: dict[str, Any], arrays: Mapped) -> Profiles | None:
    """Return the profiles of a file, or None; refuse ones that its attributes do not match."""
    signal, listed = arrays.get("/profiles/signal"), attributes.get("profiles", [])
    if signal is None and not listed:
        return None
    numbers = {p["name"] for p in attributes["phenotypes"] if p["categories"] is None}
    names = [each["name"] for each in listed]
    others = [each["opposite"] for each in listed]
    paired = dict(zip(names, others, strict=True))
    if (
        signal is None
        or signal.shape[1] != len(paired)
        or len(paired) < len(names)
        or not numbers.issuperset(names)
        or any(paired.get(other) != name for name, other in paired.items())
    ):
        raise DataError("does not name its profiles", where=path, hint="prepare it again")
    return Profiles(tuple(names), tuple(map(names.index, others)), signal)


def provenance_of(path: Path) -> dict[str, Any]:
    """Return the provenance of a file of sequences."""
    return check(Path(path), SEQUENCES).attributes["provenance"]


def _optional(kind: Any, arrays: Mapped, folder: str) -> Any:
    paths = [f"/{folder}/{name}" for name in kind._fields]
    if not all(path in arrays.places for path in paths):
        return None
    return kind(*(arrays[path] for path in paths))


def _phenotypes(path: Path, listed: Items[Any], arrays: Mapped) -> tuple[Phenotype, ...]:
    number, category = arrays["/phenotypes/number"], arrays["/phenotypes/category"]
    n_numbers = sum(each["categories"] is None for each in listed)
    if (n_numbers, len(listed) - n_numbers) != (number.shape[1], category.shape[1]):
        raise DataError("does not name its phenotypes", where=path, hint="prepare it again")
    numbers, categories = iter(number.T), iter(category.T)
    phenotypes = []
    for each in listed:
        if each["categories"] is None:
            phenotypes.append(Phenotype(each["name"], None, next(numbers)))
            continue
        names, values = tuple(each["categories"]), next(categories)
        if len(values) and not -1 <= values.min() <= values.max() < len(names):
            raise DataError(f"{each['name']} has codes without a category", where=path)
        phenotypes.append(Phenotype(each["name"], names, values))
    return tuple(phenotypes)


def write_sequences(
    path: Path, sequences: Sequences, provenance: Provenance, *, force: bool = True
) -> None:
    """Write a file of sequences; it appears whole, by rename.

    Raises
    ------
    UsageError
        If the file exists and `force` is False.
    OSError
        If the disk is full.
    """
    with (
        atomic_path(path, force=force) as draft,
        sequences_writer(draft, sequences, provenance) as file,
    ):
        file.put("/sequences/codes", sequences.codes)
        if sequences.profiles is not None:
            file.put("/profiles/signal", sequences.profiles.signal)


def sequences_writer(path: Path, sequences: Sequences, provenance: Provenance) -> LayoutWriter:
    """Return an open file to which the caller adds ``/sequences/codes`` and ``/profiles/signal``.

    These two arrays of `sequences` are not read, so the caller can write them in pieces if they do
    not fit into memory.
    """
    splits = sorted({str(name) for name in sequences.split} - {""})
    index = {name: i for i, name in enumerate(splits)} | {"": -1}
    attributes = {
        "aligned": int(sequences.aligned),
        "label": sequences.default_label,
        "phenotypes": [
            {"name": p.name, "categories": p.categories and list(p.categories)}
            for p in sequences.phenotypes
        ],
        "splits": splits,
        "assembly": sequences.assembly,
        "contigs": list(map(list, sequences.contigs.items())),
        "measurement": asdict(sequences.measurement),
        "profiles": [] if sequences.profiles is None else sequences.profiles.listed(),
        "provenance": provenance.to_dict(),
    }
    for what, names in (
        ("name", sequences.names),
        ("phenotype", [p.name for p in sequences.phenotypes]),
        ("category", [name for p in sequences.phenotypes for name in p.categories or ()]),
        ("contig", sequences.contigs),
        ("assembly", [sequences.assembly]),
    ):
        check_text(names, what)
    file = LayoutWriter(path, SEQUENCES, attributes)
    file.put("/sequences/name", np.char.encode(sequences.names.astype(str), "utf-8"))
    file.put("/sequences/group", sequences.group)
    file.put("/sequences/split", np.array([index[str(name)] for name in sequences.split], "i2"))
    for folder, table in (("sequences", sequences.windows), ("columns", sequences.columns)):
        if table is not None:
            for name, values in table._asdict().items():
                file.put(f"/{folder}/{name}", values)
    n = len(sequences)
    numbers = [p.values for p in sequences.phenotypes if p.categories is None]
    categories = [p.values for p in sequences.phenotypes if p.categories is not None]
    file.put("/phenotypes/number", np.array(numbers, np.float32).reshape(-1, n).T)
    file.put("/phenotypes/category", np.array(categories, np.int16).reshape(-1, n).T)
    return file
