"""Basenji2 with tracks, on both haplotypes.

After Kelley 2020 (doi:10.1371/journal.pcbi.1008050), with the sizes of the authors' settings for
human: 131,072 bp; a convolution of 15 and a tower of six of 5 (288 to 768 channels), each pooled
by 2, to tokens of 128 bp; eleven residual blocks of a dilated convolution of 3 to 384 channels and
a pointwise one back, whose dilation grows by 1.5 each time; a pointwise layer of 1,536. With the
head of 5,313 tracks that makes 30.09 million parameters, as published. Deviations: one output at
the token of the variant instead of 5,313 tracks at 896 places; the same network reads ref and alt,
and a head of its own sees alt - ref and ref; measured tracks are projected and added to the tokens,
and those near the variant join at the head; dropout is the same for ref and alt. `mini` reads
2,944 bp and is narrower.

Letters: V variants, M tracks, B bases around the variant, T tokens, d width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genomix_cli.config import Count, Depth, Share
from genomix_cli.learning.layers.convolution import Residual
from genomix_cli.variants.models.base import check
from genomix_cli.variants.models.siamese import (
    SiameseModel,
    TowerConfig,
    pair_dropout,
    token_tracks,
)

STEM_KERNEL, TOWER_KERNEL, DILATED_KERNEL = 15, 5, 3
GROWTH = 1.5
MOST_DILATED = 24


@dataclass(frozen=True)
class Basenji2Config(TowerConfig):
    """Architecture of Basenji2 in addition to its tower.

    Attributes
    ----------
    bottleneck, n_dilated : int
        Channels of the dilated convolutions, and their number.
    pointwise : int
        Width of the last layer.
    dropout, last_dropout : float
        Dropout of each dilated block, and of the last layer.
    """

    bottleneck: Count = 64
    n_dilated: Depth = 4
    pointwise: Count = 256
    dropout: Share = 0.0
    last_dropout: Share = 0.0

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of each block, rounded before the next one grows from it."""
        found = [1]
        while len(found) < self.n_dilated:
            found.append(round(found[-1] * GROWTH))
        return tuple(found[: self.n_dilated])

    def __post_init__(self) -> None:
        check(
            "Basenji2",
            {
                **self.faults(),
                # The dilation would be wider than any window.
                f"n_dilated={self.n_dilated} is more than {MOST_DILATED}": self.n_dilated
                > MOST_DILATED,
            },
        )


class Basenji2(SiameseModel):
    """Tower and dilated convolutions, shared by both haplotypes.

    Parameters
    ----------
    config : Basenji2Config
    """

    config_class = Basenji2Config
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "mini": {},
        "paper": {
            "bases": 131_072,
            "widths": (288, 339, 399, 470, 554, 652, 768),
            "bottleneck": 384,
            "n_dilated": 11,
            "pointwise": 1536,
            "head": 1536,
            "dropout": 0.3,
            "last_dropout": 0.05,
        },
    }

    def __init__(self, config: Basenji2Config) -> None:
        super().__init__(config, config.pointwise)
        width = config.widths[-1]
        stages: list[nn.Module] = []
        n_in, kernel = 4, STEM_KERNEL
        for n_out in config.widths:
            stages += [*_convolution(n_in, n_out, kernel), nn.MaxPool1d(2)]
            n_in, kernel = n_out, TOWER_KERNEL
        self.tower = nn.Sequential(*stages)
        self.tracks = nn.Linear(2 * len(config.tracks), width)
        self.dilated = nn.Sequential(
            *(
                _dilated_block(width, config.bottleneck, dilation, config.dropout)
                for dilation in config.dilations
            )
        )
        self.last = nn.Sequential(
            *_convolution(width, config.pointwise, 1), nn.Dropout(config.last_dropout), nn.GELU()
        )
        pair_dropout(self)

    def encode(self, haplotypes: Tensor, tracks: Tensor, offset: Tensor) -> Tensor:
        """Return the token that contains the variant: ``[2 V, 4, B]`` -> ``[2 V, pointwise]``."""
        around = self.tracks(token_tracks(tracks, offset, self.config.bases, self.config.token))
        x = self.tower(haplotypes) + torch.cat([around, around]).transpose(1, 2)  # [2 V, d, T]
        own = self.dilated(x).narrow(-1, self.flank // self.config.token, 1)
        return self.last(own).squeeze(-1)


def _convolution(n_in: int, n_out: int, kernel: int, dilation: int = 1) -> list[nn.Module]:
    convolution = nn.Conv1d(n_in, n_out, kernel, dilation=dilation, padding="same", bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return [nn.GELU(), convolution, nn.BatchNorm1d(n_out)]


def _dilated_block(width: int, bottleneck: int, dilation: int, dropout: float) -> Residual:
    *back, norm = _convolution(bottleneck, width, 1)
    assert isinstance(norm, nn.BatchNorm1d)
    # Each block begins as the identity.
    nn.init.zeros_(norm.weight)
    wide = _convolution(width, bottleneck, DILATED_KERNEL, dilation)
    return Residual(nn.Sequential(*wide, *back, norm, nn.Dropout(dropout)))
