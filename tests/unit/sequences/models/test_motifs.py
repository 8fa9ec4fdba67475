"""Sequence models whose first filters start from known motifs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from genomix_cli.errors import UsageError
from genomix_cli.genome.motifs import default_motifs, read_meme
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.motifs import motif_filters, start_from
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.activity.train import read_job, train_activity
from genomix_cli.sequences.models.network import NetworkClassifier
from genomix_cli.sequences.requests import TrainRequest
from genomix_cli.sequences.train.classifiers import train_classifiers
from genomix_cli.sequences.train.entrants import entrants
from genomix_cli.sequences.trained import load_classifier
from tests.activity_runs import measured, request
from tests.sequence_samples import motifs, write


def write_meme(folder: Path) -> Path:
    lines = ["MEME version 4", "ALPHABET= ACGT", "MOTIF a", "letter-probability matrix: w= 4"]
    lines += ["0.97 0.01 0.01 0.01"] * 4
    (folder / "motifs.meme").write_text("\n".join(lines) + "\n")
    return folder / "motifs.meme"


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
