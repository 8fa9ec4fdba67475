"""Masked diffusion against closed forms, an oracle for the denoiser, and enumeration."""

from __future__ import annotations

from itertools import pairwise, permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genomix_cli.errors import UsageError
from genomix_cli.formats.sequences import Phenotype, Sequences
from genomix_cli.genome import iupac
from genomix_cli.learning.networks import new_module
from genomix_cli.sequences.generate.conditions import (
    Condition,
    Mix,
    mix_of,
    parse_conditions,
    phenotypes_of,
    values_of,
    wanted_values,
)
from genomix_cli.sequences.generate.learning import Averaged, DiffusionOptions, DiffusionTask
from genomix_cli.sequences.generate.likelihood import evidence_of, restored
from genomix_cli.sequences.generate.markov import MarkovChain
from genomix_cli.sequences.generate.model import Denoiser, DenoiserConfig
from genomix_cli.sequences.generate.process import (
    CHUNK,
    Predict,
    bound,
    fill,
    guided,
    hide,
    posterior,
    spread,
    surprise,
    to_bases,
)
from genomix_cli.sequences.train.learning import Batch, turned

TINY = {"channels": 8, "kernel": 3, "blocks": 1, "width": 16, "heads": 2, "layers": 1}


def built(config: DenoiserConfig) -> Denoiser:
    return new_module(lambda: Denoiser(config), 0)


def source(order: int = 1, seed: int = 0) -> MarkovChain:
    rng = np.random.default_rng(seed)
    return MarkovChain(tuple(rng.dirichlet([0.7] * 4, 4**j) for j in range(order + 1)))


def oracle(chain: MarkovChain) -> Predict:
    """The denoiser that knows the source."""

    def predict(bases: Tensor, values: Tensor) -> Tensor:
        p = chain.posterior(evidence_of(bases.numpy(), 0))
        return torch.from_numpy(np.log(np.maximum(p, 1e-12)))

    return predict


def nothing(n: int) -> np.ndarray:
    return np.empty((n, 0), np.float32)


def test_the_bound_of_the_true_source_is_its_likelihood() -> None:
    """Summed over all sets of hidden bases, the exact denoiser's bound is the likelihood."""
    chain, predict = source(), oracle(source())
    codes = iupac.from_bases(np.array(list(product(range(4), repeat=3)))[::5])
    batch = torch.from_numpy(codes)
    total = np.zeros(len(codes))
    for k in range(3):
        for order in permutations(range(3)):
            when = torch.full((len(codes),), (k + 0.5) / 3)
            noised = hide(batch, when, torch.tensor(order).expand(len(codes), -1).float())
            logits = predict(noised.bases, torch.empty(len(codes), 0))
            total += surprise(logits, noised).numpy() / 6
    np.testing.assert_allclose(total, -chain.log_likelihood(codes), rtol=1e-4)


def test_the_bound_of_uniform_bases_is_log_four() -> None:
    codes = iupac.from_bases(np.random.default_rng(0).integers(0, 4, (5, 11)))
    found = bound(lambda bases, _: torch.zeros(*bases.shape, 4), codes, nothing(5), 3, 0)
    np.testing.assert_allclose(found, np.log(4), rtol=1e-6)


def test_the_bound_by_monte_carlo_is_near_the_likelihood() -> None:
    chain = source(1, 3)
    codes = chain.sample(300, 12, np.random.default_rng(0))
    found = bound(oracle(chain), codes, nothing(300), 12, 0).mean()
    assert found == pytest.approx(-chain.log_likelihood(codes).mean() / 12, abs=0.02)


@settings(max_examples=30, deadline=None)
@given(st.text("ACGTNR-", min_size=4, max_size=12), st.floats(0, 0.999))
def test_hiding_takes_the_share_asked_for_and_nothing_unknown(text: str, when: float) -> None:
    codes = np.array([[iupac.LETTERS.index(letter) for letter in text]], np.uint8)
    order = torch.from_numpy(np.random.default_rng(0).random(codes.shape))
    noised = hide(torch.from_numpy(codes), torch.tensor([when]), order)
    known = sum(letter in "ACGT" for letter in text)
    assert int(noised.scored.sum()) == min(int(np.float32(when) * known) + 1, known)
    single = to_bases(torch.from_numpy(codes)) < 4
    assert not (noised.scored & ~single).any()
    assert (noised.bases[~single] == 4).all()
    assert torch.equal(noised.bases[single & ~noised.scored], noised.truth[single & ~noised.scored])


def test_times_of_a_batch_are_spread() -> None:
    when = spread(8, torch.tensor(0.3))
    assert (when * 8).floor().tolist() == list(range(8))


def test_sampling_one_base_at_a_time_follows_the_source() -> None:
    chain = source(1, 1)
    drawn = fill(oracle(chain), np.zeros((3000, 3), np.uint8), nothing(3000), 3, 0)
    every = iupac.from_bases(np.array(list(product(range(4), repeat=3))))
    expected = np.exp(chain.log_likelihood(every))
    found = np.array([(drawn == row).all(1).mean() for row in every])
    assert np.abs(found - expected).sum() / 2 < 0.06


def test_sampling_draws_each_base_once_and_keeps_what_is_known() -> None:
    codes = np.tile(iupac.encode("ACGTRYNNNNNN"), (20, 1))
    seen: list[Tensor] = []

    def predict(bases: Tensor, values: Tensor) -> Tensor:
        seen.append(bases.clone())
        return torch.zeros(*bases.shape, 4)

    filled = fill(predict, codes, nothing(20), 4, 0)
    assert len(seen) == 4
    for before, after in pairwise(seen):
        assert ((before == after) | (before == 4)).all()
        assert (((before == 4) & (after < 4)).sum(1) == 2).all()
    assert (filled[:, :4] == codes[:, :4]).all()
    assert set(filled[:, 4]) == {1, 4}  # R: A or G
    assert set(filled[:, 5]) == {2, 8}
    assert (iupac.to_bases(filled) < 4).all()


def test_the_first_sequences_are_the_same_however_many_follow() -> None:
    predict = oracle(source())
    many, few = (
        fill(predict, np.zeros((n, 6), np.uint8), nothing(n), 2, 5) for n in (CHUNK + 9, 7)
    )
    np.testing.assert_array_equal(many[:7], few)
    assert (many[CHUNK : CHUNK + 7] != few).any()


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_guidance_is_its_formula(weight: float) -> None:
    def predict(bases: Tensor, values: Tensor) -> Tensor:
        known = torch.tensor([2.0, 0.0, -1.0, 0.0]).expand(*bases.shape, 4)
        return torch.where(values.isnan()[:, :, None], torch.zeros(4), known)

    bases, values = torch.full((2, 3), 4), torch.ones(2, 1)
    found = guided(predict, weight)(bases, values).log_softmax(-1)
    free, own = (predict(bases, v).log_softmax(-1) for v in (values * torch.nan, values))
    torch.testing.assert_close(found, (free + weight * (own - free)).log_softmax(-1))


@pytest.mark.parametrize("groups", [1, 3])
def test_the_posterior_of_one_unsure_base_is_exact(groups: int) -> None:
    chain = source(1, 4)
    evidence = evidence_of(np.array([[0, 1, 4, 3], [2, 2, 1, 0]]), 0)
    evidence[1, 1] = [0.1, 0.2, 0.6, 0.1]
    found = posterior(oracle(chain), evidence, nothing(2), groups, 0)
    np.testing.assert_allclose(found, chain.posterior(evidence), atol=1e-5)


def test_restoring_counts_hidden_bases_alone_and_wrong_ones_among_all() -> None:
    codes = np.tile(iupac.encode("ACGTACGTNN"), (50, 1))

    def perfect(evidence: np.ndarray) -> np.ndarray:
        return np.eye(4)[iupac.to_bases(codes) % 4]

    rows = restored({"perfect": perfect}, codes, np.arange(50), 0, (0.3,))
    by = {(row.name, row.damage): row.accuracy.value for row in rows}
    assert by["perfect", "hidden"] == by["perfect", "wrong"] == 1
    assert by["as it is", "wrong"] == pytest.approx(0.7, abs=0.08)


@pytest.mark.parametrize("length", [8, 13])
def test_any_length_fits_the_patches(length: int) -> None:
    denoiser = built(DenoiserConfig(length, (3, 0), **TINY))
    values = torch.tensor([[2.0, -0.3], [torch.nan, torch.nan]])
    with torch.no_grad():
        for block in denoiser.blocks:
            block.film.weight.normal_(generator=torch.Generator().manual_seed(0))
    logits = denoiser(torch.full((2, length), 4), values)
    assert logits.shape == (2, length, 4)
    assert not torch.allclose(logits[0], logits[1])
    logits.square().sum().backward()
    assert all(p.grad is not None for p in denoiser.parameters())


def test_too_long_sequences_are_refused() -> None:
    with pytest.raises(UsageError, match="too long for diffusion"):
        Denoiser(DenoiserConfig(100_000, **TINY))


def _task(strands: bool, **options: float) -> DiffusionTask:
    module = Averaged(built(DenoiserConfig(12, (2,), **TINY)), 0.9)
    return DiffusionTask(module, DiffusionOptions(**options), strands, 0)  # type: ignore[arg-type]


def test_the_noise_of_a_step_is_that_of_its_generator_alone() -> None:
    codes = torch.from_numpy(iupac.from_bases(np.random.default_rng(0).integers(0, 4, (4, 12))))
    batch = Batch(codes, torch.arange(4), torch.zeros(4, 1))
    task = _task(True)
    first, second, third = (
        _task(True).losses(batch, torch.Generator().manual_seed(seed))["loss"] for seed in (0, 0, 1)
    )
    assert first == second != third
    assert torch.equal(task.predict(batch), task.predict(batch))


def test_the_average_follows_the_weights() -> None:
    module = Averaged(built(DenoiserConfig(12, **TINY)), 0.5)
    module.follow()
    weight, mean = module.denoiser.position, module.average.position
    torch.testing.assert_close(weight, mean)
    with torch.no_grad():
        weight += 1
    module.follow()
    expected = 1 - min(0.5, 2 / 11)
    torch.testing.assert_close(mean, weight - 1 + expected)


def test_the_other_strand_is_learned_from() -> None:
    codes = torch.from_numpy(np.tile(iupac.encode("AACGGGTTNACC"), (40, 1)))
    texts = {iupac.decode(row) for row in turned(codes, torch.Generator().manual_seed(0)).numpy()}
    assert texts == {"AACGGGTTNACC", "GGTNAACCCGTT"}


@pytest.mark.parametrize(("drop", "known"), [(0.0, 1.0), (1.0, 0.0)])
def test_conditions_are_dropped_as_often_as_asked(drop: float, known: float) -> None:
    task = _task(False, drop=drop)
    values = task._dropped(torch.zeros(50, 1), torch.Generator().manual_seed(0))
    assert float((~values.isnan()).float().mean()) == known


def test_a_trained_model_comes_near_the_entropy_and_not_below() -> None:
    chain = source(1, 7)
    rng = np.random.default_rng(0)
    train, test = chain.sample(1500, 12, rng), chain.sample(1500, 12, rng)
    denoiser = built(DenoiserConfig(12, **TINY))
    optimiser = torch.optim.Adam(denoiser.parameters(), 1e-2)
    draw = torch.Generator().manual_seed(0)
    for _ in range(150):
        rows = torch.randint(len(train), (128,), generator=draw).numpy()
        when = spread(128, torch.rand((), generator=draw))
        noised = hide(torch.from_numpy(train[rows]), when, torch.rand(128, 12, generator=draw))
        loss = surprise(denoiser(noised.bases, torch.empty(128, 0)), noised).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = bound(denoiser, test, nothing(len(test)), 12, 0).mean()
    entropy = -chain.log_likelihood(test).mean() / 12
    independent = -chain.lower(0).log_likelihood(test).mean() / 12
    assert entropy - 0.01 < found < (entropy + independent) / 2


# conditions

CELL = Condition("cell", ("K562", "HepG2"))
AGE = Condition("age", None, 50.0, 10.0)


def _sequences(cell: list[int], age: list[float]) -> Sequences:
    n = len(cell)
    return Sequences(
        names=np.array([f"s{i}" for i in range(n)]),
        codes=np.ones((n, 4), np.uint8),
        group=np.arange(n),
        split=np.full(n, ""),
        phenotypes=(
            Phenotype("cell", ("HepG2", "liver", "K562"), np.array(cell, np.int16)),
            Phenotype("age", None, np.array(age, np.float32)),
        ),
    )


def test_values_go_by_name_and_back() -> None:
    sequences = _sequences([2, 0, 1, -1], [60, 45, np.nan, 50])
    values = values_of((CELL, AGE), sequences)
    np.testing.assert_allclose(values, [[0, 1], [1, -0.5], [np.nan, np.nan], [np.nan, 0]])
    cell, age = phenotypes_of((CELL, AGE), values)
    assert [cell.categories[k] for k in cell.values[:2]] == ["K562", "HepG2"]  # type: ignore[index]
    assert cell.values[2:].tolist() == [-1, -1]
    np.testing.assert_allclose(age.values, [60, 45, np.nan, 50])


def test_without_a_wish_conditions_are_as_in_training() -> None:
    values = np.array([[0], [0], [0], [1], [np.nan]], np.float32)
    mix = mix_of(values, 0)
    assert mix.weight.tolist() == [3, 1, 1]
    drawn = wanted_values((CELL,), {}, mix, 5000, 0)
    assert np.mean(drawn == 0) == pytest.approx(0.6, abs=0.03)
    assert np.isnan(drawn).mean() == pytest.approx(0.2, abs=0.03)


def test_a_wish_leaves_the_rest_open() -> None:
    mix = Mix(np.zeros((1, 2), np.float32), np.ones(1, np.int64))
    found = wanted_values((CELL, AGE), {"age": 70}, mix, 2, 0)
    np.testing.assert_allclose(found, [[np.nan, 2], [np.nan, 2]])


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["K562"], {"cell": "K562"}),
        (["cell=HepG2", "age=3"], {"cell": "HepG2", "age": "3"}),
    ],
)
def test_conditions_are_read(texts: list[str], found: dict[str, str]) -> None:
    assert parse_conditions((CELL, AGE), texts) == found


@pytest.mark.parametrize("texts", [["liver"], ["organ=K562"], ["K562", "cell=HepG2"]])
def test_unknown_conditions_are_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_conditions((CELL, AGE), texts)


def test_the_known_conditions_are_named() -> None:
    with pytest.raises(UsageError, match="cell=K562 or cell=HepG2 or age=NUMBER"):
        parse_conditions((CELL, AGE), ["Hepg2"])
    with pytest.raises(UsageError, match="K562, HepG2"):
        CELL.value("liver")
