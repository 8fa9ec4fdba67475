"""A whole VCF against the reference."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genomix_cli.errors import CheckError
from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.vcf.reader import VcfReader
from genomix_cli.variants.records.audit import CheckedVariants
from genomix_cli.variants.records.cutting import blocks

Reading = Callable[..., VcfReader]


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
    reader: Reading,
    fasta: Fasta,
    caplog: pytest.LogCaptureFixture,
    wrong: int,
    swap: bool,
    said: str,
) -> None:
    """Too few for a refusal, but those that happen to match have scores of the wrong place."""
    records = []
    for i, base in enumerate(decode(fasta.fetch("c", 0, 4))):
        first, second, _ = (other for other in "ACGT" if other != base)
        ref, alt = (first, base if swap else second) if i < wrong else (base, second)
        records.append(("c", i + 1, ref, alt))
    with reader(*records) as vcf:
        assert len(list(CheckedVariants(vcf, fasta, blocks(vcf.lines(), 3)))) == 2
    assert (said in caplog.text) if said else not caplog.text


@pytest.mark.parametrize(("wrong", "refused"), [(20, False), (21, True)])
def test_more_than_a_fifth_of_differing_refs_is_another_assembly(
    reader: Reading, fasta: Fasta, wrong: int, refused: bool
) -> None:
    """ALT is a third base, so REF and ALT do not look swapped."""
    records = []
    for i, base in enumerate(decode(fasta.fetch("c", 0, 100))):
        first, second, _ = (other for other in "ACGT" if other != base)
        records.append(("c", i + 1, first if i < wrong else base, second))
    with reader(*records) as vcf:
        checked = CheckedVariants(vcf, fasta, blocks(vcf.lines(), 100))
        if refused:
            with pytest.raises(CheckError, match="another assembly"):
                next(checked)
        else:
            assert len(next(checked)) == 100
