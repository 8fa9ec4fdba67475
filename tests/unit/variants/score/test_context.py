"""Genes and known variants beside scores: in both kinds of output, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pytest

from genomix_cli.errors import CheckError, DataError, GenomixError
from genomix_cli.genome.contacts import BIN, REACH, Contacts
from genomix_cli.genome.fasta import Fasta
from genomix_cli.provenance import facts_of
from genomix_cli.variants.requests.score import GenomeFiles, ScoreRequest
from genomix_cli.variants.score.vcf import score_variants
from tests.conftest import ROOT
from tests.random_activity import save_activity

DATA = ROOT / "test_data"
FASTA, CONTACTS = DATA / "genome.fa.gz", DATA / "contacts.cool"
HEAD = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
GENES = ("GENOMIX_GENE", "GENOMIX_TSS", "GENOMIX_PART", "GENOMIX_PART_GENE")
KNOWN = ("GENOMIX_ID", "GENOMIX_CLNSIG", "GENOMIX_AF")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_activity(tmp_path_factory.mktemp("models") / "mpra"))


def score(output: Path, model: str, vcf: Path, contacts: Path | None = None, **more: Any) -> Any:
    files = GenomeFiles(FASTA, contacts=contacts)
    given = {"threads": 1, "device": "cpu", "model": model} | more
    return score_variants(ScoreRequest(vcf, files, output, **given))


def bases(contig: str, pos: int, n: int = 1) -> str:
    with Fasta(FASTA) as fasta:
        return fasta.letters(contig, pos - 1, pos - 1 + n).upper()


def snv(contig: str, pos: int) -> tuple[str, int, str, str]:
    ref = bases(contig, pos)
    return contig, pos, ref, "ACGT"["ACGT".index(ref) - 1]


def write_vcf(path: Path, rows: list[tuple[Any, ...]], meta: str = "") -> Path:
    """Rows of contig, 1-based position, REF, ALT and, maybe, INFO and ID."""
    lines = []
    for row in rows:
        contig, pos, ref, alt, info, name = (*row, *(".", ".")[len(row) - 4 :])
        lines.append(f"{contig}\t{pos}\t{name}\t{ref}\t{alt}\t.\t.\t{info}\n")
    path.write_text(HEAD.replace("#CHROM", f"{meta}#CHROM") + "".join(lines))
    return path


def write_gtf(path: Path, sites: dict[str, tuple[str, int, str]]) -> Path:
    """One transcript of 500 bases for each gene: contig, transcription start site (1-based)."""
    lines = []
    for gene, (contig, site, strand) in sites.items():
        start, end = (site, site + 499) if strand == "+" else (site - 499, site)
        notes = f'gene_id "{gene}"; transcript_id "{gene}.1"; gene_name "{gene}";'
        lines.append(f"{contig}\t.\texon\t{start}\t{end}\t.\t{strand}\t.\t{notes}\n")
    path.write_text("".join(lines))
    return path


@pytest.fixture
def gtf(tmp_path: Path) -> Path:
    sites = {"UP": ("chr1", 20_000, "+"), "DOWN;1": ("chr1", 60_000, "-")}
    return write_gtf(tmp_path / "genes.gtf", sites)


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(logging.getLogger("genomix"), "propagate", True)
    return caplog


def table(path: Path, *columns: str) -> list[list[str]]:
    frame = pd.read_csv(path, sep="\t", comment="#", dtype=str, keep_default_na=False)
    return frame[list(columns)].to_numpy().tolist()


def test_genes_are_columns_of_both_kinds_of_output(
    gtf: Path, model: str, tmp_path: Path, heard: Any
) -> None:
    rows = [snv("chr1", 19_990), snv("chr1", 20_100), snv("chr1", 59_000), snv("chr1", 60_010)]
    third = bases("chr1", 60_020)
    rows.append(("chr1", 60_020, third, f"<DEL>,{'ACGT'['ACGT'.index(third) - 1]}"))
    vcf = write_vcf(tmp_path / "in.vcf", [*rows, snv("chr2", 50)])
    expected = [
        ["UP", "-10", "promoter", "UP"],
        ["UP", "100", "exon", "UP"],
        ["DOWN&1", "1000", "intergenic", "."],
        ["DOWN&1", "-10", "promoter", "DOWN&1"],
        ["DOWN&1", "-20", "promoter", "DOWN&1"],
        ["DOWN&1", "-20", "promoter", "DOWN&1"],
        [".", ".", ".", "."],
    ]
    score(tmp_path / "o.tsv", model, vcf, genes=gtf)
    assert table(tmp_path / "o.tsv", *GENES) == expected
    score(tmp_path / "o.vcf.gz", model, vcf, genes=gtf, write_index=True)
    with pysam.VariantFile(str(tmp_path / "o.vcf.gz")) as file:
        info = file.header.info
        assert [(info[key].number, info[key].type) for key in GENES] == [
            ("A", "String"),
            ("A", "Integer"),
            ("A", "String"),
            ("A", "String"),
        ]
        assert "coding sequence" in info["GENOMIX_PART"].description
        records = list(file)
        facts = facts_of(str(file.header).splitlines())
    assert records[2].info["GENOMIX_TSS"] == (1000,)
    assert records[4].info["GENOMIX_GENE"] == ("DOWN&1",) * 2
    assert "GENOMIX_GENE" not in records[5].info
    assert any(text.startswith("genes genes.gtf sha256:") for text in facts["Input"])
    assert f"--genes {gtf}" in facts["Command"][0]
    assert heard.text.count("no genes on contig chr2") == 2  # one for each run


def test_without_options_there_is_no_column(model: str, tmp_path: Path) -> None:
    vcf = write_vcf(tmp_path / "in.vcf", [snv("chr1", 20_100)])
    score(tmp_path / "o.vcf", model, vcf)
    assert not any(f"{key}=" in (tmp_path / "o.vcf").read_text() for key in (*GENES, *KNOWN))


def test_contigs_may_be_spelled_otherwise(model: str, tmp_path: Path, heard: Any) -> None:
    heard.set_level(logging.INFO, "genomix")
    gtf = write_gtf(tmp_path / "bare.gtf", {"UP": ("1", 20_000, "+")})
    vcf = write_vcf(tmp_path / "in.vcf", [snv("chr1", 20_100), snv("chr1", 20_200)])
    score(tmp_path / "o.tsv", model, vcf, genes=gtf)
    assert [row[0] for row in table(tmp_path / "o.tsv", "GENOMIX_GENE")] == ["UP", "UP"]
    assert heard.text.count("bare.gtf: using its contig 1 for chr1") == 1


def test_the_promoter_most_in_contact(model: str, tmp_path: Path) -> None:
    pytest.importorskip("cooler")
    rng = np.random.default_rng(0)
    places = np.sort(rng.choice(np.arange(1000, 299_000), 40, replace=False)).tolist()
    gtf = write_gtf(tmp_path / "g.gtf", {f"G{i}": ("chr1", p, "+") for i, p in enumerate(places)})
    positions = range(5_100, 295_000, 20_000)
    vcf = write_vcf(tmp_path / "in.vcf", [snv("chr1", pos) for pos in positions])
    score(tmp_path / "o.tsv", model, vcf, CONTACTS, genes=gtf)
    found = table(tmp_path / "o.tsv", "GENOMIX_CONTACT_GENE", "GENOMIX_CONTACT")
    matrix = Contacts(CONTACTS).matrix("chr1", 0, 60)
    named = 0
    for pos, (gene, value) in zip(positions, found, strict=True):
        own = (pos - 1) // BIN
        in_reach = {
            i: float(matrix[own, (p - 1) // BIN])
            for i, p in enumerate(places)
            if 0 < abs((p - 1) // BIN - own) < REACH
        }
        best = max(in_reach, key=in_reach.__getitem__)
        if in_reach[best] > 0:
            assert gene == f"G{best}"
            assert float(value) == pytest.approx(in_reach[best], rel=1e-3)
            named += 1
        else:
            assert (gene, value) == (".", ".")
    assert named > 5


META = (
    '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="x">\n'
    '##INFO=<ID=AF,Number=A,Type=Float,Description="x">\n'
)


def known_file(path: Path, rows: list[tuple[Any, ...]]) -> Path:
    return Path(pysam.tabix_index(str(write_vcf(path, rows, META)), preset="vcf"))


def test_known_variants_are_matched_by_allele_whatever_the_spelling(
    model: str, tmp_path: Path
) -> None:
    _, pos, ref, alt = snv("chr1", 20_100)
    three = bases("chr1", 20_099, 3)
    other = next(x for x in "ACGT" if x not in (ref, alt))
    clinvar = known_file(
        tmp_path / "clinvar.vcf",
        [
            ("1", pos, ref, alt, "CLNSIG=Pathogenic,_low_penetrance", "12345"),
            ("1", 20_200, *snv("chr1", 20_200)[2:], "ALLELEID=7", "777"),
        ],
    )
    padded = three[0] + alt + three[2], three[0] + other + three[2]
    gnomad = known_file(
        tmp_path / "gnomad.vcf",
        [("chr1", pos - 1, three, ",".join(padded), "AC=3;AF=0.001,2e-05", "rs1;rs2")],
    )
    vcf = write_vcf(
        tmp_path / "in.vcf",
        [
            ("chr1", pos, ref, f"{alt},{other},<DEL>"),
            snv("chr1", 20_200),
            snv("chr1", 20_300),
        ],
    )
    score(tmp_path / "o.tsv", model, vcf, known=(clinvar, gnomad))
    assert table(tmp_path / "o.tsv", *KNOWN) == [
        ["12345&rs1&rs2", "Pathogenic&_low_penetrance", "0.001"],
        ["rs1&rs2", ".", "2e-05"],
        [".", ".", "."],
        ["777", ".", "."],
        [".", ".", "."],
    ]
    score(tmp_path / "o.vcf.gz", model, vcf, known=(clinvar, gnomad), write_index=True)
    with pysam.VariantFile(str(tmp_path / "o.vcf.gz")) as file:
        first, second, third = file
        assert file.header.info["GENOMIX_AF"].type == "Float"
        inputs = facts_of(str(file.header).splitlines())["Input"]
    assert first.info["GENOMIX_CLNSIG"] == ("Pathogenic&_low_penetrance", ".", ".")
    assert "GENOMIX_AF" not in second.info
    assert "GENOMIX_ID" not in third.info
    assert any(text.startswith("known 2 gnomad.vcf.gz.tbi sha256:") for text in inputs)


def test_a_parquet_file_has_the_columns_too(gtf: Path, model: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    vcf = write_vcf(tmp_path / "in.vcf", [snv("chr1", 20_100), snv("chr2", 50)])
    score(tmp_path / "o.parquet", model, vcf, genes=gtf)
    frame = pd.read_parquet(tmp_path / "o.parquet")
    assert frame["GENOMIX_TSS"].iloc[0] == 100
    assert frame["GENOMIX_TSS"].isna().tolist() == [False, True]


def test_an_earlier_context_is_replaced(gtf: Path, model: str, tmp_path: Path) -> None:
    vcf = write_vcf(tmp_path / "in.vcf", [snv("chr1", 20_100)])
    score(tmp_path / "once.vcf", model, vcf, genes=gtf)
    score(tmp_path / "twice.vcf", model, tmp_path / "once.vcf", genes=gtf)
    one, two = (
        [x for x in (tmp_path / name).read_text().splitlines() if not x.startswith("##genomix")]
        for name in ("once.vcf", "twice.vcf")
    )
    assert one == two


def other_assembly(path: Path) -> Path:
    rows = [("chr1", p, bases("chr1", p + 1), "N") for p in range(1_000, 60_000, 500)]
    return known_file(path, rows)


REFUSED: dict[str, tuple[Any, type[GenomixError], list[str]]] = {
    "genes of other contigs": (
        lambda p: {"genes": write_gtf(p / "g.gtf", {"A": ("NC_1", 5_000, "+")})},
        DataError,
        ["g.gtf: has no contig in common", "found NC_1"],
    ),
    "known without an index": (
        lambda p: {"known": (write_vcf(p / "k.vcf", [snv("chr1", 9)]),)},
        DataError,
        ["k.vcf: has no index", "tabix -p vcf"],
    ),
    "known of other contigs": (
        lambda p: {"known": (known_file(p / "k.vcf", [("NC_1", 9, "A", "C")]),)},
        DataError,
        ["k.vcf.gz: has no contig in common"],
    ),
    "known of another assembly": (
        lambda p: {"known": (other_assembly(p / "k.vcf"),)},
        CheckError,
        ["k.vcf.gz at chr1", "looks like another assembly"],
    ),
    "a frequency that is none": (
        lambda p: {"known": (known_file(p / "k.vcf", [(*snv("chr1", 20_100), "AF=often")]),)},
        DataError,
        ["k.vcf.gz at chr1:20100: AF is not a frequency", "'often'"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_one_line_and_leaves_nothing(
    model: str, tmp_path: Path, name: str
) -> None:
    make, error, parts = REFUSED[name]
    vcf = write_vcf(tmp_path / "in.vcf", [snv("chr1", 20_100)])
    with pytest.raises(error) as caught:
        score(tmp_path / "o.vcf", model, vcf, **make(tmp_path))
    message = caught.value.line()
    assert all(part in message for part in parts), message
    assert not (tmp_path / "o.vcf").exists()
