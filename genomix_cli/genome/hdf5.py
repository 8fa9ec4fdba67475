"""Open untrusted HDF5 files safely, and seal our own files against damage.

HDF5 detects only some damage, and follows links to any other file. Files written by genomix
therefore end in a checksum of everything before it, after what HDF5 regards as the end. Changing a
file with h5py drops this seal; the file is then read like any other.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from genomix_cli.errors import AGAIN, DataError, guarded

_SEAL = struct.Struct("<14sI")
_NAME = b"genomix-crc32\0"
_PIECE = 1 << 20
_HEAP = b"GCOL\1\0\0\0"
# Largest plausible ratio of HDF5 compression, and the data size below which any is accepted.
_RATIO, _SMALL = 1 << 11, 1 << 26


def open_hdf5(path: Path, expected: str = "", hint: str | None = None) -> h5py.File:
    """Open an HDF5 file for reading.

    Parameters
    ----------
    path : Path
    expected, hint : str, optional
        Expected content and how to make it, for the message if the file is not HDF5.

    Raises
    ------
    DataError
        If the file does not exist, is not HDF5, is damaged (as far as can be told without reading
        all of it), or if part of it lies in another file.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("no such file", where=path)
    _check_bytes(str(path), path.stat().st_mtime_ns, path.stat().st_size)
    with guarded(path):
        try:
            if not h5py.is_hdf5(path):
                raise DataError("is not HDF5", where=path, expected=expected or None, hint=hint)
            file = h5py.File(path, "r", locking=False)
        except OSError as error:
            if "truncated" in str(error):
                raise DataError("is cut short", where=path, hint=AGAIN) from error
            raise DataError(f"cannot be read as HDF5: {error}", where=path) from error
    try:
        with guarded(path):
            links: dict[bytes, int] = {}
            file.id.links.visit(lambda name, link: links.update({name: link.type}), info=True)
            _check_attributes(file.id)
            for name, kind in links.items():
                _check_link(path, file, name, kind)
    except BaseException:
        file.close()
        raise
    return file


def check_hdf5(path: Path, expected: str = "", hint: str | None = None) -> None:
    """Refuse the same files as :func:`open_hdf5`, for libraries that open files themselves."""
    open_hdf5(path, expected, hint).close()


def _check_link(path: Path, file: h5py.File, name: bytes, kind: int) -> None:
    """Refuse a link to another file, and a dataset larger than its bytes can hold."""
    outside = kind not in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT)
    if kind == h5py.h5l.TYPE_HARD:
        found = h5py.h5o.open(file.id, name)
        _check_attributes(found)
        if isinstance(found, h5py.h5d.DatasetID):
            made = found.get_create_plist()
            outside = made.get_layout() == h5py.h5d.VIRTUAL or made.get_external_count() > 0
            size = found.get_space().get_simple_extent_npoints() * found.get_type().get_size()
            if size > _SMALL + _RATIO * found.get_storage_size():
                raise ValueError(f"{name.decode()} states {size:,} bytes, which are not there")
    if outside:
        raise DataError(
            f"{name.decode(errors='replace')} is a link to another file, which is not followed",
            where=path,
            hint="write it as one file, with h5repack or the tool that made it",
        )


def _check_attributes(owner: Any) -> None:
    """Refuse variable-length lists, which are not used; one from a damaged text would crash."""
    for i in range(h5py.h5a.get_num_attrs(owner)):
        attribute = h5py.h5a.open(owner, index=i)
        if attribute.get_type().get_class() == h5py.h5t.VLEN:
            raise ValueError(f"{attribute.name.decode()} is of a type that no file should have")


def seal(path: Path) -> None:
    """Append a checksum to a complete HDF5 file."""
    with open(path, "r+b") as file:
        checksum = _checksum(file, path.stat().st_size)
        file.write(_SEAL.pack(_NAME, checksum))


@lru_cache(maxsize=64)
def _check_bytes(path: str, mtime: int, size: int) -> None:
    """Refuse a file that differs from its seal, or that HDF5 would never finish reading."""
    length = size - _SEAL.size
    if length < 0:
        return
    with guarded(path), open(path, "rb") as file:
        file.seek(length)
        name, checksum = _SEAL.unpack(file.read(_SEAL.size))
        file.seek(0)
        if name == _NAME and checksum != _checksum(file, length):
            problem = "is damaged: its bytes are not those that were written"
            raise DataError(problem, where=path, hint=AGAIN)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _check_heaps(data)


def _check_heaps(data: mmap.mmap) -> None:
    """Walk the heaps of texts as HDF5 does, which loops forever if a size is 0.

    A heap has a header of 16 bytes (name, version, size) and objects with headers of 16 bytes each
    (index, references, size of the padded content). Index 0 is the free rest, with its total size.
    """
    start = data.find(_HEAP)
    while start >= 0:
        at, end = start + 16, start + struct.unpack_from("<Q", data, start + 8)[0]
        while at + 16 <= min(end, len(data)):
            index, size = struct.unpack_from("<H6xQ", data, at)
            if size >= 2**63 or not (index or size):
                raise ValueError("bad global heap")
            at += 16 + -(-size // 8) * 8 if index else size
        start = data.find(_HEAP, start + 8)


def _checksum(file: BinaryIO, length: int) -> int:
    """Return the CRC-32 of the next `length` bytes."""
    checksum = 0
    while length > 0 and (data := file.read(min(_PIECE, length))):
        checksum = zlib.crc32(data, checksum)
        length -= len(data)
    return checksum
