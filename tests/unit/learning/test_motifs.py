"""Known motifs as the first filters of a network."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from genomix_cli.genome.motifs import CONSENSUS, Motif, default_motifs, from_consensus
from genomix_cli.learning.activity import ActivityConfig, ActivityEncoder, Output
from genomix_cli.learning.motifs import RARITY, motif_filters, start_from

WIDTH = 19


def random_sequences(n: int, seed: int) -> torch.Tensor:
    codes = np.random.default_rng(seed).integers(0, 4, (n, 200))
    return F.one_hot(torch.from_numpy(codes), 4).float()


def test_a_motif_occupies_as_few_places_as_it_promises() -> None:
    filters = motif_filters(default_motifs(), 12, WIDTH)
    scores = F.conv1d(random_sequences(2000, 7).transpose(1, 2), filters.log_odds)
    share = (scores > filters.thresholds[:, None]).float().mean((0, 2))
    # Scores are discrete: some thresholds are reached by a few more places than they cut off.
    assert share.max() < 2 * RARITY
    assert share.min() > RARITY / 10


def test_the_first_layer_finds_a_motif_where_it_lies() -> None:
    motif = from_consensus("CTCF", CONSENSUS["CTCF"])
    encoder = ActivityEncoder(ActivityConfig((Output("a", unit="u"),), stem=3)).eval()
    encoder.start_from(*motif_filters([motif], 1, encoder.motifs.kernel_size[0]))
    sequence = random_sequences(1, 3)
    sequence[0, 90 : 90 + motif.width] = torch.eye(4)[motif.probabilities.argmax(1)]
    occupied = torch.sigmoid(encoder.motifs(sequence.transpose(1, 2)))[0, 0]
    assert int(occupied.argmax()) == 90 + motif.width // 2
    assert occupied.max() > 0.99


def test_near_duplicates_are_chosen_last() -> None:
    rng = np.random.default_rng(0)
    first, *others = default_motifs()[:4]
    copies = []
    for i in range(3):
        p = first.probabilities + rng.uniform(0, 0.01, first.probabilities.shape)
        copies.append(Motif(f"copy{i}", p / p.sum(1, keepdims=True)))
    motifs = [first, *copies, *others]
    chosen = motif_filters(motifs, 4, WIDTH).log_odds
    rows = [motif_filters([motif], 1, WIDTH).log_odds[0] for motif in motifs]
    found = [next(i for i, row in enumerate(rows) if torch.equal(row, c)) for c in chosen]
    assert sum(i < 4 for i in found) == 1


def test_a_wide_motif_keeps_its_most_informative_positions() -> None:
    p = np.full((30, 4), 0.25)
    p[18:26] = [0.97, 0.01, 0.01, 0.01]
    log_odds = motif_filters([Motif("late", p)], 1, 9).log_odds[0]
    assert log_odds.argmax(0).tolist() == [0] * 9
    assert (log_odds[0] > 1).sum() == 8


def test_after_a_batch_norm_0_stands_where_a_motif_begins() -> None:
    convolution, norm = nn.Conv1d(4, 24, 15, padding=7), nn.BatchNorm1d(24)
    before = convolution.weight.detach().clone()
    start_from(nn.Sequential(convolution, norm, nn.GELU()), default_motifs())
    n = len(default_motifs())
    with torch.no_grad():
        scores = norm(convolution(random_sequences(2000, 7).transpose(1, 2)))
    share = (scores > 0).float().mean((0, 2))
    assert share[:n].max() < 2 * RARITY
    assert share[:n].min() > RARITY / 10
    # The others are as they were.
    assert torch.equal(convolution.weight[n:], before[n:])
    assert share[n:].min() > 0.3


def test_filters_from_motifs_are_as_large_as_random_ones() -> None:
    convolution = nn.Conv1d(4, 15, 15)
    size = convolution.weight.detach().flatten(1).norm(dim=1).mean()
    start_from(nn.Sequential(convolution, nn.BatchNorm1d(15)), default_motifs())
    sizes = convolution.weight[:12].flatten(1).norm(dim=1)
    torch.testing.assert_close(sizes, size.expand(12))
