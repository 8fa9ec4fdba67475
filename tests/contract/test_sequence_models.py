"""Every registered classifier of sequences keeps the same promises."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from genomix_cli.comparison.entrants import Entrant
from genomix_cli.comparison.protocol import train_entrant
from genomix_cli.comparison.rules import Rules
from genomix_cli.comparison.tuning import candidates
from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import GenomixError
from genomix_cli.formats.sequences import Sequences
from genomix_cli.genome.iupac import ANY, reverse_complement
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.provenance import Provenance
from genomix_cli.registry import SEQUENCE_CLASSIFIERS
from genomix_cli.sequences.explain.attribution import compositions
from genomix_cli.sequences.models.base import Labelled, SequenceClassifier
from genomix_cli.sequences.trained import load_classifier, save_classifier
from tests.sequence_samples import genotypes, labelled, motifs
from tests.sizes import each_size

pytest.importorskip("lightning")
pytest.importorskip("sklearn")

# What makes a network small, for those that have the field.
SMALL: dict[str, Any] = {
    "epochs": 12,
    "batch_size": 16,
    "learning_rate": 5e-3,
    "width": 16,
    "layers": 1,
    "motifs": 32,
    "filters": 32,
    "motif_width": 9,
    "sites": 32,
}
NETWORKS = ("transformer", "cnn", "legnet")
KINDS = ("dna", "genotypes")
DATA = {"dna": motifs(n=300, length=40), "genotypes": genotypes()}
LATER = {"dna": motifs(n=120, length=40, seed=1), "genotypes": genotypes(n=120, seed=1)}


@pytest.fixture(params=list(SEQUENCE_CLASSIFIERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def arch(name: str, kind: str) -> dict[str, Any]:
    model_class = SEQUENCE_CLASSIFIERS.load(name)
    fields = {field.name for field in dataclasses.fields(model_class.config_class)}
    small = {field: value for field, value in SMALL.items() if field in fields}
    if name == "transformer":
        small |= {"stem": "loci" if kind == "genotypes" else "motifs", "block": 64}
        small |= {"layers": 0, "hide": 0.5} if kind == "genotypes" else {}
    if name == "legnet":
        small |= {"channels": (24,), "filters": 24, "expansion": 2}
    if name == "gkm-svm":
        small |= {"l": 6, "k": 4}
    return {**next(iter(model_class.presets.values())), **small}


def make(name: str, kind: str) -> SequenceClassifier:
    model_class = SEQUENCE_CLASSIFIERS.load(name)
    return model_class(from_dict(model_class.config_class, arch(name, kind)))


def parts(kind: str) -> tuple[Labelled, Labelled]:
    data = labelled(DATA[kind])
    last = np.arange(len(data.label)) % 6 == 5
    return data.take(~last), data.take(last)


@cache
def fitted(name: str, kind: str) -> SequenceClassifier:
    model = make(name, kind)
    train, valid = parts(kind)
    model.fit(train, FitSettings(seed=3), valid)
    return model


def check(log_p: np.ndarray, sequences: Sequences) -> None:
    assert log_p.shape == (len(sequences), 3)
    assert log_p.dtype == np.float64
    assert np.isfinite(log_p).all()
    np.testing.assert_allclose(np.logaddexp.reduce(log_p, axis=1), 0, atol=1e-9)


def test_config_round_trips(name: str) -> None:
    model_class = SEQUENCE_CLASSIFIERS.load(name)
    for preset in model_class.presets.values():
        config = from_dict(model_class.config_class, preset)
        assert from_dict(model_class.config_class, to_dict(config)) == config


def test_what_tuning_tries_are_configurations_of_their_own(name: str) -> None:
    model_class = SEQUENCE_CLASSIFIERS.load(name)
    for preset in model_class.presets.values():
        tried = candidates(Entrant(name, name, SEQUENCE_CLASSIFIERS, preset), 100, 0)
        assert len(tried) == len({str(fields) for fields in tried})
        for fields in tried:
            from_dict(model_class.config_class, fields)


def refused_or_learned(name: str, length: int, **fields: Any) -> None:
    model_class = SEQUENCE_CLASSIFIERS.load(name)
    known = {field.name for field in dataclasses.fields(model_class.config_class)}
    short = {key: value for key, value in {"epochs": 1, "batch_size": 8}.items() if key in known}
    codes = DATA["dna"].codes[:24, :length]
    data = dataclasses.replace(DATA["dna"].take(np.arange(24)), codes=codes)
    last = np.arange(24) % 6 == 5
    train, valid = (labelled(data).take(rows) for rows in (~last, last))
    try:
        model = model_class(
            from_dict(model_class.config_class, {**arch(name, "dna"), **short, **fields})
        )
        model.fit(train, FitSettings(seed=3), valid)
    except GenomixError:
        return
    check(model.log_probability(codes), data)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_short_sequences_are_refused_or_learned(name: str, length: int) -> None:
    refused_or_learned(name, length)


@pytest.mark.slow
def test_a_size_is_refused_or_learns(name: str) -> None:
    config_class = SEQUENCE_CLASSIFIERS.load(name).config_class
    for field, value in each_size(config_class, (-1, 0, 1, 2, 7)):
        refused_or_learned(name, 40, **{field: value})


def test_learns_what_is_easy(name: str, kind: str) -> None:
    later = LATER[kind]
    log_p = fitted(name, kind).log_probability(later.codes)
    check(log_p, later)
    if name == "majority":
        return
    # Motifs lie anywhere; discriminants of all components tell them by heart.
    if kind == "dna" and SEQUENCE_CLASSIFIERS.load(name).reads_columns and name != "lda":
        return
    # Base composition differs too little between populations for k-mers to say much.
    counts = name in ("kmer-logistic", "gkm-svm")
    least = 0.4 if kind == "genotypes" and counts else 0.75
    assert (log_p.argmax(1) == later.label()[1]).mean() > least


def test_the_same_seed_gives_the_same_bytes(name: str, kind: str) -> None:
    """Results do not depend on the global generators, and leave them as they were."""
    first = save(fitted(name, kind).state())
    np.random.seed(12345)  # noqa: NPY002
    torch.manual_seed(999)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    again = make(name, kind)
    train, valid = parts(kind)
    again.fit(train, FitSettings(seed=3), valid)
    assert save(again.state()) == first
    assert (np.random.get_state()[1] == before[0]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


def test_what_is_stored_answers_alike(name: str, kind: str) -> None:
    model, later = fitted(name, kind), LATER[kind]
    stored = save(model.state())
    model_class = SEQUENCE_CLASSIFIERS.load(name)
    again = model_class(from_dict(model_class.config_class, to_dict(model.config)))
    again.restore(later.length, model.classes, load(stored))
    found, expected = (m.log_probability(later.codes) for m in (again, model))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert save(again.state()) == stored


def test_a_run_folder_answers_alike(name: str, kind: str, tmp_path) -> None:
    fields = {**arch(name, kind), **({"epochs": 1} if "epochs" in arch(name, kind) else {})}
    entrant = Entrant(name, name, SEQUENCE_CLASSIFIERS, fields)
    train, valid = parts(kind)
    later = LATER[kind]
    trained = train_entrant(entrant, train, valid, Rules(trials=1), FitSettings())
    made = Provenance("a test")
    save_classifier(tmp_path, name, trained, DATA[kind], "kind", (5, 5, 5), 0.9, made)
    classifier = load_classifier(tmp_path)
    assert classifier.classes == train.classes
    assert classifier.run.config.label == "kind"
    assert bool(classifier.run.config.columns) == (kind == "genotypes")
    p = classifier.predict(later.codes).probability
    np.testing.assert_array_equal(
        p.argmax(1), trained.models[0].log_probability(later.codes).argmax(1)
    )
    assert save(classifier.model.state()) == save(trained.models[0].state())


def test_an_answer_does_not_depend_on_the_other_sequences(name: str, kind: str) -> None:
    model, codes = fitted(name, kind), LATER[kind].codes
    together = model.log_probability(codes)
    some = np.array([17, 3, 100])
    np.testing.assert_allclose(model.log_probability(codes[some]), together[some], atol=1e-5)
    np.testing.assert_allclose(model.log_probability(codes[17:18]), together[[17]], atol=1e-5)


def test_unknown_bases_are_no_crash(name: str, kind: str) -> None:
    later = LATER[kind].take(np.arange(2))
    check(fitted(name, kind).log_probability(np.full_like(later.codes, ANY)), later)


def test_either_strand_answers_alike(name: str) -> None:
    """Models that read columns as places, such as principal components, are exempt."""
    if SEQUENCE_CLASSIFIERS.load(name).reads_columns:
        pytest.skip("reads columns as places")
    codes = LATER["dna"].codes
    model = fitted(name, "dna")
    found = model.log_probability(reverse_complement(codes))
    np.testing.assert_allclose(found, model.log_probability(codes), atol=1e-4)


def test_gradients_lead_to_what_it_answers(name: str, kind: str) -> None:
    model, codes = fitted(name, kind), LATER[kind].codes[:8]
    background = model.background() if kind == "genotypes" else None
    p = torch.from_numpy(compositions(codes, background)).requires_grad_()
    if not model.has_gradient():
        assert name not in (*NETWORKS, "pca-logistic", "pca-svm", "lda")
        with pytest.raises(NotImplementedError):
            model.logits_of(p)
        return
    logits = model.logits_of(p)
    found = torch.log_softmax(logits.detach().double(), -1).numpy()
    if background is not None or not (codes == ANY).any() or name in NETWORKS:
        np.testing.assert_allclose(found, model.log_probability(codes), atol=1e-3)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), p)
    assert bool((gradient != 0).any())
