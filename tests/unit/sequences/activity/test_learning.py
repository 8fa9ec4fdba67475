"""Steps of a network of activity: batches, augmentation and losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genomix_cli.genome.iupac import ANY
from genomix_cli.learning.activity import ActivityConfig, Output
from genomix_cli.sequences.activity.learning import (
    ActivityLearning,
    ActivityTask,
    Answers,
    Step,
    Steps,
    bases,
    errors,
    known_mean,
    shifted,
)
from genomix_cli.sequences.activity.sources import Batch, Source
from genomix_cli.sequences.train.learning import opposite, turned

QUANTITY, CLASS = Output("a", unit="log2"), Output("b")
STILL = ActivityLearning(shift=0, batch_size=4, pair_batch=3)


def source(number: int, n: int, alleles: int = 1, length: int = 6) -> Source:
    rng = np.random.default_rng(number)
    codes = np.array([1, 2, 4, 8], np.uint8)[rng.integers(0, 4, (n, length))]
    items = np.arange(n).reshape(-1, alleles)
    return Source(number, codes, rng.normal(size=(n, 1)).astype(np.float32), (0,), items)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class Counting(nn.Module):
    """An answer that a test can work out: the number of some bases, by default As and Ts."""

    def __init__(self, *outputs: Output, counted: tuple[int, ...] = (0, 3)) -> None:
        super().__init__()
        self.config = ActivityConfig(outputs)
        self.counted = list(counted)

    def standardised(
        self, number: int, p: Tensor, rows: tuple[int, ...], alleles: int = 1
    ) -> Tensor:
        return p[..., self.counted].sum((1, 2))[:, None].expand(-1, len(rows))


def task(
    *sources: Source, outputs: tuple[Output, ...] = (QUANTITY,), **changes: float
) -> ActivityTask:
    return ActivityTask(Counting(*outputs), sources, replace(STILL, **changes))  # type: ignore[arg-type]


def batch(words: list[str], target: list[float], alleles: int = 1) -> Batch:
    codes = torch.tensor([[1 << "ACGT".index(b) for b in word] for word in words])
    shape = (-1, alleles, len(words[0]))
    values = torch.tensor(target).reshape(-1, alleles, 1)
    return Batch(codes.to(torch.uint8).reshape(shape), values, 0)


def test_all_of_the_file_is_read_once_and_its_share_is_kept() -> None:
    own, also, pairs = source(0, 21), [source(1, 4), source(2, 400)], [source(3, 10, 2)]
    steps = Steps(own, also, pairs, replace(STILL, own_share=0.25), np.random.default_rng(0))
    assert len(steps) == 6 + 18
    found = list(steps)
    assert len(found) == 24
    codes = [s.batch.codes for s in found if s.batch.source == 0]
    assert sorted(torch.cat(codes)[:, 0].tolist()) == sorted(own.codes.tolist())
    assert {len(each) for each in codes} == {3, 4}
    assert all(s.pairs is not None and s.pairs.codes.shape == (3, 2, 6) for s in found)
    drawn = [s.batch.source for s in found]
    # By the square root of the size: one to ten.
    assert drawn.count(2) > drawn.count(1)


def test_batches_come_in_another_order_in_each_epoch_and_are_the_same_again() -> None:
    def read(seed: int) -> list[Step]:
        rng = np.random.default_rng(seed)
        return list(Steps(source(0, 20), [source(1, 20)], [source(2, 20, 2)], STILL, rng))

    first, again, other = read(0), read(0), read(1)
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a.batch.codes, b.batch.codes)
        assert a.pairs is not None
        assert b.pairs is not None
        assert torch.equal(a.pairs.codes, b.pairs.codes)
    assert [s.batch.source for s in first] != [0] * 5 + [1] * 5
    assert any(a.batch.source != b.batch.source for a, b in zip(first, other, strict=True))


def test_a_file_alone_is_all_there_is() -> None:
    steps = list(Steps(source(0, 9), [], [], STILL, np.random.default_rng(0)))
    assert [s.batch.source for s in steps] == [0, 0, 0]
    assert all(s.pairs is None for s in steps)


def test_alleles_are_moved_and_turned_alike() -> None:
    codes = torch.from_numpy(source(0, 40, length=12).codes).reshape(20, 2, 12)
    both = codes[:, :1].expand(-1, 2, -1)
    moved = turned(shifted(both, 3, generator()), generator())
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert len({tuple(row.tolist()) for row in moved[:, 0]}) == 20
    same = turned(codes, generator())
    was_turned = (same != codes).any(-1).any(-1)
    assert 4 < was_turned.sum() < 16
    assert torch.equal(same[was_turned], opposite(codes[was_turned]))


def test_moving_brings_any_base_in_and_loses_no_other() -> None:
    codes = torch.tensor([[[1, 2, 4, 8]]] * 200, dtype=torch.uint8)
    moved = shifted(codes, 2, generator())
    expected = {
        (4, 8, ANY, ANY),
        (2, 4, 8, ANY),
        (1, 2, 4, 8),
        (ANY, 1, 2, 4),
        (ANY, ANY, 1, 2),
    }
    assert {tuple(row[0].tolist()) for row in moved} == expected
    assert torch.equal(shifted(codes, 0, generator()), codes)


def test_letters_for_several_bases_are_probabilities() -> None:
    assert bases(torch.tensor([[1, 8, 5, ANY]], dtype=torch.uint8))[0].tolist() == [
        [1, 0, 0, 0],
        [0, 0, 0, 1],
        [0.5, 0, 0.5, 0],
        [0.25] * 4,
    ]


def test_what_is_unknown_moves_nothing() -> None:
    output = torch.tensor([[0.5, 2.0], [1.0, -1.0]], requires_grad=True)
    target = torch.tensor([[1.5, torch.nan], [torch.nan, 1.0]])
    loss = known_mean(errors(output, target, torch.tensor([False, True])), target)
    expected = (1.0 + np.log1p(np.e)) / 2
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert output.grad is not None
    assert (output.grad != 0).tolist() == [[True, False], [False, True]]
    nothing = torch.full((2, 2), torch.nan)
    loss = known_mean(errors(output.detach(), nothing, torch.tensor([False, True])), nothing)
    assert float(loss) == 0


def test_the_loss_of_values() -> None:
    step = Step(batch(["AATTC", "CCGGA"], [3.0, 1.0]), None)
    losses = task(source(0, 4)).losses(step, generator())
    # The number of As and Ts is that of either strand: 4 and 1.
    assert float(losses["loss"]) == pytest.approx(0.5)


def test_the_loss_of_differences_is_in_units_of_their_spread() -> None:
    words = ["AACC", "CCCC", "AAAA", "ACCC"]
    pairs = batch(words, [2.0, 1.0, 4.0, 1.0], alleles=2)
    made = source(0, 4, 2)
    made = replace(made, target=pairs.target.reshape(-1, 1).numpy())
    spread = np.sqrt((1 + 9) / 2)
    assert made.spread().tolist() == pytest.approx([spread])
    step = Step(batch(["CCCC"], [0.0]), pairs)
    losses = task(made, difference=3.0).losses(step, generator())
    # Differences are -2 and -3, where -1 and -3 are known.
    assert float(losses["difference"]) == pytest.approx(3 * (1 / spread**2 + 0) / 2)
    assert float(losses["pairs"]) == pytest.approx(1 / 4)
    assert float(losses["loss"]) == pytest.approx(1.5 / spread**2 + 1 / 4)


def test_differences_of_classes_and_of_what_is_unknown_are_not_learned() -> None:
    words = ["AACC", "CCCC", "AAAA", "ACCC"]
    one = batch(words, [1.0, 0.0, 1.0, 0.0], alleles=2)
    step = Step(batch(["CCCC"], [0.0]), one)
    made = replace(source(0, 4, 2), target=one.target.reshape(-1, 1).numpy())
    assert float(task(made, outputs=(CLASS,)).losses(step, generator())["difference"]) == 0
    unknown = Step(step.batch, one._replace(target=torch.full((2, 2, 1), torch.nan)))
    losses = task(made).losses(unknown, generator())
    assert (float(losses["difference"]), float(losses["pairs"])) == (0, 0)


def test_a_network_is_not_spoiled_by_what_is_unknown() -> None:
    output = torch.zeros(3, 2, 1, requires_grad=True)
    made = task(source(0, 4, 2))
    pairs = Batch(torch.zeros(3, 2, 4, dtype=torch.uint8), torch.full((3, 2, 1), torch.nan), 0)
    (made._differences(pairs, output) + made._values(pairs, output)).backward()
    assert output.grad is not None
    assert output.grad.abs().sum() == 0


def test_validation_is_of_both_strands_and_what_is_known() -> None:
    only_a = Counting(QUANTITY, counted=(0,))
    made = ActivityTask(only_a, [source(0, 4)], STILL)  # type: ignore[arg-type]
    answers = made.predict(batch(["AATA", "CCGA"], [3.0, torch.nan]))
    assert answers.output[:, 0].tolist() == [2, 0.5]
    x = torch.tensor([[1.0], [2.0], [3.0], [9.0]])
    y = torch.tensor([[2.0], [4.0], [6.0], [torch.nan]])
    assert made.metrics([Answers(x, y)]) == {"pearson": pytest.approx(1.0)}
    assert made.metrics([Answers(x, torch.ones(4, 1))]) == {"pearson": 0.0}
    sure = task(source(0, 4), outputs=(CLASS,)).metrics([Answers(torch.zeros(4, 1), y.sign())])
    assert sure == {"log_likelihood": pytest.approx(-np.log(2))}
