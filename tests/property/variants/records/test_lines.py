"""Records checked and cut together give the same as each alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.vcf.lines import Lines
from genomix_cli.genome.vcf.record import Record
from genomix_cli.variants.records import audit, checks, cutting
from genomix_cli.variants.records.alleles import CONTIG_ABSENT, Stretch, classify_allele
from genomix_cli.variants.records.audit import CheckedVariants
from genomix_cli.variants.records.checks import check_lines
from genomix_cli.variants.records.cutting import cut_blocks
from genomix_cli.variants.records.inputs import place_allele

SEQUENCE = "".join(np.random.default_rng(3).choice(list("ACGTNacgtRYM"), 300))
COLUMNS = ("chr1", "1", ".", "A", "C", ".", ".", ".")

allele = st.sampled_from([*"ACGTNacgtn.*Rr", "<DEL>", "<M>", "<A,C>", "A[1:5[", "", "ACG", "TT"])
place = st.tuples(
    st.sampled_from(["chr1", "1", "chr1", "chr9"]),
    st.integers(0, 310),
    st.none() | allele,
    st.lists(allele, min_size=1, max_size=3).map(",".join) | allele,
)


@pytest.fixture(scope="module")
def fasta() -> Iterator[Fasta]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "g.fa")
        path.write_text(f">chr1\n{SEQUENCE}\n")
        with Fasta(path) as opened:
            yield opened


def records(places: list[tuple[str, int, str | None, str]]) -> list[Record]:
    """Return records of these places; a REF that is not given is that of the reference."""
    found = []
    for chrom, pos, ref, alt in places:
        said = SEQUENCE[max(pos - 1, 0) : pos].upper() if ref is None else ref
        fields = [chrom, str(pos), ".", said, alt, ".", ".", "."]
        found.append(Record(0, pos, fields))
    return found


@settings(max_examples=60, deadline=None)
@given(places=st.lists(place, max_size=12), near=st.sampled_from([16, 65_536]))
@example(places=[("chr1", 20, None, "C"), ("chr1", 100, None, "ACG,TT")], near=16)
@example(places=[("chr1", 5, base, other) for base in "ACGT" for other in "ACGT"], near=65_536)
def test_each_record_is_checked_as_if_alone(
    fasta: Fasta, places: list[tuple[str, int, str | None, str]], near: int
) -> None:
    given = records(places)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "NEIGHBOURHOOD", near)
        block = check_lines(Lines.of(given), fasta)
    assert len(block) == len(given)
    placed = []
    for i, (record, checked) in enumerate(zip(given, block, strict=True)):
        assert checked.record == record == block[i].record
        assert (block[i].reasons, block[i].site, block[i].contig) == (
            checked.reasons,
            checked.site,
            checked.contig,
        )
        whole = Stretch.of(fasta, "chr1", 0, 300)
        known = fasta.names.find(record.chrom) is not None
        site = whole.site(record.pos - 1, record.ref) if known else CONTIG_ABSENT
        assert (checked.site, checked.contig) == (site, "chr1" if known else "")
        reasons = tuple(classify_allele(record.ref, alt) or site for alt in record.alts)
        assert checked.reasons == reasons
        for alt, reason, allele in zip(record.alts, reasons, checked.alleles, strict=True):
            assert (allele is None) == (reason is not None)
            if allele is not None:
                same = place_allele(record.pos - 1, record.ref, alt, whole.letters, 0)
                spelled = [(a.pos, decode(a.ref), decode(a.alt)) for a in (allele, same)]
                assert spelled[0] == spelled[1]
                placed.append((checked.contig, *spelled[0], record.pos))
    found = [(c, a.pos, decode(a.ref), decode(a.alt), p) for c, a, p in block.placed()]
    assert found == placed


class Named:
    name = "a.vcf"

    @staticmethod
    def where(record: Record) -> str:
        return f"{record.chrom}:{record.pos}"


@settings(max_examples=40, deadline=None)
@given(places=st.lists(place, max_size=12), size=st.integers(1, 5))
def test_what_is_counted(
    fasta: Fasta, places: list[tuple[str, int, str | None, str]], size: int
) -> None:
    given = records(places)
    blocks = [Lines.of(given[i : i + size]) for i in range(0, len(given), size)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit, "AUDIT_LEAST", 100)
        variants = CheckedVariants(Named(), fasta, blocks, knows_contigs=True)  # type: ignore[arg-type]
        checked = [each for block in variants for each in block]
    reasons = [reason for each in checked for reason in each.reasons]
    counts = variants.counts
    assert (counts["records"], counts["alleles"]) == (len(given), len(reasons))
    assert counts["scored"] == reasons.count(None)
    assert all(counts[reason] == reasons.count(reason) for reason in reasons if reason)
    wrong = [each for each in checked if each.site == "ref_mismatch"]
    assert counts["ref_mismatch_records"] == len(wrong)
    assert variants.first_mismatch == (Named.where(wrong[0].record) if wrong else None)
    last: dict[str, int] = {}
    current, unsorted = "", None
    for record in given:
        back = record.pos < last[current] if record.chrom == current else record.chrom in last
        unsorted = unsorted or (Named.where(record) if back and current else None)
        current, last[record.chrom] = record.chrom, record.pos
    assert variants.first_unsorted == unsorted
    assert list(variants.contigs) == list(last)


def one_by_one(records: list[Record], stride: int) -> Iterator[list[Record]]:
    """Blocks as they are defined, a record at a time."""
    block: list[Record] = []
    cores: set[tuple[str, int]] = set()
    last, in_core = None, 0
    for record in records:
        core = record.chrom, (record.pos - 1) // stride
        if core != last:
            full = len(block) >= cutting.BLOCK_RECORDS
            if full or (core not in cores and len(cores) == cutting.BLOCK_CORES):
                yield block
                block, cores = [], set()
            last, in_core = core, 0
            cores.add(core)
        elif in_core == cutting.BLOCK_RECORDS:
            yield block
            block, cores, in_core = [], {core}, 0
        in_core += 1
        block.append(record)
    if block:
        yield block


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("12"), st.integers(1, 60)), max_size=40),
    st.booleans(),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 3),
)
def test_blocks_do_not_depend_on_the_pieces_that_were_read(
    places: list[tuple[str, int]], ordered: bool, size: int, most: int, cores: int
) -> None:
    given = [
        Record(0, pos, [chrom, str(pos), ".", "A", "C", ".", ".", "."])
        for chrom, pos in (sorted(places) if ordered else places)
    ]
    pieces = [Lines.of(given[i : i + size]) for i in range(0, len(given), size)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "BLOCK_RECORDS", most)
        patch.setattr(cutting, "BLOCK_CORES", cores)
        found = [list(block) for block in cut_blocks(pieces, 10)]
        assert found == list(one_by_one(given, 10))
