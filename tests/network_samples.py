"""In-memory samples for tests of networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from genomix_cli.cohorts.dataset import Modality, Samples
from genomix_cli.cohorts.models.network import Inputs


def modalities(sizes: Sequence[int]) -> tuple[Modality, ...]:
    """Return modalities with the given numbers of features."""
    return tuple(
        Modality(f"omics{i}", "other", tuple(f"f{j}" for j in range(k)))
        for i, k in enumerate(sizes)
    )


def inputs(sizes: Sequence[int], n: int = 6, seed: int = 0) -> Inputs:
    """Return a batch with missing values.

    Sample 1 lacks the first modality, sample 2 all but the last one, sample 3 every value, and
    sample 4 the last modality.
    """
    rng = torch.Generator().manual_seed(seed)
    present = torch.ones(n, len(sizes), dtype=torch.bool)
    if len(sizes) > 1:
        present[1, 0] = False
        present[2, :-1] = False
        present[4:5, -1] = False
    observed = tuple(
        (torch.rand(n, k, generator=rng) < 0.8) & present[:, i, None] for i, k in enumerate(sizes)
    )
    for o in observed:
        o[3:4] = False
    values = tuple(torch.randn(n, k, generator=rng) for k in sizes)
    return Inputs(tuple(v * o for v, o in zip(values, observed, strict=True)), observed, present)


def samples(values: Sequence[np.ndarray], label: np.ndarray) -> Samples:
    """Return samples of two classes without missing values."""
    n = len(label)
    kinds = modalities([v.shape[1] for v in values])
    return Samples(
        names=np.array([f"S{i}" for i in range(n)]),
        modalities=kinds,
        values={m.name: v.astype(np.float32) for m, v in zip(kinds, values, strict=True)},
        present=np.ones((n, len(kinds)), bool),
        classes=("no", "yes"),
        label=label.astype(np.int64),
        patient=np.arange(n),
        batch=np.zeros(n, np.int64),
    )


def exclusive_or(n: int, seed: int) -> Samples:
    """Return samples whose class is the exclusive or of a bit in each of two modalities."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (2, n))
    values = [2.0 * bit[:, None] - 1 + 0.5 * rng.normal(size=(n, 4)) for bit in bits]
    return samples(values, bits[0] ^ bits[1])
