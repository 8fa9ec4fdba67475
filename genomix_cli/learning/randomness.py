"""Random numbers that depend on a seed and on numbers of what they are for, and on nothing else."""

from __future__ import annotations

import numpy as np
import torch


def seed_of(*numbers: int) -> int:
    """Return a seed, of 63 bits, for a stream of its own for every list of numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator_of(device: torch.device, *numbers: int) -> torch.Generator:
    """Return a generator on a device, seeded by numbers of 0 or more."""
    return torch.Generator(device).manual_seed(seed_of(*numbers))
