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


def rotary(x: Tensor) -> Tensor:
    """Turn each pair of features by an angle that grows with the position (Su et al. 2021).

    The product of a query and a key then depends on their distance (arXiv:2104.09864). Feature i
    is paired with feature i + e / 2.

    Parameters
    ----------
    x : Tensor
        ``[..., N, e]``, e even.

    Returns
    -------
    Tensor
        The same shape and type.
    """
    position = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)[:, None]
    step = torch.arange(0, x.shape[-1], 2, device=x.device, dtype=torch.float32)
    angle = position * 1e4 ** (-step / x.shape[-1])  # [N, e / 2]
    sin, cos = angle.sin().to(x.dtype), angle.cos().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
