"""Blocks and parts of a VCF: nothing is cut within a core, nothing is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.vcf.lines import Lines
from genomix_cli.genome.vcf.reader import Record, VcfReader
from genomix_cli.variants.records import cutting
from genomix_cli.variants.records.cutting import core_of, cut_blocks, part_bounds, suited_mode
from genomix_cli.variants.requests.score import Part

STRIDE = 100
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def record(pos: int, contig: str = "chr1", alt: str = "C") -> Record:
    return Record(0, pos, [contig, str(pos), ".", "A", alt, ".", ".", "."])


def pieces(records: Iterable[Record], size: int = 7) -> Iterator[Lines]:
    """The records as a reader gives them: its pieces end anywhere."""
    rest = list(records)
    while rest:
        yield Lines.of(rest[:size])
        rest = rest[size:]


@pytest.fixture
def reader(tmp_path: Path) -> VcfReader:
    path = tmp_path / "a.vcf"
    path.write_text(HEADER)
    return VcfReader(path)


places = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 2_000)), max_size=200, unique=False
).map(lambda found: [record(pos, f"chr{contig}") for contig, pos in sorted(found)])


@given(places, st.integers(1, 9))
def test_parts_are_all_of_it_in_order_and_split_no_core(records: list[Record], n: int) -> None:
    bounds = [part_bounds(records, Part(i, n), None, STRIDE) for i in range(1, n + 1)]  # type: ignore[arg-type]
    assert [r for b in bounds for r in records[b]] == records
    cores = [{core_of(r, STRIDE) for r in records[b]} for b in bounds]
    assert sum(map(len, cores)) == len(set().union(*cores))


def test_parts_are_about_equal() -> None:
    records = [record(pos) for pos in range(1, 10_001)]
    sizes = [
        b.stop - b.start
        for b in (part_bounds(records, Part(i, 7), None, STRIDE) for i in range(1, 8))
    ]  # type: ignore[arg-type]
    assert max(sizes) - min(sizes) <= STRIDE


@given(st.lists(st.integers(1, 250), max_size=60), st.integers(1, 9))
def test_parts_of_large_cores_have_the_blocks_of_the_whole(places: list[int], n: int) -> None:
    records = [record(pos) for pos in sorted(places)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "BLOCK_RECORDS", 4)
        bounds = [part_bounds(records, Part(i, n), None, STRIDE) for i in range(1, n + 1)]  # type: ignore[arg-type]
        whole = [list(block) for block in cut_blocks(pieces(records), STRIDE)]
        parts = [[list(b) for b in cut_blocks(pieces(records[b]), STRIDE)] for b in bounds]
    assert [r for b in bounds for r in records[b]] == records

    # Batches hold alleles of one block and one core.
    def batches(blocks: list[list[Record]]) -> list[list[Record]]:
        return [
            list(group)
            for block in blocks
            for _, group in groupby(block, lambda r: core_of(r, STRIDE))
        ]

    assert [batch for part in parts for batch in batches(part)] == batches(whole)


def test_a_large_core_is_shared_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "BLOCK_RECORDS", 4)
    records = [record(1 + i) for i in range(12)]
    bounds = [part_bounds(records, Part(i, 3), None, STRIDE) for i in (1, 2, 3)]  # type: ignore[arg-type]
    assert [(b.start, b.stop) for b in bounds] == [(0, 4), (4, 8), (8, 12)]


@pytest.mark.parametrize(
    "disorder", [[record(5), record(4)], [record(5), record(1, "chr2"), record(9)]]
)
def test_what_is_not_sorted_has_no_parts(disorder: list[Record], reader: VcfReader) -> None:
    with pytest.raises(DataError, match=r"not sorted.*bcftools sort"):
        part_bounds(disorder, Part(1, 2), reader, STRIDE)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/3/5", ""])
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        Part.parse(text)
    assert Part.parse("2/3") == Part(2, 3)


@given(places)
def test_blocks_are_all_of_it_and_split_no_core(records: list[Record]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "BLOCK_CORES", 2)
        blocks = list(cut_blocks(pieces(records), STRIDE))
    assert [r for block in blocks for r in block] == records
    cores = [{core_of(r, STRIDE) for r in block} for block in blocks]
    assert all(1 <= len(c) <= 2 for c in cores)
    assert sum(map(len, cores)) == len(set().union(*cores))


def test_a_core_ends_with_its_last_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "BLOCK_CORES", 1)
    blocks = cut_blocks(pieces(map(record, (1, STRIDE, STRIDE + 1))), STRIDE)
    assert [[r.pos for r in block] for block in blocks] == [[1, STRIDE], [STRIDE + 1]]


def test_what_is_not_sorted_is_not_cut_at_each_record() -> None:
    back_and_forth = [record(1 + STRIDE * (i % 5)) for i in range(100)]
    assert len(list(cut_blocks(pieces(back_and_forth), STRIDE))) == 1


def test_a_core_that_is_too_large_is_cut_at_places_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cutting, "BLOCK_RECORDS", 4)
    large = [record(1 + i, alt="ACGT"[i % 4]) for i in range(10)]
    before = [record(5, "chr0")] * 3
    # Whatever comes before it, the same records of the core stand together.
    alone = [list(block) for block in cut_blocks(pieces(large), STRIDE)]
    behind = [
        [r for r in block if r.chrom == "chr1"]
        for block in cut_blocks(pieces(before + large), STRIDE)
    ]
    assert [len(block) for block in alone] == [4, 4, 2]
    assert [b for b in behind if b] == alone


@pytest.mark.parametrize("core", [10_000, 50_000])
def test_the_mode_goes_by_the_distance_of_alleles(core: int) -> None:
    spread = [record(1 + 10_000 * i) for i in range(50)]
    assert suited_mode(Lines.of(spread), core) == "centred"
    twice = [record(1 + 5_000 * i) for i in range(50)]
    assert suited_mode(Lines.of(twice), core) == "shared"
    # Cores without any do not count, and ten ALTs of a record are as good as ten records.
    assert suited_mode(Lines.of([record(1 + i) for i in range(50)]), core) == "shared"
    assert suited_mode(Lines.of([record(1, alt=",".join("ACGTACGTAC"))]), core) == "shared"
    assert suited_mode(Lines.of([]), core) == "shared"
