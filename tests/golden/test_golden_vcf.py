"""A VCF with one of everything, scored: the exact bytes, and what bcftools and tabix say to them.

The model is a stand-in whose logit is the change of G and C, so that every probability can be
worked out from the text of the VCF alone. After a change that is meant, refresh with
``GENOMIX_REFRESH_GOLDEN=1 pytest tests/golden/test_golden_vcf.py``; the oracle runs first.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from genomix_cli.genome.vcf import Record, VcfReader
from genomix_cli.training.calibration import Platt
from genomix_cli.training.checkpoints import LoadedModel, ModelConfig
from genomix_cli.variants import score as score_module
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.score import ScoreRequest, ScoreSummary, score_variants

FOLDER = Path(__file__).parent / "vcf"
EXPECTED = FOLDER / "expected.vcf"
SLOPE, INTERCEPT = 0.5, -1.0

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


class GC:
    """A model that counts G and C of the alleles."""

    n_bins = 400
    flank = 8

    def window(self, window: Window) -> None:
        assert window.codes.shape == (1, 400 * 50 + 16)

    def variants(self, context: None, variants: Variants) -> torch.Tensor:
        counts = []
        for rows, lengths in ((variants.ref, variants.ref_len), (variants.alt, variants.alt_len)):
            inside = torch.arange(rows.shape[-1]) - self.flank
            inside = (inside >= 0) & (inside < lengths[..., None])
            counts.append((((rows == 1) | (rows == 2)) & inside).sum(-1))
        return (counts[1] - counts[0]).float()


def stand_in(name: str, device: object) -> LoadedModel:
    config = ModelConfig("gc", {}, (), calibration=Platt(SLOPE, INTERCEPT))
    return LoadedModel(GC(), config, Path("gc"), "0" * 64)


def score(output: Path, monkeypatch: pytest.MonkeyPatch, vcf: Path) -> ScoreSummary:
    monkeypatch.setattr(score_module, "load_model", stand_in)
    monkeypatch.setattr("sys.argv", ["genomix", "score", "input.vcf"])
    fasta = output.parent / "reference.fa"
    shutil.copy(FOLDER / "reference.fa", fasta)
    request = ScoreRequest(vcf=vcf, fasta=fasta, output=output, device="cpu", block=7)
    return score_variants(request)


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    score(tmp_path / "scored.vcf", monkeypatch, FOLDER / "input.vcf")
    return tmp_path / "scored.vcf"


def without_version(text: str) -> str:
    text = re.sub(r"(##genomixVersion=).*", r"\1", text)
    return re.sub(r'(,Source="genomix",Version=)"[^"]*"', r"\1", text)


def oracle(record: Record) -> tuple[list[float | None], list[str]]:
    """Probability and reason of each ALT, from the text of the record."""
    by_alt = {"<DEL>": "symbolic", "*": "star"}
    of_record = REASONS.get(record.fields[2])
    reasons = of_record or [by_alt.get(alt, ".") for alt in record.alts]
    scores = [
        1 / (1 + math.exp(-(SLOPE * (gc(alt) - gc(record.ref)) + INTERCEPT))) if r == "." else None
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
        written = (new.info("GENOMIX_P") or "").split(",")
        assert written == ["." if s is None else f"{s:.6g}" for s in scores], old
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
    drop = re.compile(r"##genomixInput=vcf.*\n")
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
    assert found.stdout.startswith("chr2\t1\tstart\tG\tA\t.\tPASS\tGENOMIX_P=0.182426\t")
