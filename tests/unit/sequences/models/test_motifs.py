"""Sequence models whose first filters start from known motifs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from genomix_cli.comparison import tuning
from genomix_cli.errors import UsageError
from genomix_cli.genome.motifs import default_motifs, read_meme
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.motifs import motif_filters, start_from
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.activity.train import read_job, train_activity
from genomix_cli.sequences.models.encoder import Encoder
from genomix_cli.sequences.models.network import NetworkClassifier
from genomix_cli.sequences.pretrain import align, contrast
from genomix_cli.sequences.pretrain.align import train_alignment
from genomix_cli.sequences.pretrain.contrast import train_contrast
from genomix_cli.sequences.requests.train import TrainRequest
from genomix_cli.sequences.runs import read_run
from genomix_cli.sequences.score import embeddings
from genomix_cli.sequences.score.embeddings import encoder_of
from genomix_cli.sequences.train import few_shot
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
    model = kind.of(kind.presets[preset])
    filters = model.build(200, 4).filters
    assert model.has_filters(200) == (filters is not None)
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
    assert starts_from(first_filter(load_classifier(tmp_path / "run")), meme)
    with pytest.raises(UsageError, match="already has filters"):
        train_classifiers(
            replace(asked, output=tmp_path / "on", options=options, arch={}, init=tmp_path / "run")
        )


def starts_from(filters: torch.Tensor, meme: Path) -> bool:
    """Return True if a filter ``[4, 15]`` is the motif of a file, but for its size."""
    expected = motif_filters(read_meme(meme), 1, 15).log_odds[0]
    return float(F.cosine_similarity(filters.flatten(), expected.flatten(), dim=0)) > 0.9999


def test_networks_of_few_examples_start_from_the_motifs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = []

    def keep(*arguments: Any) -> Any:
        fitted.append(tuning.fit_once(*arguments))
        return fitted[-1]

    monkeypatch.setattr(few_shot, "fit_once", keep)
    data, meme = write(tmp_path / "s.h5", motifs()), write_meme(tmp_path)
    small = {"width": 8, "motifs": 6, **STILL}
    options = {"motifs": meme, "baselines": (), "few_shot": (1,), "few_shot_repeats": 2}
    asked = TrainRequest(data, tmp_path / "run", arch=small, options=options)
    train_classifiers(replace(asked, setting=FitSettings(device="cpu")))
    assert len(fitted) == 2
    for each in fitted:
        assert starts_from(each.model.module.filters[0].weight[0].detach(), meme)


@pytest.mark.parametrize("task", [train_contrast, train_alignment])
def test_encoders_that_learn_without_classes_start_from_the_motifs(
    task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def begin(encoder: Encoder, *arguments: Any) -> None:
        embeddings.begin(encoder, *arguments)
        begun.append(encoder.stem.filters[0].weight[0].detach().clone())

    for module in (contrast, align):
        monkeypatch.setattr(module, "begin", begin)
    data, meme = write(tmp_path / "s.h5", motifs()), write_meme(tmp_path)
    small = {"width": 8, "motifs": 6, "heads": 2, "layers": 1, **STILL}
    asked = TrainRequest(data, tmp_path / "run", preset="motifs", arch=small)
    asked = replace(asked, options={"motifs": meme}, setting=FitSettings(device="cpu"))
    task(asked)
    stored = encoder_of(read_run(tmp_path / "run")).stem.filters
    assert stored is not None
    # The encoder that is not trained, or that learns shuffled phenotypes, starts like the other.
    assert len(begun) == 2
    for filters in (*begun, stored[0].weight[0].detach()):
        assert starts_from(filters, meme)
    with pytest.raises(UsageError, match="already has filters"):
        task(replace(asked, output=tmp_path / "on", init=tmp_path / "run"))
    with pytest.raises(
        UsageError, match=r"--motifs: .*preset genomai has no filters.*--preset mot"
    ):
        task(replace(asked, output=tmp_path / "no", preset="genomai"))
    assert not (tmp_path / "no").exists()


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
