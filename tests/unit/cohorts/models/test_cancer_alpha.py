"""Cancer Alpha: its encoders, attention between modalities, and progressive training.

Letters: B batch, M modalities, d features, L places, w width.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from genomix_cli.cohorts.dataset import Modality, Samples, read_samples
from genomix_cli.cohorts.models.cancer_alpha import (
    CancerAlpha,
    CancerAlphaConfig,
    CancerAlphaNetwork,
    CrossModalLayer,
    attention_entropy,
)
from genomix_cli.cohorts.models.encoders import (
    EMPTY,
    BatchNorm,
    CopyNumberEncoder,
    FragmentEncoder,
    MLPEncoder,
    bin_places,
    encoder_of,
    genome_places,
    length_places,
)
from genomix_cli.cohorts.models.network import Inputs
from genomix_cli.errors import UsageError
from genomix_cli.formats.cohort import open_cohort
from genomix_cli.learning.fit_settings import FitSettings
from tests.cohort_files import every_kind

SMALL = CancerAlphaConfig(
    width=16, heads=2, epochs=2, alone_epochs=1, joint_epochs=1, batch_size=16
)
COPY = Modality(
    "copy", "copy_number", tuple("abcdefg"), (), ("chr2", "chr10", "chr2", "X", "1", "1", "1"),
    (5, 0, 1, 7, 30, 10, 20),
)  # fmt: skip
FRAGMENTS = Modality(
    "fragments", "fragments", tuple("abcdefg"),
    ("length", "short", "long", "length", "long", "short", "length"),
    ("", "chr1", "chr1", "", "chr2", "chr2", ""), (160, 0, 0, 150, 0, 0, 155),
)  # fmt: skip
PEAKS = Modality("peaks", "chromatin", tuple("abcde"))


def batch(modalities: tuple[Modality, ...], n: int = 12, seed: int = 0) -> Inputs:
    """Random values; the first sample lacks a modality, the second a value."""
    draw = torch.Generator().manual_seed(seed)
    values = [torch.randn(n, len(m.features), generator=draw) for m in modalities]
    present = torch.ones(n, len(modalities), dtype=torch.bool)
    observed = [torch.ones_like(v, dtype=torch.bool) for v in values]
    if len(modalities) > 1:
        present[0, 1] = observed[1][0] = False
        values[1][0] = 0
    observed[0][1, :1] = False
    values[0][1, :1] = 0
    return Inputs(tuple(values), tuple(observed), present)


def network(modalities: tuple[Modality, ...], **changes: Any) -> CancerAlphaNetwork:
    torch.manual_seed(0)
    return CancerAlphaNetwork(replace(SMALL, **changes), modalities, 3)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    path = every_kind(Path(tmp_path_factory.mktemp("cohort")) / "a.h5mu", n=60)
    with open_cohort(path) as cohort:
        return read_samples(cohort).only(["methylation", "copy", "fragments", "mRNA"])


def test_each_kind_has_its_encoder() -> None:
    made = {
        kind: type(encoder_of(replace(COPY, kind=kind), 8, 0.0, generic=False))
        for kind in (
            *("copy_number", "copy_number_calls", "fragments", "fragment_ratios"),
            *("methylation", "other"),
        )
    }
    assert made == {
        "copy_number": CopyNumberEncoder,
        "copy_number_calls": CopyNumberEncoder,
        "fragments": FragmentEncoder,
        "fragment_ratios": CopyNumberEncoder,
        "methylation": MLPEncoder,
        "other": MLPEncoder,
    }
    assert isinstance(encoder_of(COPY, 8, 0.0, generic=True), MLPEncoder)


def test_the_genome_is_in_order_with_room_between_chromosomes() -> None:
    # chr1: 10, 20, 30; chr2: 1, 5; chr10; X.
    assert genome_places(COPY).tolist() == [
        [5, 6, 4, EMPTY, EMPTY, 2, 0, EMPTY, EMPTY, 1, EMPTY, EMPTY, 3]
    ]
    assert genome_places(replace(COPY, contig=(), position=())).tolist() == [list(range(7))]
    nowhere = replace(COPY, position=(5, -1, 1, 7, 30, 10, 20))
    assert genome_places(nowhere)[0, -1] == 1


def test_fragments_are_in_order_of_length_and_short_beside_long() -> None:
    assert length_places(FRAGMENTS).tolist() == [[3, 6, 0]]
    assert bin_places(FRAGMENTS).tolist() == [[1, EMPTY, EMPTY, 5], [2, EMPTY, EMPTY, 4]]
    no_places = replace(FRAGMENTS, contig=(), position=())
    assert bin_places(no_places).tolist() == [[1, 5], [2, 4]]
    plain = Modality("f", "fragments", tuple("abc"))
    assert length_places(plain).tolist() == [[0, 1, 2]]
    assert bin_places(plain).shape[1] == 0


@pytest.mark.parametrize("modality", [COPY, FRAGMENTS])
def test_the_order_of_the_file_does_not_matter(modality: Modality) -> None:
    order = [4, 2, 6, 0, 5, 1, 3]
    moved = replace(
        modality,
        features=tuple(modality.features[i] for i in order),
        readout=tuple(modality.readout[i] for i in order) if modality.readout else (),
        contig=tuple(modality.contig[i] for i in order),
        position=tuple(modality.position[i] for i in order),
    )
    encoders = []
    for one in (modality, moved):
        torch.manual_seed(0)
        encoders.append(encoder_of(one, 8, 0.0, generic=False).eval())
    values, observed, _ = batch((modality,))
    there = encoders[0](values[0], observed[0])
    assert_allclose(
        encoders[1](values[0][:, order], observed[0][:, order]).detach(), there.detach(), atol=1e-6
    )


def test_pooling_forgets_where_but_for_the_places_that_are_learned() -> None:
    lengths = tuple(range(100, 160))
    modality = Modality("f", "fragments", tuple(map(str, lengths)), (), (), lengths)
    encoder = FragmentEncoder(modality, 8, 0.0).eval()
    values = torch.zeros(1, 60)
    values[0, 25:30] = torch.tensor([1.0, 3.0, 2.0, -1.0, 0.5])
    # Nothing observed: the channel that says so is 0 at the edges as beyond them.
    observed = torch.zeros(1, 60, dtype=torch.bool)

    def difference() -> float:
        moved = encoder(values.roll(4, 1), observed)
        return float((moved - encoder(values, observed)).abs().max().detach())

    assert difference() > 1e-4
    encoder.towers[0].stem.where.data.zero_()
    assert difference() < 1e-5


def test_a_gap_keeps_chromosomes_apart_for_convolutions() -> None:
    encoder = CopyNumberEncoder(COPY, 8, 0.0).eval()
    values = torch.zeros(1, 7)
    observed = torch.ones(1, 7, dtype=torch.bool)
    before = encoder.stem(values, observed)
    values[0, 2] = 5.0  # chr2:1, at place 5 of 13
    changed = ((encoder.stem(values, observed) - before).abs().amax(1)[0] > 1e-6).nonzero()
    assert set(changed[:, 0].tolist()) <= {3, 4, 5, 6, 7}


def test_batch_norm_of_one_sample_uses_what_it_has_seen() -> None:
    norm = BatchNorm(3)
    norm.running_mean.fill_(2.0)
    assert_allclose(norm(torch.full((1, 3), 2.0)).detach(), 0, atol=1e-6)
    reference = torch.nn.BatchNorm1d(3)
    x = torch.randn(5, 3)
    reference.running_mean.fill_(2.0)
    assert_allclose(norm(x).detach(), reference(x).detach())


def test_the_entropy_of_uniform_attention_is_log_m_and_of_one_hot_attention_0() -> None:
    there = torch.tensor([[True, True, True, False], [True, False, False, False]])
    uniform = torch.full((2, 4, 4), 0.25)
    assert math.isclose(attention_entropy(uniform, there), math.log(4), rel_tol=1e-6)
    hot = torch.eye(4).expand(2, 4, 4).clone().requires_grad_()
    entropy = attention_entropy(hot, there)
    entropy.backward()
    assert float(entropy.detach()) == 0
    assert hot.grad is not None
    assert torch.isfinite(hot.grad).all()
    assert float(attention_entropy(uniform, torch.zeros(2, 4, dtype=torch.bool))) == 0


def test_attention_is_softmax_of_scaled_products_between_modalities() -> None:
    torch.manual_seed(0)
    layer = CrossModalLayer(3, 8, 2, 0.0).eval()
    x = torch.randn(4, 3, 8)
    present = torch.tensor([[True] * 3, [True, False, True], [False, False, True], [True] * 3])
    found = layer(x, present).attention.detach()
    for b in range(4):
        for head in range(2):
            own = slice(head * 4, head * 4 + 4)
            for i in range(3):
                q = layer.qkv[i](x[b, i])[:8][own]
                keys = torch.stack([layer.qkv[j](x[b, j])[8:16][own] for j in range(3)])
                e = np.exp((keys @ q / 2).detach().numpy()) * present[b].numpy()
                assert_allclose(found[b, head, i], e / e.sum(), atol=1e-6)


def test_what_an_absent_modality_holds_does_not_matter() -> None:
    modalities = (PEAKS, COPY, FRAGMENTS)
    model = network(modalities).eval()
    inputs = batch(modalities)
    before = model(inputs)
    inputs.values[1][0] = 7.0
    after = model(inputs)
    assert torch.equal(before.logits, after.logits)
    assert before.attention is not None
    assert (before.attention[0, :, 1] == 0).all()
    assert_allclose(before.attention.sum(-1).detach(), 1, atol=1e-6)


def test_absent_samples_do_not_enter_an_encoder_s_batch_norm() -> None:
    model = network((PEAKS, COPY)).train()
    inputs = batch((PEAKS, COPY))
    model(inputs)
    alone = network((PEAKS, COPY)).train()
    alone.encoders["1"](inputs.values[1][1:], inputs.observed[1][1:])
    assert_array_equal(
        model.encoders["1"].stem.norm.running_mean, alone.encoders["1"].stem.norm.running_mean
    )


def test_a_missing_value_is_told_from_an_average_one_along_an_axis() -> None:
    for modality in (COPY, FRAGMENTS):
        encoder = encoder_of(modality, 8, 0.0, generic=False).eval()
        seen = torch.ones(1, 7, dtype=torch.bool)
        unseen = seen.clone()
        unseen[0, 3] = False
        values = torch.zeros(1, 7)
        assert (encoder(values, seen) - encoder(values, unseen)).abs().max() > 1e-4


@pytest.mark.parametrize(
    "modalities", [(PEAKS,), (PEAKS, COPY, FRAGMENTS), (replace(PEAKS, features=()), COPY)]
)
@pytest.mark.parametrize("changes", [{}, {"cross_attention": False}, {"encoders": "generic"}])
def test_gradients_reach_every_parameter(
    modalities: tuple[Modality, ...], changes: dict[str, Any]
) -> None:
    model = network(modalities, dropout=0.0, **changes).train()
    inputs = batch(modalities)
    # A token of a modality is used where a sample lacks it, so let each be lacking once.
    for i in range(len(modalities)):
        inputs.present[i + 2, i] = False
        inputs.observed[i][i + 2] = False
    output = model(inputs)
    loss = (output.logits * torch.randn_like(output.logits)).sum()
    (loss if output.penalty is None else loss + output.penalty).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_nothing_at_all_is_an_answer_too() -> None:
    model = network((replace(PEAKS, features=()), COPY)).eval()
    inputs = batch((replace(PEAKS, features=()), COPY), n=3)
    inputs.present[:] = False
    assert torch.isfinite(model(inputs).logits).all()


def test_the_answer_for_a_sample_does_not_depend_on_the_others(samples: Samples) -> None:
    model = CancerAlpha(SMALL)
    model.fit(samples, FitSettings())
    together = model.log_probability(samples)
    one_by_one = [model.log_probability(samples.take(np.array([i]))) for i in range(5)]
    assert_allclose(np.concatenate(one_by_one), together[:5], atol=1e-5)


def test_progressive_training_takes_each_encoder_alone_first(samples: Samples) -> None:
    fitted = {
        way: CancerAlpha(replace(SMALL, training=way)) for way in ("progressive", "end-to-end")
    }
    curves = {way: model.fit(samples, FitSettings()) for way, model in fitted.items()}
    stages = list(dict.fromkeys(epoch.stage for epoch in curves["progressive"].curve))
    assert stages == [*(modality.name for modality in samples.modalities), "joint"]
    assert {epoch.stage for epoch in curves["end-to-end"].curve} == {"joint"}
    assert curves["progressive"].parameters == curves["end-to-end"].parameters
    shapes = [
        {name: array.shape for name, array in model.state().items()} for model in fitted.values()
    ]
    assert shapes[0] == shapes[1]


def test_each_stage_has_at_most_the_epochs_of_the_command(samples: Samples) -> None:
    config = replace(SMALL, epochs=1, alone_epochs=3, joint_epochs=3, patience=9)
    curve = CancerAlpha(config).fit(samples, FitSettings()).curve
    assert {epoch.epoch for epoch in curve} == {1}


def test_progressive_training_that_still_improves_at_its_last_epoch_has_not_converged(
    samples: Samples,
) -> None:
    # One epoch, and its last is its best.
    assert not CancerAlpha(SMALL).fit(samples, FitSettings()).converged


def test_alone_an_encoder_learns_and_the_rest_stays_as_it_was(samples: Samples) -> None:
    """The joint stage starts from trained encoders."""
    seen: dict[str, dict[str, torch.Tensor]] = {}

    class Watched(CancerAlpha):
        def stage(self, module: Any, *args: Any, name: str = "joint", **kwargs: Any) -> Any:
            if name == "joint":
                seen["before joint"] = {k: v.clone() for k, v in module.state_dict().items()}
                return []
            return super().stage(module, *args, name=name, **kwargs)

        def build(self, *args: Any) -> Any:
            module = super().build(*args)
            seen["new"] = {k: v.clone() for k, v in module.state_dict().items()}
            return module

    Watched(SMALL).fit(samples, FitSettings())
    moved = {k for k, v in seen["new"].items() if not torch.equal(v, seen["before joint"][k])}
    assert {name.split(".")[0] for name in moved} == {"encoders"}
    assert {name.split(".")[1] for name in moved} == {str(i) for i in range(4)}


def test_a_modality_that_nobody_to_learn_from_has_is_passed_over(samples: Samples) -> None:
    present = samples.present.copy()
    present[:, 1] = False
    values = {**samples.values, "copy": np.full_like(samples.values["copy"], np.nan)}
    fitted = CancerAlpha(SMALL).fit(replace(samples, present=present, values=values), FitSettings())
    assert "copy" not in {epoch.stage for epoch in fitted.curve}


def test_stored_and_restored_it_answers_the_same(samples: Samples) -> None:
    model = CancerAlpha(replace(SMALL, members=2))
    model.fit(samples, FitSettings(seed=3))
    again = CancerAlpha(replace(SMALL, members=2))
    again.restore(model.modalities, model.classes, model.state())
    assert_array_equal(again.log_probability(samples), model.log_probability(samples))
    attention = again.attention(samples)
    assert attention is not None
    here = samples.present.all(1)
    assert attention.shape == (60, 4, 4)
    assert_allclose(attention[here].sum(-1), 1, atol=1e-5)
    assert np.isnan(attention[~samples.present]).all()


def test_the_same_seed_gives_the_same_weights(samples: Samples) -> None:
    states = []
    for _ in range(2):
        model = CancerAlpha(SMALL)
        model.fit(samples, FitSettings(seed=5))
        states.append(model.state())
    for name, array in states[0].items():
        assert_array_equal(array, states[1][name])


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(UsageError, match="width 10 is not a multiple of heads 4"):
        CancerAlpha(CancerAlphaConfig(width=10))
