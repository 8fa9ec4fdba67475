"""The script for a GPU loses nothing that it has measured, and runs whole on a CPU."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gpu
import pytest
from gpu import STAGES, Stage, table, within

ROOT = Path(__file__).parents[3]
OPTIONS = argparse.Namespace(dry=True)


def test_all_stages_together_take_less_than_eight_minutes() -> None:
    assert sum(stage.budget for stage in STAGES) <= 470


def test_a_stage_ends_with_its_budget() -> None:
    def endless(options: argparse.Namespace) -> Any:
        assert options.dry
        time.sleep(600)

    start = time.perf_counter()
    assert within(Stage("a", 0.3, endless), OPTIONS)["failed"] == "ran past its budget of 0.3 s"
    assert time.perf_counter() - start < 60


def test_a_stage_that_fails_or_dies_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    def wrong(_: argparse.Namespace) -> Any:
        raise ValueError("no such kernel")

    def dead(_: argparse.Namespace) -> Any:
        gpu.os._exit(9)

    assert within(Stage("a", 60, wrong), OPTIONS)["failed"] == "ValueError: no such kernel"
    assert "Traceback" in capfd.readouterr().err
    assert "died" in within(Stage("a", 60, dead), OPTIONS)["failed"]


def test_what_was_measured_is_there_after_each_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "gpu.json"

    def first(_: argparse.Namespace) -> Any:
        return {"flops": 5e14}

    def second(_: argparse.Namespace) -> Any:
        assert json.loads(output.read_text())["stages"]["peak"]["flops"] == 5e14
        raise KeyError("none")

    stages = (Stage("peak", 60, first), Stage("doctor", 60, second))
    monkeypatch.setattr(gpu, "STAGES", stages)
    monkeypatch.setattr(sys, "argv", ["gpu.py", str(output), "--dry"])
    gpu.main()
    found = json.loads(output.read_text())
    assert found["stages"]["doctor"]["failed"] == "KeyError: 'none'"
    assert found["device"] == "cpu"
    said = capsys.readouterr().out
    assert "peak 500 TFLOP/s (measured)" in said
    assert "doctor: KeyError" in said
    monkeypatch.setattr(sys, "argv", ["gpu.py", str(output), "--table"])
    gpu.main()
    assert capsys.readouterr().out == said.split(" s\n")[-1]


def test_the_tables() -> None:
    window = {
        **{"parameters": 1_600_000, "window": 1e-4, "variant": 2e-5, "isolated": 4e-4},
        **{"rate": 1e14, "memory_mib": 1234.0, "genome_minutes": 3.21},
    }
    vcf = {"variants": 200_000, "seconds": 10.0, "memory_mib": 99.0, "utilisation": 87.2}
    stages = {
        "peak": {"flops": 5e14},
        "mini": window,
        "base": {"failed": "OutOfMemoryError: too large"},
        "training": {"step": 0.25, "memory_mib": 5000.0},
        "VCF with mini": vcf,
        "VCF with paper": {**vcf, "utilisation": None},
    }
    head = {"device": "A card", "torch": "2.13", "precision": "bf16"}
    lines = table({**head, "stages": stages}).splitlines()
    assert lines[0] == "A card, PyTorch 2.13, bf16; peak 500 TFLOP/s (measured)"
    assert "| mini | 1.6 | 0.1 | 20% | 0.02 | 0.4 | 1,234 | 3.2 |" in lines
    assert "| training step of `paper`, checkpointing | 0.25 | - | 5,000 | - |" in lines
    assert "| VCF of 200,000 SNVs, `mini` | 10.0 | 20,000 | 99 | 87 % |" in lines
    assert "| VCF of 200,000 SNVs, `paper` | 10.0 | 20,000 | 99 | - |" in lines
    assert "base: OutOfMemoryError: too large" in lines


@pytest.mark.slow
def test_a_dry_run_does_every_stage(tmp_path: Path) -> None:
    output = tmp_path / "gpu.json"
    command = [sys.executable, ROOT / "benchmarks" / "gpu.py", output, "--dry"]
    subprocess.run(list(map(str, command)), check=True, cwd=ROOT, timeout=600)
    stages = json.loads(output.read_text())["stages"]
    assert list(stages) == [stage.name for stage in STAGES]
    assert not [name for name, found in stages.items() if "failed" in found]
    assert stages["VCF with mini"]["variants"] == gpu.FEW
    assert all(stages[name]["rate"] > 0 for name in ("mini", "base", "paper"))
