"""Writer of the HDF5 formats, which accepts only datasets and types that the schema allows."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import UsageError, check_text
from genomix_cli.formats.schema import CONTIG, Array, Layout, VariantTable
from genomix_cli.genome.hdf5 import seal
from genomix_cli.outputs import is_device

# Arrays start at multiples of this many bytes, so memory-mapped numbers are aligned.
ALIGNMENT = 64
# Larger than any metadata that HDF5 writes at once, in bytes.
LARGEST_HELD = 1 << 20
# Smallest and largest arrays to compress, in bytes, and size of a chunk, below HDF5's cache.
PACKED = 1 << 16, 1 << 28
CHUNK = 1 << 19


class _Disk(io.RawIOBase):
    """File object that lets HDF5 survive a full disk, on which it would abort or fail to close.

    The first error is kept instead of raised. HDF5 then closes as if all were well, and the caller
    raises the error afterwards. After an error, writes small enough to be metadata are held in
    memory, because HDF5 reads them back and crashes if the bytes differ.

    Parameters
    ----------
    path : Path
    mode : {"w+", "r+"}
        Create a new file, or change an existing one.

    Raises
    ------
    UsageError
        If the path is a device, from which nothing can be read back.
    """

    def __init__(self, path: Path, mode: str = "w+") -> None:
        if is_device(path):
            raise UsageError("cannot store HDF5", where=path, expected="a file")
        self._path = path
        self._file = io.FileIO(path, mode)
        self.error: OSError | None = None
        self._held: dict[int, bytes] = {}

    def __fspath__(self) -> str:
        return str(self._path)

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size, start = len(rest), self._file.tell()
        try:
            while rest and self.error is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
        if self.error is not None and size <= LARGEST_HELD:
            self._held.pop(start, None)
            self._held[start] = bytes(data)
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        start = self._file.tell()
        size = self._file.readinto(view) or 0
        for at, data in self._held.items():
            first, last = max(at, start), min(at + len(data), start + len(view))
            if first < last:
                view[first - start : last - start] = data[first - at : last - at]
                size = max(size, last - start)
        return size

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()

    def raise_error(self) -> None:
        """Raise the first error, if there was one."""
        if self.error is not None:
            raise self.error


@contextmanager
def on_disk(path: Path, mode: str = "w+") -> Iterator[Any]:
    """Yield a file for h5py to open, and raise the first disk error rather than its aftermath."""
    disk = _Disk(path, mode)
    try:
        yield disk
    finally:
        disk.close()
        disk.raise_error()


class LayoutWriter:
    """Writer of an HDF5 file of one layout; the same calls give the same bytes.

    Parameters
    ----------
    path : Path
    layout : Layout
    attributes : mapping
        A value for every attribute of the layout except `format` and `format_version`.

    Raises
    ------
    OSError
        If the disk is full; raised by `create` or `put`, or when the ``with`` block ends.
    ValueError
        If an attribute or dataset is not in the schema.
    """

    def __init__(self, path: Path, layout: Layout, attributes: Mapping[str, Any]) -> None:
        self.path = path
        self.layout = layout
        self._disk = _Disk(path)
        self._file = h5py.File(
            self._disk,
            "w",
            libver=("earliest", "v110"),
            alignment_threshold=ALIGNMENT,
            alignment_interval=ALIGNMENT,
        )
        values = {**attributes, "format": layout.format, "format_version": layout.version}
        for attribute in layout.attributes:
            value = values.pop(attribute.name)
            is_json = attribute.kind == "json"
            if attribute.name != "provenance":  # file names may contain any character
                text = json.dumps(value, ensure_ascii=False) if is_json else value
                check_text([text], attribute.name)
            self._file.attrs[attribute.name] = json.dumps(value) if is_json else value
        if values:
            raise ValueError(f"not in the schema: {', '.join(values)}")

    def __enter__(self) -> LayoutWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._disk.close()
        self._disk.raise_error()
        seal(self.path)

    def create(self, path: str, shape: tuple[int, ...], contig: str = "") -> h5py.Dataset:
        """Create a dataset and return it, to be filled piece by piece.

        Parameters
        ----------
        path : str
            Path as in the schema, with ``<contig>``.
        shape : tuple of int
        contig : str
            Name that replaces ``<contig>``.
        """
        array = self.layout.array(path)
        return self._create(array, shape, np.dtype(array.dtype), contig)

    def put(self, path: str, values: NDArray[Any], contig: str = "") -> None:
        """Write a whole dataset; byte strings keep their width, other values are cast."""
        array = self.layout.array(path)
        dtype = values.dtype if array.dtype == "bytes" else np.dtype(array.dtype)
        self._create(array, values.shape, dtype, contig)[...] = values

    def put_variants(self, table: VariantTable) -> None:
        """Write the table of variants."""
        for name, column in table._asdict().items():
            self.put(f"/variants/{name}", column)

    def _create(
        self, array: Array, shape: tuple[int, ...], dtype: np.dtype, contig: str
    ) -> h5py.Dataset:
        self._disk.raise_error()
        fits = [want in (size, str(want)) for size, want in zip(shape, array.shape, strict=True)]
        if not (all(fits) and array.has_dtype(dtype)):
            raise ValueError(f"{array.path} is {array.dtype} {array.shape}, not {dtype} {shape}")
        path = array.path.replace(CONTIG, contig)
        packing = _packing(shape, dtype) if array.packed else {}
        return self._file.create_dataset(path, shape, dtype, track_times=False, **packing)


def _packing(shape: tuple[int, ...], dtype: np.dtype) -> dict[str, Any]:
    """Return h5py's options for compressing an array in chunks of rows; none if small or large.

    Large arrays stay uncompressed because only those can be memory-mapped by the reader.
    """
    row = math.prod(shape[1:]) * dtype.itemsize
    if not PACKED[0] <= row * shape[0] <= PACKED[1]:
        return {}
    chunks = (min(max(CHUNK // row, 1), shape[0]), *shape[1:])
    return {"chunks": chunks, "compression": "gzip", "compression_opts": 1}
