"""Classifiers of sequences are tuned, calibrated and evaluated; the run folder is complete."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genomix_cli.comparison.entrants import Entrant
from genomix_cli.comparison.protocol import judge
from genomix_cli.comparison.summaries import Results
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.sequences import Phenotype, Sequences
from genomix_cli.genome.alphabet import canonical_kmers
from genomix_cli.genome.iupac import encode
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.sequences.models.components import Standardised, principal
from genomix_cli.sequences.models.discriminants import discriminants
from genomix_cli.sequences.models.kmers import count_kmers
from genomix_cli.sequences.requests.train import TrainRequest
from genomix_cli.sequences.runs import read_run
from genomix_cli.sequences.train.classifiers import train_classifiers
from genomix_cli.sequences.trained import load_classifier
from tests.sequence_samples import genotypes, labelled, motifs, write

pytest.importorskip("lightning")
pytest.importorskip("sklearn")

QUICK = {"width": 8, "sites": 32, "epochs": 2}
CPU = FitSettings(device="cpu")


def run(path: Path, sequences: Sequences, name: str = "run", **more: Any) -> Results:
    data = write(path / "s.h5", sequences)
    fields = {"arch": QUICK, "setting": CPU, "options": {"trials": 1}, **more}
    return train_classifiers(TrainRequest(data, path / name, "classify", **fields))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("classify")
    options = {"trials": 2, "few_shot": [1, 5], "few_shot_repeats": 2}
    run(path, genotypes(), options=options)
    return path / "run"


def test_a_run_folder_has_everything(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("config.json", "model.safetensors", "metrics.json", "models.tsv", "training.tsv"),
        *("few_shot.tsv", "predictions.parquet", "report.html", "README.md", "timing.json"),
        *("genomix_mqc.json", "genomix_right_mqc.json", "train.json"),
        "seen.safetensors",
    }
    metrics = json.loads((folder / "metrics.json").read_text())
    rows = {row["name"]: row for row in metrics["outcomes"]}
    assert list(rows) == [
        *("transformer loci", "majority", "kmer-logistic k3", "pca-logistic", "pca-svm"),
        "lda",
    ]
    assert rows["transformer loci"]["metrics"]["accuracy"]["interval"]["value"] > 0.8
    assert rows["transformer loci"]["shuffled"] is None
    assert rows["pca-svm"]["shuffled"]["above"] is False
    assert "Few examples" in (folder / "report.html").read_text()
    few = pd.read_csv(folder / "few_shot.tsv", sep="\t")
    assert set(few["examples"]) == {1, 5}
    assert len(few) == 12


def test_what_is_kept_is_what_was_judged(folder: Path) -> None:
    found = pd.read_parquet(folder / "predictions.parquet")
    own = found[found["model"] == "transformer loci"]
    sequences = genotypes()
    place = {name: i for i, name in enumerate(sequences.names)}
    rows = [place[name] for name in own["sample"]]
    classifier = load_classifier(folder)
    p, held, _ = classifier.predict(sequences.codes[rows])
    columns = [f"p:{name}" for name in classifier.classes]
    np.testing.assert_allclose(own[columns].to_numpy(), p, atol=1e-6)
    sets = [",".join(np.array(classifier.classes)[row]) for row in held]
    assert list(own["set"]) == sets
    facts = read_run(folder).config.facts
    assert sum(facts["counts"]) < 180  # a quarter is held out, and some stop and calibrate


def test_folds_judge_every_sequence_and_then_all_is_learned(tmp_path: Path) -> None:
    options = {"trials": 1, "model": "kmer-logistic", "baselines": ["majority"]}
    found = run(tmp_path, motifs(n=90), arch={}, hold_out="folds:3", options=options)
    assert found.samples == 90
    assert load_classifier(tmp_path / "run").classes == ("A", "B", "C")
    assert "folds" in (tmp_path / "run" / "report.html").read_text()


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    options = {"trials": 1, "baselines": ["pca-svm"]}
    folders = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        run(tmp_path / name, genotypes(n=90), options=options)
        folders.append(tmp_path / name / "run")
    for file in ("model.safetensors", "metrics.json", "training.tsv", "README.md"):
        first, second = ((folder / file).read_bytes() for folder in folders)
        assert first == second


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genomix_cli.comparison import protocol

    sequences, options = genotypes(n=90), {"trials": 1, "baselines": ["majority"]}
    run(tmp_path, sequences, "whole", options=options)
    judged: list[str] = []

    def interrupted(one: Entrant[Any], *args: Any) -> Any:
        judged.append(one.name)
        if len(judged) == 2:
            raise KeyboardInterrupt
        return judge(one, *args)

    monkeypatch.setattr(protocol, "judge", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, sequences, "cut", options=options)
    run(tmp_path, sequences, "cut", options=options, resume=True)
    assert judged == ["transformer loci", "majority", "majority"]
    for file in ("metrics.json", "model.safetensors"):
        first, second = ((tmp_path / name / file).read_bytes() for name in ("whole", "cut"))
        assert first == second
    with pytest.raises(UsageError, match="other settings"):
        run(tmp_path, sequences, "cut", resume=True)


def test_an_encoder_can_be_started_from(tmp_path: Path, folder: Path) -> None:
    options = {"trials": 1, "baselines": [], "few_shot": [2], "few_shot_repeats": 2}
    arch = {"epochs": 1, "freeze": True}
    run(tmp_path, genotypes(), init=folder, arch=arch, options=options)
    stored, before = read_run(tmp_path / "run"), read_run(folder)
    for name, array in before.state.items():
        if name.startswith("encoder."):
            np.testing.assert_array_equal(stored.state[name], array)
    few = pd.read_csv(tmp_path / "run" / "few_shot.tsv", sep="\t")
    assert list(few["name"]) == [
        "transformer pre-trained",
        "transformer pre-trained from scratch",
    ]
    assert few["pretraining"][0] in ("helps", "hurts", "makes no significant difference")
    assert "Pre-training " in (tmp_path / "run" / "README.md").read_text()
    with pytest.raises(UsageError, match="width of an encoder that is already trained"):
        run(tmp_path, genotypes(), "b", init=folder, arch={"width": 3})
    with pytest.raises(UsageError, match="only the transformer"):
        run(tmp_path, genotypes(), "c", init=folder, arch={}, options={"model": "cnn"})
    with pytest.raises(DataError, match="another length"):
        run(tmp_path, genotypes(sites=40), "d", init=folder, arch={})


def with_label(values: list[int], names: tuple[str, ...] = ("x", "y")) -> Sequences:
    sequences = motifs(n=len(values))
    label = Phenotype("kind", names, np.array(values, np.int16))
    return replace(sequences, phenotypes=(label,))


def test_sequences_without_a_label_are_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sequences = with_label([0, 1] * 30 + [-1] * 7)
    options = {"trials": 1, "model": "majority", "baselines": []}
    with caplog.at_level("INFO", logger="genomix"):
        found = run(tmp_path, sequences, arch={}, options=options)
    assert "left out 7 sequences without kind" in caplog.text
    assert found.samples == 16


@pytest.mark.parametrize(
    ("values", "names", "said"),
    [
        ([0] * 40 + [1], ("x", "y"), r"too few groups of sequences of class y \(1\)"),
        ([0] * 40, ("x", "y"), "at least two classes of kind"),
        ([-1] * 40, ("x", "y"), "at least two classes of kind"),
    ],
)
def test_labels_that_cannot_be_learned(
    tmp_path: Path, values: list[int], names: tuple[str, ...], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        run(tmp_path, with_label(values, names), arch={})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": {"model": "cnn:big"}}, "cnn has no preset 'big'"),
        ({"options": {"model": "lstm"}}, "unknown classifier"),
        ({"options": {"trails": 3}}, "unknown key 'trails'"),
        ({"options": {"few_shot": [0]}}, "examples and repeats must be positive"),
        ({"arch": {"depth": 3}}, "unknown key 'depth'"),
        ({"label": "tissue"}, "no phenotype 'tissue'"),
        ({"preset": "loci", "arch": {}}, "needs aligned sequences"),
    ],
)
def test_what_is_asked_for_wrongly(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run(tmp_path, motifs(n=90), **change)


def test_kmers_are_counted_and_shared() -> None:
    codes = np.stack([encode("ACGTACG"), encode("ACRTNAA")])
    counts = count_kmers(codes, 2)
    index = {a + b: 4 * i + j for i, a in enumerate("ACGT") for j, b in enumerate("ACGT")}
    first = {name: counts[0, i] for name, i in index.items() if counts[0, i]}
    assert first == {"AC": 2, "CG": 2, "GT": 1, "TA": 1}
    assert (counts[1, index["CA"]], counts[1, index["CG"]]) == (0.75, 0.5)
    assert counts[1, index["AA"]] == 1.25
    assert counts[1].sum() == 6
    assert count_kmers(codes[:, :1], 2).sum() == 0
    both = canonical_kmers(2)[0]
    assert both[index["AC"]] == both[index["GT"]]
    assert len(set(both)) == 10


@pytest.mark.parametrize("rows", [30, 200])
def test_components_are_those_of_a_decomposition(rows: int) -> None:
    """The components are right whether rows or columns are fewer."""
    codes = genotypes(n=rows, sites=25).codes
    matrix = Standardised.of(codes, 0.01)
    whole = np.zeros((rows, matrix.mean.size))
    for where, x in matrix.columns(codes):
        whole[:, where] = x
    found = principal(matrix, codes, 5, 0)
    u, s, vt = np.linalg.svd(whole, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.scores), np.abs(u * s)[:, :5], atol=1e-3)
    weights = found.weights(np.eye(5))
    np.testing.assert_allclose(whole @ weights, found.scores, atol=1e-3)
    np.testing.assert_allclose(np.abs(weights), np.abs(vt[:5].T), atol=1e-3)


def test_many_by_many_are_decomposed_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    from genomix_cli.sequences.models import components

    codes = genotypes(n=120, sites=60).codes
    matrix = Standardised.of(codes, 0.01)
    exact = principal(matrix, codes, 3, 0)
    monkeypatch.setattr(components, "EXACT", 50)
    found = principal(matrix, codes, 3, 0)
    leading = (np.abs(each.scores[:, :2]) for each in (found, exact))
    np.testing.assert_allclose(*leading, rtol=0.02, atol=0.05)


def test_discriminants_are_those_of_scikit_learn() -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    data = labelled(genotypes(n=200, sites=20))
    matrix = Standardised.of(data.sequences.codes, 0.02)
    scores = principal(matrix, data.sequences.codes, None, 0).scores
    expected = LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3).fit(scores, data.label)
    logits = discriminants(scores, data.label, 3, 1e-9).logits(scores)
    apart = expected.decision_function(scores)
    difference = (logits - logits[:, :1]) - (apart - apart[:, :1])
    np.testing.assert_allclose(difference, 0, atol=2e-2 * np.abs(apart).max())


def test_generated_sequences_join_what_is_learned_from(tmp_path: Path) -> None:
    """Generated sequences give a separate row, and are refused if they have unknown classes."""
    data = motifs(n=90)
    made = replace(motifs(n=40, seed=5), names=np.array([f"made{i}" for i in range(40)]))
    write(tmp_path / "made.h5", made)
    options = {"trials": 1, "model": "kmer-logistic", "baselines": [], "few_shot": ()}
    options["augment"] = str(tmp_path / "made.h5")
    found = run(tmp_path, data, arch={}, options=options)
    names = [row.name for row in found.outcomes]
    assert names == ["kmer-logistic k6", "kmer-logistic k6 + 40 generated", "majority"]
    first, second = (row.metrics["nll"].interval.value for row in found.outcomes[:2])
    assert first != second
    write(tmp_path / "made.h5", motifs(n=40, n_classes=4))
    with pytest.raises(DataError, match="cannot join the training sequences"):
        run(tmp_path, data, "again", arch={}, options=options)
