"""A reference of one contig, and VCFs of a few records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.vcf.reader import VcfReader

Reading = Callable[..., VcfReader]


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Fasta:
    """A run of A, longer than an indel may move, after bases at which it stops."""
    before = "".join(np.random.default_rng(0).choice(list("ACGT"), 1000))
    path = tmp_path_factory.mktemp("fasta") / "g.fa"
    path.write_text(f">c\n{before}C{'A' * 1500}\n")
    return Fasta(path)


@pytest.fixture
def reader(tmp_path: Path) -> Reading:
    def read(*records: tuple[str, int, str, str]) -> VcfReader:
        lines = [f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n" for chrom, pos, ref, alt in records]
        path = tmp_path / "v.vcf"
        header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        path.write_text(header + "".join(lines))
        return VcfReader(path)

    return read
