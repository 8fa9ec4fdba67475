"""A VCF with one of everything, through every format and back; the oracle is bcftools and tabix."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from genomix_cli.genome.vcf.reader import VcfReader
from genomix_cli.genome.vcf.regions import Regions
from genomix_cli.genome.vcf.writer import Format, format_of, open_output

# As htslib would write it too, so that a round trip through BCF can be compared byte by byte.
TEXT = r"""##fileformat=VCFv4.3
##FILTER=<ID=PASS,Description="All filters passed">
##FILTER=<ID=q10,Description="Below 10, \"really\" <low>; a=b">
##contig=<ID=chr1,length=300,assembly="x, y">
##contig=<ID=HLA-A*01:01:01:01,length=300>
##contig=<ID=empty>
##contig=<ID=chrM>
##ALT=<ID=DEL,Description="Deletion">
##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">
##INFO=<ID=AC,Number=R,Type=Integer,Description="Counts">
##INFO=<ID=DB,Number=0,Type=Flag,Description="Known">
##INFO=<ID=END,Number=1,Type=Integer,Description="End">
##INFO=<ID=NOTE,Number=.,Type=String,Description="Anything">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">
##FORMAT=<ID=PL,Number=G,Type=Integer,Description="Likelihoods">
##FORMAT=<ID=FT,Number=1,Type=String,Description="Filter">
##SAMPLE=<ID=a,Genomes="Germline;Tumour",Mixture=.3;.7>
##META=<ID=Assay,Type=String,Number=.,Values="[WGS, Exome]">
##source=it's "quoted" = odd, caf%C3%A9
##pedigreeDB=https://example.org/?a=b&c=<d>
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO	FORMAT	a	b b	c
chr1	0	tel	N	A	.	.	.	GT	./.	.	0
chr1	10	rs1;rs2	A	C	29.5	PASS	AF=0.5;DB	GT:DP:PL	0/1:12:1,2,3	1|0:.:.	./.:0:.
chr1	10	rs1;rs2	A	C,G,T	.	q10	AC=1,2,3,4;AF=.,0.25,1e-05	GT	0|1	2/3	1
chr1	12	mono	A	.	.	.	.	GT	0/0	0|0	.
chr1	13	star	C	T,*	0	PASS	AF=0.1,.	GT	1/2	2|2	0/2
chr1	14	del	T	<DEL>	.	PASS	END=250;NOTE=a,b c,d%3Be	GT	0/1	0/0	0/0
chr1	20	bnd	G	G[chr2:12[,]chr2:9]G	.	PASS	NOTE=x	GT:FT	0/1:PASS	0/2:q10	1/2:.
chr1	25	poly	GATTACA	G,GA	3000	PASS	DB	GT:DP	0/1/2:3	0|1|2|0:4	1:5
chr1	30	lower	a	g	1.5	PASS	NOTE=@@	DP	1	2	3
chr1	300	end	A	C	.	PASS	.	GT	0/1	0/1	0/1
HLA-A*01:01:01:01	5	hla	A	C	.	PASS	.	GT	0/1	0/1	0/1
HLA-A*01:01:01:01	9	end	ACG	A	.	PASS	END=11	GT	0/1	0/1	0/1
HLA-A*01:01:01:01	9	noend	A	<DEL>	.	PASS	.	GT	0/1	0/1	0/1
chrM	1	mito	A	C	.	PASS	.	GT	1	1	1
"""
DATA = TEXT.encode().replace(b"@@", b"\xe9\xff").replace(b"tel", "tèl".encode())


def copy(source: Path, target: Path, *, index: bool = False, letter: str | None = None) -> None:
    form = format_of(target, letter)
    with VcfReader(source) as reader, open_output(target, form, index=index) as output:
        output.lines([*reader.header.meta, reader.header.columns])
        for number, record in enumerate(reader):
            output.lines(["\t".join(record.fields)])
            if number % 500 == 3:
                output.commit({})


def run(program: str, *arguments: object) -> bytes:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    process = subprocess.run([program, *map(str, arguments)], capture_output=True)
    assert (process.returncode, process.stderr) == (0, b"")
    return process.stdout


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.vcf"
    path.write_bytes(DATA)
    return path


def test_it_is_as_bcftools_has_it(source: Path) -> None:
    assert run("bcftools", "view", "--no-version", source) == DATA


def test_through_every_format_and_back(tmp_path: Path, source: Path) -> None:
    path = source
    for name, letter in (("1.vcf.gz", None), ("2.bcf", None), ("3.bcf", "u"), ("4.vcf", None)):
        copy(path, tmp_path / name, letter=letter)
        path = tmp_path / name
        if name != "4.vcf":
            assert run("bcftools", "view", "--no-version", path) == DATA, name
    assert path.read_bytes() == DATA


def test_bcf_of_bcftools(tmp_path: Path, source: Path) -> None:
    for name, letter in (("b.bcf", "b"), ("u.bcf", "u"), ("z.vcf.gz", "z")):
        run("bcftools", "view", "--no-version", f"-O{letter}", "-o", tmp_path / name, source)
        copy(tmp_path / name, tmp_path / "back.vcf")
        assert (tmp_path / "back.vcf").read_bytes() == DATA, name


def test_windows_line_ends(tmp_path: Path, source: Path) -> None:
    source.write_bytes(DATA.replace(b"\n", b"\r\n"))
    for name in ("o.vcf", "o.vcf.gz", "o.bcf"):
        copy(source, tmp_path / name)
        copy(tmp_path / name, tmp_path / "back.vcf")
        assert (tmp_path / "back.vcf").read_bytes() == DATA


@pytest.mark.parametrize("name", ["o.vcf", "o.vcf.gz", "o.bcf"])
def test_a_header_alone(tmp_path: Path, source: Path, name: str) -> None:
    data = DATA[: DATA.index(b"\nchr1\t0") + 1]
    source.write_bytes(data)
    copy(source, tmp_path / name, index=name != "o.vcf")
    copy(tmp_path / name, tmp_path / "back.vcf")
    assert (tmp_path / "back.vcf").read_bytes() == data
    assert run("bcftools", "view", "--no-version", tmp_path / name) == data
    if name != "o.vcf":
        assert run("bcftools", "view", "-H", tmp_path / name, "chr1:1-9") == b""


QUERIES = {
    "chr1:10-13": "chr1\t10\t13",
    "chr1:20": "chr1\t20",
    "chr1:14-29,chrM": "chr1\t14\t29\nchrM\t1\t300",
    "chr1:26-": "chr1\t26\t300",
    "{HLA-A*01:01:01:01}": "HLA-A*01:01:01:01\t1\t300",
    "empty,1:15": "chr1\t15",
}


@pytest.mark.parametrize("name", ["o.vcf.gz", "o.bcf"])
@pytest.mark.parametrize("query", QUERIES)
def test_index_queries(tmp_path: Path, source: Path, name: str, query: str) -> None:
    """A query returns records that begin in a region, like bcftools ``--regions-overlap 0``."""
    # Of POS 0, tabix warns.
    source.write_bytes(b"".join(x for x in DATA.splitlines(True) if not x.startswith(b"chr1\t0\t")))
    path, regions = tmp_path / name, tmp_path / "regions.txt"
    regions.write_text(QUERIES[query] + "\n")
    copy(source, path, index=True)
    theirs = run("bcftools", "view", "-H", "--regions-overlap", "0", "-R", regions, path)
    for file in (path, source):
        for wanted in (Regions.parse(query), Regions.read(regions)):
            with VcfReader(file, wanted) as reader:
                found = "\n".join("\t".join(record.fields) for record in reader)
            assert found.encode("utf-8", "surrogateescape") == theirs.removesuffix(b"\n"), file


@pytest.mark.parametrize("name", ["o.vcf", "o.vcf.gz"])
def test_pos_0_belongs_to_its_contig(tmp_path: Path, source: Path, name: str) -> None:
    copy(source, tmp_path / name, index=name != "o.vcf")
    for query, first in (("1", 0), ("chr1:-20", 0), ("chr1:1-20", 10)):
        with VcfReader(tmp_path / name, Regions.parse(query)) as reader:
            assert next(iter(reader)).pos == first, query


def test_tabix_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "o.tsv.gz"
    with open_output(path, Format.TSV_GZ, index=True) as output:
        output.lines(
            ["contig\tpos\tp", *(f"{c}\t{p}\t0.5" for c in ("chr1", "chr2") for p in (5, 9))]
        )
    assert run("tabix", path, "chr2:6-9") == b"chr2\t9\t0.5\n"
    assert run("tabix", "-l", path) == b"chr1\nchr2\n"


@pytest.mark.parametrize("name", ["o.vcf.gz", "o.bcf"])
def test_real_variants(shared_data: Path, tmp_path: Path, name: str) -> None:
    source = shared_data / "hg38_chr22" / "variants.chr22.vcf.gz"
    regions = "chr22:20,000,000-21,000,000,chr22:30,000,000-"
    plain = "chr22:20000000-21000000,chr22:30000000-"
    copy(source, tmp_path / name, index=True)
    # Not INFO: BCF, and bcftools, keep six digits of a number.
    theirs = run(
        "bcftools", "query", "-f", "%CHROM:%POS:%REF:%ALT\\n", "-r", plain, tmp_path / name
    )
    for file in (source, tmp_path / name):
        with VcfReader(file, Regions.parse(regions)) as reader:
            found = [f"{r.chrom}:{r.pos}:{r.ref}:{r.fields[4]}" for r in reader]
        assert found == theirs.decode().split()
        assert len(found) > 1000
