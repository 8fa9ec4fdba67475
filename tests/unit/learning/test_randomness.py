"""Seeds of streams that share no numbers."""

from __future__ import annotations

from itertools import product

import torch

from genomix_cli.learning.randomness import generator_of, seed_of


def test_every_list_of_numbers_has_a_stream_of_its_own() -> None:
    lists = [numbers for n in (1, 2, 3) for numbers in product(range(1, 5), repeat=n)]
    seeds = [seed_of(*numbers) for numbers in lists]
    assert len(set(seeds)) == len(lists)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seeds == [seed_of(*numbers) for numbers in lists]


def test_a_generator_is_on_the_device_and_draws_the_same_again() -> None:
    first, again, other = (generator_of(torch.device("cpu"), 7, n) for n in (1, 1, 2))
    assert first.device == torch.device("cpu")
    drawn = torch.rand(3, generator=first)
    assert torch.equal(torch.rand(3, generator=again), drawn)
    assert not torch.equal(torch.rand(3, generator=other), drawn)
