"""``genomix simulate cohort`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from genomix_cli.cohorts.simulate.parameters import presets
from tests.conftest import Fast

TINY = """\
samples: 60
classes: {a: 1, b: 1}
modalities:
  methylation: {features: 12, drivers: 3}
  mutations: {features: 10}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def test_a_cohort_from_parameters(genomix_fast: Fast, tmp_path: Path, tiny: Path) -> None:
    out = tmp_path / "c.h5mu"
    ran = genomix_fast("simulate", "cohort", out, "--params", tiny, "--seed", 3)
    assert ran.stdout == ""
    assert "60 samples" in ran.stderr
    assert "Bayes-optimal, with all modalities: accuracy" in ran.stderr
    assert "late fusion" in ran.stderr
    again = tmp_path / "again.h5mu"
    genomix_fast("simulate", "cohort", again, "--params", tiny, "--seed", 3, "-q")
    # The command is part of the file: only its output's name differs.
    assert abs(again.stat().st_size - out.stat().st_size) < 64
    ran = genomix_fast("simulate", "cohort", out, "--params", tiny, code=2)
    assert "already exists" in ran.stderr
    genomix_fast("simulate", "cohort", out, "--params", tiny, "--force", "-q")


def test_the_file_opens_in_mudata(genomix_fast: Fast, tmp_path: Path, tiny: Path) -> None:
    import mudata

    genomix_fast("simulate", "cohort", tmp_path / "c.h5mu", "--params", tiny, "-q")
    data = mudata.read(tmp_path / "c.h5mu")
    assert set(data.mod) == {"methylation", "mutations"}
    assert data.obs["label"].cat.categories.tolist() == ["a", "b"]
    assert data.obsm["bayes:methylation+mutations"].shape == (60, 2)


def test_printed_parameters_are_parameters(genomix_fast: Fast, tmp_path: Path) -> None:
    for preset in presets():
        printed = genomix_fast(
            "simulate", "cohort", "--preset", preset, "--synergy", "--print-params"
        )
        settings = yaml.safe_load(printed.stdout)
        assert settings["interactions"]["share"] > 0
        file = tmp_path / f"{preset}.yaml"
        file.write_text(printed.stdout)
        again = genomix_fast("simulate", "cohort", "--params", file, "--print-params")
        assert again.stdout == printed.stdout


def test_a_file_goes_over_a_preset(genomix_fast: Fast, tmp_path: Path) -> None:
    over = tmp_path / "over.yaml"
    over.write_text("modalities: {methylation: {precision: 12}}\nclasses: {x: 1, y: 2}\n")
    printed = genomix_fast(
        *("simulate", "cohort", "--preset", "stillwell", "--params", over, "-n", 7),
        "--print-params",
    )
    settings = yaml.safe_load(printed.stdout)
    assert settings["modalities"]["methylation"]["precision"] == 12
    assert settings["modalities"]["methylation"]["features"] == 30
    assert settings["classes"] == {"x": 1, "y": 2}
    assert settings["samples"] == 7


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["c.h5mu"], 2, "no preset and no parameters given"),
        (["c.h5mu", "--preset", "stilwell"], 2, "unknown preset"),
        (["c.h5mu", "--preset", "stillwell", "--difficulty", "trivial"], 2, "unknown difficulty"),
        (["--preset", "stillwell"], 2, "no output file given"),
        (["nowhere/c.h5mu", "--preset", "stillwell", "-n", "20"], 2, "no such folder"),
        (["c.h5mu", "--params", "absent.yaml"], 2, "no such file"),
        (["c.h5mu", "--params", "list.yaml"], 1, "is not a mapping"),
        (["c.h5mu", "--params", "broken.yaml"], 1, "is not YAML"),
        (["c.h5mu", "--params", "wrong.yaml"], 2, "unknown key 'sampels'"),
        (["c.h5mu", "--params", "tiny.yaml", "--synergy"], 2, "has no synergy"),
    ],
)
def test_mistakes_are_one_line(
    genomix_fast: Fast, tmp_path: Path, tiny: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    (tmp_path / "wrong.yaml").write_text(TINY.replace("samples", "sampels"))
    ran = genomix_fast("simulate", "cohort", *arguments, code=code, cwd=tmp_path)
    assert message in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.glob("*.h5mu"))
