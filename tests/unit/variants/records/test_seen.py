"""Alleles that a model has seen are found however they are spelled, and only in the same genome."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genomix_cli.formats.genome_shard import open_shard
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.vcf.reader import VcfReader
from genomix_cli.variants.prepare.shard import prepare_variants
from genomix_cli.variants.records.checks import check_records
from genomix_cli.variants.records.seen import SeenAlleles, seen_alleles
from genomix_cli.variants.requests.prepare import PrepareRequest
from tests.small_genome import write_vcf

# Four As from 1-based 41, in a sequence that is otherwise random.
SEQUENCE = "".join("ACGT"[i] for i in np.random.default_rng(0).integers(0, 4, 2_000))
SEQUENCE = SEQUENCE[:39] + "CAAAAG" + SEQUENCE[45:]


def fasta(path: Path, sequence: str, name: str = "chr1") -> Path:
    path.write_text(f">{name}\n{sequence}\n")
    return path


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    alt = "ACGT"["ACGT".index(SEQUENCE[999]) - 1]
    rows = [("chr1", 40, "CA", "C", 1), ("chr1", 1000, SEQUENCE[999], alt, 0)]
    rows.append(("chr1", 1500, SEQUENCE[1499], SEQUENCE[1499] + "GT", 1))
    output = tmp_path / "s.h5"
    vcf, genome = write_vcf(tmp_path / "a.vcf", rows), fasta(tmp_path / "a.fa", SEQUENCE)
    prepare_variants(PrepareRequest(vcf, genome, output, label_info="LABEL"))
    return output


def parts(shard: Path, genome: Path, vcf: Path) -> list[str]:
    """Parts of the alleles of a VCF, where the first two of the shard trained and one validated."""
    with VcfReader(vcf) as reader, Fasta(genome) as reference:
        block = check_records(list(reader), reference)
        seen = seen_alleles(open_shard(shard), np.array([0, 1]), np.array([2]))
        finder = SeenAlleles(seen, reference)
        placed = [(c.contig, a) for c in block for a in c.alleles if a is not None]
        found = finder.parts(placed)
        assert finder.count == sum(map(bool, found))
        return found


def test_other_spellings_of_an_allele_are_found(shard: Path, tmp_path: Path) -> None:
    base = SEQUENCE[999]
    others = [b for b in "ACGT" if b != base]
    rows = [
        ("1", 43, "AA", "A", ""),  # the same deletion, at its right end
        ("1", 1000, base, ",".join(others), ""),
        ("1", 1500, SEQUENCE[1499:1501], SEQUENCE[1499] + "GT" + SEQUENCE[1500], ""),
        ("1", 1001, SEQUENCE[1000], "<DEL>", ""),
    ]
    vcf = write_vcf(tmp_path / "b.vcf", rows)
    found = parts(shard, fasta(tmp_path / "b.fa", SEQUENCE, "1"), vcf)
    assert [found[0], found[4]] == ["train", "valid"]
    assert sorted(found[1:4]) == ["", "", "train"]
    assert len(found) == 5


def test_the_same_place_of_another_genome_is_new(shard: Path, tmp_path: Path) -> None:
    other = SEQUENCE[:990] + SEQUENCE[990:999][::-1] + SEQUENCE[999:]
    assert other != SEQUENCE
    found = parts(shard, fasta(tmp_path / "b.fa", other), tmp_path / "a.vcf")
    assert found == ["train", "", "valid"]
