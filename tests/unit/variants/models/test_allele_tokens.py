"""Allele tokens whose first filters start from known motifs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from genomix_cli.errors import UsageError
from genomix_cli.genome.alphabet import HIDDEN_BASE, UNKNOWN_BASE
from genomix_cli.genome.motifs import default_motifs
from genomix_cli.learning.motifs import motif_filters
from genomix_cli.variants.models.allele_tokens import AlleleTokens, KmerEmbedding
from genomix_cli.variants.models.gmt import GMT, GMTConfig

K, WIDTH, TAPS = 6, 64, 9
N = len(default_motifs())


@pytest.fixture(scope="module")
def random() -> tuple[KmerEmbedding, AlleleTokens]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return KmerEmbedding(K, WIDTH), AlleleTokens(WIDTH, 32, 8)


@pytest.fixture(scope="module")
def started() -> tuple[KmerEmbedding, AlleleTokens]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        embedding, tokens = KmerEmbedding(K, WIDTH), AlleleTokens(WIDTH, 32, 8)
        tokens.start_from_motifs(embedding, default_motifs())
    return embedding, tokens


@torch.no_grad()
def test_filters_score_motifs_on_both_strands(
    started: tuple[KmerEmbedding, AlleleTokens],
) -> None:
    embedding, tokens = started
    codes = torch.randint(0, 4, (20, 200), generator=torch.Generator().manual_seed(1))
    found = F.conv1d(
        embedding(embedding.ids(codes)).transpose(1, 2), tokens.conv1.weight, tokens.conv1.bias
    )
    onehot = F.one_hot(codes, 4).float().transpose(1, 2)
    filters = motif_filters(default_motifs(), N, K + TAPS - 1)
    forward = F.conv1d(onehot, filters.log_odds)
    # The score on the opposite strand is that of the reverse complement, read backwards.
    reverse = F.conv1d(onehot.flip(1, 2), filters.log_odds).flip(2)
    scores = torch.cat([forward, reverse], dim=1)
    at_random = F.conv1d(
        F.one_hot(torch.randint(0, 4, (500, 200)), 4).float().transpose(1, 2), filters.log_odds
    )
    sd = at_random.std((0, 2)).repeat(2)[:, None]
    expected = (scores - filters.thresholds.repeat(2)[:, None]) / sd
    torch.testing.assert_close(found[:, : 2 * N], expected, rtol=0.05, atol=0.05)


def test_other_filters_stay_random(
    random: tuple[KmerEmbedding, AlleleTokens], started: tuple[KmerEmbedding, AlleleTokens]
) -> None:
    (_, before), (_, after) = random, started
    assert torch.equal(before.conv1.weight[2 * N :], after.conv1.weight[2 * N :])
    assert not torch.equal(before.conv1.weight[: 2 * N], after.conv1.weight[: 2 * N])


@torch.no_grad()
def test_kmers_spell_their_bases_at_unit_variance(
    random: tuple[KmerEmbedding, AlleleTokens], started: tuple[KmerEmbedding, AlleleTokens]
) -> None:
    embedding = started[0]
    every = embedding(torch.arange(4**K))
    spelled = every[:, : 4 * K]
    assert float(spelled.std()) == pytest.approx(1, abs=1e-3)
    assert float(spelled.mean()) == pytest.approx(0, abs=1e-6)
    codes = torch.tensor([3, 0, 1, 2, 2, 0])
    bases = embedding(embedding.ids(codes))[0, : 4 * K].unflatten(0, (K, 4))
    assert torch.equal(bases.argmax(1), codes)
    for base in (UNKNOWN_BASE, HIDDEN_BASE):
        codes[2] = base
        assert not embedding(embedding.ids(codes))[0, : 4 * K].any()
    # The other dimensions stay random.
    assert torch.equal(embedding.weight[:, 4 * K :], random[0].weight[:, 4 * K :])


def test_of_many_motifs_some_represent_all() -> None:
    embedding, tokens = KmerEmbedding(3, 12), AlleleTokens(12, 32, 8)
    before = tokens.conv1.weight.detach().clone()
    tokens.start_from_motifs(embedding, default_motifs())
    changed = (tokens.conv1.weight != before).flatten(1).any(1)
    assert changed.tolist() == [True] * 10 + [False] * 2


def test_an_embedding_too_narrow_to_spell_is_refused() -> None:
    model = GMT(GMTConfig(tracks=(), n_bins=400, d_model=16, n_heads=2, d_local=23))
    with pytest.raises(UsageError, match=r"d_local of at least 4 x k = 24 \(found d_local=23\)"):
        model.start_from_motifs(default_motifs())
