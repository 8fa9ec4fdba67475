"""A network like EpiGePT, on both haplotypes.

After Gao et al. 2024 (doi:10.1186/s13059-024-03449-7): five convolutions with pooling (3, 5, 5, 3
and 3 wide; 4, 4, 2, 2 and 2) turn 128 kb into 1,000 bins of 128 bp; the state of transcription
factors in each bin is concatenated to its 256 channels; 12 layers of a transformer read the bins.
Deviations: the measured tracks of each bin, projected, stand in for 712 factors; one output at the
variant's bin instead of 8 signals at each; the same network reads ref and alt, and a head of its
own sees alt - ref, ref and the tracks nearby; batch normalisation after each convolution;
pre-norm layers, twice as wide inside (1,024 in the paper, for 968), of 4 heads instead of 8 (968
channels do not divide by 16); dropout is the same for ref and alt. `mini` reads 3,100 bp in bins
of 100 bp after three convolutions, the first of them wide enough for a motif.

Letters: V variants, M tracks, B bases around the variant, T bins, d width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genomix_cli.config import Count, Depth, Extent, Share
from genomix_cli.variants.models.base import check, uneven_heads
from genomix_cli.variants.models.siamese import (
    SiameseConfig,
    SiameseModel,
    keep_variance,
    pair_dropout,
    token_tracks,
)


@dataclass(frozen=True)
class EpiGePTConfig(SiameseConfig):
    """Architecture of EpiGePT.

    Attributes
    ----------
    bases : int
        Bases around the variant, a multiple of the product of `pools`. With an odd multiple, the
        variant lies in the middle of a bin.
    kernels, widths, pools : tuple of int
        Width, channels and pooling of each convolution.
    d_tracks : int
        Width that a bin's tracks are projected to.
    n_layers, n_heads : int
        Layers and attention heads of the transformer. Its width is that of the last convolution
        plus `d_tracks`.
    dropout : float
        Dropout after the third and the last convolution, and in the transformer.
    """

    bases: Extent = 3100
    kernels: tuple[Count, ...] = (11, 5, 5)
    widths: tuple[Count, ...] = (48, 64, 96)
    pools: tuple[Count, ...] = (5, 5, 4)
    d_tracks: Count = 32
    n_layers: Depth = 2
    n_heads: Count = 4
    dropout: Share = 0.0

    @property
    def bin(self) -> int:
        """Bases of a bin."""
        return math.prod(self.pools)

    @property
    def width(self) -> int:
        """Width of a bin's token."""
        return sum(self.widths[-1:]) + self.d_tracks

    def __post_init__(self) -> None:
        depths = {len(self.kernels), len(self.widths), len(self.pools)}
        check(
            "EpiGePT",
            {
                "kernels, widths and pools are not equally many": len(depths) > 1 or depths == {0},
                f"bases={self.bases} is no multiple of {self.bin}": bool(self.bases % self.bin),
                **uneven_heads(self.width, self.n_heads),
            },
        )


class EpiGePT(SiameseModel):
    """Convolutions to bins, the tracks of each, and a transformer, shared by both haplotypes.

    Parameters
    ----------
    config : EpiGePTConfig
    """

    config_class = EpiGePTConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "mini": {},
        "paper": {
            "bases": 128_000,
            "kernels": (3, 5, 5, 3, 3),
            "widths": (32, 64, 96, 128, 256),
            "pools": (4, 4, 2, 2, 2),
            "d_tracks": 712,
            "n_layers": 12,
            "n_heads": 4,
            "head": 256,
            "dropout": 0.1,
        },
    }
    positions: Tensor

    def __init__(self, config: EpiGePTConfig) -> None:
        super().__init__(config, config.width)
        stages: list[nn.Module] = []
        n_in = 4
        for kernel, n_out, pool in zip(config.kernels, config.widths, config.pools, strict=True):
            stages += [
                nn.Conv1d(n_in, n_out, kernel, padding="same"),
                nn.BatchNorm1d(n_out),
                nn.ReLU(),
                nn.MaxPool1d(pool),
            ]
            n_in = n_out
        self.convolutions = nn.Sequential(*stages, nn.Dropout(config.dropout))
        self.tracks = nn.Linear(2 * len(config.tracks), config.d_tracks)
        self.add_transformer(config.bases // config.bin, config.width)
        keep_variance(self.convolutions)
        pair_dropout(self)

    def encode(self, haplotypes: Tensor, tracks: Tensor, offset: Tensor) -> Tensor:
        """Return the bin that contains the variant: ``[2 V, 4, B]`` -> ``[2 V, d]``."""
        state = self.tracks(token_tracks(tracks, offset, self.config.bases, self.config.bin))
        sequence = self.convolutions(haplotypes).transpose(1, 2)
        x = torch.cat([sequence, torch.cat([state, state])], dim=-1) + self.positions
        return self.layers(x)[:, self.flank // self.config.bin]
