"""Markov chains of bases against closed forms and brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomix_cli.genome import iupac
from genomix_cli.sequences.generate.markov import STRENGTH, MarkovChain, fit_markov


def chain(order: int, seed: int = 0) -> MarkovChain:
    """A chain with tables of a seed."""
    rng = np.random.default_rng(seed)
    return MarkovChain(tuple(rng.dirichlet([0.5] * 4, 4**j) for j in range(order + 1)))


def joint(source: MarkovChain, bases: tuple[int, ...]) -> float:
    """Probability of bases, the plain way."""
    p = 1.0
    for i, base in enumerate(bases):
        context = bases[max(0, i - source.order) : i]
        number = int("".join(map(str, context)) or "0", 4)
        p *= source.tables[len(context)][number, base]
    return p


@pytest.mark.parametrize("order", [0, 1, 2])
def test_likelihood_is_the_product_of_the_tables(order: int) -> None:
    source = chain(order)
    every = np.array(list(product(range(4), repeat=4)))
    found = source.log_likelihood(iupac.from_bases(every))
    expected = [np.log(joint(source, tuple(row))) for row in every]
    np.testing.assert_allclose(found, expected)
    assert np.exp(found).sum() == pytest.approx(1)


def test_after_an_unknown_base_the_context_is_what_follows_it() -> None:
    source = chain(2)
    found = source.log_likelihood(iupac.encode("ACNGT")[None])
    expected = [
        source.tables[0][0, 0],  # A
        source.tables[1][0, 1],  # C after A
        source.tables[0][0, 2],  # G after N
        source.tables[1][2, 3],  # T after G
    ]
    assert found[0] == pytest.approx(np.log(expected).sum())


@pytest.mark.parametrize("order", [0, 1, 2])
def test_posterior_is_that_of_enumeration(order: int) -> None:
    source, rng = chain(order, 3), np.random.default_rng(1)
    evidence = rng.random((3, 4, 4)) + 0.05
    evidence[0, 1] = 1.0  # hidden
    evidence[1, 2] = np.eye(4)[3]  # known
    expected = np.zeros((3, 4, 4))
    for bases in product(range(4), repeat=4):
        p = joint(source, bases) * evidence[:, range(4), bases].prod(1)
        for i, base in enumerate(bases):
            expected[:, i, base] += p
    expected /= expected.sum(-1, keepdims=True)
    np.testing.assert_allclose(source.posterior(evidence), expected, atol=1e-5)


def test_a_fit_finds_the_chain_it_was_drawn_from() -> None:
    source = chain(2, 5)
    drawn = source.sample(4000, 60, np.random.default_rng(0))
    fitted = fit_markov(drawn, 2)
    seen = np.bincount(iupac.kmer_numbers(drawn, 2).ravel(), minlength=16) > 3000
    np.testing.assert_allclose(fitted.tables[2][seen], source.tables[2][seen], atol=0.03)
    # What it was fitted to is likelier under the true order than under a lower one.
    assert fitted.log_likelihood(drawn).sum() > fitted.lower(1).log_likelihood(drawn).sum()


def test_both_strands_are_alike_to_a_chain_that_counted_both() -> None:
    drawn = chain(1, 2).sample(200, 50, np.random.default_rng(0))
    fitted = fit_markov(drawn, 1, strands=True)
    pair = fitted.tables[0].ravel()
    np.testing.assert_allclose(pair, pair[::-1])


def test_rare_contexts_lean_on_the_class_less_chain() -> None:
    pooled = chain(1, 4)
    fitted = fit_markov(iupac.encode("NNNN")[None], 1, prior=pooled)
    for own, all_of_them in zip(fitted.tables, pooled.tables, strict=True):
        np.testing.assert_allclose(own, all_of_them)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text("ACGTN", min_size=5, max_size=5), min_size=1, max_size=4), st.integers(1, 3)
)
def test_kmer_numbers_are_base_four(texts: list[str], k: int) -> None:
    numbers = iupac.kmer_numbers(np.stack([iupac.encode(text) for text in texts]), k)
    for text, row in zip(texts, numbers, strict=True):
        words = [text[i : i + k] for i in range(len(text) - k + 1)]
        expected = [
            -1 if "N" in word else int("".join(str("ACGT".index(x)) for x in word), 4)
            for word in words
        ]
        assert row.tolist() == expected


def test_a_context_leans_on_the_one_without_its_first_base() -> None:
    texts = ["ACGTTGCA", "AACCGGTT", "ACACACGT"]
    fitted = fit_markov(np.stack([iupac.encode(text) for text in texts]), 2)

    def p(context: str, base: str) -> float:
        def count(word: str) -> int:
            return sum(text[i:].startswith(word) for text in texts for i in range(len(text)))

        lean = p(context[1:], base) if context else 1 / 4
        of_context = sum(count(context + other) for other in "ACGT")
        return (count(context + base) + STRENGTH * lean) / (of_context + STRENGTH)

    for order, table in enumerate(fitted.tables):
        contexts = ["".join(word) for word in product("ACGT", repeat=order)]
        expected = [[p(context, base) for base in "ACGT"] for context in contexts]
        np.testing.assert_allclose(table, expected)
