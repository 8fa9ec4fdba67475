"""Properties of views of any sequences at any rates."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genomix_cli.genome.iupac import HIDDEN
from genomix_cli.sequences.pretrain.views import Views, view

RATE = st.floats(0, 1)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(3, 50),
    st.builds(
        Views,
        mask=RATE,
        span=st.integers(1, 12),
        crop=st.floats(0.01, 1),
        mutate=RATE,
        reverse_complement=st.booleans(),
    ),
    st.booleans(),
    st.integers(0, 1000),
)
def test_a_view_is_made_of_sets_and_says_nothing_new(n, length, views, aligned, seed):
    if aligned:
        views = Views(views.mask, views.span, views.crop, views.mutate, False)
    rng = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 16, (n, length), generator=rng, dtype=torch.uint8)
    before = codes.clone()
    found = view(codes, views, aligned, rng)
    assert found.dtype == torch.uint8
    assert torch.equal(codes, before)
    assert len(found) == n
    assert int(found.max()) < 16
    if aligned:
        assert found.shape == codes.shape
        # What is hidden, or how many bases a set has, no view makes better known.
        sizes = torch.tensor([code.bit_count() for code in range(16)])
        shown = found != HIDDEN
        assert (codes[shown] != HIDDEN).all()
        assert torch.equal(sizes[found[shown].long()], sizes[codes[shown].long()])
    else:
        assert 3 <= found.shape[1] <= length


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(3, 40), st.booleans(), st.integers(0, 99))
def test_without_changes_a_view_is_the_sequence(n, length, aligned, seed):
    rng = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 16, (n, length), generator=rng, dtype=torch.uint8)
    nothing = Views(mask=0, crop=1, mutate=0, reverse_complement=False)
    assert torch.equal(view(codes, nothing, aligned, rng), codes)
