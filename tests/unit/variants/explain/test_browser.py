"""Files for a genome browser, and the page, hold what the tables hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pyBigWig
import pysam
import pytest

from tests.bigwigs import check_bedgraph
from tests.conftest import ROOT
from tests.random_activity import save_activity

pytest.importorskip("captum")
pytest.importorskip("memelite")

FASTA = ROOT / "test_data" / "genome.fa.gz"


def test_a_folder_for_a_browser(genomix_fast: Any, tmp_path: Path) -> None:
    """One call for an insertion and a substitution."""
    folder = tmp_path
    model = save_activity(folder / "mpra")
    vcf = ROOT / "test_data" / "variants.vcf.gz"
    with pysam.VariantFile(str(vcf)) as file:
        names = {
            len(r.alts[0]) - len(r.ref): f"{r.chrom}:{r.pos}:{r.ref}:{r.alts[0]}"
            for r in file
            if r.pos > 1000 and len(r.ref) == 1 and len(r.alts[0]) in (1, 4)
        }
    genomix_fast(
        *("explain", vcf, "-f", FASTA, "-m", model, "--baseline", "shuffle"),
        *(word for size in (0, 3) for word in ("--variants", names[size])),
        *("--motifs", "consensus", "--motif-p", 0.02, "--motif-table", folder / "motifs.tsv"),
        *("--browser", folder / "files", "-o", folder / "why.tsv", "--allow-incomplete"),
        *("--report", folder / "why.html"),
    )
    check_bigwigs(folder)
    check_beds(folder)
    check_session(folder / "files")
    check_page(folder)


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", comment="#")


def check_bigwigs(written: Path) -> None:
    table = read(written / "why.tsv")
    assert table.variant.nunique() == 2
    for name, rows in table.groupby("variant"):
        stem = str(name).replace(":", "_")
        with pyBigWig.open(str(written / "files" / f"{stem}.shuffle.bw")) as bigwig:
            intervals = {start: value for start, _, value in bigwig.intervals(rows.contig.iloc[0])}
        own = rows[(rows.feature == "sequence") & (rows.base != ".")].groupby("start").attribution
        for start, total in own.sum().items():
            assert intervals.pop(start) == pytest.approx(total, abs=1e-5)
        assert not intervals
        check_bedgraph(written / "files" / f"{stem}.shuffle.bw")


def check_beds(written: Path) -> None:
    beds = {
        name: pd.read_csv(written / "files" / name, sep="\t", comment="#", header=None)
        for name in ("alleles.bed", "motifs.bed")
    }
    for bed in beds.values():
        pd.testing.assert_frame_equal(bed, bed.sort_values([0, 1, 2], kind="stable"))
        assert (bed[1] < bed[2]).all()
    table = read(written / "motifs.tsv")
    told = set(table.factor + " " + table.change + " " + table.variant)
    assert set(beds["motifs.bed"][3]) == told
    assert beds["motifs.bed"][4].between(0, 1000).all()
    assert len(beds["alleles.bed"]) == 2


def check_session(files: Path) -> None:
    session = ElementTree.parse(files / "session.xml").getroot()
    assert (files / session.attrib["genome"]).resolve() == FASTA.resolve()
    resources = {each.attrib["path"] for each in session.iter("Resource")}
    assert resources == {path.name for path in files.iterdir() if path.suffix in (".bed", ".bw")}
    contig, _, span = session.attrib["locus"].partition(":")
    first, last = map(int, span.split("-"))
    alleles = pd.read_csv(files / "alleles.bed", sep="\t", comment="#", header=None)
    assert (contig, True) == (alleles[0][0], first <= alleles[1][0] < last)


def check_page(written: Path) -> None:
    page = (written / "why.html").read_text()
    first = read(written / "motifs.tsv").query("rank == 1")
    for row in first.itertuples():
        assert f"{row.factor} ({row.strand}) {row.change};" in page
    for name in read(written / "why.tsv").variant.unique():
        assert f"{name}: completeness error" in page
    assert page.count('class="item"') == page.count("data:image/svg+xml;base64,") == 2
