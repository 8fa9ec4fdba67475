"""BGZF, the blocked gzip of htslib (SAM specification, section 4.1), on any binary stream.

Written here rather than through htslib, whose writer reports a full disk on stderr in its own
words and without the system's reason.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, Protocol

#: An empty block, the mark of a complete file.
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
#: Bytes that :func:`is_bgzf` needs to see.
HEADER_SIZE = 18
# Blocks of this many bytes stay below 64 kB even when they cannot be compressed.
BLOCK = 65_280
LEVEL = 6


def is_bgzf(start: bytes) -> bool:
    """Whether a file with these first 18 bytes is BGZF, not just gzip."""
    if len(start) < HEADER_SIZE or start[:2] != b"\x1f\x8b":
        return False
    has_extra_field = bool(start[3] & 4)
    return has_extra_field and start[12:14] == b"BC"


class Sink(Protocol):
    """What bytes can be written to."""

    def write(self, data: bytes, /) -> Any:
        """Append bytes."""


class BgzfWriter:
    """Compresses what is written into blocks.

    Parameters
    ----------
    stream : Sink
        Stays open; it belongs to the caller.
    """

    def __init__(self, stream: Sink) -> None:
        self._stream = stream
        self._pending = bytearray()

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._pending += data
        whole = len(self._pending) // BLOCK * BLOCK
        for start in range(0, whole, BLOCK):
            self._stream.write(_block(bytes(self._pending[start : start + BLOCK])))
        del self._pending[:whole]

    def finish(self) -> None:
        """Write what is left and the end mark; without it, readers know the file is incomplete."""
        if self._pending:
            self._stream.write(_block(bytes(self._pending)))
            self._pending.clear()
        self._stream.write(END)


def _block(data: bytes) -> bytes:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = compressor.compress(data) + compressor.flush()
    total = HEADER_SIZE + len(body) + 8
    header = END[:16] + struct.pack("<H", total - 1)
    return header + body + struct.pack("<II", zlib.crc32(data), len(data))
