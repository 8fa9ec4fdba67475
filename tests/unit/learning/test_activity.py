"""The network that predicts what sequences do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genomix_cli.config import to_dict
from genomix_cli.errors import DataError
from genomix_cli.learning.activity import (
    ActivityConfig,
    ActivityModel,
    Output,
    construct,
    stored_network,
)
from genomix_cli.learning.networks import new_module, weights

OUTPUTS = (
    Output("a", "MPRA", "log2", "ACG", "TT", mean=2.0, sd=3.0),
    Output("open"),
    Output("b", "MPRA", "log2", "ACG", "TT", mean=-1.0, sd=0.5),
)
CONFIG = ActivityConfig(OUTPUTS, length=40, members=2, stem=8, motif_width=5, width=8)


@pytest.fixture
def model() -> ActivityModel:
    return new_module(lambda: ActivityModel(CONFIG), 0).eval()


def bases(n: int = 3, length: int = 40) -> torch.Tensor:
    return torch.eye(4)[
        torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(0))
    ]


def test_the_construct_is_put_around_the_sequence() -> None:
    whole = construct(bases(2, 5), "AC", "G")
    assert whole.argmax(-1)[0].tolist() == [0, 1, *bases(2, 5).argmax(-1)[0].tolist(), 2]


def test_the_mean_of_the_members_in_the_units_of_each_output(model: ActivityModel) -> None:
    p, rows = bases(), (2, 0, 1)
    each = [model.standardised(m, p, rows) for m in range(2)]
    mean, sd = torch.tensor([-1.0, 2.0, 0.0]), torch.tensor([0.5, 3.0, 1.0])
    torch.testing.assert_close(model(p, rows), mean + sd * (each[0] + each[1]) / 2)
    # The order of the rows is the order of the columns.
    torch.testing.assert_close(model(p, (0, 1, 2)), model(p, rows)[:, [1, 2, 0]])
    assert [output.is_class for output in OUTPUTS] == [False, True, False]


def test_both_strands_are_one_answer(model: ActivityModel) -> None:
    p = bases()
    answer = model.both_strands(p, (0, 1))
    torch.testing.assert_close(answer, model.both_strands(p.flip(1, 2), (0, 1)))
    assert (answer - model(p, (0, 1))).abs().max() > 1e-4


def test_what_is_dropped_is_dropped_of_both_alleles(model: ActivityModel) -> None:
    p = bases(8).repeat_interleave(2, 0)
    model.train()
    first, second = model.standardised(0, p, (0, 1), 2).unflatten(0, (-1, 2)).unbind(1)
    torch.testing.assert_close(first, second)
    first, second = model.standardised(0, p, (0, 1)).unflatten(0, (-1, 2)).unbind(1)
    assert (first - second).abs().max() > 1e-4
    model.eval()
    assert torch.equal(model.standardised(0, p, (0, 1), 2), model.standardised(0, p, (0, 1)))


def stored(arch: dict, state: dict) -> ActivityModel:
    return stored_network(ActivityConfig, ActivityModel, arch, state, Path("run"))


def test_a_stored_model_is_the_model(model: ActivityModel) -> None:
    again = stored(to_dict(CONFIG), weights(model))
    assert torch.equal(again(bases(), (0, 1, 2)), model(bases(), (0, 1, 2)))
    assert not again.training


@pytest.mark.parametrize(
    "change",
    [
        {"width": 16},
        {"outputs": []},
        {"outputs": [to_dict(OUTPUTS[0])] * 3},
        {"outputs": [to_dict(replace(each, left="AXC")) for each in OUTPUTS]},
        {"outputs": [{"colour": "red"}]},
        {"width": 10**9},
    ],
)
def test_damage_is_told(model: ActivityModel, change: dict) -> None:
    with pytest.raises(DataError, match="run"):
        stored({**to_dict(CONFIG), **change}, weights(model))
    with pytest.raises(DataError):
        lacking = {k: v for k, v in weights(model).items() if "encoder" in k}
        stored(to_dict(CONFIG), lacking)


def test_a_missing_field_of_old_runs_has_its_default(model: ActivityModel) -> None:
    plain = {name: value for name, value in to_dict(CONFIG).items() if name != "dropout"}
    np.testing.assert_equal(stored(plain, weights(model)).config.dropout, 0.2)
