"""Our decoder against pyBigWig, and what it leaves to pyBigWig."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pyBigWig
import pytest

from genomix_cli.errors import DataError
from genomix_cli.genome import bigwig_blocks
from genomix_cli.genome.bigwig import BigWig
from genomix_cli.genome.bigwig_blocks import BlockFile, UnknownLayout
from tests.bigwigs import assert_like_pybigwig, many_contigs

LENGTH = 2_000
BUFFER_SIZE_AT, INDEX_AT = 52, 24


def section(kind: int, items: bytes, count: int, step: int = 0, span: int = 0) -> bytes:
    return struct.pack("<IIIIIBBH", 0, 0, LENGTH, step, span, kind, 0, count) + items


def bed(*entries: tuple[int, int, float]) -> bytes:
    return section(1, b"".join(struct.pack("<IIf", *entry) for entry in entries), len(entries))


def with_block(path: Path, block: bytes, *, compressed: bool = True) -> Path:
    """A file of one contig whose only block is `block`."""
    file = pyBigWig.open(str(path), "w")
    file.addHeader([("chr1", LENGTH)], maxZooms=0)
    file.addEntries(["chr1"], [0], ends=[LENGTH], values=[1.0])
    file.close()
    data = zlib.compress(block) if compressed else block
    content = bytearray(path.read_bytes()[:-4])
    index = int.from_bytes(content[INDEX_AT : INDEX_AT + 8], "little")
    # The header of the index, the head of its only node, and the place of the only leaf.
    struct.pack_into("<QQ", content, index + 48 + 4 + 16, len(content), len(data))
    struct.pack_into("<I", content, BUFFER_SIZE_AT, 1 << 15 if compressed else 0)
    path.write_bytes(content + data + struct.pack("<I", 0x888FFC26))
    return path


def is_decoded(path: Path) -> bool:
    try:
        file = BlockFile(path)
        list(file.intervals(0, 0, LENGTH))
    except UnknownLayout:
        return False
    file.close()
    return True


ENTRIES = [(3, 60, 1.5), (60, 61, -2.25), (100, 1000, 7.0), (1049, 1051, 0.1), (1990, 2000, 4.0)]


@pytest.mark.parametrize("compressed", [True, False])
def test_blocks_with_and_without_compression(tmp_path: Path, compressed: bool) -> None:
    path = with_block(tmp_path / "x.bw", bed(*ENTRIES), compressed=compressed)
    assert is_decoded(path)
    assert_like_pybigwig(path)


def test_entries_without_a_number_are_not_covered(tmp_path: Path) -> None:
    entries = [(0, 70, float("nan")), (70, 90, 2.0), (90, 95, float("nan")), (95, 300, 1.0)]
    path = with_block(tmp_path / "x.bw", bed(*entries))
    assert is_decoded(path)
    assert_like_pybigwig(path)
    with BigWig(path) as track:
        assert track.bins("chr1", 0, 8).covered.tolist() == [False] + [True] * 5 + [False] * 2


def test_infinities_are_refused(tmp_path: Path) -> None:
    path = with_block(tmp_path / "x.bw", bed((0, 70, float("inf")), (80, 90, 1.0)))
    assert is_decoded(path)
    with BigWig(path) as track, pytest.raises(DataError, match=r"not finite .found one in chr1:1-"):
        track.bins("chr1", 0, 3)


@pytest.mark.parametrize(
    "block",
    [
        bed((0, 100, 1.0), (50, 150, 2.0)),
        bed((500, 600, 1.0), (50, 150, 2.0)),
        section(3, struct.pack("<3f", 1, 2, 3), 3, step=5, span=9),
        section(2, struct.pack("<IfIf", 10, 1.0, 12, 2.0), 2, span=7),
    ],
    ids=["overlap", "unsorted", "fixed step overlaps", "variable step overlaps"],
)
def test_entries_that_overlap_are_left_to_pybigwig(tmp_path: Path, block: bytes) -> None:
    path = with_block(tmp_path / "x.bw", block)
    assert not is_decoded(path)
    assert_like_pybigwig(path)


@pytest.mark.parametrize(
    "block",
    [
        section(7, b"", 0),
        section(1, b"\0" * 12, 9),
        b"\0" * 10,
        section(2, struct.pack("<If", 3, 1.0), 1, span=2**32 - 1),
        section(3, struct.pack("<f", 1), 1, step=2**31, span=1),
        bed((2**31 + 5, 2**31 + 9, 1.0)),
        bed((7, 7, 1.0)),
    ],
    ids=["kind", "too short", "no header", "span", "step", "position", "empty"],
)
def test_strange_blocks_are_not_decoded(tmp_path: Path, block: bytes) -> None:
    assert not is_decoded(with_block(tmp_path / "x.bw", block))


def test_a_damaged_block_ends_in_the_error_of_before(tmp_path: Path) -> None:
    path = with_block(tmp_path / "x.bw", bed(*ENTRIES))
    content = bytearray(path.read_bytes())
    content[-12:-8] = b"\xff" * 4
    path.write_bytes(content)
    with BigWig(path) as track, pytest.raises(DataError, match="is damaged at chr1:1-2000"):
        track.bins("chr1", 0, 40)


@pytest.mark.parametrize("at", [0, 48, 48 + 4 + 16, 48 + 4 + 24])
def test_a_damaged_index_is_left_to_pybigwig(tmp_path: Path, at: int) -> None:
    path = with_block(tmp_path / "x.bw", bed(*ENTRIES))
    content = bytearray(path.read_bytes())
    index = int.from_bytes(content[INDEX_AT : INDEX_AT + 8], "little")
    content[index + at : index + at + 8] = b"\xfe" * 8
    path.write_bytes(content)
    assert not is_decoded(path)


def test_an_index_that_turns_in_a_circle(tmp_path: Path) -> None:
    path = with_block(tmp_path / "x.bw", bed(*ENTRIES))
    content = bytearray(path.read_bytes())
    index = int.from_bytes(content[INDEX_AT : INDEX_AT + 8], "little")
    root = struct.pack("<BBHIIIIQ", 0, 0, 1, 0, 0, 0, LENGTH, index + 48)
    content[index + 48 : index + 48 + len(root)] = root
    path.write_bytes(content)
    assert not is_decoded(path)


def test_many_contigs_and_an_index_of_several_levels(tmp_path: Path) -> None:
    path = many_contigs(tmp_path / "x.bw", 3_000)
    with BigWig(path) as track:
        assert track._blocks is not None
        for number, name in enumerate(track.lengths):
            list(track._blocks.intervals(number, 0, track.lengths[name]))
    assert_like_pybigwig(path, contigs=150)


def test_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = many_contigs(tmp_path / "x.bw", 1)
    with BigWig(path) as track:
        whole = track.bins("c0", 0, 30_000)
        monkeypatch.setattr(bigwig_blocks, "BATCH_BLOCKS", 1)
        for got, expected in zip(track.bins("c0", 0, 30_000), whole, strict=True):
            np.testing.assert_array_equal(got, expected)
    assert whole.covered.any()


def test_isal_and_zlib_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isal = pytest.importorskip("isal.isal_zlib")
    path = many_contigs(tmp_path / "x.bw", 1)
    results = []
    for inflate in (isal.decompress, zlib.decompress):
        monkeypatch.setattr(bigwig_blocks, "inflate", inflate)
        with BigWig(path) as track:
            results.append(track.bins("c0", 0, 30_000))
    np.testing.assert_array_equal(results[0].mean, results[1].mean)


def test_real_tracks(shared_data: Path) -> None:
    paths = sorted((shared_data / "hg38_chr22" / "tracks").glob("*.bw"))
    assert len(paths) >= 3
    for path in paths:
        with BigWig(path) as track:
            assert track._blocks is not None
            number = track._numbers["chr22"]
            assert sum(len(i.start) for i in track._blocks.intervals(number, 0, 10**8)) > 7_000
        assert_like_pybigwig(path, regions=[(0, 1_016_370), (200_001, 200_700), (777_777, 900_000)])
