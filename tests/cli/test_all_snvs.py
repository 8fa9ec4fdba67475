"""``genomix score variants --all-snvs``: the same scores as of a VCF of the same SNVs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genomix_cli.genome.fasta import Fasta
from tests.conftest import ROOT, Ended

FASTA = ROOT / "test_data" / "genome.fa.gz"
VCF = ROOT / "test_data" / "variants.vcf.gz"
REGION = "chr1:5001-5040"
MODEL = ("-f", FASTA, "-m", "gmt-mini-sim", "--threads", "1")


def body(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("##")]


def test_scores_are_those_of_a_vcf(genomix_fast: Any, tmp_path: Path) -> None:
    with Fasta(FASTA) as fasta:
        letters = fasta.letters("chr1", 5000, 5040).upper()
        length = fasta.lengths["chr1"]
    lines = ["##fileformat=VCFv4.3", f"##contig=<ID=chr1,length={length}>"]
    lines.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    for pos, ref in enumerate(letters, 5001):
        alts = ",".join(base for base in "ACGT" if base != ref)
        lines.append(f"chr1\t{pos}\t.\t{ref}\t{alts}\t.\t.\t.")
    (tmp_path / "in.vcf").write_text("\n".join(lines) + "\n")
    genomix_fast("score", tmp_path / "in.vcf", *MODEL, "-o", tmp_path / "a.vcf")
    all_snvs = ("score", "variants", "--all-snvs", "-r", REGION, *MODEL)
    ended: Ended = genomix_fast(*all_snvs, "-o", tmp_path / "b.vcf")
    assert body(tmp_path / "b.vcf") == body(tmp_path / "a.vcf")
    assert "alleles scored: 120" in ended.err
    command = next(x for x in (tmp_path / "b.vcf").read_text().splitlines() if "Command=" in x)
    assert "genomix score --all-snvs --model" in command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-r", REGION), "VCF is missing"),
        ((VCF, "--all-snvs"), "--all-snvs: replaces the VCF"),
        (("--all-snvs", "--shard", "1/2"), "--shard: needs a VCF to split"),
        (("--all-snvs", "-r", "chrQ"), "are not in the reference"),
    ],
)
def test_what_does_not_go_together(
    genomix_fast: Any, tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    ended: Ended = genomix_fast(
        "score", "variants", *words, *MODEL, "-o", tmp_path / "o.vcf", code=2
    )
    assert said in ended.err
    assert not (tmp_path / "o.vcf").exists()
