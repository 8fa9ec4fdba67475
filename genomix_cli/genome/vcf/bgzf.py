"""BGZF, the blocked gzip of htslib (SAM specification, section 4.1), on any binary stream.

This replaces htslib's writer, which reports a full disk on stderr without the system's reason.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

#: First bytes of any gzip file.
GZIP = b"\x1f\x8b"
#: Empty block that marks the end of a complete file.
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
#: Bytes that :func:`is_bgzf` needs to see.
HEADER_SIZE = 18
# Blocks of this many bytes stay below 64 kB even when they cannot be compressed.
BLOCK = 65_280
# zlib level; level 6 would save 1 or 2 % more and take half as long again.
LEVEL = 5
# Queued blocks per thread: enough to keep threads busy, few enough to save memory.
QUEUE = 4


def is_bgzf(start: bytes) -> bool:
    """Return True if a file with these first 18 bytes is BGZF, not just gzip."""
    is_gzip = len(start) >= HEADER_SIZE and start.startswith(GZIP)
    # Bit 2 of the flags announces an extra field; that of BGZF is called BC.
    return is_gzip and bool(start[3] & 4) and start[12:14] == b"BC"


def has_end(path: Path) -> bool:
    """Return True if a file ends with the end mark of BGZF."""
    with path.open("rb") as file:
        file.seek(-min(len(END), path.stat().st_size), os.SEEK_END)
        return file.read() == END


class Sink(Protocol):
    """Object to which bytes can be written."""

    def write(self, data: bytes, /) -> Any:
        """Append bytes."""


class BgzfWriter:
    """Writer that compresses bytes into BGZF blocks, independent of the number of threads.

    Parameters
    ----------
    stream : Sink
        Destination, which the caller must close. Only the caller's thread writes to it, so errors
        are raised where they can be handled.
    threads : int
        Number of compressing threads (zlib releases Python's lock); 0 compresses in the caller's.
    level : int
        zlib level, 1 to 9.
    """

    def __init__(self, stream: Sink, *, threads: int = 0, level: int = LEVEL) -> None:
        self._stream = stream
        self._level = level
        self._pending = bytearray()
        self._ahead = QUEUE * threads
        self._blocks: deque[Future[bytes]] = deque()
        self._pool = ThreadPoolExecutor(threads, "bgzf") if threads else None

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._pending += data
        whole = len(self._pending) // BLOCK * BLOCK
        if whole:
            ready = bytes(memoryview(self._pending)[:whole])
            del self._pending[:whole]
            for start in range(0, whole, BLOCK):
                self._compress(ready[start : start + BLOCK])

    def flush(self) -> None:
        """End the current block, if it has data, and write all blocks to the stream."""
        if self._pending:
            self._compress(bytes(self._pending))
            self._pending.clear()
        self._hand_over(0)

    def finish(self) -> None:
        """Write what is left and the end mark, without which readers treat a file as truncated."""
        self.flush()
        self._stream.write(END)
        self.close()

    def close(self) -> None:
        """Stop the threads; blocks that were not yet written are lost."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _compress(self, data: bytes) -> None:
        if self._pool is None:
            self._stream.write(_block(data, self._level))
            return
        self._blocks.append(self._pool.submit(_block, data, self._level))
        self._hand_over(self._ahead)

    def _hand_over(self, left: int) -> None:
        """Write blocks in order until `left` remain in the queue."""
        while len(self._blocks) > left:
            self._stream.write(self._blocks.popleft().result())


def _block(data: bytes, level: int = LEVEL) -> bytes:
    body = zlib.compress(data, level, -zlib.MAX_WBITS)
    total = HEADER_SIZE + len(body) + 8
    header = END[:16] + struct.pack("<H", total - 1)
    return b"".join((header, body, struct.pack("<II", zlib.crc32(data), len(data))))
