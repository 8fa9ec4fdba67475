"""TabM and RealMLP: closed forms of what is new in each."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from genomix_cli.cohorts.models.network import Batch, ClassTask, Inputs, NetworkConfig, Output
from genomix_cli.cohorts.models.realmlp import Activation, Embedding, Layer, Paced, RealMLP
from genomix_cli.cohorts.models.tabm import TabM
from genomix_cli.errors import MissingExtraError
from tests.cohort_samples import easy


def inputs_of(n: int) -> Inputs:
    values = torch.randn(n, 4, generator=torch.Generator().manual_seed(1))
    return Inputs((values,), (torch.ones(n, 4, dtype=torch.bool),), torch.ones(n, 1).bool())


class Heads(nn.Module):
    """Logits that are given."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, inputs: Inputs) -> Output:
        return Output(self.logits)


def test_each_member_learns_on_its_own() -> None:
    """The loss is the mean of the members' losses, not the loss of their mean."""
    logits = torch.tensor([[[2.0, 0.0], [-2.0, 0.0]], [[1.0, 0.0], [0.0, 3.0]]])
    task = ClassTask(Heads(logits), NetworkConfig(modality_dropout=0.0), None)
    label = torch.tensor([0, 1])
    loss = task.losses(Batch(inputs_of(2), label), torch.Generator())["loss"]
    log_p = torch.log_softmax(logits, -1)
    expected = -(log_p[0, :, 0].sum() + log_p[1, :, 1].sum()) / 4
    assert loss.item() == pytest.approx(float(expected))


def test_tabm_answers_with_the_mean_probability_of_its_heads() -> None:
    pytest.importorskip("tabm")
    network = TabM.of({"heads": 5, "width": 8, "dropout": 0.0}).build(
        easy(names=("rna",), widths=(4,)).modalities, 3
    )
    inputs = inputs_of(6)
    each = network.train()(inputs).logits
    assert each.shape == (6, 5, 3)
    expected = torch.log(torch.softmax(each, -1).mean(1))
    torch.testing.assert_close(network.eval()(inputs).logits, expected)


def test_without_its_package_tabm_is_one_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tabm", None)
    with pytest.raises(MissingExtraError, match=r"genomix-toolkit\[tabm\]"):
        TabM.of({}).build(easy().modalities, 2)


def test_a_paced_parameter_moves_as_many_times_as_fast() -> None:
    plain, fast = Paced(torch.ones(1), 1.0), Paced(torch.ones(1), 6.0)
    optimizer = torch.optim.Adam([*plain.parameters(), *fast.parameters()], lr=0.01)
    (plain() + fast()).sum().backward()
    optimizer.step()
    assert 1 - float(plain()) == pytest.approx(0.01, rel=1e-4)
    assert 1 - float(fast()) == pytest.approx(0.06, rel=1e-4)


def test_layers_are_as_large_whatever_their_width() -> None:
    torch.manual_seed(0)
    for width in (16, 1024):
        layer = Layer(width, 4000)
        out = layer(torch.ones(1, width)) - layer.bias()
        assert float(out.std()) == pytest.approx(1, rel=0.05)


def test_an_embedding_has_the_number_itself_and_its_cosines() -> None:
    torch.manual_seed(0)
    embedding = Embedding(2, 3, 0.1)
    x = torch.tensor([[0.5, -1.0]])
    out = embedding(x).reshape(1, 2, 4)
    torch.testing.assert_close(out[..., 0], x)
    wave = np.cos(
        2 * np.pi * -1.0 * embedding.frequency()[1].detach().numpy()
        + embedding.phase()[1].detach().numpy()
    )
    expected = wave @ embedding.weight()[1].detach().numpy() + embedding.bias()[1].detach().numpy()
    np.testing.assert_allclose(out[0, 1, 1:].detach().numpy(), expected, atol=1e-5)


def test_an_activation_without_its_share_is_the_identity() -> None:
    activation = Activation(2)
    x = torch.tensor([[-1.0, 2.0]])
    torch.testing.assert_close(activation(x), nn.functional.selu(x))
    with torch.no_grad():
        activation.share.slow.zero_()
    torch.testing.assert_close(activation(x), x)


def test_realmlp_starts_without_an_opinion() -> None:
    network = RealMLP.of({}).build(easy(names=("rna",), widths=(4,)).modalities, 3)
    assert (network.eval()(inputs_of(5)).logits == 0).all()
