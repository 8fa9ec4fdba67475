"""The weights that ship do what their model card says, on the data that ship."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from genomix_cli.comparison.metrics.binary import auroc
from genomix_cli.formats.detect import PRETRAINED
from genomix_cli.formats.run_folder import RunFolder
from genomix_cli.genome.alphabet import BASES, decode
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.vcf.reader import VcfReader
from genomix_cli.provenance import sha256
from genomix_cli.variants.conditions import Conditions
from genomix_cli.variants.requests.score import DEFAULT_MODEL, SIMULATED_MODEL
from genomix_cli.variants.score.background import load_backgrounds
from genomix_cli.variants.score.differences import Differences
from genomix_cli.variants.score.doctor import examine
from genomix_cli.variants.trained import load_model, read_config
from tests.conftest import ROOT, Ended

MODELS = sorted(path.parent for path in PRETRAINED.glob("*/config.json"))
REAL, SIMULATED = PRETRAINED / DEFAULT_MODEL, PRETRAINED / SIMULATED_MODEL
DATA = ROOT / "test_data"


@pytest.fixture(params=MODELS, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_the_default_ships_and_that_of_simulated_genomes() -> None:
    assert {DEFAULT_MODEL, SIMULATED_MODEL} == {path.name for path in MODELS}


def test_it_is_small_and_has_a_card(folder: Path) -> None:
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10e6
    card = (folder / "README.md").read_text()
    assert load_model(folder.name).sha256 in card


def test_the_card_of_the_simulated_reports_what_was_measured() -> None:
    card = (SIMULATED / "README.md").read_text()
    measured = json.loads((SIMULATED / "metrics.json").read_text())["test"]
    for name in ("auroc", "auprc"):
        assert f"{measured[name]['value']:.4f}" in card
        assert f"{measured[f'bayes_{name}']:.4f}" in card
    assert re.search(r"demonstration", card, re.IGNORECASE)


def test_the_card_of_the_real_reports_what_was_measured() -> None:
    card = (REAL / "README.md").read_text()
    outputs = json.loads((REAL / "metrics.json").read_text())["outputs"]
    for output in outputs:
        for row in output["rows"]:
            if row["model"] in ("3 networks", "7-mer ridge"):
                r = row["metrics"]["pearson"]["value"]
                assert f"{r:.3f}".removeprefix("0") in card, output["output"]
    assert "clinical decisions" in card


def test_the_real_knows_an_activator(tmp_path: Path, genomix_here: Callable[..., Ended]) -> None:
    """An ETS site (ACCGGAAGT) makes sequences active, and C for its second G undoes that."""
    rng = np.random.default_rng(0)
    fasta, vcf, scored = (tmp_path / name for name in ("sites.fa", "v.vcf", "scored.vcf"))
    contigs, lines = [], []
    for i in range(40):
        bases = decode(rng.integers(0, 4, 300).astype(np.uint8))
        contigs.append(f">s{i}\n{bases[:146]}ACCGGAAGT{bases[155:]}\n")
        lines.append(f"s{i}\t151\t.\tG\tC\t.\t.\t.\n")
    fasta.write_text("".join(contigs))
    head = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    vcf.write_text(head + "".join(lines))
    assert genomix_here("score", vcf, "-f", fasta, "-o", scored, "--device", "cpu").code == 0
    with VcfReader(scored) as reader:
        assert not any("demonstration" in line for line in reader.header.meta)
        changes, ranks = np.array(
            [
                [float(str(record.info(key))) for key in ("GENOMIX_DA", "GENOMIX_PCT")]
                for record in reader
            ]
        ).T
    assert np.mean(changes < 0) > 0.9
    assert np.median(ranks) > 80


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


@pytest.mark.slow
def test_without_tracks_a_tenth_of_random_snvs_is_in_the_top_tenth(
    tmp_path: Path, genomix_here: Callable[..., Ended]
) -> None:
    rng = np.random.default_rng(1)
    fasta, lines = DATA / "genome.fa.gz", []
    with Fasta(fasta) as genome:
        for name, length in genome.lengths.items():
            for pos in np.sort(rng.choice(length, 750, replace=False)).tolist():
                ref = decode(genome.fetch(name, pos, pos + 1))
                if ref in BASES:
                    alt = rng.choice(sorted({*BASES} - {ref}))
                    lines.append(f"{name}\t{pos + 1}\t.\t{ref}\t{alt}\t.\t.\t.\n")
    vcf, scored = tmp_path / "random.vcf", tmp_path / "scored.vcf"
    head = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    vcf.write_text(head + "".join(lines))
    model = ("-m", SIMULATED_MODEL, "--device", "cpu")
    assert genomix_here("score", vcf, "-f", fasta, "-o", scored, *model).code == 0
    with VcfReader(scored) as reader:
        phred = np.array([float(record.info("GENOMIX_PHRED") or "nan") for record in reader])
    within = binomtest(int((phred >= 10).sum()), len(phred)).proportion_ci(0.999)
    assert within.low < 0.1 < within.high


def test_what_lies_beside_the_real_weights_fits_them() -> None:
    weights, config = sha256(RunFolder(REAL).weights), read_config(REAL)
    backgrounds = load_backgrounds(REAL, weights, config.conditions())
    for cell in ("", "HepG2", "K562", "GM12878", "stem"):
        ranked = Differences.of(config.activity, cell=cell).statistic
        own = [b for b in backgrounds if b.statistic == ranked]
        assert [b.name for b in own] == ["random_snvs.vcf", "common_snvs.vcf"], cell
        assert all(len(b.scores) > 9_000 for b in own)
    assert examine(REAL.name, "cpu", "fp32").sound


def test_what_lies_beside_the_simulated_weights_fits_them() -> None:
    folder = SIMULATED
    weights = sha256(RunFolder(folder).weights)
    config = read_config(folder)
    backgrounds = load_backgrounds(folder, weights, Conditions())
    full = config.conditions(contacts=True, both_strands=False)
    fewer = (full.without(contacts=True), full.without(tracks=True, contacts=True))
    for given, mode in product((full, *fewer), ("shared", "centred")):
        given = replace(given, mode=mode)
        (background,) = (b for b in backgrounds if b.conditions.agree_with(given))
        assert len(background.scores) >= (20_000 if given.tracks or mode == "shared" else 1_000)
        calibration = config.calibration(given)
        assert calibration is not None
        # Variants at random places are mostly without effect.
        assert np.median(calibration.apply(background.scores)) < 0.1
    assert examine(folder.name, "cpu", "fp32").sound
