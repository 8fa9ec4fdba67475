"""Scores for a genome browser: each position once, with the strongest of its alleles."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyBigWig
import pysam
import pytest

from genomix_cli.errors import DataError, UsageError
from genomix_cli.variants.requests.score import GenomeFiles, ScoreRequest
from genomix_cli.variants.score import tracks as tracks_module
from genomix_cli.variants.score.tags import Tag
from genomix_cli.variants.score.tracks import score_tracks
from genomix_cli.variants.score.vcf import score_variants
from tests.bigwigs import check_bedgraph
from tests.conftest import ROOT
from tests.random_activity import save_activity

FASTA = ROOT / "test_data" / "genome.fa.gz"
HEAD = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
TAGS = (Tag("A", "Float", ""), Tag("WHERE", "String", ""), Tag("B", "Float", ""))
LENGTHS = {"chr1": 1000, "chr2": 1000, "chr10": 1000}
Entry = tuple[str, int, int, float]


def entries(path: Path) -> list[Entry]:
    """Return what a bigWig holds, in the order of its contigs."""
    with pyBigWig.open(str(path)) as file:
        return [(name, *e) for name in file.chroms() for e in file.intervals(name) or ()]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_activity(tmp_path_factory.mktemp("models") / "mpra"))


def score(output: Path, model: str, vcf: Path | None, **settings: Any) -> Any:
    given = {"threads": 1, "device": "cpu", "model": model} | settings
    return score_variants(ScoreRequest(vcf, GenomeFiles(FASTA), output, **given))


def write(path: Path, places: list[tuple[str, int]], alts: str = "ACGT") -> Path:
    """Write a VCF of SNVs, to all of these bases but REF."""
    with pysam.FastaFile(str(FASTA)) as fasta:
        refs = [fasta.fetch(f"chr{c.removeprefix('chr')}", pos - 1, pos) for c, pos in places]
    rows = (
        f"{contig}\t{pos}\t.\t{ref}\t{','.join(b for b in alts if b != ref)}\t.\t.\t.\n"
        for (contig, pos), ref in zip(places, refs, strict=True)
    )
    path.write_text(HEAD + "".join(rows))
    return path


@pytest.mark.parametrize("chunk", [100_000, 2])
def test_a_position_has_the_value_of_largest_magnitude(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """This holds across blocks, and with contigs in the order of the alleles."""
    monkeypatch.setattr(tracks_module, "CHUNK", chunk)
    blocks = [
        [("chr10", 5, ("0.25", "x", "-1")), ("chr10", 5, ("-0.5", "x", "."))],
        [("chr10", 5, ("0.5", "x", "2")), ("chr10", 6, ("0.125", "x", "."))],
        [("chr2", 1, ("-3", "x", ".")), ("chr2", 1000, (".", "x", "0"))],
    ]
    with score_tracks(tmp_path, TAGS, LENGTHS, ["##made"]) as tracks:
        assert tracks is not None
        for block in blocks:
            rows = [row for *_, row in block]
            places = [(contig, None, pos) for contig, pos, _ in block]
            assert list(tracks.passed(places, iter(rows))) == rows
    first = [("chr10", 4, 5, -0.5), ("chr10", 5, 6, 0.125), ("chr2", 0, 1, -3.0)]
    assert entries(tmp_path / "A.bw") == first
    assert entries(tmp_path / "B.bw") == [("chr10", 4, 5, 2.0), ("chr2", 999, 1000, 0.0)]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "A.bedgraph",
        "A.bw",
        "B.bedgraph",
        "B.bw",
    ]
    with pyBigWig.open(str(tmp_path / "A.bw")) as file:
        assert file.chroms() == LENGTHS
    assert (tmp_path / "A.bedgraph").read_text().splitlines()[:2] == ["##made", tracks_module.NOTE]
    for name in "AB":
        check_bedgraph(tmp_path / f"{name}.bw")


def test_files_that_would_be_empty_open_all_the_same(tmp_path: Path) -> None:
    with score_tracks(tmp_path, TAGS, LENGTHS, []):
        pass
    assert entries(tmp_path / "A.bw") == []


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(KeyError), score_tracks(tmp_path, TAGS, LENGTHS, []):
        raise KeyError
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyError), score_tracks(tmp_path / "new", TAGS, LENGTHS, []):
        raise KeyError
    assert not (tmp_path / "new").exists()


def test_tracks_hold_what_the_table_says(model: str, tmp_path: Path) -> None:
    """Contigs are spelled as in the FASTA, and alleles without a score have no value."""
    places = [("2", 700), ("2", 702), ("1", 500), ("1", 501)]
    vcf = write(tmp_path / "in.vcf", places)
    vcf.write_text(vcf.read_text() + "1\t600\t.\tN\t<DEL>\t.\t.\t.\n")
    score(tmp_path / "o.tsv", model, vcf, bigwig=tmp_path / "tracks")
    score(tmp_path / "plain.tsv", model, vcf)
    table, plain = (
        pd.read_csv(tmp_path / name, sep="\t", comment="#", na_values=".")
        for name in ("o.tsv", "plain.tsv")
    )
    pd.testing.assert_frame_equal(table, plain)
    keys = [key for key in table if str(key).startswith("GENOMIX_DA")]
    assert sorted(p.stem for p in (tmp_path / "tracks").glob("*.bw")) == sorted(map(str, keys))
    for key in keys:
        of_place: dict[tuple[str, int], list[float]] = defaultdict(list)
        for row in table[table[key].notna()].to_dict("records"):
            of_place[f"chr{row['CHROM']}", int(row["POS"])].append(row[key])
        expected = [
            (contig, pos - 1, pos, float(np.float32(max(values, key=abs))))
            for (contig, pos), values in of_place.items()
        ]
        assert len(expected) == len(places)
        assert entries(tmp_path / "tracks" / f"{key}.bw") == expected
    head = (tmp_path / "tracks" / f"{keys[0]}.bedgraph").read_text()
    assert "##genomixModel=" in head


def test_every_snv_of_a_region_is_a_track(model: str, tmp_path: Path) -> None:
    region = {"regions": "chr1:5001-5020", "all_snvs": True}
    score(tmp_path / "o.tsv", model, None, bigwig=tmp_path / "tracks", **region)
    starts = [start for _, start, *_ in entries(tmp_path / "tracks" / "GENOMIX_DA.bw")]
    assert starts == list(range(5000, 5020))


def test_a_contig_spelled_in_two_ways_is_refused(model: str, tmp_path: Path) -> None:
    """Each spelling is sorted, but together they are one contig of the genome."""
    vcf = write(tmp_path / "in.vcf", [("1", 900), ("chr1", 800)])
    with pytest.raises(DataError, match="is not sorted: chr1:800 follows chr1:900"):
        score(tmp_path / "o.vcf", model, vcf, bigwig=tmp_path / "tracks")
    assert not (tmp_path / "tracks").exists()
    assert not (tmp_path / "o.vcf").exists()


@pytest.mark.parametrize(
    "places", [[("chr1", 900), ("chr1", 800)], [("1", 9), ("2", 9), ("1", 10)]]
)
def test_what_is_not_sorted_is_refused(
    model: str, tmp_path: Path, places: list[tuple[str, int]]
) -> None:
    vcf = write(tmp_path / "in.vcf", places)
    with pytest.raises(UsageError, match="is not sorted, which --bigwig needs") as raised:
        score(tmp_path / "o.vcf", model, vcf, bigwig=tmp_path / "tracks")
    assert "bcftools sort" in str(raised.value)
    assert not (tmp_path / "o.vcf").exists()
    assert not (tmp_path / "tracks").exists()
    with pytest.raises(UsageError, match=r"--bigwig: cannot be used with --resume"):
        score(tmp_path / "o.vcf", model, vcf, bigwig=tmp_path / "tracks", resume=True)
