"""Records against the reference."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.vcf.reader import VcfReader
from genomix_cli.variants.records.alleles import CONTIG_ABSENT, OFF_CONTIG, REF_MISMATCH
from genomix_cli.variants.records.checks import check_records
from genomix_cli.variants.records.inputs import MAX_SHIFT

Reading = Callable[..., VcfReader]


@pytest.mark.parametrize(("pos", "placed"), [(1003, 1001), (1400, 1001), (2300, 2299 - MAX_SHIFT)])
def test_an_indel_is_moved_left_over_bases_before_its_record(
    reader: Reading, fasta: Fasta, pos: int, placed: int
) -> None:
    """A record alone in its block can still move over the bases before it."""
    (checked,) = check_records(list(reader(("c", pos, "AA", "A"))), fasta)
    (allele,) = checked.alleles
    assert allele is not None
    assert (allele.pos, decode(allele.ref), decode(allele.alt)) == (placed, "A", "")


def test_what_the_reference_does_not_say_is_not_scored(reader: Reading, fasta: Fasta) -> None:
    base = decode(fasta.fetch("c", 9, 10))
    wrong = "ACGT"[("ACGT".index(base) + 1) % 4]
    records = [
        ("c", 10, base, wrong),
        ("c", 10, wrong, base),
        ("c", 10, wrong, f"{base},*"),
        ("c", 2501, "A", "C"),
        ("c", 2502, "A", "C"),
        ("d", 1, "A", "C"),
    ]
    found = [checked.reasons for checked in check_records(list(reader(*records)), fasta)]
    assert found == [
        (None,),
        (REF_MISMATCH,),
        (REF_MISMATCH, "star"),
        (None,),
        (OFF_CONTIG,),
        (CONTIG_ABSENT,),
    ]
