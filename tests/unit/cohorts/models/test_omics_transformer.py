"""The omics transformer: branches, their fusion, and what absent modalities may not do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from genomix_cli.cohorts.models.network import Inputs
from genomix_cli.cohorts.models.omics_transformer import (
    Fusion,
    OmicsNetwork,
    OmicsTransformer,
    OmicsTransformerConfig,
)
from genomix_cli.errors import UsageError
from genomix_cli.learning.fit_settings import FitSettings
from tests.network_samples import exclusive_or, inputs, modalities

SIZES = (4, 9, 3)
TINY: dict[str, Any] = {"width": 8, "latents": 3, "summary": 8, "hidden": 8, "max_tokens": 5}


def network(sizes: tuple[int, ...] = SIZES, **fields: Any) -> OmicsNetwork:
    config = OmicsTransformerConfig(**{**TINY, **fields})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return OmicsNetwork(config, modalities(sizes), 3).eval()


def test_values_of_an_absent_modality_change_nothing() -> None:
    net, batch = network(), inputs(SIZES)
    absent = [~batch.present[:, i, None] for i in range(len(SIZES))]
    wild = Inputs(
        tuple(torch.where(a, 1e3, v) for a, v in zip(absent, batch.values, strict=True)),
        tuple(o | a for a, o in zip(absent, batch.observed, strict=True)),
        batch.present,
    )
    first, second = net(batch), net(wild)
    assert torch.equal(first.logits, second.logits)
    assert torch.equal(first.attention, second.attention)


def test_rows_of_attention_sum_to_one_over_what_is_there() -> None:
    batch = inputs(SIZES)
    attention = network()(batch).attention
    assert attention is not None
    torch.testing.assert_close(attention.sum(-1), torch.ones(6, 3))
    there = batch.present[:, None].expand_as(attention)
    assert (attention[~there] == 0).all()
    assert (attention[there] > 0).all()


def test_samples_do_not_see_each_other() -> None:
    net, batch = network(), inputs(SIZES)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(net(batch.take(order)).logits, net(batch).logits[order])
    alone = torch.cat([net(batch.take(torch.tensor([i]))).logits for i in range(6)])
    torch.testing.assert_close(alone, net(batch).logits, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("encoders", ["specific", "generic"])
def test_an_encoder_sees_one_modality_only(encoders: str) -> None:
    net, batch = network(encoders=encoders), inputs(SIZES)
    other = batch._replace(values=(batch.values[0] + 1, *batch.values[1:]))
    before, after = net.encode(batch), net.encode(other)
    assert not torch.equal(before[0], after[0])
    assert all(torch.equal(x, y) for x, y in zip(before[1:], after[1:], strict=True))


def test_generic_encoders_are_one() -> None:
    specific, generic = network(layers=2), network(layers=2, encoders="generic")
    one = sum(p.numel() for p in generic.encoders.parameters())
    assert sum(p.numel() for p in specific.encoders.parameters()) == 3 * one
    assert len(generic.encoders) == 1
    x = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    generic.tokens.forward = lambda inputs: [x, x, x]  # type: ignore[method-assign]
    first, second, third = generic.encode(inputs(SIZES))
    assert torch.equal(first, second)
    assert torch.equal(first, third)


def test_average_is_the_mean_of_the_votes() -> None:
    votes = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Fusion("average", 3, 4)(votes), votes.mean(1))


@pytest.mark.parametrize("kind", ["gate", "stacking"])
def test_learned_fusions_begin_as_the_average(kind: str) -> None:
    votes = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    got = Fusion(kind, 3, 4)(votes).log_softmax(-1)
    torch.testing.assert_close(got, votes.mean(1).log_softmax(-1))


def test_a_gate_weighs_the_votes_of_each_sample() -> None:
    votes = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    gate = Fusion("gate", 3, 4)
    torch.nn.init.normal_(gate.learned.weight, generator=torch.Generator().manual_seed(1))
    for vote, got in zip(votes, gate(votes), strict=True):
        weight = gate.learned(vote.log_softmax(-1).flatten()).softmax(0)
        torch.testing.assert_close(got, sum(w * v for w, v in zip(weight, vote, strict=True)))


def test_stacking_is_linear_in_the_log_probabilities() -> None:
    votes = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    stacking = Fusion("stacking", 2, 3)
    torch.nn.init.normal_(stacking.learned.weight, generator=torch.Generator().manual_seed(1))
    log_p = torch.cat([votes[:, 0].log_softmax(-1), votes[:, 1].log_softmax(-1)], -1)
    torch.testing.assert_close(stacking(votes), log_p @ stacking.learned.weight.T)


def test_without_cross_modal_attention_two_branches_vote() -> None:
    net = network(cross_modal=False, fusion="average")
    batch = inputs(SIZES)
    assert net.cross is None
    assert net(batch).attention is None
    assert net(batch).logits.shape == (6, 3)


@pytest.mark.parametrize("fusion", ["gate", "average", "stacking"])
def test_every_parameter_learns(fusion: str) -> None:
    net = network(fusion=fusion).train()
    with torch.random.fork_rng():
        torch.manual_seed(0)  # dropout may hide the only sample that teaches a token
        net(inputs(SIZES)).logits.square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("sizes", [(5,), (0, 4), (3, 2, 700, 1)])
def test_any_modalities_will_do(sizes: tuple[int, ...]) -> None:
    output = network(sizes)(inputs(sizes))
    assert output.logits.isfinite().all()
    assert output.attention.shape == (6, len(sizes), len(sizes))


def test_a_sample_of_which_nothing_is_known_still_has_an_answer() -> None:
    batch = inputs(SIZES, n=3)
    nothing = tuple(torch.zeros_like(o) for o in batch.observed)
    unmeasured = Inputs(batch.values, nothing, torch.ones_like(batch.present))
    absent = Inputs(batch.values, nothing, torch.zeros_like(batch.present))
    for case in (unmeasured, absent):
        output = network()(case)
        assert output.logits.isfinite().all()
        torch.testing.assert_close(output.attention.sum(-1), torch.ones(3, 3))
        torch.testing.assert_close(output.logits[0], output.logits[1])


@pytest.mark.parametrize("fields", [{"width": 9}, {"summary": 33}])
def test_heads_that_do_not_divide_a_width_are_one_clear_line(fields: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="is not a multiple of heads 2"):
        OmicsTransformerConfig(**fields)


def test_it_learns_an_exclusive_or_that_neither_modality_shows() -> None:
    config = OmicsTransformerConfig(**TINY, epochs=6, batch_size=32, learning_rate=1e-2)
    train, test = exclusive_or(400, 0), exclusive_or(200, 1)
    model = OmicsTransformer(config)
    model.fit(train, FitSettings())
    assert (model.log_probability(test).argmax(1) == test.label).mean() > 0.9
    alone = OmicsTransformer(replace(config, epochs=2))
    alone.fit(train.only(["omics0"]), FitSettings())
    chance = alone.log_probability(test.only(["omics0"])).argmax(1) == test.label
    assert chance.mean() < 0.65


def test_what_was_stored_gives_what_was_learned() -> None:
    config = OmicsTransformerConfig(**TINY, epochs=1, members=2, encoders="generic")
    samples = exclusive_or(100, 0)
    present = samples.present.copy()
    present[::3, 1] = False
    samples = replace(samples, present=present)
    model, other = OmicsTransformer(config), OmicsTransformer(config)
    model.fit(samples, FitSettings())
    other.restore(samples.modalities, samples.classes, model.state())
    assert np.array_equal(model.log_probability(samples), other.log_probability(samples))
    first, second = model.attention(samples), other.attention(samples)
    assert np.array_equal(first, second, equal_nan=True)
    assert np.isnan(first[0, 1]).all()
    assert np.isnan(first[0, :, 1]).all()
