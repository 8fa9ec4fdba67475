"""Contrastive pre-training, from a file to a run and its embeddings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genomix_cli.comparison.splits import Split
from genomix_cli.errors import UsageError
from genomix_cli.formats.sequences import Phenotype, Sequences
from genomix_cli.sequences.models.contrastive import ContrastConfig, Contrastive
from genomix_cli.sequences.models.encoder import PRESETS
from genomix_cli.sequences.pretrain.contrast import (
    PAPER,
    PRETRAINED,
    UNTRAINED,
    ContrastTask,
    train_contrast,
)
from genomix_cli.sequences.pretrain.frame import with_unlabelled
from genomix_cli.sequences.pretrain.views import Views
from genomix_cli.sequences.requests.train import TrainRequest
from genomix_cli.sequences.runs import read_run, save_run
from genomix_cli.sequences.score.embeddings import embed, encoder_of
from genomix_cli.sequences.train.learning import Batch
from tests.sequence_phenotypes import aligned, unaligned, written

SMALL = {"width": 16, "heads": 2, "layers": 1, "projection": 8, "epochs": 2, "batch_size": 32}


def request(
    sequences: Sequences, folder: Path, name: str = "run", **fields: object
) -> TrainRequest:
    return TrainRequest(
        written(sequences, folder), folder / name, "contrast", arch={**SMALL, **fields}
    )


def test_the_preset_genomai_has_the_parameters_that_genomai_states():
    found = Contrastive(ContrastConfig(length=512, **PRESETS["genomai"]))
    count = sum(p.numel() for p in found.parameters())
    assert count == pytest.approx(734_213, rel=0.05)
    assert sum(p.numel() for p in found.head.parameters()) == 33_024


@pytest.mark.parametrize("stem", ["kmers", "motifs"])
def test_crops_are_read(stem):
    config = ContrastConfig(length=60, stem=stem, width=16, heads=2, layers=1, block=8)
    found = Contrastive(config)(torch.from_numpy(unaligned(4, 60).codes[:, :48]))
    assert found.shape == (4, 128)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))


def test_validation_sees_the_same_views_each_time():
    config = ContrastConfig(length=40, width=16, heads=2, layers=1)
    task = ContrastTask(Contrastive(config).eval(), Views(), False, 0)
    rows = torch.arange(20)
    batch = Batch(torch.from_numpy(unaligned(20).codes), rows, torch.zeros(20, 0))
    assert task.predict(batch) == task.predict(batch)
    assert task.predict(batch).n == 40
    assert task.losses(batch, torch.Generator())["loss"].item() > 0


def test_a_run_probes_stores_and_embeds(tmp_path):
    sequences = unaligned()
    asked = request(sequences, tmp_path)
    summary = train_contrast(asked)
    (probes,) = summary.probes
    by_name = {(row.features, row.classifier): row for row in probes.rows}
    assert {name for name, _ in by_name} == {
        *(PRETRAINED, UNTRAINED, "3-mer counts", "6-mer counts", "PCA 30", "PCA 100", "none")
    }
    # Classes differ in composition, which 3-mers count.
    assert by_name["3-mer counts", "linear"].accuracy.value > 0.8
    assert {each.shots for each in probes.few} == {1, 5, 10}
    metrics = json.loads((asked.output / "metrics.json").read_text())
    assert metrics["probes"][0]["label"] == "kind"
    page = (asked.output / "report.html").read_text()
    assert "linear baseline" in page
    value = by_name[PRETRAINED, "linear"].accuracy.text().partition(" ")[0]
    assert f"<li><span>Accuracy, kind</span><b>{value}</b><span>{PRETRAINED} [" in page
    assert "linear baseline" in (asked.output / "README.md").read_text()

    stored = read_run(asked.output, "contrast")
    assert stored.config.length == 40
    encoder = encoder_of(read_run(asked.output))
    vectors = embed(encoder, sequences.codes)
    assert vectors.dtype == np.float32
    # One does not depend on the others.
    np.testing.assert_allclose(embed(encoder, sequences.codes[5:6])[0], vectors[5], atol=1e-5)


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    weights = []
    for name in ("a", "b"):
        asked = request(unaligned(60), tmp_path, name, epochs=1)
        train_contrast(asked)
        weights.append((asked.output / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_run_goes_on_from_its_last_checkpoint(tmp_path):
    asked = request(unaligned(60), tmp_path, epochs=1)
    train_contrast(asked)
    before = (asked.output / "model.safetensors").read_bytes()
    (asked.output / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="is not empty"):
        train_contrast(asked)
    train_contrast(replace(asked, resume=True))
    assert (asked.output / "model.safetensors").read_bytes() == before


def test_genotypes_are_read_by_loci_and_compared_with_the_rates_of_the_paper(tmp_path):
    asked = TrainRequest(
        written(aligned(), tmp_path),
        tmp_path / "run",
        "contrast",
        arch={"width": 16, "heads": 2, "sites": 10, "epochs": 1},
    )
    summary = train_contrast(asked)
    assert summary.preset == "loci"
    assert not summary.views["reverse_complement"]
    names = {row.features for row in summary.probes[0].rows}
    assert {PRETRAINED, UNTRAINED, PAPER} <= names
    again = TrainRequest(
        asked.data, tmp_path / "next", "contrast", arch={"epochs": 1}, init=asked.output
    )
    train_contrast(again)
    assert encoder_of(read_run(again.output)).config.sites == 10
    other = replace(again, output=tmp_path / "third", arch={"epochs": 1, "width": 32})
    with pytest.raises(UsageError, match="another shape"):
        train_contrast(other)


def test_without_a_label_there_is_no_probe_and_yet_a_run(tmp_path):
    sequences = replace(unaligned(60), phenotypes=(), default_label="")
    asked = request(sequences, tmp_path, epochs=1)
    summary = train_contrast(asked)
    assert not summary.probes
    assert "no label" in (asked.output / "report.html").read_text()
    assert embed(encoder_of(read_run(asked.output)), sequences.codes).shape == (60, 16)


def test_sequences_without_a_label_are_learned_from_unless_held_out():
    sequences = unaligned(12)
    label = np.array([0, -1, 0, -1, 1, 1, -1, -1, 0, 1, -1, 1])
    sequences = replace(sequences, split=np.array([""] * 10 + ["test", ""]))
    split = Split("test", np.array([0, 4]), np.array([2]), np.array([5, 8]))
    found = with_unlabelled(split, sequences, label)
    # 3 shares a group with 2, and 10 is called test.
    assert found.train.tolist() == [0, 1, 4, 6, 7]
    assert found.test is split.test


def test_mistakes_are_said_in_a_line(tmp_path):
    asked = request(aligned(), tmp_path)
    with pytest.raises(UsageError, match="no reverse strand"):
        train_contrast(replace(asked, arch={"reverse_complement": True}))
    with pytest.raises(UsageError, match="one split"):
        train_contrast(replace(asked, hold_out="folds:3"))
    with pytest.raises(UsageError, match="is a number"):
        train_contrast(replace(asked, options={"probe": ("level",)}))
    other = request(unaligned(60), tmp_path)
    with pytest.raises(UsageError, match="needs aligned sequences"):
        train_contrast(replace(other, preset="loci"))
    with pytest.raises(UsageError, match="crops are too short"):
        train_contrast(replace(other, preset="motifs", arch={"crop": 0.05}))
    assert not asked.output.exists()


def test_a_run_without_an_encoder_is_refused(tmp_path):
    asked = request(unaligned(60), tmp_path, epochs=1)
    train_contrast(asked)
    stored = read_run(asked.output)
    save_run(asked.output, replace(stored.config, task="classify"), {"w": np.zeros(2)})
    with pytest.raises(UsageError, match="has no encoder"):
        encoder_of(read_run(asked.output))


def test_categories_of_one_class_are_not_probed(tmp_path):
    sequences = unaligned(60)
    one = Phenotype("kind", ("a", "b"), np.zeros(60, np.int16))
    asked = request(replace(sequences, phenotypes=(one,)), tmp_path, epochs=1)
    assert not train_contrast(asked).probes
