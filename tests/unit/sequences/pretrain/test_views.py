"""Views: each change has the rate that was asked for, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genomix_cli.errors import UsageError
from genomix_cli.genome.iupac import ANY, HIDDEN, encode, reverse_complement
from genomix_cli.sequences.pretrain.views import (
    GENOTYPES,
    Views,
    cropped,
    masked,
    mutated,
    turned,
    view,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bases(n: int = 200, length: int = 150) -> torch.Tensor:
    return 1 << torch.randint(0, 4, (n, length), generator=generator(9), dtype=torch.uint8)


@pytest.mark.parametrize(("share", "span"), [(0.15, 6), (0.15, 3), (0.5, 1), (0.9, 10), (1.0, 4)])
def test_each_place_is_hidden_as_often_as_asked_for(share, span):
    hidden = (masked(bases(4000, 60), share, span, generator()) == HIDDEN).float()
    assert float(hidden.mean()) == pytest.approx(share, abs=0.01)
    # At the ends as in the middle.
    assert float((hidden.mean(0) - share).abs().max()) < 0.04


def test_what_is_hidden_comes_in_spans():
    hidden = masked(bases(300, 400), 0.1, 5, generator()).numpy() == HIDDEN
    runs = []
    for row in hidden:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
        inner = [(a, b) for a, b in edges.reshape(-1, 2) if a > 0 and b < len(row)]
        runs += [b - a for a, b in inner]
    assert min(runs) == 5


def test_mutations_come_at_their_rate_and_all_others_alike():
    before = torch.full((400, 500), int(encode("A")[0]), dtype=torch.uint8)
    after = mutated(before, 0.1, generator())
    assert float((after != before).float().mean()) == pytest.approx(0.1, abs=0.005)
    counts = [int((after == code).sum()) for code in encode("CGT")]
    assert sum(counts) == int((after != before).sum())
    assert max(counts) / min(counts) < 1.1


def test_a_heterozygote_stays_one_and_the_unknown_unknown():
    before = torch.tensor([[*encode("RYNACGT").tolist(), HIDDEN]], dtype=torch.uint8).repeat(500, 1)
    after = mutated(before, 1.0, generator())
    for letter, column in zip("RY", (0, 1), strict=True):
        found = after[:, column].tolist()
        assert {code.bit_count() for code in found} == {2}
        assert int(encode(letter)[0]) not in found
        assert len(set(found)) == 5
    assert (after[:, 2] == ANY).all()
    assert (after[:, 7] == HIDDEN).all()
    assert (after[:, 3:7] != before[:, 3:7]).all()


def test_a_crop_is_a_piece_and_starts_anywhere():
    before = torch.arange(40, dtype=torch.uint8).repeat(2000, 1)
    after = cropped(before, 0.8, False, generator())
    assert after.shape == (2000, 32)
    assert (after[:, 1:] - after[:, :-1] == 1).all()
    assert sorted(set(after[:, 0].tolist())) == list(range(9))


def test_of_aligned_sequences_a_crop_hides_the_rest():
    before = bases(50, 40)
    after = cropped(before, 0.5, True, generator())
    kept = after != HIDDEN
    assert after.shape == before.shape
    assert (kept.sum(1) == 20).all()
    assert torch.equal(after[kept], before[kept])


def test_half_are_turned_round():
    before = bases(2000, 30)
    after = turned(before, generator()).numpy()
    other = reverse_complement(before.numpy())
    is_turned = (after == other).all(1)
    assert (is_turned | (after == before.numpy()).all(1)).all()
    assert is_turned.mean() == pytest.approx(0.5, abs=0.04)


def test_aligned_sequences_have_no_other_strand():
    with pytest.raises(UsageError, match="no reverse strand"):
        view(bases(2), Views(), True, generator())
    assert view(bases(2), GENOTYPES, True, generator()).shape == (2, 150)


def test_two_views_differ_and_a_seed_gives_the_same_ones():
    first = generator()
    a, b = (view(bases(), Views(), False, first) for _ in range(2))
    assert not torch.equal(a, b)
    assert torch.equal(a, view(bases(), Views(), False, generator()))
