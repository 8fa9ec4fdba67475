"""A transformer that starts from linear discriminants, and learns what to add to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from genomix_cli.comparison.tuning import nll_of
from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.sequences.models.base import Labelled
from genomix_cli.sequences.models.discriminants import Discriminants, DiscriminantsConfig
from genomix_cli.sequences.models.linear_start import LinearPart, linear_start
from genomix_cli.sequences.models.transformer import Transformer
from tests.sequence_samples import genotypes, labelled, motifs

pytest.importorskip("lightning")
pytest.importorskip("sklearn")

SMALL = {"stem": "loci", "linear_start": True, "width": 16, "sites": 32, "batch_size": 16}
CPU = FitSettings(device="cpu")


def halves(data: Labelled) -> tuple[Labelled, Labelled]:
    first = np.arange(len(data)) % 2 == 0
    return data.take(first), data.take(~first)


def fitted(train: Labelled, valid: Labelled, **arch: Any) -> Transformer:
    model = Transformer.of({**SMALL, **arch})
    model.fit(train, CPU, valid)
    return model


def probabilities(logits: torch.Tensor) -> np.ndarray:
    return torch.softmax(logits.double(), -1).numpy()


def test_the_start_is_what_the_discriminants_answer() -> None:
    train, later = halves(labelled(genotypes()))
    start = linear_start(train, 0)
    part = LinearPart(train.sequences.length, 3)
    part.load_state_dict({name: torch.from_numpy(array) for name, array in start.arrays.items()})
    logits = part(torch.from_numpy(later.inputs)).double().numpy()
    found = []
    for shrinkage in (0.1, 0.2, 0.5, 0.8):
        model = Discriminants(DiscriminantsConfig(shrinkage=shrinkage))
        model.fit(train, CPU, later)
        expected = model.log_probability(later.inputs)
        # The same up to a temperature.
        sharp = np.polyfit((expected - expected[:, :1]).ravel(), _apart(logits).ravel(), 1)
        found.append(np.abs(np.polyval(sharp, expected - expected[:, :1]) - _apart(logits)).max())
    assert min(found) < 1e-3


def _apart(logits: np.ndarray) -> np.ndarray:
    return logits - logits[:, :1]


def test_out_of_fold_nothing_is_known_of_relatives() -> None:
    """Pairs share genotypes and a random class, so seeing one would reveal the other."""
    people = genotypes(n=120)
    twins = replace(people, codes=people.codes.repeat(2, 0)[:120], group=np.arange(120) // 2)
    label = np.random.default_rng(0).integers(0, 3, 60).repeat(2)
    told = {}
    for name, group in (("whole", twins.group), ("parted", np.arange(120))):
        data = Labelled(replace(twins, group=group), label, ("A", "B", "C"))
        told[name] = float((linear_start(data, 0).logits.argmax(1) == label).mean())
    assert told["whole"] < 0.5 < 0.7 < told["parted"]


def test_a_class_of_one_person_is_learned_from_there() -> None:
    data = labelled(genotypes(n=60))
    rare = data.relabelled(np.where(np.arange(60) == 7, 2, data.label % 2))
    logits = linear_start(rare, 0).logits
    assert np.isfinite(logits).all()
    assert logits[7].argmax() == 2


def test_one_person_of_each_class_is_enough_to_start_from() -> None:
    data = labelled(genotypes(n=60))
    one = data.take([int(np.flatnonzero(data.label == k)[0]) for k in range(3)])
    assert linear_start(one, 0).logits.argmax(1).tolist() == [0, 1, 2]


def test_a_network_that_learns_too_fast_leaves_the_start_as_it_was() -> None:
    train, valid = halves(labelled(genotypes(n=160, sites=40)))
    model = fitted(train, valid, learning_rate=0.5, epochs=2, clip=1e6)
    network, codes = model.module, torch.from_numpy(np.array(valid.inputs))
    with torch.no_grad():
        whole, linear = (probabilities(f(codes)) for f in (network, network.linear))
    assert nll_of(whole, valid.label) <= nll_of(linear, valid.label) + 1e-9


def test_it_learns_what_is_not_linear() -> None:
    """Whether two sites are both heterozygous or both not cannot be learned by a linear model."""
    rng = np.random.default_rng(0)
    people = genotypes(n=400, sites=8)
    ref, alt = people.columns.ref, people.columns.alt  # type: ignore[union-attr]
    dosage = rng.integers(0, 2, (400, 8)) * 2
    codes = np.choose(dosage // 2, [ref, alt]).astype(np.uint8)
    label = (dosage[:, 0] // 2) ^ (dosage[:, 5] // 2)
    train, valid = halves(Labelled(replace(people, codes=codes), label, ("A", "B")))
    model = fitted(
        *(train, valid), layers=1, sites=1, heads=2, hide=0.0, learning_rate=1e-2, epochs=10
    )
    found = model.log_probability(valid.inputs).argmax(1) == valid.label
    linear = torch.cat(list(model._run(model.module.linear, valid.inputs)))
    assert (linear.argmax(1).numpy() == valid.label).mean() < 0.65
    assert found.mean() > 0.9


def test_the_vector_of_a_person_has_the_linear_logits_too() -> None:
    train, valid = halves(labelled(genotypes(n=60)))
    model = fitted(train, valid, epochs=1)
    vectors = model.embedding(valid.inputs)
    assert vectors.shape == (30, 16 + 3)
    with torch.no_grad():
        linear = model.module.linear(torch.from_numpy(np.array(valid.inputs)))
    np.testing.assert_allclose(vectors[:, 16:], linear.numpy(), atol=1e-6)


def test_only_aligned_sequences_have_a_linear_start() -> None:
    train, valid = halves(labelled(motifs(n=60)))
    with pytest.raises(UsageError, match="linear_start: needs aligned sequences"):
        fitted(train, valid, stem="motifs", motifs=16, epochs=1)
