"""Known motifs as the first filters of a network of activity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from genomix_cli.errors import UsageError
from genomix_cli.genome.motifs import CONSENSUS, Motif, default_motifs, from_consensus
from genomix_cli.learning.activity import ActivityConfig, ActivityEncoder, Output
from genomix_cli.sequences.activity.motifs import RARITY, motif_filters
from genomix_cli.sequences.activity.train import read_job, train_activity
from tests.activity_runs import measured, request
from tests.sequence_samples import write

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


def test_training_starts_from_the_motifs(tmp_path: Path) -> None:
    write(tmp_path / "own.h5", measured())
    asked = request(tmp_path / "own.h5", tmp_path / "run")
    lines = ["MEME version 4", "ALPHABET= ACGT", "MOTIF a", "letter-probability matrix: w= 4"]
    lines += ["0.97 0.01 0.01 0.01"] * 4
    (tmp_path / "motifs.meme").write_text("\n".join(lines) + "\n")
    asked = replace(asked, options={"motifs": tmp_path / "motifs.meme"})
    filters = read_job(asked).filters
    assert filters is not None
    assert filters.log_odds.shape[0] == 1
    trained = train_activity(asked)
    assert trained is not None
    with pytest.raises(UsageError, match="has its filters"):
        read_job(replace(asked, init=tmp_path / "run", output=tmp_path / "next"))
