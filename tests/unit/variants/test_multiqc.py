"""MultiQC shows of variants the numbers of the summaries, in files and in its own report."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from genomix_cli.errors import UsageError
from genomix_cli.variants.prepare.shard import prepare_variants
from genomix_cli.variants.requests.prepare import PrepareRequest
from genomix_cli.variants.requests.score import GenomeFiles, ScoreRequest
from genomix_cli.variants.score import blocks
from genomix_cli.variants.score.cells import score_cells
from genomix_cli.variants.score.histogram import Histogram
from genomix_cli.variants.score.multiqc import sample_name
from genomix_cli.variants.score.tags import ACTIVITY, LOGIT, PROBABILITY
from genomix_cli.variants.train.multiqc import write_multiqc as write_of_training
from tests.conftest import ROOT
from tests.random_activity import save_activity

DATA = ROOT / "test_data"
TRACKS = {name: DATA / f"{name}.bw" for name in ("ATAC", "H3K27ac", "H3K4me3", "CTCF")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_activity(tmp_path_factory.mktemp("models") / "mpra"))


def score(output: Path, model: str, vcf: Path = DATA / "variants.vcf.gz", **more: Any) -> Any:
    files = GenomeFiles(DATA / "genome.fa.gz", more.pop("tracks", {}))
    given = {"threads": 1, "device": "cpu", "regions": "chr1:1-20000", "model": model} | more
    return score_cells(ScoreRequest(vcf, files, output, **given))


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}_mqc.json").read_text())


@pytest.mark.parametrize(
    ("key", "texts", "points"),
    [
        (PROBABILITY, ["0", "0.04", "0.15", ".", "1"], {0.025: 2, 0.175: 1, 0.975: 1}),
        (ACTIVITY, ["-0.1", "-0.01", "0.3", "0.29999"], {-0.05: 2, 0.25: 1, 0.35: 1}),
        (LOGIT, ["-0.6", "."], {-0.75: 1}),
        (LOGIT, ["."], {}),
    ],
)
def test_bins_hold_their_lower_end(key: str, texts: list[str], points: dict[float, int]) -> None:
    histogram = Histogram(key)
    for text in texts:
        histogram.add(text)
    found = histogram.points()
    assert {middle: count for middle, count in found if count} == points
    steps = [round(b - a, 6) for (a, _), (b, _) in pairwise(found)]
    assert len(set(steps)) <= 1


def test_a_run_is_a_row_bars_by_reason_and_a_histogram(model: str, tmp_path: Path) -> None:
    vcf = tmp_path / "in.vcf"
    vcf.write_text(
        "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        "chr1\t233\t.\tT\tC,*\t.\t.\t.\nchr1\t234\t.\tN\tA\t.\t.\t.\n"
    )
    score(tmp_path / "one.two.vcf.gz", model, vcf, multiqc=tmp_path / "qc")
    row = read(tmp_path / "qc", "one.two.genomix_score")["data"]["one.two"]
    assert (row["records"], row["alleles"], row["share"]) == (2, 3, pytest.approx(1 / 3))
    bars = read(tmp_path / "qc", "one.two.genomix_alleles")
    assert bars["data"]["one.two"] == {"scored": 1, "star": 1, "iupac": 1}
    assert set(bars["data"]["one.two"]) <= set(bars["categories"])
    lines = read(tmp_path / "qc", "one.two.genomix_scores_da")["data"]["one.two"]
    assert [count for _, count in lines] == [1]


def test_the_histogram_is_that_of_the_output(model: str, tmp_path: Path) -> None:
    score(tmp_path / "o.tsv", model, multiqc=tmp_path / "qc")
    values = pd.read_csv(tmp_path / "o.tsv", sep="\t", comment="#")[ACTIVITY].dropna()
    expected = Counter((values / 0.1).round(6).floordiv(1).astype(int))
    found = read(tmp_path / "qc", "o.genomix_scores_da")["data"]["o"]
    assert {round(x / 0.1 - 0.5): n for x, n in found if n} == dict(expected)


def test_scores_of_files_count_too(model: str, tmp_path: Path) -> None:
    score(tmp_path / "known.vcf.gz", model, write_index=True, multiqc=tmp_path / "qc")
    known = (tmp_path / "known.vcf.gz",)
    score(tmp_path / "o.vcf", model, lookup=known, multiqc=tmp_path / "qc")
    one, two = (read(tmp_path / "qc", f"{n}.genomix_scores_da")["data"][n] for n in ("known", "o"))
    assert one == two


def test_an_interrupted_run_goes_on_counting(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = score(tmp_path / "whole.vcf", model, multiqc=tmp_path / "qc")
    monkeypatch.setattr("genomix_cli.variants.score.blocks.COMMIT_SECONDS", 0.0)
    monkeypatch.setattr("genomix_cli.variants.records.cutting.BLOCK_RECORDS", 20)
    finish, done = blocks.Run._finish, []

    def interrupted(self: Any, *args: Any) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(finish(self, *args))

    def stop(**how: Any) -> None:
        done.clear()
        with monkeypatch.context() as once, pytest.raises(KeyboardInterrupt):
            once.setattr(blocks.Run, "_finish", interrupted)
            score(tmp_path / "o.vcf", model, **how)

    stop(multiqc=tmp_path / "qc")
    again = score(tmp_path / "o.vcf", model, resume=True, multiqc=tmp_path / "qc")
    assert again.resumed > 0
    assert again.histograms == whole.histograms
    (tmp_path / "o.vcf").unlink()
    stop()
    monkeypatch.setattr("genomix_cli.variants.score.blocks.log.propagate", True)
    assert score(tmp_path / "o.vcf", model, resume=True, multiqc=tmp_path / "qc").histograms == {}
    assert "no histogram of scores" in caplog.text


def test_cell_types_are_lines_of_their_own(tmp_path: Path) -> None:
    two = {f"{name}@{cell}": path for name, path in TRACKS.items() for cell in ("A", "B")}
    where = {"regions": "chr1:1-3000", "multiqc": tmp_path / "qc", "stats": tmp_path / "s.json"}
    summary = score(tmp_path / "o.vcf", "gmt-mini-sim", tracks=two, **where)
    lines = [each for path in (tmp_path / "qc").glob("*scores*") for each in read_lines(path)]
    assert lines == ["o, A", "o, B"]
    assert list(json.loads((tmp_path / "s.json").read_text())["histograms"]) == ["A", "B"]
    assert summary.scored == sum(summary.histograms["A"].counts.values())


def read_lines(path: Path) -> list[str]:
    return list(json.loads(path.read_text())["data"])


@pytest.mark.parametrize(
    ("output", "vcf", "name"),
    [
        ("a/calls.scored.vcf.gz", "calls.vcf", "calls.scored"),
        ("-", "calls.bcf", "calls"),
        ("-", "-", "stdin"),
        ("o.tsv.bgz", "-", "o"),
        ("o", "-", "o"),
    ],
)
def test_a_run_is_named_like_its_output(output: str, vcf: str, name: str) -> None:
    assert sample_name(ScoreRequest(Path(vcf), GenomeFiles(), Path(output))) == name


def test_a_shard_is_a_row_and_bars_by_reason(tmp_path: Path) -> None:
    rows = ["chr1\t233\t.\tT\tC,*", "chr1\t240\t.\tN\tA"]
    vcf = tmp_path / "in.vcf"
    head = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    vcf.write_text(head + "".join(f"{row}\t.\t.\t.\n" for row in rows))
    out, qc = tmp_path / "small.h5", tmp_path / "qc"
    tracks = {"ATAC": TRACKS["ATAC"]}
    prepare_variants(PrepareRequest(vcf, DATA / "genome.fa.gz", out, tracks, multiqc=qc))
    row = read(qc, "small.genomix_shard")["data"]["small"]
    assert (row["alleles"], row["share"]) == (3, pytest.approx(1 / 3))
    assert 0 < row["measured_ATAC"] <= 1
    bars = read(qc, "small.genomix_prepared")
    assert bars["data"]["small"] == {"used": 1, "star": 1, "iupac": 1}
    assert set(bars["data"]["small"]) <= set(bars["categories"])


def test_a_run_of_training_is_a_row_per_part(tmp_path: Path) -> None:
    def part(value: float) -> dict[str, Any]:
        return {"variants": 10, "auroc": {"value": value}, "bayes_auroc": 0.9}

    controls = {"variant_removed": {"value": 0.5}}
    write_of_training({"valid": part(0.7), "test": part(0.6), "controls": controls}, tmp_path)
    content = read(tmp_path, "genomix")
    name = tmp_path.name
    row = {"variants": 10, "ceiling": 0.9}
    assert content["data"] == {
        f"{name}: valid": {"auroc": 0.7, **row},
        f"{name}: test": {"auroc": 0.6, **row, "variant_removed": 0.5},
    }
    assert all(set(values) <= set(content["headers"]) for values in content["data"].values())


def test_a_folder_that_cannot_be_made_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        score(tmp_path / "o.vcf", model, multiqc=tmp_path / "no" / "qc")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not a folder"):
        score(tmp_path / "o.vcf", model, multiqc=tmp_path / "file")
    assert not (tmp_path / "o.vcf").exists()


@pytest.mark.skipif(not shutil.which("multiqc"), reason="needs MultiQC")
def test_multiqc_itself_shows_them(model: str, tmp_path: Path) -> None:
    qc = tmp_path / "qc"
    for name in ("one", "two"):
        score(tmp_path / f"{name}.vcf", model, multiqc=qc)
    vcf, fasta = DATA / "variants.vcf.gz", DATA / "genome.fa.gz"
    prepare_variants(
        PrepareRequest(vcf, fasta, tmp_path / "s.h5", TRACKS, label_info="LABEL", multiqc=qc)
    )
    (tmp_path / "run").mkdir()
    metrics = {"valid": {"variants": 9, "auroc": {"value": 0.75}}}
    write_of_training(metrics, tmp_path / "run")
    command = ["multiqc", "--no-ansi", "--no-version-check", "-o", "out", "."]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    data = json.loads((tmp_path / "out/multiqc_data/multiqc_data.json").read_text())
    saved = json.dumps(data["report_saved_raw_data"])
    for name in ("one", "two", "run: valid"):
        assert f'"{name}"' in saved, name
    page = (tmp_path / "out/multiqc_report.html").read_text()
    for title in ("Scoring", "Alleles", "Changes of activity", "Shards", "Models of variants"):
        assert f">{title}<" in page or title in page
