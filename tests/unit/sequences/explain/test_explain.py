"""Attributions of bases: they add up, and they are where the motifs and the drift are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genomix_cli.genome.iupac import ANY, HIDDEN, encode
from genomix_cli.sequences.explain.attribution import attribute, compositions, shuffled_mean
from genomix_cli.sequences.explain.explanation import places
from genomix_cli.sequences.trained import load_classifier
from tests.sequence_runs import trained
from tests.sequence_samples import MOTIFS, genotypes, motifs

pytest.importorskip("lightning")


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "cnn"
    return trained(folder, motifs(n=480, length=40), "cnn", epochs=10, filters=32)


def test_attributions_add_up_and_find_the_motif(cnn: Path) -> None:
    classifier = load_classifier(cnn)
    sequences = motifs(n=24, length=40, seed=5)
    label = sequences.label()[1]
    p = compositions(sequences.codes, None)
    start = np.full_like(p, 0.25)
    found = attribute(classifier.model, p, start, label)
    assert found.error.max() < 0.01
    inside = np.zeros(sequences.codes.shape, bool)
    for i, k in enumerate(label):
        motif = encode(MOTIFS[k])
        for j in range(40 - len(motif) + 1):
            if (sequences.codes[i, j : j + len(motif)] == motif).all():
                inside[i, j : j + len(motif)] = True
    size = np.abs(found.values)
    assert size[inside].mean() > 2 * size[~inside].mean()
    assert (found.values[sequences.codes == ANY] == 0).all()


def test_a_linear_model_is_explained_exactly(tmp_path: Path) -> None:
    sequences = genotypes(n=120)
    folder = trained(tmp_path / "run", sequences, "pca-svm", pairs=False)
    classifier = load_classifier(folder)
    background = classifier.model.background()
    assert background is not None
    later = genotypes(n=5, seed=9)
    p = compositions(later.codes, background)
    target = np.zeros(5, np.int64)
    found = attribute(classifier.model, p, np.stack([background] * 5), target, steps=2)
    weight = classifier.run.state["weight"][:, :, 0]
    expected = ((p - background) * weight).sum(-1)
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    assert (found.values[later.codes == ANY] == 0).all()


def test_unknown_bases_are_as_the_background() -> None:
    codes = np.array([[1, ANY, HIDDEN, 5]], np.uint8)
    background = np.tile(np.array([0.1, 0.2, 0.3, 0.4], np.float32), (4, 1))
    found = compositions(codes, background)[0]
    np.testing.assert_allclose(found[0], [1, 0, 0, 0])
    np.testing.assert_allclose(found[1:3], background[:2])
    np.testing.assert_allclose(found[3], [0.5, 0, 0.5, 0])


def test_shuffles_keep_the_composition() -> None:
    codes = motifs(n=1, length=200).codes[0]
    mean = shuffled_mean(codes, np.random.default_rng(0))
    np.testing.assert_allclose(mean.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(mean.mean(0), compositions(codes[None], None)[0].mean(0), atol=0.02)


def test_places_are_those_of_the_genome() -> None:
    sequences = motifs(n=4, length=60)
    assert sequences.windows is not None
    forward, backward = places(sequences, 1), places(sequences, 3)
    assert (forward.strand, backward.strand) == ("+", "-")
    assert forward.pos[[0, -1]].tolist() == [1001, 1060]
    assert backward.pos[[0, -1]].tolist() == [3060, 3001]
    assert set(forward.contig) == {"chr2"}
    sites = places(genotypes(n=2), 0)
    assert sites.pos[:2].tolist() == [101, 201]
    assert (sites.ref[0], sites.alt[0]) == ("C", "T")
    nowhere = places(replace(sequences, windows=None), 0)
    assert set(nowhere.contig) == {""}
