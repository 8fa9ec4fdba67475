"""Blocks of convolutional networks.

Letters: B batch, C channels, n positions.
"""

from __future__ import annotations

from torch import Tensor, nn


class Residual(nn.Module):
    """Module with a residual connection (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """Add the module's output to its input: ``[B, C, n]`` -> ``[B, C, n]``."""
        return x + self.module(x)


# Kernel widths of BPNet: of the first convolution, and of the later ones.
WIDE, NARROW = 25, 3


def dilated_tower(channels: int, n_dilated: int) -> nn.Sequential:
    """Return the body of BPNet: bases ``[B, 4, n]`` -> ``[B, C, n]``.

    A convolution of width 25 is followed by residual convolutions of width 3, with a dilation of 2
    that doubles with each layer: Avsec et al. 2021, doi:10.1038/s41588-021-00782-6.
    """
    return nn.Sequential(
        nn.Conv1d(4, channels, WIDE, padding="same"),
        nn.ReLU(),
        *(dilated(channels, NARROW, 2**i) for i in range(1, n_dilated + 1)),
    )


def dilated(channels: int, kernel: int, dilation: int, dropout: float = 0.0) -> Residual:
    """Return a residual block of dropout, dilated convolution and ReLU, on ``[B, C, n]``."""
    convolution = nn.Conv1d(channels, channels, kernel, dilation=dilation, padding="same")
    return Residual(nn.Sequential(nn.Dropout(dropout), convolution, nn.ReLU()))
