"""Negative controls: inputs altered so that a model must lose a known part of its performance.

Tracks and contacts are the same for both alleles, so a model can rank loci without reading the
variant. These controls measure how much performance that alone explains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from genomix_cli.variants.records.inputs import load_window
from genomix_cli.variants.train.dataset import Batch, Item, VariantDataset


def swap_alleles(batch: Batch) -> Batch:
    """Swap ref and alt; the window still shows the reference."""
    v = batch.variants
    swapped = v._replace(ref=v.alt, alt=v.ref, ref_len=v.alt_len, alt_len=v.ref_len)
    return batch._replace(variants=swapped)


def remove_variant(batch: Batch) -> Batch:
    """Use ref as both alleles, which leaves only the position."""
    v = batch.variants
    return batch._replace(variants=v._replace(alt=v.ref, alt_len=v.ref_len))


def withhold(batch: Batch, tracks: Sequence[int], *, contacts: bool) -> Batch:
    """Mask the tracks with these indices, and contacts if `contacts` is True."""
    window = batch.window
    if len(tracks):
        observed = window.observed.clone()
        observed[:, list(tracks)] = 0
        window = window._replace(observed=observed)
    if contacts:
        window = window._replace(contacts=torch.zeros_like(window.contacts))
    return batch._replace(window=window)


def withhold_contacts(batch: Batch) -> Batch:
    """Mask contacts, which leaves only the distance term of the prior."""
    return withhold(batch, (), contacts=True)


def withhold_tracks(batch: Batch) -> Batch:
    """Mask tracks and contacts, which leaves only the sequence."""
    return withhold(batch, range(batch.window.observed.shape[1]), contacts=True)


CONTROLS: dict[str, Callable[[Batch], Batch]] = {
    "alleles_swapped": swap_alleles,
    "variant_removed": remove_variant,
    "tracks_withheld": withhold_tracks,
}


class ShuffledTracks(Dataset[Item]):
    """Dataset whose windows keep their sequence but get the tracks of other windows.

    Unlike withheld tracks, the values are real; only their position is wrong. Each window gets the
    tracks and contacts of a different window in the same cell type, and each set is used once.

    Parameters
    ----------
    dataset : VariantDataset
        Not augmented, with at least two windows.
    seed : int
    """

    def __init__(self, dataset: VariantDataset, seed: int) -> None:
        self.dataset = dataset
        places = [(placement.contig, placement.start) for placement in dataset.placements]
        windows = sorted(set(places))
        donors = derangement(len(windows), np.random.default_rng(seed))
        donor_of = {window: windows[i] for window, i in zip(windows, donors, strict=True)}
        self.donors = [donor_of[placement] for placement in places]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Item:
        item = self.dataset[index]
        source = self.dataset.shard.in_cell(self.dataset.placements[index].cell)
        contig, start = self.donors[index]
        other = load_window(source, contig, start, self.dataset.n_bins)
        signal = other.signal.astype(np.float32)
        window = item.window._replace(signal=signal, state=other.state, contacts=other.contacts)
        return item._replace(window=window)


def derangement(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a random permutation of ``0 .. n - 1`` (n >= 2) without fixed points."""
    if n < 2:
        raise ValueError("a single item has no derangement")
    order = rng.permutation(n)
    moved = np.empty(n, np.int64)
    moved[order] = np.roll(order, 1)  # one cycle through all items
    return moved
