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


# Width of the first convolution of BPNet, and of the later ones.
WIDE, NARROW = 25, 3


def dilated_tower(channels: int, n_dilated: int) -> nn.Sequential:
    """Return the body of BPNet: bases ``[B, 4, n]`` -> ``[B, C, n]``.

    A convolution of 25 and residual convolutions of 3, whose dilation is 2 in the first and doubles
    in each: Avsec et al. 2021, doi:10.1038/s41588-021-00782-6.
    """
    return nn.Sequential(
        nn.Conv1d(4, channels, WIDE, padding="same"),
        nn.ReLU(),
        *(dilated(channels, NARROW, 2**i) for i in range(1, n_dilated + 1)),
    )


def dilated(channels: int, kernel: int, dilation: int, dropout: float = 0.0) -> Residual:
    """Return a dilated convolution and ReLU, added to their input ``[B, C, n]``."""
    convolution = nn.Conv1d(channels, channels, kernel, dilation=dilation, padding="same")
    return Residual(nn.Sequential(nn.Dropout(dropout), convolution, nn.ReLU()))
