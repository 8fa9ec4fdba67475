"""Seeds and generators derived from lists of numbers, such as seed, epoch and step."""

from __future__ import annotations

import numpy as np
import torch


def seed_of(*numbers: int) -> int:
    """Return a 63-bit seed, which gives every list of numbers an independent random stream."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator_of(device: torch.device, *numbers: int) -> torch.Generator:
    """Return a generator on a device, seeded by :func:`seed_of` of non-negative numbers."""
    return torch.Generator(device).manual_seed(seed_of(*numbers))
