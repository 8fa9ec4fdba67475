"""Known motifs as the first filters of a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from genomix_cli.errors import UsageError
from genomix_cli.genome.motifs import CONSENSUS, Motif, default_motifs, from_consensus, read_meme
from genomix_cli.learning.activity import ActivityConfig, ActivityEncoder, Output
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.activity.train import read_job, train_activity
from genomix_cli.sequences.models.motifs import RARITY, motif_filters, start_from
from genomix_cli.sequences.models.network import NetworkClassifier
from genomix_cli.sequences.requests import TrainRequest
from genomix_cli.sequences.train.classifiers import train_classifiers
from genomix_cli.sequences.train.entrants import entrants
from genomix_cli.sequences.trained import load_classifier
from tests.activity_runs import measured, request
from tests.sequence_samples import motifs, write

WIDTH = 19


def write_meme(folder: Path) -> Path:
    lines = ["MEME version 4", "ALPHABET= ACGT", "MOTIF a", "letter-probability matrix: w= 4"]
    lines += ["0.97 0.01 0.01 0.01"] * 4
    (folder / "motifs.meme").write_text("\n".join(lines) + "\n")
    return folder / "motifs.meme"


def random_sequences(n: int, seed: int) -> torch.Tensor:
    codes = np.random.default_rng(seed).integers(0, 4, (n, 200))
    return F.one_hot(torch.from_numpy(codes), 4).float()


def test_a_motif_occupies_as_few_places_as_it_promises() -> None:
    filters = motif_filters(default_motifs(), 12, WIDTH)
    scores = F.conv1d(random_sequences(2000, 7).transpose(1, 2), filters.log_odds)
    share = (scores > filters.thresholds[:, None]).float().mean((0, 2))
    # Scores are discrete: some thresholds are reached by a few more places than they cut off.
    assert share.max() < 2 * RARITY
    assert share.min() > RARITY / 10


def test_the_first_layer_finds_a_motif_where_it_lies() -> None:
    motif = from_consensus("CTCF", CONSENSUS["CTCF"])
    encoder = ActivityEncoder(ActivityConfig((Output("a", unit="u"),), stem=3)).eval()
    encoder.start_from(*motif_filters([motif], 1, encoder.motifs.kernel_size[0]))
    sequence = random_sequences(1, 3)
    sequence[0, 90 : 90 + motif.width] = torch.eye(4)[motif.probabilities.argmax(1)]
    occupied = torch.sigmoid(encoder.motifs(sequence.transpose(1, 2)))[0, 0]
    assert int(occupied.argmax()) == 90 + motif.width // 2
    assert occupied.max() > 0.99


def test_near_duplicates_are_chosen_last() -> None:
    rng = np.random.default_rng(0)
    first, *others = default_motifs()[:4]
    copies = []
    for i in range(3):
        p = first.probabilities + rng.uniform(0, 0.01, first.probabilities.shape)
        copies.append(Motif(f"copy{i}", p / p.sum(1, keepdims=True)))
    motifs = [first, *copies, *others]
    chosen = motif_filters(motifs, 4, WIDTH).log_odds
    rows = [motif_filters([motif], 1, WIDTH).log_odds[0] for motif in motifs]
    found = [next(i for i, row in enumerate(rows) if torch.equal(row, c)) for c in chosen]
    assert sum(i < 4 for i in found) == 1


def test_a_wide_motif_keeps_its_most_informative_positions() -> None:
    p = np.full((30, 4), 0.25)
    p[18:26] = [0.97, 0.01, 0.01, 0.01]
    log_odds = motif_filters([Motif("late", p)], 1, 9).log_odds[0]
    assert log_odds.argmax(0).tolist() == [0] * 9
    assert (log_odds[0] > 1).sum() == 8


def test_after_a_batch_norm_0_stands_where_a_motif_begins() -> None:
    convolution, norm = nn.Conv1d(4, 24, 15, padding=7), nn.BatchNorm1d(24)
    before = convolution.weight.detach().clone()
    start_from(nn.Sequential(convolution, norm, nn.GELU()), default_motifs())
    n = len(default_motifs())
    with torch.no_grad():
        scores = norm(convolution(random_sequences(2000, 7).transpose(1, 2)))
    share = (scores > 0).float().mean((0, 2))
    assert share[:n].max() < 2 * RARITY
    assert share[:n].min() > RARITY / 10
    # The others are as they were.
    assert torch.equal(convolution.weight[n:], before[n:])
    assert share[n:].min() > 0.3


def test_filters_from_motifs_are_as_large_as_random_ones() -> None:
    convolution = nn.Conv1d(4, 15, 15)
    size = convolution.weight.detach().flatten(1).norm(dim=1).mean()
    start_from(nn.Sequential(convolution, nn.BatchNorm1d(15)), default_motifs())
    sizes = convolution.weight[:12].flatten(1).norm(dim=1)
    torch.testing.assert_close(sizes, size.expand(12))


def every_network() -> list[tuple[str, str]]:
    kinds = {name: SEQUENCE_CLASSIFIERS.load(name) for name in SEQUENCE_CLASSIFIERS}
    return [
        (name, preset)
        for name, kind in kinds.items()
        for preset in kind.presets
        if issubclass(kind, NetworkClassifier)
    ]


@pytest.mark.parametrize(("name", "preset"), every_network())
def test_a_model_says_whether_it_has_filters(name: str, preset: str) -> None:
    kind = SEQUENCE_CLASSIFIERS.load(name)
    filters = kind.of(kind.presets[preset]).build(200, 4).filters
    assert kind.has_filters(kind.presets[preset]) == (filters is not None)
    if filters is not None:
        start_from(filters, default_motifs())


# Steps too small to move anything: what a run starts from is what it stores.
STILL = {"learning_rate": 1e-12, "weight_decay": 0.0, "epochs": 1}


def first_filter(model: Any) -> torch.Tensor:
    return model.model.module.filters[0].weight[0].detach()


def test_classifiers_start_from_the_motifs(tmp_path: Path) -> None:
    data, meme = write(tmp_path / "s.h5", motifs()), write_meme(tmp_path)
    small = {"width": 8, "motifs": 6, **STILL}
    asked = TrainRequest(data, tmp_path / "run", arch=small, setting=FitSettings(device="cpu"))
    options = {"motifs": meme, "baselines": ("majority",)}
    train_classifiers(replace(asked, options=options))
    filters = first_filter(load_classifier(tmp_path / "run"))
    expected = motif_filters(read_meme(meme), 1, 15).log_odds[0]
    assert float(F.cosine_similarity(filters.flatten(), expected.flatten(), dim=0)) > 0.9999
    with pytest.raises(UsageError, match="already has filters"):
        train_classifiers(
            replace(asked, output=tmp_path / "on", options=options, arch={}, init=tmp_path / "run")
        )


def test_baselines_start_from_the_motifs_too(tmp_path: Path) -> None:
    data, known = write(tmp_path / "s.h5", motifs()), read_meme(write_meme(tmp_path))
    asked = TrainRequest(data, tmp_path / "run")
    listed = entrants(asked, "transformer", ("cnn", "majority"), motifs(), known)
    models = [each.build(each.arch) for each in listed]
    assert [model.motifs for model in models if isinstance(model, NetworkClassifier)] == [known] * 2
    with pytest.raises(UsageError, match="no filters"):
        entrants(asked, "transformer:genomai", (), motifs(), known)


def test_training_starts_from_the_motifs(tmp_path: Path) -> None:
    write(tmp_path / "own.h5", measured())
    asked = request(tmp_path / "own.h5", tmp_path / "run")
    asked = replace(asked, options={"motifs": write_meme(tmp_path)})
    filters = read_job(asked).filters
    assert filters is not None
    assert filters.log_odds.shape[0] == 1
    trained = train_activity(asked)
    assert trained is not None
    with pytest.raises(UsageError, match="already has filters"):
        read_job(replace(asked, init=tmp_path / "run", output=tmp_path / "next"))
