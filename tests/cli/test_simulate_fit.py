"""``genomix simulate fit`` from the shell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Fast, Genomix


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, genomix: Genomix) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    (folder / "p.yaml").write_text(
        "samples: 80\nclasses: {A: 1, B: 2}\n"
        "modalities: {chromatin: {features: 50}, mutations: {features: 30}}\n"
    )
    genomix("simulate", "cohort", folder / "c.h5mu", "--params", folder / "p.yaml")
    return folder / "c.h5mu"


def test_fit_then_simulate(genomix_fast: Fast, cohort: Path, tmp_path: Path) -> None:
    done = genomix_fast("simulate", "fit", cohort, "-o", tmp_path / "fit.yaml")
    assert done.stdout == ""
    assert "chromatin, of chromatin: features, loadings" in done.stderr
    genomix_fast("simulate", "cohort", tmp_path / "like.h5mu", "--params", tmp_path / "fit.yaml")
    again = genomix_fast("simulate", "fit", cohort, "-o", tmp_path / "fit.yaml", code=2)
    assert "add --force" in again.stderr
    genomix_fast("simulate", "fit", cohort, "-o", tmp_path / "fit.yaml", "--force", "-n", 33)
    assert "\nsamples: 33\n" in (tmp_path / "fit.yaml").read_text()


def test_without_factors_drivers_are_independent(
    genomix_fast: Fast, cohort: Path, tmp_path: Path
) -> None:
    done = genomix_fast("simulate", "fit", cohort, "-o", tmp_path / "fit.yaml", "--factors", 0)
    assert "chromatin, of chromatin: features, module" in done.stderr
    assert "loadings" not in (tmp_path / "fit.yaml").read_text()


def test_some_of_the_modalities(genomix_fast: Fast, cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "fit.yaml"
    genomix_fast("simulate", "fit", cohort, "-o", out, "--modalities", "mutations")
    assert "chromatin" not in out.read_text()
    wrong = genomix_fast(
        "simulate", "fit", cohort, "-o", out, "--modalities", "rna", "--force", code=2
    )
    assert "has no modality rna (expected chromatin or mutations)" in wrong.stderr


def tables(folder: Path) -> dict[str, Path]:
    """A table of beta values, a histogram and segments."""
    rng = np.random.default_rng(0)
    names = [f"P{i:02d}" for i in range(40)]
    beta = ["cpg\t" + "\t".join(names)]
    for j in range(60):
        mean = (0.1, 0.5, 0.9)[j % 3]
        values = rng.beta(mean * 30, (1 - mean) * 30, 40)
        beta.append(f"cg{j}\t" + "\t".join(f"{v:.4f}" for v in values))
    lengths = ["sample\tlength\tcount"]
    segments = ["ID\tchrom\tloc.start\tloc.end\tnum.mark\tseg.mean"]
    for name in names:
        counts = rng.poisson(2000 * np.exp(-(((np.arange(100, 220) - 166) / 12) ** 2) / 2) + 5)
        lengths += [f"{name}\t{bp}\t{n}" for bp, n in enumerate(counts, 100)]
        for chromosome in range(1, 23):
            mean = rng.choice([0.0, 0.0, 0.0, 0.35, -0.45]) + rng.normal(0, 0.03)
            segments.append(f"{name}\t{chromosome}\t1\t46000000\t10\t{mean:.4f}")
    found = {}
    for name, lines in (("beta.tsv", beta), ("hist.tsv", lengths), ("cn.seg", segments)):
        found[name] = folder / name
        found[name].write_text("\n".join(lines) + "\n")
    return found


def test_from_tables(genomix_fast: Fast, tmp_path: Path) -> None:
    files = tables(tmp_path)
    out = tmp_path / "fit.yaml"
    done = genomix_fast(
        *("simulate", "fit", "--methylation", files["beta.tsv"], "-o", out),
        *("--fragments", files["hist.tsv"], "--copy-number", files["cn.seg"]),
    )
    text = out.read_text()
    assert "tables: no label with two or more classes" in done.stderr
    assert all(f"{name} sha256" in text for name in files)
    for part in ("methylation:", "copy_number:", "fragmentomics:", "classes: {A: 0.5, B: 0.5}"):
        assert part in text
    genomix_fast("simulate", "cohort", tmp_path / "like.h5mu", "--params", out)


def test_from_tables_with_classes(genomix_fast: Fast, tmp_path: Path) -> None:
    files = tables(tmp_path)
    rows = [f"P{i:02d}\t{'case' if i % 4 else 'control'}" for i in range(40)]
    (tmp_path / "who.tsv").write_text("sample\tstate\n" + "\n".join(rows) + "\n")
    out = tmp_path / "fit.yaml"
    genomix_fast(
        *("simulate", "fit", "--methylation", files["beta.tsv"], "-o", out),
        *("--clinical", tmp_path / "who.tsv", "--label", "state"),
    )
    assert "classes: {case: 0.75, control: 0.25}" in out.read_text()


def test_what_users_get_wrong(genomix_fast: Fast, cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "fit.yaml"
    for arguments, code, message in (
        (("-o", out), 2, "fit needs a cohort file or tables"),
        ((cohort, "--methylation", cohort, "-o", out), 2, "fit needs a cohort file or tables"),
        ((cohort,), 2, "--output is missing"),
        ((cohort, "-o", out, "--label", "stage"), 2, "a cohort file already has its label"),
        ((tmp_path / "none.h5mu", "-o", out), 2, "no such file"),
        (("--methylation", tmp_path / "none.tsv", "-o", out), None, "none.tsv"),
        ((cohort, "-o", tmp_path / "no" / "fit.yaml"), 2, "no such folder"),
    ):
        done = genomix_fast("simulate", "fit", *arguments, code=code)
        assert done.returncode
        assert message in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.count("error") == 1
        assert not out.exists()
