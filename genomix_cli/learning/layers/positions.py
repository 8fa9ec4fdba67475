"""Positional encodings."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoidal(n: int, d_model: int) -> Tensor:
    """Sinusoidal positions (Vaswani et al. 2017, arXiv:1706.03762), sines first.

    Parameters
    ----------
    n : int
        Number of positions.
    d_model : int
        Even width.

    Returns
    -------
    Tensor
        float32 ``[n, d_model]``.
    """
    position = torch.arange(n, dtype=torch.float32)[:, None]
    frequency = torch.exp(-math.log(1e4) * torch.arange(0, d_model, 2) / d_model)
    return torch.cat([torch.sin(position * frequency), torch.cos(position * frequency)], dim=1)
