"""The fast difference of two haplotypes is that of the plain networks, whatever their shape."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genomix_cli.learning.activity import ActivityModel, Output
from genomix_cli.learning.activity_differences import differences
from tests.random_activity import config, network

sides = st.text("ACGT", max_size=9)


@st.composite
def models(draw: st.DrawFn) -> ActivityModel:
    """Networks of all widths and lengths, with two constructs."""
    left, right = draw(sides), draw(sides)
    outputs = (
        Output("a", "MPRA", "log2", left, right, mean=1.0, sd=0.5),
        Output("b"),
        Output("c", "MPRA", "log2", left, right, mean=-3.0, sd=2.0),
    )
    length, width = draw(st.integers(8, 70)), draw(st.integers(3, 20))
    return network(
        config(outputs=outputs, length=length, motif_width=width), draw(st.integers(0, 2**32))
    )


def haplotypes(seed: int, length: int) -> torch.Tensor:
    """Three haplotypes ``[3, L, 4]`` in which some bases are unknown."""
    codes = np.random.default_rng(seed).integers(0, 5, (3, length))
    return torch.cat([torch.eye(4), torch.full((1, 4), 0.25)])[torch.from_numpy(codes)]


@settings(max_examples=30, deadline=None)
@given(st.data(), models(), st.integers(0, 2**32), st.booleans())
def test_it_is_what_the_plain_networks_say(
    data: st.DataObject, model: ActivityModel, seed: int, one_base: bool
) -> None:
    rows, length = (2, 0, 1), model.config.length
    ref, alt, at = haplotypes(seed, length), haplotypes(seed + 1, length), None
    if one_base:
        at = data.draw(st.integers(0, length - 1))
        alt = torch.cat([ref[:, :at], alt[:, at : at + 1], ref[:, at + 1 :]], 1)
    with torch.inference_mode():
        found = differences(model, ref, alt, rows, at)
        plain = model.both_strands(alt, rows) - model.both_strands(ref, rows)
        torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-5)
        assert torch.equal(differences(model, alt, ref, rows, at), -found)
        assert (differences(model, ref, ref, rows, at) == 0).all()
