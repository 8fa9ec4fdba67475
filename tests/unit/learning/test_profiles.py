"""BPNet: its size, its place on the sequence, and the same answer for either strand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from genomix_cli.config import to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.learning.activity import Output, predicted_config, stored_network
from genomix_cli.learning.networks import new_module, weights
from genomix_cli.learning.profiles import (
    GAIN,
    UNIT,
    ProfileConfig,
    ProfileModel,
)
from genomix_cli.sequences.profile.train import PRESETS
from tests.profile_samples import OUTPUTS, config, network


def one_hot(n: int, length: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.eye(4)[torch.randint(0, 4, (n, length), generator=generator)]


def test_the_published_size() -> None:
    """The four factors of the paper, on two strands each.

    A convolution of 25 from 4 to 64 channels, nine of 3; a transposed convolution of 25 and a
    linear layer to two strands of each factor; all with biases.
    """
    tracks = tuple(Output(f"{tf}{s}", unit=UNIT) for tf in "OSNK" for s in "+-")
    of = ProfileConfig(tracks, (1, 0, 3, 2, 5, 4, 7, 6), 1000, 1000, **PRESETS["paper"])
    model = new_module(lambda: ProfileModel(of), 0)
    first, dilated = 25 * 4 * 64 + 64, 9 * (3 * 64 * 64 + 64)
    profile, counts = 4 * (25 * 64 * 2 + 2), 4 * (64 * 2 + 2)
    assert sum(p.numel() for p in model.parameters()) == first + dilated + profile + counts
    assert first + dilated + profile + counts == 130_960
    convolutions = [m for m in model.body.modules() if isinstance(m, torch.nn.Conv1d)]
    assert [m.dilation[0] for m in convolutions] == [1, *(2**i for i in range(1, 10))]
    answer = model(one_hot(1, 1000))
    assert (answer.profile.shape, answer.counts.shape) == ((1, 8, 1000), (1, 8))


@pytest.mark.parametrize("profile", [44, 20, 60])
def test_the_profile_is_that_of_the_bases_in_the_middle(profile: int) -> None:
    model, whole = (network(config(profile=size)) for size in (profile, 60))
    p, beside = one_hot(3, 60), (60 - profile) // 2
    with torch.inference_mode():
        found, every = model(p), whole(p)
    middle = every.profile[..., beside : 60 - beside]
    torch.testing.assert_close(found.profile, middle)
    torch.testing.assert_close(found.counts, every.counts)


def test_counts_start_from_their_mean_in_training() -> None:
    model = new_module(lambda: ProfileModel(config()), 0)
    assert model.counts.bias.tolist() == [output.mean for output in OUTPUTS]


def test_the_other_strand_is_the_same_answer_turned() -> None:
    model, p = network(config()), one_hot(4, 60)
    with torch.inference_mode():
        one, other, alone = model.answers(p), model.answers(p.flip(1, 2)), model(p)
        counts = model.both_strands(p, (0, 2))
    torch.testing.assert_close(other.profile[:, [1, 0, 2]].flip(-1), one.profile)
    torch.testing.assert_close(other.counts[:, [1, 0, 2]], one.counts)
    torch.testing.assert_close(counts, one.counts[:, [0, 2]])
    assert not torch.allclose(alone.counts, one.counts)
    with torch.inference_mode():
        turned = model(p.flip(1, 2)).profile.softmax(-1)[:, [1, 0, 2]].flip(-1)
    mean = (alone.profile.softmax(-1) + turned) / 2
    torch.testing.assert_close(one.profile.softmax(-1), mean)


def controlled() -> ProfileModel:
    """A network with two strands of one control, whose weights all count."""
    model = network(config(controls=("IN+", "IN-"), control_opposite=(1, 0)))
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for layer in (model.control_profile, model.control_counts):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) / 30)
    return model


def test_what_a_control_counts_is_added_to_both_heads() -> None:
    model, p = controlled(), one_hot(2, 60)
    control = torch.poisson(torch.full((2, 2, 44), 3.0), torch.Generator().manual_seed(1))
    with torch.inference_mode():
        alone, found = model(p), model(p, control)
        nothing = model(p, torch.zeros(2, 2, 44))
    # Without counts of the control nothing is added.
    torch.testing.assert_close(nothing, alone)
    at, weight = 7, model.control_profile.weight[..., 0].detach()
    around = control[:, :, : at + 26].mean(-1)  # of 51 bases, those in the profile
    logs = torch.cat([control[..., at], around], 1).log1p()
    expected = alone.profile[..., at] + GAIN * logs @ weight.T
    torch.testing.assert_close(found.profile[..., at], expected)
    total = GAIN * control.sum(-1).log1p() @ model.control_counts.weight.T
    torch.testing.assert_close(found.counts, alone.counts + total.detach())


def test_a_control_is_turned_with_its_sequence() -> None:
    model, p = controlled(), one_hot(4, 60)
    control = torch.poisson(torch.full((4, 2, 44), 3.0), torch.Generator().manual_seed(1))
    with torch.inference_mode():
        one = model.answers(p, control)
        other = model.answers(p.flip(1, 2), control[:, [1, 0]].flip(-1))
    torch.testing.assert_close(other.profile[:, [1, 0, 2]].flip(-1), one.profile)
    torch.testing.assert_close(other.counts[:, [1, 0, 2]], one.counts)


def test_a_network_starts_as_if_there_were_no_control() -> None:
    with_it = config(controls=("IN",), control_opposite=(0,))
    one, other = (new_module(lambda of=of: ProfileModel(of), 3) for of in (config(), with_it))
    p, control = one_hot(2, 60), torch.ones(2, 1, 44)
    with torch.inference_mode():
        torch.testing.assert_close(other(p, control), one(p))
    assert sum(p.numel() for p in other.parameters()) == 3 * 3 + sum(
        p.numel() for p in one.parameters()
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"controls": ("IN",), "control_opposite": (1,)}, "control_opposite does not pair tracks"),
        ({"controls": ("IN",)}, "control_opposite does not pair tracks"),
        ({"opposite": (1, 2, 0)}, "does not pair tracks"),
        ({"opposite": (1, 0)}, "does not pair tracks"),
        ({"opposite": (1, 0, 3)}, "does not pair tracks"),
        ({"profile": 62}, "does not fit in the middle"),
        ({"profile": 43}, "does not fit in the middle"),
        ({"summary": ("H3K27ac",)}, "summary names unknown output"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(**fields)


def test_what_is_stored_is_checked(tmp_path: Path) -> None:
    model = network(config())
    kinds, arch, state = (ProfileConfig, ProfileModel), to_dict(config()), weights(model)
    p = one_hot(2, 60)
    with torch.inference_mode():
        found = stored_network(*kinds, arch, state, tmp_path)(p)
        torch.testing.assert_close(found.counts, model(p).counts)
    with pytest.raises(DataError, match="is damaged"):
        stored_network(*kinds, {**arch, "width": 9}, state, tmp_path)
    for damage in ({"outputs": []}, {"opposite": [5, 6, 7]}, {"width": "x"}, {"more": 1}):
        with pytest.raises(DataError, match="is damaged"):
            predicted_config(ProfileConfig, {**arch, **damage}, tmp_path)
