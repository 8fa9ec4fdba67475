"""Values as tokens, including missing ones."""

from __future__ import annotations

from dataclasses import replace

import torch

from genomix_cli.cohorts.models.network import Inputs
from genomix_cli.cohorts.models.tab_transformer import TabTransformer, TabTransformerConfig
from genomix_cli.cohorts.models.tokens import (
    CohortTokens,
    FeatureTokens,
    TokenConfig,
    plain_values,
    thinned,
)
from genomix_cli.learning.fit_settings import FitSettings
from tests.network_samples import exclusive_or

B, D = 5, 6


def some(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def every(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, dtype=torch.bool)


def test_a_token_is_an_embedding_and_the_value_times_a_direction() -> None:
    tokens, values = FeatureTokens(4, D, max_tokens=4), some(B, 4)
    got = tokens(values, every(B, 4), every(B))
    assert got.shape == (B, 4, D)
    for j in range(4):
        wanted = tokens.embedding[j] + values[:, j, None] * tokens.direction[j]
        torch.testing.assert_close(got[:, j], wanted)


def test_a_missing_value_has_its_own_token_whatever_stands_there() -> None:
    tokens, values, observed = FeatureTokens(4, D, 4), some(B, 4), every(B, 4)
    observed[2, 1] = False
    got = tokens(values, observed, every(B))
    assert torch.equal(got[2, 1], tokens.missing[1])
    torch.testing.assert_close(got[2, 0], tokens.embedding[0] + values[2, 0] * tokens.direction[0])


def test_an_absent_modality_is_one_learned_token_throughout() -> None:
    tokens, present = FeatureTokens(4, D, 4), every(B)
    present[3] = False
    got = tokens(some(B, 4), every(B, 4), present)
    assert torch.equal(got[3], tokens.absent.expand(4, D))


def test_many_features_become_so_many_combinations_of_about_unit_variance() -> None:
    tokens, values = FeatureTokens(400, D, max_tokens=30), some(64, 400)
    assert tokens.project is not None
    combined = tokens.project(values).detach()
    assert 0.8 < float(combined.std()) < 1.2
    got = tokens(values, every(64, 400), every(64))
    wanted = tokens.embedding + combined[..., None] * tokens.direction
    torch.testing.assert_close(got, wanted)


def test_projected_a_missing_value_counts_as_the_mean_and_all_missing_as_missing() -> None:
    tokens, values, observed = FeatureTokens(40, D, 3), some(B, 40), every(B, 40)
    observed[0, :20] = False
    observed[1] = False
    got = tokens(values, observed, every(B))
    zeroed = values.clone()
    zeroed[0, :20] = 0
    torch.testing.assert_close(got[0], tokens(zeroed, every(B, 40), every(B))[0])
    assert torch.equal(got[1], tokens.missing)


def test_a_modality_without_features_still_has_a_token() -> None:
    tokens = FeatureTokens(0, D, 8)
    got = tokens(torch.zeros(B, 0), torch.zeros(B, 0, dtype=torch.bool), every(B))
    assert torch.equal(got, tokens.missing.expand(B, 1, D))


def test_a_cohort_has_the_tokens_of_its_modalities_side_by_side() -> None:
    tokens = CohortTokens([3, 0, 50], D, max_tokens=8)
    assert tokens.sizes == (3, 1, 8)
    present = torch.tensor([[True, False, True]])
    values = tuple(some(1, k) for k in (3, 0, 50))
    inputs = Inputs(values, tuple(every(1, k) for k in (3, 0, 50)), present)
    assert [x.shape[1] for x in tokens(inputs)] == [3, 1, 8]
    assert tokens.present(inputs).tolist() == [[True] * 3 + [False] + [True] * 8]


def test_plain_values_are_zero_where_missing_and_say_what_is_there() -> None:
    values = (torch.full((1, 2), 5.0), torch.full((1, 2), 7.0))
    observed = (torch.tensor([[True, False]]), every(1, 2))
    got = plain_values(Inputs(values, observed, torch.tensor([[True, False]])))
    assert got.tolist() == [[5, 0, 0, 0, 1, 0]]


def test_few_samples_are_seen_more_often() -> None:
    config = TabTransformerConfig(width=8, epochs=2, patience=0, batch_size=20, steps=15)
    fitted = TabTransformer(config).fit(exclusive_or(60, 0), FitSettings())
    # 50 or so of them to learn from are 3 steps in each epoch, and 5 such are 15.
    assert len(fitted.curve) == 5
    exact = TabTransformer(replace(config, stretch=False)).fit(exclusive_or(60, 0), FitSettings())
    assert len(exact.curve) == 2


def test_only_wide_modalities_are_thinned_and_keep_their_mean() -> None:
    config = TokenConfig(max_tokens=3, wide_dropout=0.75)
    values = (torch.ones(2, 3), torch.ones(50, 400))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        narrow, wide = thinned(Inputs(values, (), torch.ones(1, 2)), config).values
    assert torch.equal(narrow, values[0])
    assert sorted(set(wide.flatten().tolist())) == [0, 4]
    assert 0.95 < float(wide.mean()) < 1.05
