"""Every substitution of a region is scored as `score` scores it, and shown beside measurements."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyBigWig
import pysam
import pytest

from genomix_cli.errors import UsageError
from genomix_cli.variants.explain.browser import Bases
from genomix_cli.variants.explain.explanation import Site
from genomix_cli.variants.explain.heat_map import Saturation, draw
from genomix_cli.variants.explain.region import LONGEST, regions_around
from genomix_cli.variants.records.inputs import trim_allele
from tests.bigwigs import check_bedgraph
from tests.conftest import ROOT
from tests.random_activity import save_activity

FASTA = ROOT / "test_data" / "genome.fa.gz"
CONTIG, START, END = "chr1", 5000, 5040
REGION = f"{CONTIG}:{START + 1:,}-{END:,}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_activity(tmp_path_factory.mktemp("models") / "mpra")


@pytest.fixture(scope="module")
def bases() -> str:
    with pysam.FastaFile(str(FASTA)) as fasta:
        return fasta.fetch(CONTIG, START, END).upper()


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", comment="#")


def test_all_substitutions_have_the_scores_of_a_vcf_of_them(
    genomix_fast: Any, model: Path, bases: str, tmp_path: Path
) -> None:
    table, vcf, plain = (tmp_path / name for name in ("a.tsv", "a.vcf", "plain.vcf"))
    common = ("-f", FASTA, "-m", model)
    ended = genomix_fast("explain", "variants", "--region", REGION, *common, "-o", table)
    genomix_fast("explain", "variants", "--region", REGION, *common, "-o", vcf)
    found = read(table)
    assert len(found) == 3 * len(bases)
    assert list(found.POS.drop_duplicates()) == list(range(START + 1, END + 1))
    assert all(bases[pos - START - 1] == ref for pos, ref in zip(found.POS, found.REF, strict=True))
    assert not found.duplicated(["POS", "ALT"]).any()
    assert (found.REF != found.ALT).all()
    with pysam.VariantFile(str(vcf)) as file:
        change = {(r.pos, r.alts[0]): r.info["GENOMIX_DA"][0] for r in file}
    records = (f"{CONTIG}\t{r.POS}\t.\t{r.REF}\t{r.ALT}\t.\t.\t.\n" for r in found.itertuples())
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    plain.write_text(head + "".join(records))
    genomix_fast("score", plain, *common, "-o", tmp_path / "scored.tsv")
    scored = read(tmp_path / "scored.tsv")
    columns = ["POS", "REF", "ALT", *(c for c in found.columns if c.startswith("GENOMIX_DA"))]
    pd.testing.assert_frame_equal(found[columns], scored[columns], rtol=0, atol=2e-5)
    for row in found.itertuples():
        assert change[row.POS, row.ALT] == pytest.approx(row.GENOMIX_DA, abs=1e-6)
    assert ended.stdout.splitlines()[1].split("\t")[1:] == ["GENOMIX_DA", str(3 * len(bases))]


def test_alleles_of_a_vcf_have_the_substitutions_around_them(
    genomix_fast: Any, model: Path, bases: str, tmp_path: Path
) -> None:
    """Regions that overlap are one, and each substitution is written once, in order."""
    vcf, around, region = (tmp_path / name for name in ("a.vcf", "around.vcf", "region.vcf"))
    alts = [next(b for b in "ACGT" if b != bases[i]) for i in (9, 30, 12)]
    places = zip((10, 31, 13), alts, strict=True)
    records = (f"{START + i}\t.\t{bases[i - 1]}\t{alt}\t.\t.\t.\n" for i, alt in places)
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    vcf.write_text(head + "".join(f"{CONTIG}\t{record}" for record in records))
    common = ("-f", FASTA, "-m", model)
    words = ("explain", vcf, "--ism", "--ism-around", 3, *common, "-o", around)
    ended = genomix_fast(*words, "--plots", tmp_path / "heat", "--browser", tmp_path / "files")
    rows = [line.split("\t")[0] for line in ended.stdout.splitlines()[1:]]
    assert rows == [f"{CONTIG}:5007-5016", f"{CONTIG}:5028-5034"]
    genomix_fast("explain", "variants", "--region", REGION, "--ism", *common, "-o", region)
    found, expected = (
        [line for line in path.read_text().splitlines() if not line.startswith("#")]
        for path in (around, region)
    )
    inside = [
        line
        for line in expected
        if 5007 <= (pos := int(line.split("\t")[1])) <= 5016 or 5028 <= pos <= 5034
    ]
    assert found == inside
    stems = ["chr1_5007-5016", "chr1_5028-5034"]
    assert sorted(p.stem for p in (tmp_path / "heat").iterdir()) == stems
    assert sorted(p.stem for p in (tmp_path / "files").glob("*.bw")) == stems
    session = ElementTree.parse(tmp_path / "files" / "session.xml").getroot()
    assert [r.attrib["path"] for r in session.iter("Resource")] == [f"{s}.bw" for s in stems]


@pytest.mark.parametrize("mode", ["centred", "shared"])
def test_around_alleles_windows_are_placed_as_those_of_the_vcf(
    genomix_fast: Any, mode: str, bases: str, tmp_path: Path
) -> None:
    vcf, scored, around = (tmp_path / name for name in ("a.vcf", "scored.vcf", "around.tsv"))
    alt = next(b for b in "ACGT" if b != bases[9])
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    vcf.write_text(f"{head}{CONTIG}\t{START + 10}\t.\t{bases[9]}\t{alt}\t.\t.\t.\n")
    common = ("--config", FASTA.parent / "genomix.toml", "--device", "cpu")
    genomix_fast("score", vcf, *common, "--mode", mode, "-o", scored)
    genomix_fast("explain", scored, "--ism", "--ism-around", 0, *common, "-o", around)
    with pysam.VariantFile(str(scored)) as file:
        change = next(file).info["GENOMIX_DL"][0]
    found = read(around)
    assert found.GENOMIX_DL[alt == found.ALT].item() == pytest.approx(change, abs=1e-4)
    genomix_fast("explain", scored, "--baseline", "ref", *common, "-o", tmp_path / "why.tsv")
    # What is attributed is the change of the calibrated log-odds.
    slope = float(re.search(r"slope ([\d.]+),", scored.read_text())[1])
    assert read(tmp_path / "why.tsv").attribution.sum() == pytest.approx(slope * change, rel=1e-3)


class Genome(NamedTuple):
    """Contigs of nothing but A."""

    contigs: dict[str, int]

    def codes(self, contig: str, start: int, end: int) -> np.ndarray:
        return np.zeros(end - start, np.uint8)


def test_regions_end_with_their_contig_and_outline_their_alleles() -> None:
    alleles = (("chr1", 1, "A", "C"), ("chr2", 27, "AA", ""), ("chr1", 4, "", "G"))
    sites = [Site("", contig, trim_allele(pos, *both)) for contig, pos, *both in alleles]
    own = regions_around(sites, Genome({"chr2": 30, "chr1": 20}), 3)  # type: ignore[arg-type]
    assert [tuple(region.place) for region in own] == [("chr2", 24, 30), ("chr1", 0, 8)]
    assert np.argwhere(own[1].explained).tolist() == [[1, 1], *([4, k] for k in range(4))]
    assert np.argwhere(own[0].explained)[:, 0].tolist() == [3] * 4 + [4] * 4
    with pytest.raises(UsageError, match="mutates too many bases"):
        regions_around(sites[:1], Genome({"chr1": 10**6}), LONGEST)  # type: ignore[arg-type]


def test_a_browser_shows_the_strongest_change_of_each_base(
    genomix_fast: Any, model: Path, tmp_path: Path
) -> None:
    table, files = tmp_path / "a.tsv", tmp_path / "files"
    words = ("explain", "variants", "--region", REGION, "-f", FASTA, "-m", model, "-o", table)
    genomix_fast(*words, "--browser", files)
    changes = read(table).groupby("POS").GENOMIX_DA
    strongest = changes.agg(lambda of: of.loc[of.abs().idxmax()])
    assert (strongest > 0).nunique() == 2
    with pyBigWig.open(str(files / "chr1_5001-5040.bw")) as bigwig:
        shown = {start + 1: value for start, _, value in bigwig.intervals(CONTIG)}
        assert bigwig.chroms(CONTIG) == 300_000
    assert shown == pytest.approx(strongest.to_dict(), abs=6e-6)
    check_bedgraph(files / "chr1_5001-5040.bw")
    assert "three substitutions" in (files / "chr1_5001-5040.bedgraph").read_text()
    session = ElementTree.parse(files / "session.xml").getroot()
    assert session.attrib["locus"] == f"{CONTIG}:4901-5140"
    assert (files / session.attrib["genome"]).resolve() == FASTA.resolve()
    assert [r.attrib["path"] for r in session.iter("Resource")] == ["chr1_5001-5040.bw"]


def test_measured_effects_stand_beside(
    genomix_fast: Any, model: Path, bases: str, tmp_path: Path
) -> None:
    table, effects = tmp_path / "a.tsv", tmp_path / "effects.tsv"
    common = ("explain", "variants", "--region", REGION, "-f", FASTA, "-m", model, "--force")
    genomix_fast(*common, "-o", table)
    found = read(table)
    some = found[found.ALT != "T"]
    rows = (f"1\t{r.POS}\t{r.REF}\t{r.ALT}\t{3 * r.GENOMIX_DA - 1}\n" for r in some.itertuples())
    effects.write_text("contig\tpos\tref\talt\teffect\n" + "".join(rows))
    ended = genomix_fast(
        *common, "-o", table, "--measured", effects, "--plots", tmp_path / "pictures"
    )
    *_, n, r, rho = ended.stdout.splitlines()[1].split("\t")
    assert (int(n), float(r), float(rho)) == (len(some), pytest.approx(1, abs=1e-3), 1)
    assert [p.name for p in (tmp_path / "pictures").iterdir()] == ["chr1_5001-5040.png"]
    # Positions that are off by one measure other bases.
    off = effects.read_text().replace("\t5", "\t6")
    effects.write_text(off)
    ended = genomix_fast(*common, "-o", table, "--measured", effects, code=1)
    assert "has no measured substitution in chr1:5001-5040" in ended.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--region", "chr1:1-20", "--top", "2"), "--top"),
        (("--region", "chr1:1-20", "VCF"), "which has no VCF: VCF"),
        (("--region", "chr1:1-20", "--motifs", "consensus"), "--motifs"),
        (("--region", "chr1"), "is not a single region"),
        (("--region", "chr1:5-9,chr2:5-9"), "is not a single region"),
        (("--region", "chr1:1-200,000"), "is too long"),
        (("--region", "chr1:299,990-300,001"), "reaches beyond chr1"),
        (("--region", "chr7:1-20"), "chr7"),
        (("VCF", "--ism", "--motifs", "consensus"), "which attributes nothing: --motifs"),
        (("--region", "chr1:1-20", "--ism-around", "5"), "which has no VCF: --ism-around"),
        (("VCF", "--measured", "VCF"), "needs --ism or --region"),
        (("--ism",), "VCF is missing"),
        ((), "VCF is missing"),
    ],
)
def test_what_is_no_region_is_refused(
    genomix_fast: Any, model: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    given = [ROOT / "test_data" / "variants.vcf.gz" if o == "VCF" else o for o in options]
    out = tmp_path / "a.tsv"
    words = ("explain", "variants", *given, "-f", FASTA, "-m", model, "-o", out)
    code = 1 if message == "chr7" else 2
    assert message in genomix_fast(*words, code=code).stderr
    assert not list(tmp_path.iterdir())


def saturation(n: int, of_effect: bool = False) -> Saturation:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, n).astype(np.uint8)
    changes = rng.normal(size=(n, 4))
    changes[np.arange(n), codes] = 0
    codes[3], changes[3] = 4, np.nan
    return Saturation("chr1", 100, codes, changes, None, "log-odds", "a model", of_effect)


def test_a_base_is_as_important_as_its_substitutions_take_away() -> None:
    of = saturation(10)
    assert of.heights[0] == pytest.approx(-of.changes[0].sum() / 3)
    assert of.heights[3] == 0
    np.testing.assert_array_equal(saturation(10, of_effect=True).heights, -of.heights)


def test_unknown_bases_have_no_strongest_change() -> None:
    of = saturation(10)
    assert np.flatnonzero(np.isnan(of.strongest)).tolist() == [3]
    starts, values = Bases("chr1", 100, of.strongest).known(108)
    assert starts.tolist() == [100, 101, 102, 104, 105, 106, 107]
    assert values[3] == pytest.approx(max(of.changes[4], key=abs))


def test_parts_make_the_whole() -> None:
    of = saturation(25)
    parts = list(of.parts(10))
    assert [(p.start, len(p.codes)) for p in parts] == [(100, 10), (110, 10), (120, 5)]
    np.testing.assert_array_equal(np.concatenate([p.changes for p in parts]), of.changes)


def test_pictures_repeat(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("one.png", "two.png"):
        draw(saturation(120), tmp_path / name)
    one, two = ((tmp_path / name).read_bytes() for name in ("one.png", "two.png"))
    assert one == two
