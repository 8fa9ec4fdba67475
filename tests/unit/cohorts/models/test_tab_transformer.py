"""TabTransformer: tokens of all features in the context of each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genomix_cli.cohorts.models.tab_transformer import (
    TabNetwork,
    TabTransformer,
    TabTransformerConfig,
)
from genomix_cli.cohorts.models.tokens import plain_values
from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import FitSettings
from tests.network_samples import exclusive_or, inputs, modalities

SIZES = (4, 9, 3)
CONFIG = TabTransformerConfig(width=8, hidden=16, max_tokens=5)


def network(config: TabTransformerConfig = CONFIG) -> TabNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TabNetwork(config, modalities(SIZES), 3).eval()


def test_without_attention_it_is_a_perceptron_on_tokens_and_values() -> None:
    net, batch = network(), inputs(SIZES)
    net.branch.layers = torch.nn.ModuleList()
    tokens = torch.cat(net.tokens(batch), 1).flatten(1)
    first, _, _, last = net.branch.head
    torch.nn.init.ones_(net.branch.linear.weight)
    values = plain_values(batch)
    wanted = last(torch.nn.functional.gelu(first(tokens))) + net.branch.linear(values)
    torch.testing.assert_close(net(batch).logits, wanted)


def test_values_of_an_absent_modality_change_nothing() -> None:
    net, batch = network(), inputs(SIZES)
    wild = batch._replace(
        values=tuple(
            torch.where(batch.present[:, i, None], v, 1e3) for i, v in enumerate(batch.values)
        )
    )
    assert torch.equal(net(batch).logits, net(wild).logits)


def test_every_parameter_learns() -> None:
    net = network().train()
    with torch.random.fork_rng():
        torch.manual_seed(0)  # dropout may hide the only sample that teaches a token
        net(inputs(SIZES)).logits.square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_heads_that_do_not_divide_the_width_are_one_clear_line() -> None:
    with pytest.raises(UsageError, match="width 10 is not a multiple of heads 4"):
        TabTransformerConfig(width=10, heads=4)


def test_it_learns_an_exclusive_or_of_two_modalities() -> None:
    config = TabTransformerConfig(
        width=8, layers=1, hidden=16, epochs=8, batch_size=32, learning_rate=1e-2
    )
    model = TabTransformer(config)
    model.fit(exclusive_or(400, 0), FitSettings())
    test = exclusive_or(200, 1)
    assert (model.log_probability(test).argmax(1) == test.label).mean() > 0.9


def test_what_was_stored_gives_what_was_learned() -> None:
    config = TabTransformerConfig(width=8, hidden=16, epochs=1)
    samples = exclusive_or(100, 0)
    model, other = TabTransformer(config), TabTransformer(config)
    model.fit(samples, FitSettings())
    other.restore(samples.modalities, samples.classes, model.state())
    assert np.array_equal(model.log_probability(samples), other.log_probability(samples))
