"""Scores in several cell types: as those of each alone, side by side, and ranked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pytest

from genomix_cli.errors import UsageError
from genomix_cli.learning.activity import Output
from genomix_cli.learning.calibration import Platt
from genomix_cli.variants.conditions import Calibration, Conditions
from genomix_cli.variants.requests.score import GenomeFiles, ScoreRequest, tracks_by_cell
from genomix_cli.variants.score.cells import score_cells
from genomix_cli.variants.score.differences import Differences, quantiles
from genomix_cli.variants.trained import load_model, save_model
from tests.conftest import ROOT
from tests.suite_shard import prepare
from tests.toy_variant_model import save_toy, toy_registered

DATA = ROOT / "test_data"
FASTA, VCF = DATA / "genome.fa.gz", DATA / "variants.vcf.gz"
TRACKS = {
    "ATAC@K562": DATA / "ATAC.bw",
    "ATAC@Hep-G2": DATA / "H3K27ac.bw",
    "CTCF@K562": DATA / "CTCF.bw",
}
ALONE = {
    "K562": {"ATAC": DATA / "ATAC.bw", "CTCF": DATA / "CTCF.bw"},
    "Hep-G2": {"ATAC": DATA / "H3K27ac.bw"},
}
KEYS = ("GENOMIX_P", "GENOMIX_DL")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A shard of two cell types, and a model of its first track."""
    path = tmp_path_factory.mktemp("cells")
    shard = prepare(DATA, path / "shard.h5", tracks=TRACKS)
    with toy_registered():
        save_toy(path / "toy", shard, "chr1", "chr2", n_bins=400)
        yield path


def score(folder: Path, output: Path, **changes: Any) -> Any:
    genome = GenomeFiles(FASTA, TRACKS)
    request = ScoreRequest(VCF, genome, output, regions="chr1:1-30000", device="cpu", threads=1)
    own = {"model": str(folder / "toy"), "mode": "shared", **changes}
    return score_cells(replace(request, **own))


def fields(path: Path, *keys: str) -> list[list[Any]]:
    with pysam.VariantFile(str(path)) as file:
        return [[v for r in file.fetch() for v in r.info[key]] for key in keys]


@pytest.fixture(scope="module")
def joined(folder: Path) -> Path:
    score(folder, folder / "joined.vcf", quantiles=True)
    return folder / "joined.vcf"


def test_each_cell_type_has_the_scores_that_it_has_alone(folder: Path, joined: Path) -> None:
    alone = []
    score(folder, folder / "again.vcf", bigwig=folder / "tracks")
    assert {p.name for p in (folder / "tracks" / "Hep_G2").glob("*.bw")} >= {"GENOMIX_DL.bw"}
    for name, tracks in ALONE.items():
        output = folder / f"{name}.vcf"
        score(folder, output, genome=GenomeFiles(FASTA, tracks))
        alone.append(fields(output, *KEYS))
    cells = ("K562", "Hep_G2")
    for cell, own in zip(cells, alone, strict=True):
        assert fields(joined, *(f"{key}_{cell}" for key in KEYS)) == own
    p = np.array([own[0] for own in alone])
    best = p.argmax(0)
    assert len(set(best)) == 2
    largest, difference, cell = fields(joined, *KEYS, "GENOMIX_CELL")
    assert cell == [cells[i] for i in best]
    assert largest == p.max(0).tolist()
    assert difference == [alone[i][1][row] for row, i in enumerate(best)]
    ranks = np.array(fields(joined, *(f"GENOMIX_Q_{cell}" for cell in cells)))
    np.testing.assert_array_equal(ranks, (np.sign(p - p[::-1]) + 1) / 2)
    with pysam.VariantFile(str(joined)) as file, pysam.VariantFile(str(VCF)) as before:
        whole = [str(r).split("GENOMIX")[0].rstrip(";") for r in file]
        wanted = [str(r).rstrip() for r in before.fetch("chr1", 0, 30_000)]
    assert whole == wanted[: len(whole)]
    assert 0 < len(whole) >= len(wanted) - 1
    text = joined.read_text()
    assert f"--track ATAC@K562={TRACKS['ATAC@K562']} --track ATAC@Hep-G2=" in text
    assert "##genomixCell=Hep-G2: sequence + ATAC" in text
    assert "##INFO=<ID=GENOMIX_PCT" not in text


def test_a_table_says_the_same(folder: Path, joined: Path) -> None:
    more = {"known": (VCF,), "stats": folder / "stats.json"}
    summary = score(folder, folder / "joined.tsv", quantiles=True, **more)
    table = pd.read_csv(folder / "joined.tsv", sep="\t", comment="#", keep_default_na=False)
    keys = ("GENOMIX_P_K562", "GENOMIX_DL_Hep_G2", "GENOMIX_Q_K562")
    for key, values in zip(keys, fields(joined, *keys), strict=True):
        assert table[key].astype(float).tolist() == pytest.approx(values, rel=1e-5)
    assert [table["GENOMIX_CELL"].tolist()] == fields(joined, "GENOMIX_CELL")
    assert summary.scored == len(table)
    assert {"GENOMIX_REASON", "GENOMIX_ID"} < set(table.columns)
    assert set(summary.observed) == set(TRACKS)
    assert summary.tracks_absent == ("CTCF@Hep-G2",)
    assert (folder / "stats.json").is_file()
    assert not [p for p in folder.iterdir() if p.name.startswith(".genomix-cells")]


def test_every_cell_type_of_a_shard(folder: Path, joined: Path) -> None:
    genome = GenomeFiles(shard=folder / "shard.h5", cell="all")
    score(folder, folder / "shard.vcf", genome=genome)
    indexed = folder / "shard.vcf.gz"
    score(folder, indexed, genome=genome, write_index=True)
    assert Path(f"{indexed}.tbi").is_file()
    assert indexed.stat().st_size < (folder / "shard.vcf").stat().st_size
    keys = ("GENOMIX_P_K562", "GENOMIX_P_Hep_G2")
    for own, raw in zip(fields(folder / "shard.vcf", *keys), fields(joined, *keys), strict=True):
        np.testing.assert_allclose(own, raw, atol=2e-3)
    assert "GENOMIX_Q" not in (folder / "shard.vcf").read_text()


def test_what_does_not_compare_is_not_ranked(folder: Path) -> None:
    loaded = load_model(str(folder / "toy"))
    only = Calibration(Platt(), Conditions(("ATAC", "CTCF"), False, "missing"))
    (folder / "other").mkdir()
    save_model(folder / "other", loaded.module, replace(loaded.config, calibrations=(only,)))
    score(folder, folder / "other.vcf", model=str(folder / "other"), quantiles=True)
    text = (folder / "other.vcf").read_text()
    assert "no calibration for them do not compare: no GENOMIX_Q" in text
    assert "GENOMIX_Q_K562=.;" in text
    assert "GENOMIX_CELL=K562" in text
    assert "GENOMIX_CELL=Hep_G2" not in text
    p, logit = fields(folder / "other.vcf", "GENOMIX_P_K562", "GENOMIX_LOGIT_Hep_G2")
    assert None not in (*p, *logit)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resume": True}, "--resume: cannot be combined with several cell types"),
        ({"save_background": True}, "--save-background: cannot be combined with several"),
        ({"output": Path("absent/o.vcf")}, "absent: no such folder"),
        ({"write_index": True}, "this output cannot be indexed"),
        ({"lookup": (VCF,)}, "--lookup: cannot be combined with several"),
        ({"vcf": Path("-")}, "a pipe can be read only once"),
        (
            {"genome": GenomeFiles(FASTA, {"ATAC@a-b": FASTA, "ATAC@a.b": FASTA})},
            "a.b does not give a unique field name",
        ),
        (
            {"genome": GenomeFiles(FASTA, {"ATAC": TRACKS["ATAC@K562"]}), "quantiles": True},
            "--quantiles: nothing to rank among",
        ),
        (
            {"genome": GenomeFiles(FASTA, {"ATAC": TRACKS["ATAC@K562"]}, cell="K562")},
            "--cell: selects a cell type of a shard: give --genome",
        ),
    ],
)
def test_what_goes_with_one_cell_type_alone(
    folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        score(folder, **{"output": tmp_path / "o.vcf", **changes})
    assert not list(tmp_path.iterdir())


def test_quantiles_count_what_is_less_and_half_of_what_is_equal() -> None:
    found = quantiles(np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 0.0], [np.nan, 1.0, 2.0]]))
    np.testing.assert_array_equal(found[:2], [[1, 0, 0.5], [0.75, 0.75, 0]])
    assert np.isnan(found[2]).all()


def test_changes_of_activity_rank_by_their_size_in_standard_deviations() -> None:
    outputs = (Output("a", unit="x", sd=1.0), Output("b", unit="y", sd=10.0))
    found = Differences(outputs, ("a", "b"), ("a", "b"), quantiles=True)
    columns = found.columns(np.array([[-2.0, 5.0], [0.1, -5.0]], np.float32))
    assert columns["GENOMIX_Q_a"].tolist() == [1, 0]
    assert columns["GENOMIX_Q_b"].tolist() == [0, 1]
    assert [tag.key for tag in found.tags()] == list(columns)
    assert "GENOMIX_Q_a" not in replace(found, quantiles=False).columns(np.ones((1, 2), "f4"))


def test_tracks_of_one_cell_type_go_by_modality() -> None:
    assert set(tracks_by_cell(["ATAC@K562=a.bw", "CTCF=b.bw"])) == {"ATAC", "CTCF"}
    assert set(tracks_by_cell(["ATAC@K562=a.bw", "ATAC@MCF7=b.bw"])) == {"ATAC@K562", "ATAC@MCF7"}
