"""A VCF with one of everything, scored: the exact bytes, and what bcftools and tabix say to them.

The model is a stand-in whose logit is the change of G and C, so that every probability can be
worked out from the text of the VCF alone. After a change that is meant, refresh with
``GENOMIX_REFRESH_GOLDEN=1 pytest tests/golden/test_golden_vcf.py``; the oracle runs first.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import percentileofscore

from genomix_cli.formats.run_folder import WEIGHTS
from genomix_cli.genome.tables import how_made
from genomix_cli.genome.vcf.reader import Record, VcfReader
from genomix_cli.learning.calibration import Platt
from genomix_cli.provenance import facts_of, sha256
from genomix_cli.registry import VARIANT_MODELS
from genomix_cli.variants.conditions import Calibration, Conditions
from genomix_cli.variants.models.base import VariantConfig, VariantModel, Variants, Window
from genomix_cli.variants.requests.score import GenomeFiles, ScoreRequest
from genomix_cli.variants.score.background import Background
from genomix_cli.variants.score.blocks import ScoreSummary
from genomix_cli.variants.score.vcf import score_variants
from genomix_cli.variants.trained import ModelConfig, save_model

FOLDER = Path(__file__).parent / "vcf"
EXPECTED = FOLDER / "expected.vcf"
SLOPE, INTERCEPT = 0.5, -1.0
ALONE = Conditions((), False, both_strands=False, mode="shared", precision="fp32")

REASONS = {
    "mono": ["missing_alt"],
    "bnd": ["breakend"],
    "single": ["breakend"],
    "same": ["alt_equals_ref"],
    "mismatch": ["ref_mismatch"],
    "long": ["too_long"],
    "alu": ["symbolic"],
    "masked": ["iupac"],
    "beyond": ["off_contig"],
    "elsewhere": ["contig_absent"],
}


@dataclass(frozen=True)
class GCConfig(VariantConfig):
    tracks: tuple[str, ...] = ()
    n_bins: int = 400


class GC(VariantModel):
    """A model that counts G and C of the alleles."""

    config_class = GCConfig
    flank = 8

    def __init__(self, config: GCConfig) -> None:
        super().__init__(config)

    def window(self, window: Window) -> None:
        assert window.codes.shape == (1, 400 * 50 + 16)

    def variants(self, context: None, variants: Variants) -> torch.Tensor:
        counts = []
        for rows, lengths in ((variants.ref, variants.ref_len), (variants.alt, variants.alt_len)):
            inside = torch.arange(rows.shape[-1]) - self.flank
            inside = (inside >= 0) & (inside < lengths[..., None])
            counts.append((((rows == 1) | (rows == 2)) & inside).sum(-1))
        return (counts[1] - counts[0]).float()


def stand_in(folder: Path) -> str:
    """A model folder; its background are the logits -5 to 5, each ten times."""
    folder.mkdir(exist_ok=True)
    config = ModelConfig(
        "gc", {"n_bins": 400}, (), calibrations=(Calibration(Platt(SLOPE, INTERCEPT), ALONE),)
    )
    save_model(folder, GC(GCConfig()), config)
    Background.of(
        np.array(BACKGROUND, np.float32), "made-up variants", sha256(folder / WEIGHTS), ALONE
    ).save(folder)
    return str(folder)


def score(output: Path, monkeypatch: pytest.MonkeyPatch, vcf: Path, **more: Any) -> ScoreSummary:
    monkeypatch.setitem(VARIANT_MODELS._entries, "gc", f"{__name__}:GC")
    monkeypatch.chdir(output.parent)
    for name in ("reference.fa", "input.vcf"):
        shutil.copy(FOLDER / name, name)
    request = ScoreRequest(
        vcf=Path(vcf.name),
        genome=GenomeFiles(Path("reference.fa")),
        output=Path(output.name),
        model=stand_in(Path("gc")),
        mode="shared",
        device="cpu",
        **more,
    )
    return score_variants(request)


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    score(tmp_path / "scored.vcf", monkeypatch, FOLDER / "input.vcf")
    return tmp_path / "scored.vcf"


def without_version(text: str) -> str:
    text = re.sub(r"(##genomixVersion=).*", r"\1", text)
    return re.sub(r'(,Source="genomix",Version=)"[^"]*"', r"\1", text)


BACKGROUND = [float(v) for v in range(-5, 6) for _ in range(10)]
# Each tag from the logit.
MEANINGS: dict[str, Callable[[float], float]] = {
    "P": lambda z: 1 / (1 + math.exp(-(SLOPE * z + INTERCEPT))),
    "DL": lambda z: z,
    "PCT": lambda z: float(percentileofscore(BACKGROUND, z, kind="mean")),
    "PHRED": lambda z: 0.0 - 10 * math.log10((sum(b >= z for b in BACKGROUND) + 1) / 111),
}


def oracle(record: Record) -> tuple[list[float | None], list[str]]:
    """Logit and reason of each ALT, from the text of the record."""
    by_alt = {"<DEL>": "symbolic", "*": "star"}
    of_record = REASONS.get(record.fields[2])
    reasons = of_record or [by_alt.get(alt, ".") for alt in record.alts]
    scores = [
        float(gc(alt) - gc(record.ref)) if r == "." else None
        for alt, r in zip(record.alts, reasons, strict=True)
    ]
    return scores, reasons


def gc(allele: str) -> int:
    return sum(base in "GCgc" for base in allele)


def test_every_allele_against_the_oracle(scored: Path) -> None:
    with VcfReader(FOLDER / "input.vcf") as before, VcfReader(scored) as after:
        pairs = list(zip(before, after, strict=True))
    assert len(pairs) == 24
    for old, new in pairs:
        scores, reasons = oracle(old)
        for key, meaning in MEANINGS.items():
            written = (new.info(f"GENOMIX_{key}") or "").split(",")
            assert written == ["." if s is None else f"{meaning(s):.6g}" for s in scores], (
                key,
                old,
            )
        assert (new.info("GENOMIX_REASON") or ",".join("." for _ in reasons)) == ",".join(reasons)
        assert new.fields[:7] + new.fields[8:] == old.fields[:7] + old.fields[8:]
        own = [e for e in new.fields[7].split(";") if not e.startswith("GENOMIX_")]
        kept = [e for e in old.fields[7].split(";") if not e.startswith("GENOMIX_")]
        assert own == [e for e in kept if e != "."]


def test_the_bytes(scored: Path) -> None:
    text = without_version(scored.read_text())
    if os.environ.get("GENOMIX_REFRESH_GOLDEN"):
        test_every_allele_against_the_oracle(scored)
        EXPECTED.write_text(text)
    assert text == EXPECTED.read_text()


def test_all_other_header_lines_are_kept_in_order(scored: Path) -> None:
    with VcfReader(FOLDER / "input.vcf") as before, VcfReader(scored) as after:
        old, new = before.header, after.header
    ours = ("##genomix", "##INFO=<ID=GENOMIX_")
    kept = [line for line in old.meta if not line.startswith(ours)]
    assert [line for line in new.meta if line in kept] == kept
    assert new.columns == old.columns
    assert all("=" in line for line in new.meta)
    assert new.contigs == ("chr1", "chr2", "MT", "scaffold_7")


def test_scoring_the_output_again_changes_nothing(
    scored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = scored.with_name("again.vcf")
    score(again, monkeypatch, scored)
    drop = re.compile(r"##genomix(Input=vcf|Command=).*\n")
    assert drop.sub("", again.read_text()) == drop.sub("", scored.read_text())


@pytest.fixture
def bcftools() -> Iterator[Any]:
    if not shutil.which("bcftools"):
        pytest.skip("bcftools is not installed")

    def run(*arguments: object) -> str:
        command = ["bcftools", *map(str, arguments)]
        process = subprocess.run(command, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        assert process.stderr == ""
        return process.stdout

    return run


def body(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_bcftools_takes_it_without_a_word_and_gives_it_back(scored: Path, bcftools: Any) -> None:
    assert body(bcftools("view", "--no-version", scored)) == body(scored.read_text())
    bcf = scored.with_suffix(".bcf")
    bcftools("view", "-Ob", "-o", bcf, scored)
    assert body(bcftools("view", bcf)) == body(scored.read_text())


def test_one_value_per_alt_survives_splitting(scored: Path, bcftools: Any) -> None:
    split = scored.with_name("split.vcf")
    split.write_text(split_multiallelics(scored))
    lines = bcftools("query", "-f", "%CHROM:%POS:%REF:%ALT\t%GENOMIX_P\t%GENOMIX_REASON\n", split)
    found = dict(line.split("\t", 1) for line in lines.splitlines())
    assert found["chr1:14:C:<DEL>"] == ".\tsymbolic"
    assert found["chr1:14:C:T"] == "0.182426\t."
    assert found["chr2:60:CCTC:CCTCTT"] == "0.268941\t."


@pytest.mark.parametrize("name", ["o.vcf.gz", "o.bcf"])
def test_every_format_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scored: Path, bcftools: Any, name: str
) -> None:
    score(tmp_path / name, monkeypatch, FOLDER / "input.vcf", write_index=True)
    assert body(bcftools("view", tmp_path / name)) == body(scored.read_text())
    found = body(bcftools("view", "--no-version", "-r", "chr2:1-30", tmp_path / name))
    expected = [text for text in body(scored.read_text()) if text.startswith("chr2\t")]
    assert found == [text for text in expected if int(text.split("\t")[1]) <= 30]
    assert found


@pytest.mark.parametrize("name", ["i.vcf.gz", "i.bcf"])
def test_every_format_is_read_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scored: Path, bcftools: Any, name: str
) -> None:
    text, packed = tmp_path / "i.vcf", tmp_path / name
    # As bcftools spells numbers.
    text.write_text(bcftools("view", "--no-version", scored))
    bcftools("view", "--no-version", "-o", packed, text)
    for path in (text, packed):
        score(tmp_path / f"{path.name}.out.vcf", monkeypatch, path)
    outputs = [tmp_path / f"{path.name}.out.vcf" for path in (text, packed)]
    assert body(outputs[0].read_text()) == body(outputs[1].read_text())


def test_tables_have_a_row_for_each_alt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scored: Path, bcftools: Any
) -> None:
    tags = [f"GENOMIX_{key}" for key in (*MEANINGS, "REASON")]
    columns = ["CHROM", "POS", "ID", "REF", "ALT", *tags]
    expected = []
    with VcfReader(scored) as reader:
        for record in reader:
            values = [
                (record.info(tag) or ",".join("." for _ in record.alts)).split(",") for tag in tags
            ]
            for i, alt in enumerate(record.alts):
                expected.append([*record.fields[:4], alt, *(value[i] for value in values)])
    for name in ("o.tsv", "o.tsv.gz", "o.parquet"):
        score(tmp_path / name, monkeypatch, FOLDER / "input.vcf")
    plain = (tmp_path / "o.tsv").read_text()
    assert gzip.decompress((tmp_path / "o.tsv.gz").read_bytes()).decode() == plain
    lines = plain.splitlines()
    made = [line for line in lines if line.startswith("##")]
    assert made == [line for line in scored.read_text().splitlines() if line[:9] == "##genomix"]
    assert how_made(tmp_path / "o.parquet") == facts_of(made)
    assert [line.split("\t") for line in lines[len(made) :]] == [columns, *expected]
    table = pd.read_parquet(tmp_path / "o.parquet")
    assert list(table.columns) == columns
    assert table.POS.dtype == "int64"
    assert table.GENOMIX_P.isna().tolist() == [row[5] == "." for row in expected]
    np.testing.assert_allclose(
        table.GENOMIX_DL.dropna(), [float(row[6]) for row in expected if row[6] != "."], rtol=1e-6
    )


def split_multiallelics(path: Path) -> str:
    """`bcftools norm` reports its counts on stderr, which is nothing to complain of."""
    process = subprocess.run(
        ["bcftools", "norm", "-m-any", str(path)], capture_output=True, text=True, check=True
    )
    assert process.stderr.startswith("Lines ")
    assert len(process.stderr.splitlines()) == 1
    return process.stdout


def test_an_index_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("tabix"):
        pytest.skip("tabix is not installed")
    path = tmp_path / "scored.vcf.gz"
    score(path, monkeypatch, FOLDER / "input.vcf")
    made = subprocess.run(["tabix", "-p", "vcf", path], capture_output=True, text=True)
    assert (made.returncode, made.stderr) == (0, "")
    found = subprocess.run(["tabix", path, "chr2:1-1"], capture_output=True, text=True)
    assert found.stdout.startswith("chr2\t1\tstart\tG\tA\t.\tPASS\tGENOMIX_P=0.182426;")
