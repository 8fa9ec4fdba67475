"""Genes of a GTF: each base gets the part that a walk over all transcripts gives it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from genomix_cli.errors import DataError
from genomix_cli.genome.genes import INTERGENIC, PARTS, PROMOTER, SPLICE, Genes, read_genes


def row(
    feature: str, start: int, end: int, strand: str = "+", gene: str = "A", contig: str = "chr1"
) -> str:
    """A line of a GTF, 1-based and both ends included."""
    notes = f'gene_id "ENSG_{gene}"; transcript_id "T_{gene}"; gene_name "{gene}";'
    return f"{contig}\ttest\t{feature}\t{start}\t{end}\t.\t{strand}\t.\t{notes}\n"


CODING = [
    row("gene", 1001, 1800),
    row("transcript", 1001, 1800),
    row("exon", 1501, 1800),
    row("exon", 1001, 1200),
    row("CDS", 1101, 1200),
    row("CDS", 1501, 1600),
    row("stop_codon", 1601, 1603),
]
OTHER = [row("exon", 5301, 5400, "-", "B"), row("exon", 5001, 5100, "-", "B")]


def write(path: Path, lines: list[str]) -> Path:
    data = "".join(["#!genome-build test\n", *lines]).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture(params=["genes.gtf", "genes.gtf.gz"])
def genes(request: pytest.FixtureRequest, tmp_path: Path) -> Genes:
    return read_genes(write(tmp_path / request.param, CODING + OTHER))


@pytest.mark.parametrize(
    ("pos", "name", "gene"),
    [
        (1, "promoter", "A"),
        (1000, "promoter", "A"),
        (1001, "5UTR", "A"),
        (1100, "5UTR", "A"),
        (1101, "CDS", "A"),
        (1200, "CDS", "A"),
        (1202, "splice", "A"),
        (1203, "intron", "A"),
        (1499, "splice", "A"),
        (1501, "CDS", "A"),
        (1603, "CDS", "A"),
        (1604, "3UTR", "A"),
        (1800, "3UTR", "A"),
        (1801, INTERGENIC, None),
        (5001, "exon", "B"),
        (5200, "intron", "B"),
        (5401, "promoter", "B"),
        (6400, "promoter", "B"),
        (6401, INTERGENIC, None),
    ],
)
def test_the_part_at_a_base(genes: Genes, pos: int, name: str, gene: str | None) -> None:
    part = genes.part("chr1", pos - 1, pos)
    assert part == (name, () if gene is None else (gene,))


def test_an_interval_has_the_first_part_that_it_touches(genes: Genes) -> None:
    assert genes.part("chr1", 1190, 1300).name == "CDS"
    assert genes.part("chr1", 1200, 1300).name == "splice"
    assert genes.part("chr1", 900, 1001).name == "5UTR"


@pytest.mark.parametrize(
    ("pos", "gene", "site"),
    [(0, "A", 1000), (3199, "A", 1000), (3200, "B", 5399), (9000, "B", 5399)],
)
def test_the_nearest_site(genes: Genes, pos: int, gene: str, site: int) -> None:
    sites = genes.sites("chr1")
    i = sites.nearest(pos)
    assert (genes.names[sites.gene[i]], sites.pos[i]) == (gene, site)
    assert list(sites.strand) == [1, -1]


def test_sites_within_an_interval(genes: Genes) -> None:
    sites = genes.sites("chr1")
    assert [*sites.within(1000, 5399)] == [0]
    assert [*sites.within(1001, 5400)] == [1]


def test_every_base_of_random_transcripts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    length, lines = 40_000, []
    expected: list[dict[str, set[str]]] = [{} for _ in range(length)]

    def paint(name: str, start: int, end: int, gene: str) -> None:
        for pos in range(max(start, 0), min(end, length)):
            expected[pos].setdefault(name, set()).add(gene)

    for n in range(12):
        gene, strand = f"G{n % 5}", "+-"[rng.integers(2)]
        places = rng.integers(1000, length - 9000) + rng.choice(8000, 6, replace=False)
        ends = np.sort(places).reshape(3, 2)
        low, high = np.sort(rng.choice(np.arange(ends[0, 0], ends[2, 1]), 2, replace=False))
        is_coding = rng.random() < 0.7
        notes = f'gene_id "{gene}"; transcript_id "T{n}";'
        for feature, start, end in [("exon", *exon) for exon in ends]:
            lines.append(f"1\t.\t{feature}\t{start + 1}\t{end}\t.\t{strand}\t.\t{notes}\n")
        five, three = ("5UTR", "3UTR") if strand == "+" else ("3UTR", "5UTR")
        cds = [(max(s, low), min(e, high)) for s, e in ends if max(s, low) < min(e, high)]
        is_coding &= bool(cds)
        low, high = (cds[0][0], cds[-1][1]) if cds else (0, 0)
        for start, end in cds if is_coding else ():
            lines.append(f"1\t.\tCDS\t{start + 1}\t{end}\t.\t{strand}\t0\t{notes}\n")
        for i, (start, end) in enumerate(ends):
            if is_coding:
                paint(five, start, min(end, low), gene)
                paint("CDS", max(start, low), min(end, high), gene)
                paint(three, max(start, high), end, gene)
            else:
                paint("exon", start, end, gene)
            if i > 0:
                paint("splice", start - SPLICE, start, gene)
            if i < 2:
                paint("splice", end, end + SPLICE, gene)
        paint("intron", ends[0, 0], ends[2, 1], gene)
        if strand == "+":
            paint("promoter", ends[0, 0] - PROMOTER, ends[0, 0], gene)
        else:
            paint("promoter", ends[2, 1], ends[2, 1] + PROMOTER, gene)
    genes = read_genes(write(tmp_path / "random.gtf", lines), {"chr1": length})
    seen = set()
    for pos, parts in enumerate(expected):
        name = next((name for name in PARTS if name in parts), INTERGENIC)
        part = genes.part("1", pos, pos + 1)
        assert (part.name, set(part.genes)) == (name, parts.get(name, set())), pos
        seen.add(name)
    assert seen == {*PARTS, INTERGENIC}


REFUSED = {
    "no GTF": (["chr1\t5\t6\n"], ":2: has too few columns"),
    "GFF3": (
        [row("exon", 1, 9).replace('gene_id "ENSG_A"; transcript_id "T_A"', "ID=x;Parent=y")],
        "gffread -T",
    ),
    "no position": ([row("exon", 1, 9).replace("\t9\t", "\tx\t")], ":2: has no positions"),
    "ends before it starts": ([row("exon", 9, 1)], ":2: ends before it starts"),
    "no strand": ([row("exon", 1, 9, ".")], ":2: has no strand"),
    "no gene": (
        [row("exon", 1, 9).replace("gene_", "x_")],
        ":2: has no gene_name and no gene_id",
    ),
    "no exon": ([row("gene", 1, 9)], "has no exon"),
    "other contigs": ([row("exon", 1, 9, contig="NC_1")], "no contig in common"),
    "another assembly": ([row("exon", 1, 5000)], "A lies beyond the end of chr1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    lines, told = REFUSED[name]
    with pytest.raises(DataError) as caught:
        read_genes(write(tmp_path / "bad.gtf", lines), {"chr1": 4000})
    assert told in caught.value.line()
    assert "bad.gtf" in caught.value.line()
