"""Records against the reference, block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genomix_cli.errors import CheckError
from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.vcf.reader import VcfReader
from genomix_cli.variants.records.alleles import CONTIG_ABSENT, OFF_CONTIG, REF_MISMATCH
from genomix_cli.variants.records.checks import CheckedVariants, blocks, check_records
from genomix_cli.variants.records.inputs import MAX_SHIFT

# A run of A, longer than an indel may move, after bases at which it stops.
SEQUENCE = "".join(np.random.default_rng(0).choice(list("ACGT"), 1000)) + "C" + "A" * 1500


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Fasta:
    path = tmp_path_factory.mktemp("fasta") / "g.fa"
    path.write_text(f">c\n{SEQUENCE}\n")
    return Fasta(path)


def reader(folder: Path, *records: tuple[str, int, str, str]) -> VcfReader:
    lines = [f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n" for chrom, pos, ref, alt in records]
    path = folder / "v.vcf"
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    path.write_text(header + "".join(lines))
    return VcfReader(path)


@pytest.mark.parametrize(("pos", "placed"), [(1003, 1001), (1400, 1001), (2300, 2299 - MAX_SHIFT)])
def test_an_indel_is_moved_left_over_bases_before_its_record(
    tmp_path: Path, fasta: Fasta, pos: int, placed: int
) -> None:
    """A record alone in its block can still move over the bases before it."""
    (checked,) = check_records(list(reader(tmp_path, ("c", pos, "AA", "A"))), fasta)
    (allele,) = checked.alleles
    assert allele is not None
    assert (allele.pos, decode(allele.ref), decode(allele.alt)) == (placed, "A", "")


def test_what_the_reference_does_not_say_is_not_scored(tmp_path: Path, fasta: Fasta) -> None:
    wrong = "ACGT"[("ACGT".index(SEQUENCE[9]) + 1) % 4]
    records = [
        ("c", 10, SEQUENCE[9], wrong),
        ("c", 10, wrong, SEQUENCE[9]),
        ("c", 10, wrong, f"{SEQUENCE[9]},*"),
        ("c", 2501, "A", "C"),
        ("c", 2502, "A", "C"),
        ("d", 1, "A", "C"),
    ]
    found = [checked.reasons for checked in check_records(list(reader(tmp_path, *records)), fasta)]
    assert found == [
        (None,),
        (REF_MISMATCH,),
        (REF_MISMATCH, "star"),
        (None,),
        (OFF_CONTIG,),
        (CONTIG_ABSENT,),
    ]


@pytest.mark.parametrize(
    ("wrong", "swap", "said"),
    [
        (0, False, ""),
        (2, False, ""),
        (3, False, "v.vcf: REF differs from the FASTA in 3 of 4 records: this looks like another"),
        (3, True, "in 3 of 4 records: REF and ALT look swapped; run: bcftools norm"),
    ],
)
def test_a_few_records_of_another_assembly_are_said(
    tmp_path: Path,
    fasta: Fasta,
    caplog: pytest.LogCaptureFixture,
    wrong: int,
    swap: bool,
    said: str,
) -> None:
    """Too few for a refusal, but those that happen to match have scores of the wrong place."""
    records = []
    for i in range(4):
        base = SEQUENCE[i]
        first, second, _ = (other for other in "ACGT" if other != base)
        ref, alt = (first, base if swap else second) if i < wrong else (base, second)
        records.append(("c", i + 1, ref, alt))
    with reader(tmp_path, *records) as vcf:
        assert len(list(CheckedVariants(vcf, fasta, blocks(vcf.lines(), 3)))) == 2
    assert (said in caplog.text) if said else not caplog.text


@pytest.mark.parametrize(("wrong", "refused"), [(20, False), (21, True)])
def test_more_than_a_fifth_of_differing_refs_is_another_assembly(
    tmp_path: Path, fasta: Fasta, wrong: int, refused: bool
) -> None:
    """ALT is a third base, so REF and ALT do not look swapped."""
    records = []
    for i in range(100):
        base = SEQUENCE[i]
        first, second, _ = (other for other in "ACGT" if other != base)
        records.append(("c", i + 1, first if i < wrong else base, second))
    with reader(tmp_path, *records) as vcf:
        checked = CheckedVariants(vcf, fasta, blocks(vcf.lines(), 100))
        if refused:
            with pytest.raises(CheckError, match="another assembly"):
                next(checked)
        else:
            assert len(next(checked)) == 100
