"""Shared parts of cohort networks: hiding, batches, members, stopping and runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genomix_cli.cohorts.models.mlp import MLP, MLPConfig
from genomix_cli.cohorts.models.network import (
    Batch,
    ClassTask,
    Inputs,
    NetworkConfig,
    NetworkModel,
    Output,
    Part,
    hide,
    tensors,
)
from genomix_cli.cohorts.models.preprocessing import fit_preprocessor
from genomix_cli.learning import networks
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.networks import Batches, Predictions
from genomix_cli.learning.task import Epoch
from tests.cohort_samples import easy, with_gaps

SMALL = MLPConfig(width=8, layers=1, epochs=3, batch_size=32, learning_rate=3e-3)


def inputs(n: int = 4000, lacking: float = 0.3) -> Inputs:
    """Three modalities of two features; a sample has at least one."""
    rng = torch.Generator().manual_seed(0)
    present = torch.rand(n, 3, generator=rng) >= lacking
    present[:, 1] |= ~present.any(1)
    observed = tuple(
        (torch.rand(n, 2, generator=rng) > 0.1) & present[:, i, None] for i in range(3)
    )
    return Inputs(tuple(torch.ones(n, 2) * o for o in observed), observed, present)


class TestHide:
    def hidden(self, before: Inputs, **fields: Any) -> Inputs:
        config = NetworkConfig(**{"modality_dropout": 0.0, **fields})
        return hide(before, config, torch.Generator().manual_seed(3))

    def test_nothing_where_nothing_is_asked_for(self):
        before = inputs()
        after = self.hidden(before)
        assert torch.equal(after.present, before.present)
        assert all(torch.equal(a, b) for a, b in zip(after.values, before.values, strict=True))

    @pytest.mark.parametrize("rate", [0.2, 0.9, 1.0])
    def test_one_modality_always_stays_and_none_comes_back(self, rate):
        before = inputs()
        after = self.hidden(before, modality_dropout=rate)
        assert after.present.any(1).all()
        assert not (after.present & ~before.present).any()
        if rate == 1:
            assert (after.present.sum(1) == 1).all()

    def test_modalities_are_hidden_as_often_as_asked_for(self):
        """All modalities are drawn as hidden with probability rate^3, and then one is kept."""
        before = inputs(20_000, lacking=0.0)
        after = self.hidden(before, modality_dropout=0.4)
        expected = 0.4 - 0.4**3 / 3
        for kept in after.present.float().mean(0):
            assert 1 - float(kept) == pytest.approx(expected, abs=0.015)

    def test_what_is_hidden_is_neither_seen_nor_there(self):
        after = self.hidden(inputs(), modality_dropout=0.5, value_dropout=0.2)
        for i in range(3):
            assert not after.observed[i][~after.present[:, i]].any()
            assert (after.values[i][~after.observed[i]] == 0).all()
            assert (after.values[i][after.observed[i]] == 1).all()

    def test_values_are_hidden_as_often_as_asked_for(self):
        before = inputs(20_000)
        after = self.hidden(before, value_dropout=0.25)
        seen = sum(float(o.sum()) for o in before.observed)
        kept = sum(float(o.sum()) for o in after.observed)
        assert kept / seen == pytest.approx(0.75, abs=0.01)
        assert torch.equal(after.present, before.present)

    def test_the_only_modality_is_never_hidden(self):
        whole = inputs()
        one = Inputs(whole.values[:1], whole.observed[:1], whole.present[:, :1])
        after = self.hidden(one, modality_dropout=1.0)
        assert torch.equal(after.present, one.present)

    def test_leaves_its_input_as_it_is(self):
        before = inputs()
        copy = [tensor.clone() for tensor in before.values]
        self.hidden(before, modality_dropout=0.5, value_dropout=0.5)
        assert all(torch.equal(a, b) for a, b in zip(before.values, copy, strict=True))


class TestBatches:
    def test_each_sample_once_in_the_order_given_and_sizes_alike(self):
        label = torch.arange(103)
        order = np.random.default_rng(0).permutation(103)
        batches = list(Batches(Part(inputs(103), label), 10, order, shared=True))
        assert len(batches) == 11
        assert torch.cat([b.label for b in batches]).tolist() == order.tolist()
        assert {len(b.label) for b in batches} == {9, 10}

    def test_samples_go_with_their_labels(self):
        whole = inputs(50)
        order = np.arange(50)[::-1].copy()
        for batch in Batches(Part(whole, torch.arange(50)), 8, order, shared=False):
            assert torch.equal(batch.inputs.present, whole.present[batch.label])
            assert torch.equal(batch.inputs.values[1], whole.values[1][batch.label])

    def test_processes_share_each_batch(self, monkeypatch):
        parts = []
        for rank in range(3):
            monkeypatch.setattr(networks, "rank_and_world_size", lambda rank=rank: (rank, 3))
            batches = Batches(Part(inputs(40), torch.arange(40)), 16, np.arange(40), shared=True)
            parts.append([b.label.tolist() for b in batches])
        assert [len(part) for part in parts] == [3, 3, 3]
        for i, whole in enumerate(np.array_split(np.arange(40), 3)):
            assert sorted(n for part in parts for n in part[i]) == whole.tolist()
        monkeypatch.setattr(networks, "rank_and_world_size", lambda: (1, 3))
        alone = Batches(Part(inputs(40), torch.arange(40)), 16, np.arange(40), shared=False)
        assert sum(len(b.label) for b in alone) == 40


class TestTask:
    def test_metrics_are_of_all_batches_together(self):
        task = ClassTask(nn.Identity(), NetworkConfig(), None)
        logits, label = torch.randn(10, 3), torch.arange(10) % 3
        parts = [Predictions(logits[:7], label[:7]), Predictions(logits[7:], label[7:])]
        found = task.metrics(parts)
        expected = -nn.functional.cross_entropy(logits, label)
        assert found["log_likelihood"] == pytest.approx(float(expected), rel=1e-5)
        assert found["accuracy"] == pytest.approx(float((logits.argmax(1) == label).float().mean()))

    def test_a_penalty_is_added_and_said(self):
        class Fixed(nn.Module):
            def forward(self, inputs: Inputs) -> Output:
                n = len(inputs.present)
                return Output(torch.zeros(n, 2), penalty=torch.tensor(0.25))

        batch = Batch(inputs(8), torch.zeros(8, dtype=torch.long))
        losses = ClassTask(Fixed(), NetworkConfig(), None).losses(batch, torch.Generator())
        assert float(losses["loss"]) == pytest.approx(np.log(2) + 0.25)
        assert float(losses["classes"]) == pytest.approx(np.log(2))


@dataclass(frozen=True)
class ScriptedConfig(NetworkConfig):
    """For `Scripted`."""


class Scripted(NetworkModel):
    """A network of one number, whose validation likelihood over the epochs is written down."""

    config_class = ScriptedConfig
    script = (-0.9, -0.5, -0.7, -0.8, -0.9, -1.0)

    def build(self, modalities: Any, n_classes: int) -> nn.Module:
        """The number counts optimiser steps: gradient -1, no noise."""
        model = self

        class Counter(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.count = nn.Parameter(torch.zeros(1))
                self.register_buffer("validations", torch.zeros(1))

            def forward(self, inputs: Inputs) -> Output:
                n = len(inputs.present)
                if self.training:
                    return Output(torch.zeros(n, 2), penalty=-self.count.sum())
                epoch = min(int(self.validations), len(model.script) - 1)
                # The logit at which class 0, all labels here, has the likelihood of the script.
                p = float(np.exp(model.script[epoch]))
                self.validations += 1
                return Output(torch.tensor([[np.log(p / (1 - p)), 0.0]] * n).float())

        return Counter()


def scripted(**fields: Any) -> tuple[Scripted, Any]:
    samples = replace(easy(n=70), label=np.zeros(70, np.int64))
    model = Scripted(ScriptedConfig(**{"epochs": 6, "batch_size": 64, **fields}))
    return model, model.fit(samples, FitSettings())


class TestStopping:
    def test_the_weights_that_validated_best_are_restored(self):
        model, fitted = scripted(patience=0)
        nll = [epoch.valid_nll for epoch in fitted.curve]
        assert nll == pytest.approx([0.9, 0.5, 0.7, 0.8, 0.9, 1.0], rel=1e-5)
        # After the second validation, counted from 0 at each start of one.
        assert float(model._members[0].validations) == 2
        assert fitted.converged

    def test_it_stops_when_nothing_has_been_better_for_long_enough(self):
        _, fitted = scripted(patience=3)
        assert [epoch.epoch for epoch in fitted.curve] == [1, 2, 3, 4, 5]

    def test_what_was_still_improving_has_not_converged(self, monkeypatch):
        monkeypatch.setattr(Scripted, "script", (-0.9, -0.8, -0.7, -0.6, -0.5, -0.4))
        _, fitted = scripted()
        assert len(fitted.curve) == 6
        assert not fitted.converged


class TestFit:
    def test_the_curve_has_a_point_for_each_epoch_of_each_member(self):
        samples = with_gaps(easy(n=120))
        fitted = MLP(replace(SMALL, members=2)).fit(samples, FitSettings())
        assert [(e.stage, e.member, e.epoch) for e in fitted.curve] == [
            ("joint", member, epoch) for member in (0, 1) for epoch in (1, 2, 3)
        ]
        assert all(np.isfinite([e.train_loss, e.valid_nll]).all() for e in fitted.curve)

    def test_members_differ_in_start_and_samples_and_their_logits_are_averaged(self):
        samples = easy(n=120)
        model = MLP(replace(SMALL, members=3))
        parts = []
        learn = model.learn

        def spy(
            module: nn.Module, train: Any, valid: Any, member: int, setting: FitSettings
        ) -> Any:
            parts.append(valid.label.shape[0])
            starts.append(next(module.parameters()).detach().clone())
            held_out.append(valid.inputs.values[0])
            return learn(module, train, valid, member, setting)

        starts: list[Tensor] = []
        held_out: list[Tensor] = []
        model.learn = spy  # type: ignore[method-assign]
        fitted = model.fit(samples, FitSettings())
        assert fitted.parameters == 3 * ((12 + 2 + 1) * 8 + (8 + 1) * 2)
        assert not torch.equal(starts[0], starts[1])
        assert not torch.equal(held_out[0][:5], held_out[1][:5])
        assert all(15 <= size <= 19 for size in parts)  # a seventh of 120
        whole = tensors(fit_preprocessor(samples).transform(samples))
        with torch.inference_mode():
            mean = torch.stack([m(whole).logits for m in model._members]).mean(0)
        expected = torch.log_softmax(mean.double(), -1).numpy()
        np.testing.assert_allclose(model.log_probability(samples), expected, atol=1e-6)

    def test_another_seed_is_another_network(self):
        samples, first, second = easy(n=80), MLP(SMALL), MLP(SMALL)
        first.fit(samples, FitSettings(seed=0))
        second.fit(samples, FitSettings(seed=1))
        found = first.log_probability(samples), second.log_probability(samples)
        assert np.abs(found[0] - found[1]).max() > 1e-3

    def test_patients_are_on_one_side_of_the_stop(self):
        samples = replace(easy(n=120), patient=np.arange(120) // 4)
        model = MLP(SMALL)
        seen: dict[str, set[float]] = {}

        def spy(
            module: nn.Module, train: Any, valid: Any, member: int, setting: FitSettings
        ) -> Any:
            first = model._preprocessor.transform(samples).values[0][:, 0]
            owner = dict(zip(first.tolist(), samples.patient.tolist(), strict=True))
            for name, part in (("train", train), ("valid", valid)):
                seen[name] = {owner[v] for v in part.inputs.values[0][:, 0].tolist()}
            return [Epoch("joint", 0, 1, 0.0, 0.0, 1.0)]

        model.learn = spy  # type: ignore[method-assign]
        model.fit(samples, FitSettings())
        assert seen["train"] | seen["valid"] == set(range(30))
        assert not seen["train"] & seen["valid"]

    def test_classes_that_are_rare_count_when_balanced(self):
        samples = easy(n=400, shift=0.6)
        rare = np.flatnonzero(samples.label == 1)[40:]
        samples = samples.take(np.setdiff1d(np.arange(400), rare))

        def said(balanced: bool) -> float:
            model = MLP(replace(SMALL, epochs=8, balanced=balanced))
            model.fit(samples, FitSettings())
            return float((model.log_probability(samples).argmax(1) == 1).mean())

        assert said(True) > said(False) + 0.1

    def test_attention_is_unknown_where_a_modality_lacks(self):
        class Attending(MLP):
            def build(self, modalities: Any, n_classes: int) -> nn.Module:
                inner = super().build(modalities, n_classes)

                class Network(nn.Module):
                    def __init__(self) -> None:
                        super().__init__()
                        self.inner = inner

                    def forward(self, inputs: Inputs) -> Output:
                        n, m = inputs.present.shape
                        return Output(self.inner(inputs).logits, torch.full((n, m, m), 1 / m))

                return Network()

        samples = with_gaps(easy(n=80))
        model = Attending(replace(SMALL, members=2))
        model.fit(samples, FitSettings())
        attention = model.attention(samples)
        both = samples.present.all(1)
        assert (attention[both] == 0.5).all()
        lacking = attention[~samples.present[:, 0]]
        assert np.isnan(lacking[:, 0]).all()
        assert np.isnan(lacking[:, :, 0]).all()
        assert (lacking[:, 1, 1] == 0.5).all()
        plain = MLP(SMALL)
        plain.fit(samples, FitSettings())
        assert plain.attention(samples) is None


def test_logs_are_kept_only_where_asked_for(tmp_path):
    def files() -> Iterator[str]:
        return (path.name for path in tmp_path.rglob("*") if path.is_file())

    samples = easy(n=60)
    MLP(SMALL).fit(samples, FitSettings())
    assert not list(files())
    MLP(SMALL).fit(samples, FitSettings(logs=tmp_path))
    assert "best.ckpt" in files()
