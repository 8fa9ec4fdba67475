"""However a file is stored, its regions are the records whose POS lies in them, in order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pysam
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genomix_cli.genome.vcf.reader import VcfReader
from genomix_cli.genome.vcf.regions import Interval, Regions
from genomix_cli.genome.vcf.writer import Format, open_output

CONTIGS = ["chr1", "2", "HLA-A*01:01", "chrM"]
HEADER = [
    "##fileformat=VCFv4.2",
    '##INFO=<ID=END,Number=1,Type=Integer,Description="x">',
    *(f"##contig=<ID={name},length=400000>" for name in reversed(CONTIGS)),
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
]

position = st.integers(1, 200) | st.integers(1, 300_000)
length = st.integers(1, 12)
site = st.tuples(st.sampled_from(CONTIGS), position, length, st.integers(0, 90_000))
region = st.tuples(
    st.sampled_from(["1", "chr2", "HLA-A*01:01", "MT", "chr9"]), position, length | position
)


def line(number: int, site: tuple[str, int, int, int]) -> str:
    contig, pos, length, reach = site
    alt, info = ("<DEL>", f"END={pos + reach}") if reach > 45_000 else ("T", ".")
    return f"{contig}\t{pos}\tv{number}\t{'A' * length}\t{alt}\t.\tPASS\t{info}"


@settings(max_examples=50, deadline=None)
@given(st.lists(site, max_size=30), st.lists(region, min_size=1, max_size=8))
@example([("chr1", 1, 1, 0), ("2", 59, 1, 0)], [("1", 1, 1), ("chr2", 59, 1)])  # not as declared
def test_indexed_and_streamed_are_the_same(
    sites: list[tuple[str, int, int, int]], wanted: list[tuple[str, int, int]]
) -> None:
    sites = sorted(sites, key=lambda s: (CONTIGS.index(s[0]), s[1]))
    lines = [line(i, s) for i, s in enumerate(sites)]
    regions = Regions(Interval(name, start - 1, start + n) for name, start, n in wanted)
    expected = [
        f"v{i}"
        for i, (contig, pos, *_) in enumerate(sites)
        if (found := regions.find(contig)) is not None
        and any(start < pos <= end for start, end in found.tolist())
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, form, index in (
            ("a.vcf", Format.VCF, False),
            ("plain.vcf.gz", Format.VCF_GZ, False),
            ("tbi.vcf.gz", Format.VCF_GZ, True),
            ("csi.vcf.gz", Format.VCF_GZ, False),
            ("plain.bcf", Format.BCF, False),
            ("csi.bcf", Format.BCF, True),
        ):
            path = Path(folder, name)
            with open_output(path, form, index=index) as output:
                output.lines([*HEADER, *lines])
            if name == "csi.vcf.gz":
                pysam.tabix_index(str(path), preset="vcf", csi=True)
            with VcfReader(path, regions) as reader:
                assert [record.fields[2] for record in reader] == expected, name
