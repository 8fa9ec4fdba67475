"""Write the HDF5 contracts: only what the schema names, in the type the schema names."""

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
from genomix_cli.provenance import is_device

# Arrays start at multiples of this, so that mapped numbers are aligned.
ALIGNMENT = 64
# Larger than any metadata that HDF5 writes at once.
LARGEST_HELD = 1 << 20
# Bytes of an array that it pays to compress, and about those of a chunk, below HDF5's cache.
PACKED = 1 << 16, 1 << 28
CHUNK = 1 << 19


class _Disk(io.RawIOBase):
    """A file for HDF5, which does not survive a full disk: it aborts, or fails to close.

    So the first error is kept, HDF5 closes as if all were well, and the error is raised when it is
    done. What HDF5 would read back of later writes, its metadata, is held in memory: of bytes that
    it did not write it crashes.

    Parameters
    ----------
    path : Path
    mode : {"w+", "r+"}
        A new file, or one to change.

    Raises
    ------
    UsageError
        If it is a device, where nothing can be read back.
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
    """A file for h5py to open: what the disk refuses is raised, and not what follows from it."""
    disk = _Disk(path, mode)
    try:
        yield disk
    finally:
        disk.close()
        disk.raise_error()


class LayoutWriter:
    """An HDF5 file of one layout; the same calls give the same bytes.

    Parameters
    ----------
    path : Path
    layout : Layout
    attributes : mapping
        A value for every attribute of the layout but `format` and `format_version`.

    Raises
    ------
    OSError
        If the disk is full: from `create` or `put`, or at the end.
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
            if attribute.name != "provenance":  # names of files may be anything
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
        """Return a dataset to fill piece by piece.

        Parameters
        ----------
        path : str
            As in the schema, with ``<contig>``.
        shape : tuple of int
        contig : str
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
    """Return how h5py compresses an array in chunks of rows; nothing if it is small or large.

    What is compressed is held in memory when read, where larger arrays are mapped.
    """
    row = math.prod(shape[1:]) * dtype.itemsize
    if not PACKED[0] <= row * shape[0] <= PACKED[1]:
        return {}
    chunks = (min(max(CHUNK // row, 1), shape[0]), *shape[1:])
    return {"chunks": chunks, "compression": "gzip", "compression_opts": 1}
