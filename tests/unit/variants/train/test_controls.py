"""Controls alter what they say and nothing else."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from genomix_cli.variants.conditions import Conditions
from genomix_cli.variants.models.base import Variants, Window
from genomix_cli.variants.train.calibrations import fewer_inputs
from genomix_cli.variants.train.controls import (
    derangement,
    remove_variant,
    swap_alleles,
    withhold,
    withhold_contacts,
    withhold_tracks,
)
from genomix_cli.variants.train.dataset import Batch


def make_batch() -> Batch:
    rng = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 4, (2, 1, 3, 20), generator=rng, dtype=torch.uint8)
    lengths = torch.tensor([[1, 2, 3]])
    variants = Variants(torch.tensor([[5, 6, 7]]), codes[0], codes[1], lengths, lengths + 1)
    window = Window(*(torch.rand(1, 4, generator=rng) for _ in range(4)))
    return Batch(window, variants, *(torch.rand(1, 3, generator=rng) for _ in range(5)))


def test_swapping_twice_is_the_original() -> None:
    batch = make_batch()
    swapped = swap_alleles(batch)
    assert torch.equal(swapped.variants.ref, batch.variants.alt)
    assert torch.equal(swapped.variants.alt_len, batch.variants.ref_len)
    for a, b in zip(swap_alleles(swapped).variants, batch.variants, strict=True):
        assert torch.equal(a, b)
    assert swapped.window is batch.window


def test_without_the_variant_both_haplotypes_are_the_reference() -> None:
    batch = make_batch()
    bare = remove_variant(batch).variants
    assert torch.equal(bare.alt, batch.variants.ref)
    assert torch.equal(bare.alt_len, batch.variants.ref_len)
    assert torch.equal(bare.offset, batch.variants.offset)


def test_without_tracks_the_sequence_is_left() -> None:
    batch = make_batch()
    window = withhold_tracks(batch).window
    assert not window.observed.any()
    assert not window.contacts.any()
    assert window.codes is batch.window.codes
    assert withhold_tracks(batch).variants is batch.variants


def test_without_contacts_the_tracks_are_left() -> None:
    batch = make_batch()
    window = withhold_contacts(batch).window
    assert not window.contacts.any()
    assert window.observed is batch.window.observed
    assert window.signal is batch.window.signal


def test_one_track_is_withheld_and_the_others_are_left() -> None:
    batch = make_batch()
    before = batch.window.observed.clone()
    window = withhold(batch, [2], contacts=False).window
    assert not window.observed[:, 2].any()
    assert torch.equal(window.observed[:, [0, 1, 3]], before[:, [0, 1, 3]])
    assert torch.equal(batch.window.observed, before)
    assert window.contacts is batch.window.contacts


def test_users_may_lack_any_input() -> None:
    full = Conditions(("a", "b", "c"), True, "zero")
    found = {(each.tracks, each.contacts): each.uncovered for each in fewer_inputs(full)}
    kept = [("a", "b", "c"), (), ("b", "c"), ("a", "c"), ("a", "b"), ("a",), ("b",), ("c",)]
    assert found == {(t, c): "zero" if t else None for c in (True, False) for t in kept}
    assert fewer_inputs(full)[0] == full
    # No condition twice, and no contacts where the training had none.
    assert fewer_inputs(Conditions(("a",), False)) == [
        Conditions(("a",), False),
        Conditions((), False),
    ]


@given(st.integers(2, 200), st.integers(0, 5))
def test_a_derangement_moves_everything(n: int, seed: int) -> None:
    moved = derangement(n, np.random.default_rng(seed))
    assert sorted(moved) == list(range(n))
    assert (moved != np.arange(n)).all()
