"""Losses in closed form, and sequence and signal moved and turned together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Multinomial

from genomix_cli.genome.iupac import ANY, reverse_complement
from genomix_cli.sequences.activity.learning import bases
from genomix_cli.sequences.profile.learning import ProfileTask, augmented, shape_nats
from genomix_cli.sequences.profile.windows import Batch, middle, observed
from tests.profile_samples import config, network

NAN = float("nan")


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_loss_of_a_profile_is_a_multinomial() -> None:
    counts = torch.tensor([[[3.0, 0, 1, 5], [0, 0, 0, 0]], [[1, 1, 1, 1], [9, 0, 0, 2]]])
    logits = drawn(2, 2, 4)
    found = shape_nats(logits, observed(counts))
    for i in range(2):
        for k in range(2):
            of = Multinomial(int(counts[i, k].sum()), logits=logits[i, k])
            assert float(found[i, k]) == pytest.approx(-float(of.log_prob(counts[i, k])), abs=1e-4)


def test_bases_that_were_not_measured_take_no_part() -> None:
    signal = torch.tensor(
        [[[3.0, NAN, 1, 5]], [[NAN, NAN, NAN, 7]], [[NAN, NAN, 2, 4]], [[NAN] * 4]]
    )
    logits = drawn(4, 1, 4).requires_grad_()
    seen = observed(signal)
    assert seen.total.flatten().tolist() == pytest.approx([12, NAN, 12, NAN], nan_ok=True)
    found = shape_nats(logits, seen)
    of = Multinomial(9, logits=logits[0, 0, [0, 2, 3]])
    expected = -float(of.log_prob(torch.tensor([3.0, 1, 5])).detach())
    assert float(found[0, 0].detach()) == pytest.approx(expected, abs=1e-4)
    # Half of the window is enough, less is not.
    assert found[1, 0] == found[3, 0] == 0
    assert found[2, 0] > 0
    found.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 0, 1] == 0


def test_sequence_and_signal_are_moved_and_turned_together() -> None:
    rng, length, size, most = np.random.default_rng(0), 40, 20, 7
    codes = np.array([1, 2, 4, 8], np.uint8)[rng.integers(0, 4, (400, length))]
    # Each base's own signal is its code; on the other strand its complement, in a track of its own.
    # The controls are the same two, the other way round.
    complement = reverse_complement(codes)[:, ::-1]
    place = np.broadcast_to(np.arange(length), codes.shape)
    signal = np.stack([codes, complement, place], 1).astype(np.float32)
    batch = Batch(*map(torch.from_numpy, (codes, signal, signal[:, [1, 0]])))
    generator = torch.Generator().manual_seed(0)
    both = {"controls": ("a", "b"), "control_opposite": (1, 0)}
    of = config(length=length, profile=size, **both)
    found = augmented(batch, of, most, generator)
    assert found.signal.shape == (400, 3, size)
    inner = middle(found.codes[:, None], size)[:, 0]
    assert found.control is not None
    assert torch.equal(found.control[:, 1], inner.float())
    assert torch.equal(found.control, found.signal[:, [1, 0]])
    assert torch.equal(found.signal[:, 0], inner.float())
    places = found.signal[:, 2]
    step = places.diff(dim=-1)
    turned = step[:, 0] < 0
    assert torch.equal(step, torch.where(turned, -1.0, 1.0)[:, None].expand_as(step))
    assert 150 < int(turned.sum()) < 250
    first = (length - size) // 2
    by = places.min(1).values - first
    assert set(by.tolist()) == set(range(-most, most + 1))
    off = by[~turned].long()
    for row, moved in zip(found.codes[~turned], off.tolist(), strict=True):
        assert int((row == ANY).sum()) == abs(moved)
    still = augmented(batch, of, 0, generator)
    assert set(still.signal[:, 2].min(1).values.tolist()) == {first}


def test_the_loss_is_that_of_the_profile_and_of_log_counts() -> None:
    of, mean = config(), torch.tensor([10.0, 20.0, 5.0])
    model, rng = network(of), np.random.default_rng(1)
    codes = torch.from_numpy(np.array([1, 2, 4, 8], np.uint8)[rng.integers(0, 4, (6, 60))])
    signal = torch.from_numpy(rng.poisson(0.3, (6, 3, 60)).astype(np.float32))
    signal[0, 1] = NAN
    task = ProfileTask(model, mean, 0.5, 4)
    parts = task.losses(Batch(codes, signal), torch.Generator().manual_seed(3))
    seen_as = augmented(Batch(codes, signal), of, 4, torch.Generator().manual_seed(3))
    answer, seen = model(bases(seen_as.codes)), observed(seen_as.signal)
    known = seen.total.isfinite()
    assert int(known.sum()) == 17
    nats = (shape_nats(answer.profile, seen) / mean)[known].mean()
    squares = (answer.counts - torch.log1p(seen.total))[known].square().mean()
    torch.testing.assert_close(parts["profile"], nats)
    # Lambda is alpha / 2 times the mean counts, and all is in units of those.
    torch.testing.assert_close(parts["counts"], 0.25 * squares)
    torch.testing.assert_close(parts["loss"], nats + 0.25 * squares)
    parts["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_validation_is_of_both_strands_and_of_the_same_loss() -> None:
    of, mean = config(), torch.tensor([10.0, 20.0, 5.0])
    model, rng = network(of), np.random.default_rng(1)
    codes = torch.from_numpy(np.array([1, 2, 4, 8], np.uint8)[rng.integers(0, 4, (6, 60))])
    signal = torch.from_numpy(rng.poisson(0.3, (6, 3, 60)).astype(np.float32))
    task = ProfileTask(model, mean, 0.5, 4)
    with torch.inference_mode():
        judged = task.predict(Batch(codes, signal))
        answer, seen = model.answers(bases(codes)), observed(middle(signal, 44))
    found = task.metrics(
        [type(judged)(*(x[:2] for x in judged)), type(judged)(*(x[2:] for x in judged))]
    )
    nats = (shape_nats(answer.profile, seen) / mean).mean()
    squares = (answer.counts - torch.log1p(seen.total)).square().mean()
    assert found["log_likelihood"] == pytest.approx(-float(nats + 0.25 * squares), rel=1e-5)
    r = [np.corrcoef(*pair)[0, 1] for pair in zip(judged.counts.T, judged.target.T, strict=True)]
    assert found["pearson"] == pytest.approx(float(np.mean(r)), abs=1e-5)
