"""``genomix evaluate`` from the outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def variants(tiny_genome: Path) -> Path:
    """The simulated VCF: BREAK scores it as well as anything, PROB is the truth."""
    return tiny_genome / "variants.vcf.gz"


def test_a_table_comes_to_stdout_and_files_on_request(
    genomix_fast: Any, variants: Path, tmp_path: Path
) -> None:
    process = genomix_fast(
        *("evaluate", variants, "--score-info", "PROB", "--probability-info", "PROB"),
        *("--bootstrap", 20, "-o", tmp_path / "m.tsv", "--json", tmp_path / "m.json"),
    )
    lines = process.stdout.splitlines()
    assert lines[0].split() == ["metric", "value", "Bayes", "ceiling"]
    assert [line.split("  ")[0] for line in lines[1:6]] == [
        "AUROC",
        "AUPRC",
        "ranking accuracy",
        "Brier score",
        "calibration error",
    ]
    value, ceiling = lines[1].removeprefix("AUROC").strip().split("]  ")
    assert value.split() == ceiling.rstrip("]").split()
    assert "prevalence" in process.stdout
    assert "draws of 6 loci of 100 kb" in process.stdout
    report = json.loads((tmp_path / "m.json").read_text())
    assert 0.8 < report["metrics"]["auroc"]["score"]["value"] < 1
    assert report["provenance"]["inputs"].keys() == {"scored variants.vcf.gz"}
    table = (tmp_path / "m.tsv").read_text()
    assert table.startswith("##genomixVersion=")
    assert "\nmetric\tscore_value" in table


def test_the_same_seed_gives_the_same_bytes(genomix_fast: Any, variants: Path) -> None:
    command = ("evaluate", variants, "--score-info", "BREAK", "--bootstrap", 20, "-q")
    one, two, other = (genomix_fast(*command, "--seed", seed).stdout for seed in (1, 1, 2))
    assert one == two != other


def test_paired_difference(genomix_fast: Any, variants: Path) -> None:
    process = genomix_fast(
        *("evaluate", variants, "--score-info", "BREAK", "--vs", variants, "--bootstrap", 20, "-q")
    )
    assert "difference" in process.stdout
    assert "+0.0000 [+0.0000, +0.0000]" in process.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 1, "no allele carries GENOMIX_P"),
        (
            ("--score-info", "BREAK", "--label-info", "DELTA", "--probability-info", "PROB"),
            1,
            "the labels are quantities",
        ),
        (("--score-info", "BREAK", "--contigs", "chr9"), 2, "no record on chr9"),
        (("--score-info", "MOTIF"), 1, "MOTIF is not a number"),
    ],
)
def test_mistakes_are_one_line(
    genomix_fast: Any, variants: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    process = genomix_fast("evaluate", variants, *arguments, code=code)
    assert process.stdout == ""
    assert len(process.stderr.splitlines()) == 1
    assert message in process.stderr


def test_no_torch_is_needed(genomix_fast: Any, variants: Path, tmp_path: Path) -> None:
    """Evaluation imports numpy only, which saves two seconds per call."""
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    genomix_fast(
        *("evaluate", variants, "--score-info", "BREAK", "--bootstrap", 2),
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).resolve().parents[2]}"},
    )
