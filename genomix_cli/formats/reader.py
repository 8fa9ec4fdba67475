"""Reader of the HDF5 formats: a file is checked against its schema, then its arrays are mapped."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, guarded
from genomix_cli.formats.schema import CONTIG, LAYOUTS, Array, Layout, VariantTable
from genomix_cli.genome.hdf5 import open_hdf5
from genomix_cli.genome.signal import BIN_SIZE

# DataError with the file and, as hint, the command that makes a valid one.
Refusal = partial[DataError]
_KINDS: dict[str, Any] = {"text": str, "json": str, "integer": (int, np.integer)}


def made_by(layout: Layout) -> str:
    """Return the hint to make a file of a layout, with the command."""
    several = [other for other in LAYOUTS.values() if other.prepare == layout.prepare]
    return f"run: {layout.prepare}" + (f" --layout {layout.name}" if len(several) > 1 else "")


class Place(NamedTuple):
    """Location of an array in the file, in bytes; `values` as in `Array`.

    `offset` is None for an empty array and for a compressed one.
    """

    offset: int | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    values: tuple[int, int | str] | None


class Contents(NamedTuple):
    """Decoded attributes and arrays of a file that passed :func:`check`."""

    attributes: dict[str, Any]
    arrays: Mapped


def check(path: Path, layout: Layout) -> Contents:
    """Check a file against the schema of its layout, and map its arrays.

    Parameters
    ----------
    path : Path
    layout : Layout

    Returns
    -------
    Contents

    Raises
    ------
    DataError
        If the file is not HDF5, is truncated, is of another kind or a newer version, or if an
        attribute or array is missing or does not match the schema.
    """
    path = Path(path)
    refusal = partial(DataError, where=path, hint=made_by(layout))
    with (
        open_hdf5(path, f"HDF5 of the format {layout.format}", made_by(layout)) as file,
        guarded(path),
    ):
        _check_format(file, layout, refusal)
        attributes = _read_attributes(file, layout, refusal)
        places = dict(_read_places(file, layout, attributes, refusal))
    contents = Contents(attributes, Mapped(path, places))
    with guarded(path):
        _check_values(contents, refusal)
    return contents


def format_of(path: Path) -> str | None:
    """Return the root attribute `format` of an HDF5 file, or None if it has none.

    Raises
    ------
    DataError
        If the file cannot be read or is not HDF5.
    """
    with open_hdf5(path) as file, guarded(path, "format"):
        name = file.attrs.get("format")
    return name if isinstance(name, str) else None


def _check_format(file: h5py.File, layout: Layout, refusal: Refusal) -> None:
    name = file.attrs.get("format")
    if not isinstance(name, str) or name != layout.format:
        other = LAYOUTS.get(str(name))
        raise refusal(
            "is HDF5, but not the kind that is needed here",
            expected=f"{layout.format} (the {layout.name} layout)",
            found=f"{name} (the {other.name} layout)" if other else f"format {name!r}",
        )
    version = file.attrs.get("format_version")
    if not isinstance(version, (int, np.integer)) or version < 1:
        raise refusal("has no valid format_version", found=repr(version), hint=None)
    if version > layout.version:
        raise refusal(
            "was written by a newer genomix",
            expected=f"format version {layout.version} or older",
            found=str(version),
            hint="update genomix: pip install -U genomix-toolkit",
        )


def _read_attributes(file: h5py.File, layout: Layout, refusal: Refusal) -> dict[str, Any]:
    values: dict[str, Any] = {}
    problems = []
    for attribute in layout.attributes:
        if attribute.since > file.attrs["format_version"]:
            continue
        value = file.attrs.get(attribute.name)
        if not isinstance(value, _KINDS[attribute.kind]):
            problems.append(f"{attribute.name} is {type(value).__name__}, not {attribute.kind}")
            continue
        try:
            values[attribute.name] = json.loads(value) if attribute.kind == "json" else value
        except json.JSONDecodeError:
            problems.append(f"{attribute.name} is not JSON")
    if values.get("bin_size", BIN_SIZE) != BIN_SIZE:
        problems.append(f"bin_size is {values['bin_size']}, not {BIN_SIZE}")
    if problems:
        raise refusal(f"invalid attributes: {', '.join(problems)}")
    return values


def _read_places(
    file: h5py.File, layout: Layout, attributes: Mapping[str, Any], refusal: Refusal
) -> Iterator[tuple[str, Place]]:
    """Yield the path and location of each array of the schema that is present, after checks."""
    contigs = [name for name, _ in attributes["contigs"]]
    # Tracks are the same everywhere; bases, bins and blocks are counted per contig.
    n_tracks = len(attributes.get("tracks", ()))
    sizes = {contig: {"track": n_tracks} for contig in ("", *contigs)}
    for array in layout.arrays:
        for contig in contigs if CONTIG in array.path else [""]:
            name = array.path.replace(CONTIG, contig)
            dataset = file.get(name)
            if dataset is None and not array.required:
                continue
            if not isinstance(dataset, h5py.Dataset):
                raise refusal(f"lacks the dataset {name}")
            _check_dataset(dataset, array, sizes[contig], refusal)
            place = dataset.id.get_offset(), dataset.shape, dataset.dtype
            yield name, Place(*place, array.values)


def _check_dataset(
    dataset: h5py.Dataset, array: Array, sizes: dict[str, int], refusal: Refusal
) -> None:
    """Refuse a wrong type or shape; the first array whose shape uses a word sets its size."""
    if not array.has_dtype(dataset.dtype):
        problem = f"{dataset.name} has another type"
        raise refusal(problem, expected=array.dtype, found=str(dataset.dtype))
    if dataset.size and dataset.id.get_offset() is None and not array.packed:
        raise refusal(
            f"{dataset.name} is not contiguous",
            expected="a contiguous, uncompressed dataset",
            hint=f"{refusal.keywords['hint']}, or h5repack -l CONTI",
        )
    for word, size in zip(array.shape, dataset.shape, strict=False):
        if isinstance(word, str):
            sizes.setdefault(word, size)
    expected = [sizes.get(word) if isinstance(word, str) else word for word in array.shape]
    if expected != list(dataset.shape):
        words = (f"{word} = {n}" for word, n in zip(array.shape, expected, strict=True))
        problem = f"{dataset.name} has another shape"
        raise refusal(problem, expected=", ".join(words), found=str(list(dataset.shape)))


def _check_values(contents: Contents, refusal: Refusal) -> None:
    """Refuse arrays with values outside the range in the schema, such as invalid indices."""
    for name, place in contents.arrays.places.items():
        if place.values is None:
            continue
        low, end = place.values
        above = len(contents.attributes[end]) if isinstance(end, str) else end
        values = contents.arrays[name]
        if values.size and not low <= values.min() <= values.max() < above:
            raise refusal(
                f"{name} holds numbers without a meaning",
                expected=f"{low} to {above - 1}",
                found=f"{values.min()} to {values.max()}",
            )


class Mapped:
    """Read-only arrays of a checked file: views of one memory map; compressed ones in memory.

    Attributes
    ----------
    places : dict of str to Place
        Location of each array, by path.
    """

    def __init__(self, path: Path, places: dict[str, Place]) -> None:
        self.places = places
        self._path = path
        self._unpacked: dict[str, NDArray[Any]] = {}
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def get(self, name: str) -> NDArray[Any] | None:
        """Return an array, or None if the file does not have it."""
        return self[name] if name in self.places else None

    def __getitem__(self, name: str) -> NDArray[Any]:
        offset, shape, dtype, _ = self.places[name]
        if offset is None:
            if name not in self._unpacked:
                self._unpacked[name] = self._unpack(name)
            return self._unpacked[name]
        return np.ndarray(shape, dtype, buffer=self._map, offset=offset)

    def _unpack(self, name: str) -> NDArray[Any]:
        """Read a compressed or empty array into memory; it is read-only."""
        with h5py.File(self._path, "r", locking=False) as file:
            values = np.asarray(file[name])
        values.flags.writeable = False
        return values

    def variants(self) -> VariantTable:
        """Return the table of variants; columns missing from an older file are NaN."""
        absent = np.full(len(self["/variants/pos"]), np.nan, np.float32)
        columns = [self.get(f"/variants/{name}") for name in VariantTable._fields]
        arrays: list[NDArray[Any]] = [absent if each is None else each for each in columns]
        return VariantTable(*arrays)
