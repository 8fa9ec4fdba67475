"""Blocks of convolutional networks.

Letters: B batch, C channels, n places.
"""

from __future__ import annotations

from torch import Tensor, nn


class Residual(nn.Module):
    """A module whose output is added to its input (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, n]`` -> the same."""
        return x + self.module(x)


def dilated(channels: int, kernel: int, dilation: int, dropout: float = 0.0) -> Residual:
    """Return a dilated convolution and ReLU, added to their input ``[B, C, n]``."""
    convolution = nn.Conv1d(channels, channels, kernel, dilation=dilation, padding="same")
    return Residual(nn.Sequential(nn.Dropout(dropout), convolution, nn.ReLU()))
