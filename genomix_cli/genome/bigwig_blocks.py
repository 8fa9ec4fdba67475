"""Decode the data blocks of a bigWig file, many at a time.

The format is described in the supplement of Kent et al. 2010, doi:10.1093/bioinformatics/btq351.
Only the layout of files in practice is supported: little-endian numbers and sorted entries that do
not overlap. Anything else raises :class:`UnknownLayout`, and the caller falls back to pyBigWig.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Function that inflates one block: ``inflate(data, wbits, bufsize)``.
inflate: Callable[..., bytes] = zlib.decompress
with suppress(ImportError):  # optional: faster, with the same result
    inflate = import_module("isal.isal_zlib").decompress

# Compressed bytes and blocks to decode together: enough to outweigh call overhead, few enough to
# stay in a core's cache.
BATCH_BYTES = 1 << 17
BATCH_BLOCKS = 64

_MAGIC = 0x888FFC26
_INDEX_MAGIC = 0x2468ACE0
_HEADER = struct.Struct("<IHHQQQHHQQIQ")
_INDEX_HEADER = struct.Struct("<IIQIIIIQII")
_NODE = struct.Struct("<BBH")
_MOST_CHILDREN = 2**16 - 1
_LARGEST_BUFFER = 1 << 20
_PLACE = [(name, "<u4") for name in ("first_contig", "start", "last_contig", "end")]
_CHILD = np.dtype([*_PLACE, ("offset", "<u8")])
_LEAF = np.dtype([*_PLACE, ("offset", "<u8"), ("size", "<u8")])
# Contig, start, end, step, span, type, reserved, count.
_SECTION = struct.Struct("<IIIIIBBH")
_BED_GRAPH, _VARIABLE_STEP, _FIXED_STEP = 1, 2, 3
_POSITIONS = 2**31
_ITEM_BYTES = {_BED_GRAPH: 12, _VARIABLE_STEP: 8, _FIXED_STEP: 4}


class UnknownLayout(Exception):
    """Error for a file that has an unsupported layout or is damaged."""


class Intervals(NamedTuple):
    """Non-empty entries in genomic order, without overlap.

    Attributes
    ----------
    start, end : NDArray
        int32 ``[n]``, 0-based, half-open.
    value : NDArray
        float64 ``[n]``, never NaN.
    """

    start: NDArray[np.int32]
    end: NDArray[np.int32]
    value: NDArray[np.float64]


class Section(NamedTuple):
    """Inflated block: the numbers of its header and the bytes of its entries."""

    kind: int
    start: int
    step: int
    span: int
    n_items: int
    items: memoryview


class BlockFile:
    """Index and blocks of one file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    UnknownLayout
        If the header or the index has an unsupported layout.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._size = path.stat().st_size
        try:
            magic, *_, index, _, _, _, _, buffer_size, _ = self._unpack(_HEADER, 0)
            index_magic, children, *_ = self._unpack(_INDEX_HEADER, index)
        except UnknownLayout:
            self.close()
            raise
        if magic != _MAGIC or index_magic != _INDEX_MAGIC:
            self.close()
            raise UnknownLayout("another magic number")
        self._root = index + _INDEX_HEADER.size
        self._node_bytes = _NODE.size + min(children, _MOST_CHILDREN) * _LEAF.itemsize
        # 0 if blocks are not compressed; otherwise only a first guess at the inflated size.
        self._buffer_size = min(buffer_size, _LARGEST_BUFFER)
        self._blocks: dict[int, NDArray[Any]] = {}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def intervals(self, contig: int, start: int, end: int) -> Iterator[Intervals]:
        """Yield the entries that overlap ``start .. end``, clipped to it, several blocks at a time.

        Parameters
        ----------
        contig : int
            Id of the contig in the file.
        start, end : int

        Raises
        ------
        UnknownLayout
            At any time; entries yielded before must then be discarded.
        """
        blocks = self._of_contig(contig)
        first = int(np.searchsorted(blocks["end"], start, "right"))
        last = int(np.searchsorted(blocks["start"], end, "left"))
        reached = 0
        for batch in _batches(blocks[first:last]):
            sections = [_section(data, contig) for data in self._read_blocks(batch)]
            for kind, run in groupby(sections, key=lambda section: section.kind):
                intervals = _decode(kind, list(run))
                if len(intervals.start):
                    _check_order(intervals, reached)
                    reached = int(intervals.end[-1])
                    yield _without_nan(_cut(intervals, start, end))

    def _of_contig(self, contig: int) -> NDArray[Any]:
        """Return the leaves of the index with blocks of a contig, in genomic order."""
        if contig not in self._blocks:
            leaves = list(self._leaves(contig))
            blocks = np.concatenate(leaves) if leaves else np.empty(0, _LEAF)
            for column in ("start", "end"):
                if np.any(blocks[column][1:] < blocks[column][:-1]):
                    raise UnknownLayout("blocks are not sorted")
            if np.any(blocks["offset"] > self._size) or np.any(blocks["size"] > self._size):
                raise UnknownLayout("a block lies beyond the end of the file")
            self._blocks[contig] = blocks
        return self._blocks[contig]

    def _leaves(self, contig: int) -> Iterator[NDArray[Any]]:
        nodes, seen = [self._root], set()
        while nodes:
            offset = nodes.pop()
            if offset in seen:
                raise UnknownLayout("the index turns in a circle")
            seen.add(offset)
            data = self._read(offset, self._node_bytes)
            try:
                is_leaf, _, count = _NODE.unpack_from(data)
                children = np.frombuffer(data, _LEAF if is_leaf else _CHILD, count, _NODE.size)
            except (struct.error, ValueError) as error:
                raise UnknownLayout("a node of the index is cut short") from error
            near = (children["first_contig"] <= contig) & (children["last_contig"] >= contig)
            if is_leaf:
                yield children[near]
            else:
                nodes += children["offset"][near].tolist()[::-1]

    def _read_blocks(self, blocks: NDArray[Any]) -> Iterator[bytes | memoryview]:
        """Yield inflated blocks; adjacent blocks are read in one go."""
        offsets, sizes = blocks["offset"].tolist(), blocks["size"].tolist()
        ends = [offset + size for offset, size in zip(offsets, sizes, strict=True)]
        i = 0
        while i < len(offsets):
            j = i + 1
            while j < len(offsets) and offsets[j] == ends[j - 1]:
                j += 1
            data = memoryview(self._read(offsets[i], ends[j - 1] - offsets[i]))
            for k in range(i, j):
                block = data[offsets[k] - offsets[i] : ends[k] - offsets[i]]
                yield self._inflate(block) if self._buffer_size else block
            i = j

    def _inflate(self, block: memoryview) -> bytes:
        try:
            return inflate(block, zlib.MAX_WBITS, self._buffer_size)
        except Exception as error:  # isal and zlib raise different types
            raise UnknownLayout("a block cannot be inflated") from error

    def _read(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._file.fileno(), size, offset)
        except (OSError, OverflowError, MemoryError) as error:
            raise UnknownLayout("cannot be read") from error

    def _unpack(self, layout: struct.Struct, offset: int) -> tuple[Any, ...]:
        data = self._read(offset, layout.size)
        if len(data) < layout.size:
            raise UnknownLayout("is cut short")
        return layout.unpack(data)


def _batches(blocks: NDArray[Any]) -> list[NDArray[Any]]:
    by_size = np.cumsum(blocks["size"]) // BATCH_BYTES
    by_number = np.arange(len(blocks)) // BATCH_BLOCKS
    cuts = np.flatnonzero((np.diff(by_size) > 0) | (np.diff(by_number) > 0)) + 1
    return np.split(blocks, cuts)


def _section(data: bytes | memoryview, contig: int) -> Section:
    try:
        own_contig, start, _, step, span, kind, _, count = _SECTION.unpack_from(data)
    except struct.error as error:
        raise UnknownLayout("a block is cut short") from error
    items = memoryview(data)[_SECTION.size : _SECTION.size + count * _ITEM_BYTES.get(kind, 0)]
    if kind not in _ITEM_BYTES or own_contig != contig:
        raise UnknownLayout("an unknown kind of block")
    if len(items) < count * _ITEM_BYTES[kind]:
        raise UnknownLayout("a block is cut short")
    if max(start, step, span) >= _POSITIONS:
        raise UnknownLayout("positions beyond int32")
    return Section(kind, start, step, span, count, items)


def _decode(kind: int, sections: Sequence[Section]) -> Intervals:
    """Return the entries of sections of one kind: bedGraph, variable step or fixed step."""
    columns = _columns(sections, _ITEM_BYTES[kind] // 4)
    if kind == _BED_GRAPH:
        return Intervals(*columns)
    *starts, value = columns
    # Fixed-step sections have no starts.
    start = np.concatenate(
        starts or [np.arange(s.n_items, dtype=np.int32) * s.step + s.start for s in sections]
    )
    spans = np.array([section.span for section in sections], np.int32)
    span = np.repeat(spans, [section.n_items for section in sections])
    return Intervals(start, start + span, value)


def _columns(sections: Sequence[Section], n: int) -> list[NDArray[Any]]:
    """Return the columns of entries of `n` numbers: int32, except that the last is float64."""
    tables = [np.frombuffer(section.items, "<i4").reshape(-1, n) for section in sections]
    columns = [np.concatenate([table[:, i] for table in tables]) for i in range(n - 1)]
    values = [table[:, -1].view("<f4") for table in tables]
    return [*columns, np.concatenate(values, dtype=np.float64)]


def _cut(intervals: Intervals, start: int, end: int) -> Intervals:
    """Return sorted intervals clipped to ``start .. end``."""
    first = int(np.searchsorted(intervals.end, start, "right"))
    last = int(np.searchsorted(intervals.start, end, "left"))
    part = _of(intervals, slice(first, last))
    np.maximum(part.start[:1], start, out=part.start[:1])
    np.minimum(part.end[-1:], end, out=part.end[-1:])
    return part


def _check_order(intervals: Intervals, reached: int) -> None:
    start, end, _ = intervals
    if start[0] < reached or np.any(start >= end) or np.any(start[1:] < end[:-1]):
        raise UnknownLayout("entries are empty, overlap or are not sorted")


def _without_nan(intervals: Intervals) -> Intervals:
    # One pass suffices if there is no NaN. A sum of infinities may be NaN as well.
    if not np.isnan(intervals.value.sum()):
        return intervals
    return _of(intervals, ~np.isnan(intervals.value))


def _of(intervals: Intervals, which: slice | NDArray[np.bool_]) -> Intervals:
    start, end, value = intervals
    return Intervals(start[which], end[which], value[which])
