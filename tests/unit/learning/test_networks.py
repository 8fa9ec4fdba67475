"""Networks built for stored weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from genomix_cli.learning.networks import stored_module, weights


def layers(n: int, width: int = 4) -> nn.Module:
    return nn.Sequential(*(nn.Linear(width, width) for _ in range(n)))


def test_the_weights_are_those_stored_and_the_generator_stays() -> None:
    torch.manual_seed(5)
    module = layers(3)
    before = torch.random.get_rng_state()
    again = stored_module(lambda: layers(3), weights(module))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(
        torch.equal(a, b) for a, b in zip(module.parameters(), again.parameters(), strict=True)
    )
    layers(2000)  # the count ends with the network that it was made for


def test_sizes_that_are_damaged_end_at_once() -> None:
    stored = weights(layers(3))
    for build in (lambda: layers(10**9), lambda: layers(1, 4_000)):
        with pytest.raises(ValueError, match="more weights than are stored"):
            stored_module(build, stored)
    with pytest.raises(RuntimeError):
        stored_module(lambda: layers(4), stored)
