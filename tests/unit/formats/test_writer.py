"""Files of HDF5 on a disk that is full."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from genomix_cli.formats.writer import on_disk


def test_what_a_full_disk_refused_is_read_back_until_the_error_is_raised(tmp_path: Path) -> None:
    """HDF5 would crash if it read back other metadata than it wrote."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(OSError, match="File too large"), on_disk(tmp_path / "x.h5") as disk:
        disk.write(b"a" * 10)
        resource.setrlimit(resource.RLIMIT_FSIZE, (12, before[1]))
        try:
            disk.write(b"b" * 10)
            disk.write(b"c" * 10)
            disk.seek(15)
            disk.write(b"d")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        held = bytearray(10)
        disk.seek(8)
        assert disk.readinto(held) == 10
        assert held == b"aabbbbbdbb"
