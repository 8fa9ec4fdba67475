"""The weights that ship do what their model card says, on the data that ship."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genomix_cli.comparison.metrics.binary import auroc
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.genome.vcf.reader import VcfReader
from genomix_cli.provenance import sha256
from genomix_cli.variants.score.background import load_background
from genomix_cli.variants.score.doctor import examine
from genomix_cli.variants.trained import PRETRAINED, load_model, read_config
from tests.conftest import ROOT, Ended

MODELS = sorted(path.parent for path in PRETRAINED.glob("*/config.json"))
DATA = ROOT / "test_data"


@pytest.fixture(params=MODELS, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_something_ships() -> None:
    assert [path.name for path in MODELS] == ["gmt-mini-sim"]


def test_it_is_small_and_has_a_card(folder: Path) -> None:
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10e6
    card = (folder / "README.md").read_text()
    assert load_model(folder.name).sha256 in card


def test_the_card_reports_what_was_measured(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    measured = json.loads((folder / "metrics.json").read_text())["test"]
    for name in ("auroc", "auprc"):
        assert f"{measured[name]['value']:.4f}" in card
        assert f"{measured[f'bayes_{name}']:.4f}" in card
    assert re.search(r"demonstration", card, re.IGNORECASE)


def test_the_demonstration_scores_as_measured(
    tmp_path: Path, genomix_here: Callable[..., Ended]
) -> None:
    scored = tmp_path / "scored.vcf"
    settings = DATA / "genomix.toml"
    done = genomix_here(
        *["score", DATA / "variants.vcf.gz", "--config", settings, "-o", scored],
        *["--device", "cpu", "--threads", "1"],
    )
    assert done.code == 0
    assert "demonstration weights" in done.err
    with VcfReader(scored) as reader:
        assert any("demonstration" in line for line in reader.header.meta)
        pairs = [
            (float(label), float(p), float(truth))
            for record in reader
            for label, p, truth in zip(
                *(str(record.info(key)).split(",") for key in ("LABEL", "GENOMIX_P", "PROB")),
                strict=True,
            )
        ]
    label, score, truth = np.array(pairs).T
    assert auroc(label, truth) - auroc(label, score) < 0.05
    assert abs(score.mean() - truth.mean()) < 0.05


def test_what_lies_beside_the_weights_fits_them(folder: Path) -> None:
    weights = sha256(RunFolder(folder).weights)
    background = load_background(folder, weights)
    assert background is not None
    assert len(background.logits) >= 10_000
    # Variants at random places are mostly without effect.
    assert np.median(read_config(folder).calibration.apply(background.logits)) < 0.05
    assert examine(folder.name, "cpu", "fp32").sound
