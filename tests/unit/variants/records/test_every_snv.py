"""Every SNV of a genome: each known base once, with its three alternates, in the FASTA's order."""

from __future__ import annotations

import logging
from itertools import chain
from pathlib import Path

import pytest

from genomix_cli.errors import UsageError
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.vcf.regions import Regions
from genomix_cli.variants.records.every_snv import EverySnv

CONTIGS = {"chr2": "ACGTN" * 30_000, "chr1": "nnacgT"}


@pytest.fixture
def fasta(tmp_path: Path) -> Fasta:
    path = tmp_path / "g.fa"
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in CONTIGS.items()))
    return Fasta(path)


def test_each_known_base_has_three(fasta: Fasta, caplog: pytest.LogCaptureFixture) -> None:
    every = EverySnv(fasta)
    records = list(chain.from_iterable(every.lines()))
    known = [
        (name, pos, base)
        for name, bases in CONTIGS.items()
        for pos, base in enumerate(bases.upper(), 1)
        if base != "N"
    ]
    assert [(r.chrom, r.pos, r.ref) for r in records] == known
    assert {(r.ref, *r.alts) for r in records} == {
        ("A", "C", "G", "T"),
        ("C", "A", "G", "T"),
        ("G", "A", "C", "T"),
        ("T", "A", "C", "G"),
    }
    assert every.header.contigs == ("chr2", "chr1")
    assert every.bases == 150_006
    assert [r.message for r in caplog.records] == ["30,002 unknown bases have no SNVs"]
    assert every.where(records[0]) == "chr2:1"


def test_regions_are_cut_to_the_contigs(fasta: Fasta, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    every = EverySnv(fasta, Regions.parse("1:4-99,chr2:149,999-,chr2:1-2"), again=True)
    assert [(r.chrom, r.pos) for r in chain.from_iterable(every.lines())] == [
        *(("chr2", 1), ("chr2", 2), ("chr2", 149_999)),
        *(("chr1", 4), ("chr1", 5), ("chr1", 6)),
    ]
    assert every.bases == 2 + 2 + 3
    assert not caplog.records


def test_regions_beyond_the_reference_are_refused(fasta: Fasta) -> None:
    with pytest.raises(UsageError, match=r"are not in the reference \(found chr7"):
        EverySnv(fasta, Regions.parse("chr7"))
