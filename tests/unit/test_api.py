"""The Python interface: it gives what the commands write, typed, and loads nothing before."""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genomix_cli import api
from genomix_cli.variants.requests.score import GenomeFiles, ScoreRequest
from tests.conftest import ROOT, Ended
from tests.random_activity import save_activity

DATA = ROOT / "test_data"
FASTA, VCF = DATA / "genome.fa.gz", DATA / "variants.vcf.gz"
TRACKS = {name: DATA / f"{name}.bw" for name in ("ATAC", "H3K27ac", "H3K4me3", "CTCF")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_activity(tmp_path_factory.mktemp("models") / "mpra")


@pytest.fixture
def gtf(tmp_path: Path) -> Path:
    notes = 'gene_id "G"; transcript_id "G.1"; gene_name "007";'
    path = tmp_path / "genes.gtf"
    path.write_text(f"chr1\t.\texon\t1000\t1499\t.\t+\t.\t{notes}\n")
    return path


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom genomix_cli import api\n"
        "print(*{'torch', 'numpy', 'h5py', 'pysam', 'pandas'} & set(sys.modules))\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert process.stdout == "\n", process.stderr


def test_all_that_is_promised_is_there_and_documented() -> None:
    for name in api.__all__:
        assert inspect.getdoc(getattr(api, name)), name


def test_defaults_are_those_of_the_command() -> None:
    wanted = {f.name: f.default for kind in (GenomeFiles, ScoreRequest) for f in fields(kind)}
    wanted |= {"tracks": None, "genome": wanted["shard"]}
    given = inspect.signature(api.score).parameters
    assert {name: p.default for name, p in given.items()} == {name: wanted[name] for name in given}
    assert MISSING not in {wanted[name] for name in given}


def test_every_argument_reaches_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "Scores", lambda request: request)
    given: dict[str, Any] = {
        "fasta": "a.fa",
        "tracks": {"ATAC@A": "a.bw", "ATAC@B": "b.bw"},
        "contacts": "a.cool",
        "uncovered": "zero",
        "genome": "a.h5",
        "cell": "A",
        "model": Path("run"),
        "regions": "chr1",
        "all_snvs": True,
        "check_ref": "x",
        "both_strands": True,
        "genes": "a.gtf",
        "known": ["a.vcf.gz"],
        "fields": "HepG2",
        "quantiles": True,
        "device": "cuda",
        "threads": 2,
    }
    assert set(given) == set(inspect.signature(api.score).parameters) - {"vcf"}
    request: Any = api.score("a.vcf", **given)
    tracks = {"ATAC@A": Path("a.bw"), "ATAC@B": Path("b.bw")}
    files = GenomeFiles(Path("a.fa"), tracks, Path("a.cool"), "zero", Path("a.h5"), "A")
    assert request == ScoreRequest(
        Path("a.vcf"),
        files,
        model="run",
        regions="chr1",
        all_snvs=True,
        check_ref="x",
        both_strands=True,
        genes=Path("a.gtf"),
        known=(Path("a.vcf.gz"),),
        fields="HepG2",
        quantiles=True,
        device="cuda",
        threads=2,
    )


def test_rows_are_those_of_the_command(
    genomix_fast: Callable[..., Ended], model: Path, gtf: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    out = tmp_path / "scores.parquet"
    where, how = ("--regions", "chr1:1-6000"), ("-m", model, "--device", "cpu")
    genomix_fast("score", VCF, "-f", FASTA, *where, *how, "--genes", gtf, "-o", out)
    expected = pd.read_parquet(out)
    scores = api.score(
        VCF, fasta=FASTA, regions="chr1:1-6000", model=model, genes=gtf, device="cpu"
    )
    assert scores.columns == list(expected.columns)
    found = scores.frame()
    text = expected.select_dtypes("object")
    expected[text.columns] = text.mask(text == ".", None)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    kinds = {"object": str, "int64": int, "float64": float}
    for name, kind in expected.dtypes.astype(str).items():
        written = {type(row[str(name)]) for row in scores} - {type(None)}
        wanted = int if name == "GENOMIX_TSS" else kinds[kind]
        assert written <= {wanted}, name
    assert [*found["GENOMIX_GENE"].unique()] == ["007"]
    assert scores.made["Model"][0].startswith("mpra sha256:")


def test_every_snv_of_a_region_without_a_vcf(model: Path) -> None:
    scores = api.score(fasta=FASTA, regions="chr1:3001-3010", all_snvs=True, model=model)
    table = scores.frame()
    assert list(table["POS"]) == [pos for pos in range(3001, 3011) for _ in range(3)]
    assert (table["REF"] != table["ALT"]).all()
    with pytest.raises(api.UsageError, match="VCF is missing"):
        api.score(fasta=FASTA, model=model)
    with pytest.raises(api.UsageError, match="replaces the VCF"):
        api.score(VCF, fasta=FASTA, all_snvs=True, model=model)


def test_tracks_contacts_and_cells_reach_the_model() -> None:
    some: dict[str, Any] = {"regions": "chr1:1-3000", "model": "gmt-mini-sim", "threads": 1}
    whole = api.score(
        VCF, fasta=FASTA, tracks=TRACKS, contacts=DATA / "contacts.cool", **some
    ).frame()
    bare = api.score(VCF, fasta=FASTA, **some).frame()
    assert len(whole) == len(bare) > 0
    assert not np.allclose(whole["GENOMIX_DL"], bare["GENOMIX_DL"])
    two = {f"{name}@{cell}": path for name, path in TRACKS.items() for cell in ("A", "B")}
    joint = api.score(VCF, fasta=FASTA, tracks=two, quantiles=True, **some).frame()
    assert set(joint["GENOMIX_CELL"]) == {"A"}
    assert joint["GENOMIX_Q_B"].dtype == np.float64


def test_an_allele_that_is_not_scored_has_a_row_with_the_reason(
    model: Path, tmp_path: Path
) -> None:
    vcf = tmp_path / "a.vcf"
    vcf.write_text(
        "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        "chr1\t233\tx\tT\tC,*\t.\t.\t.\n"
    )
    first, second = api.score(vcf, fasta=FASTA, model=model)
    assert isinstance(first["GENOMIX_DA"], float)
    assert first["GENOMIX_REASON"] is None
    assert second["GENOMIX_DA"] is None
    assert second["GENOMIX_REASON"] == "star"


def test_no_allele_is_an_empty_table_with_all_columns(model: Path) -> None:
    scores = api.score(VCF, fasta=FASTA, model=model, regions="chr1:1-2")
    assert list(scores) == []
    frame = scores.frame()
    assert list(frame.columns) == scores.columns
    assert frame["GENOMIX_DA"].dtype == np.float64


def test_nothing_is_left_behind(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    scores = api.score(VCF, fasta=FASTA, model=model, regions="chr1:1-3000")
    assert list(tmp_path.iterdir())
    rows = iter(scores)
    next(rows)
    del scores, rows
    gc.collect()
    assert not list(tmp_path.iterdir())
    with pytest.raises(api.GenomixError):
        api.score(VCF, fasta=FASTA, model="none")
    gc.collect()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no reference"),
        ({"fasta": FASTA, "cell": "K562", "model": "gmt-mini-sim"}, "--genome"),
        ({"fasta": FASTA, "cell": "liver"}, "expected HepG2 or K562 or GM12878 or stem"),
        ({"fasta": FASTA, "model": "none"}, "no such model"),
        ({"fasta": FASTA, "tracks": {"no/name": "a.bw"}, "model": "gmt-mini-sim"}, "unknown track"),
    ],
)
def test_mistakes_are_errors_of_ours(given: dict[str, Any], said: str) -> None:
    with pytest.raises(api.UsageError, match=said):
        api.score(VCF, **given)


def test_models_come_from_folders_and_by_name(model: Path) -> None:
    assert api.load_model(model).path == model
    shipped = api.load_model()
    assert shipped.path.name == "gmt-mini"
    assert not shipped.module.training
    with pytest.raises(api.UsageError, match="unknown device"):
        api.load_model(model, device="tpu")


def test_a_run_has_what_it_wrote(tmp_path: Path, model: Path) -> None:
    run = api.open_run(str(ROOT / "genomix_cli" / "pretrained" / "gmt-mini-sim"))
    assert (run.domain, run.config["model"]) == ("variants", "gmt")
    assert run.metrics["test"]["auroc"]["value"] > 0.5
    with pytest.raises(api.UsageError, match="has no predictions"):
        run.predictions()
    assert api.open_run(model).domain == "sequences"
    with pytest.raises(api.UsageError, match="is not a run folder"):
        api.open_run(tmp_path)


def test_predictions_have_numbers_and_names(model: Path, tmp_path: Path) -> None:
    run = api.Run(tmp_path, "variants", {}, {})
    (tmp_path / "predictions.tsv").write_text(
        "part\tcontig\tpos\tref\talt\ttissue\tscore\nvalid\t1\t7\tA\tC\t\t0.25\n"
        "valid\t1\t8\tA\tG\t\t\n"
    )
    frame = run.predictions()
    assert frame["contig"].tolist() == ["1", "1"]
    assert frame["pos"].tolist() == [7, 8]
    assert frame["score"].tolist()[0] == 0.25
    assert np.isnan(frame["score"].tolist()[1])


def test_a_shard_that_is_none_is_refused() -> None:
    with pytest.raises(api.DataError):
        api.open_shard(FASTA)
