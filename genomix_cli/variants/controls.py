"""What a model must not be able to do: inputs altered so that the answer is known.

Tracks and contacts are the same for both alleles, so a model can rank loci without reading the
variant. These controls say how far that alone carries it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from genomix_cli.variants.dataset import Batch


def swap_alleles(batch: Batch) -> Batch:
    """Give ref as alt and alt as ref; the window stays the reference."""
    v = batch.variants
    swapped = v._replace(ref=v.alt, alt=v.ref, ref_len=v.alt_len, alt_len=v.ref_len)
    return batch._replace(variants=swapped)


def remove_variant(batch: Batch) -> Batch:
    """Give ref as both alleles: only the place is left."""
    v = batch.variants
    return batch._replace(variants=v._replace(alt=v.ref, alt_len=v.ref_len))


def withhold_tracks(batch: Batch) -> Batch:
    """Leave tracks and contacts unmeasured: only the sequence is left."""
    window = batch.window
    hidden = window._replace(
        observed=torch.zeros_like(window.observed), contacts=torch.zeros_like(window.contacts)
    )
    return batch._replace(window=hidden)


CONTROLS: dict[str, Callable[[Batch], Batch]] = {
    "alleles_swapped": swap_alleles,
    "variant_removed": remove_variant,
    "tracks_withheld": withhold_tracks,
}
