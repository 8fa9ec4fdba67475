"""Positional encodings."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoidal(n: int, d_model: int) -> Tensor:
    """Return sinusoidal positions (Vaswani et al. 2017, arXiv:1706.03762), all sines first.

    Parameters
    ----------
    n : int
        Number of positions.
    d_model : int
        Width; even.

    Returns
    -------
    Tensor
        float32 ``[n, d_model]``.
    """
    position = torch.arange(n, dtype=torch.float32)[:, None]
    frequency = torch.exp(-math.log(1e4) * torch.arange(0, d_model, 2) / d_model)
    return torch.cat([torch.sin(position * frequency), torch.cos(position * frequency)], dim=1)


def rotary(x: Tensor) -> Tensor:
    """Apply rotary positions (Su et al. 2021, arXiv:2104.09864).

    Each pair of features is rotated by an angle proportional to the position, so the product of a
    query and a key depends on their distance. Feature i is paired with feature i + e / 2.

    Parameters
    ----------
    x : Tensor
        ``[..., N, e]``, e even.

    Returns
    -------
    Tensor
        Same shape and dtype as `x`.
    """
    position = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)[:, None]
    step = torch.arange(0, x.shape[-1], 2, device=x.device, dtype=torch.float32)
    angle = position * 1e4 ** (-step / x.shape[-1])  # [N, e / 2]
    sin, cos = angle.sin().to(x.dtype), angle.cos().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
