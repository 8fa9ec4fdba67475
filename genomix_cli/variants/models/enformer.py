"""A network like Enformer with tracks, on both haplotypes.

After Avsec et al. 2021 (doi:10.1038/s41592-021-01252-x): a stem (convolution of 15) and a tower
(convolutions of 5), each stage with a residual pointwise convolution and attention pooling of 2,
to tokens of 128 bp; transformer layers; a pointwise layer of twice their width. Deviations: one
output at the token of the variant instead of 5,313 tracks at 896 places; the same network reads
ref and alt, and a head of its own sees alt - ref and ref; tracks are projected and added to the
tokens, and those near the variant join at the head; sinusoidal positions, which count from the
variant, as it always lies in the middle, in place of relative ones; keys as wide as values;
dropout is the same for ref and alt. `mini` reads 2,944 bp and is narrower.

Letters: V variants, M tracks, B bases around the variant, T tokens, C channels, d width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genomix_cli.config import Count, Depth, Share
from genomix_cli.learning.layers.convolution import Residual
from genomix_cli.variants.models.base import check, uneven_heads
from genomix_cli.variants.models.siamese import (
    SiameseModel,
    TowerConfig,
    keep_variance,
    pair_dropout,
    token_tracks,
)

STEM_KERNEL, TOWER_KERNEL = 15, 5


@dataclass(frozen=True)
class EnformerConfig(TowerConfig):
    """Architecture of Enformer in addition to its tower.

    Attributes
    ----------
    n_layers, n_heads : int
        Layers and attention heads of the transformer.
    dropout : float
        Dropout in the transformer.
    """

    n_layers: Depth = 2
    n_heads: Count = 4
    dropout: Share = 0.0

    def __post_init__(self) -> None:
        width = self.widths[-1] if self.widths else 0
        check(
            "Enformer",
            {
                **self.faults(),
                **uneven_heads(width, self.n_heads),
            },
        )


class AttentionPooling(nn.Module):
    """Pooling of two neighbours, weighted per channel by a softmax of learned scores.

    Scores start at twice the values, so the result starts close to their maximum.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Conv1d(channels, channels, 1, bias=False)
        nn.init.dirac_(self.score.weight)
        with torch.no_grad():
            self.score.weight.mul_(2)

    def forward(self, x: Tensor) -> Tensor:
        """Pool neighbours: ``[2 V, C, 2 n]`` -> ``[2 V, C, n]``."""
        even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
        score_even, score_odd = self.score(x).unflatten(-1, (-1, 2)).unbind(-1)
        # A softmax over two is a sigmoid of their difference.
        return odd + torch.sigmoid(score_even - score_odd) * (even - odd)


class Enformer(SiameseModel):
    """Stem, tower and transformer, shared by both haplotypes.

    Parameters
    ----------
    config : EnformerConfig
    """

    config_class = EnformerConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "mini": {},
        "paper": {
            "bases": 196_608,
            "widths": (768, 768, 896, 1024, 1152, 1280, 1536),
            "n_layers": 11,
            "n_heads": 8,
            "head": 3072,
            "dropout": 0.4,
        },
    }
    positions: Tensor

    def __init__(self, config: EnformerConfig) -> None:
        width = config.widths[-1]
        super().__init__(config, 2 * width)
        first = config.widths[0]
        stages: list[nn.Module] = [
            nn.Conv1d(4, first, STEM_KERNEL, padding="same"),
            Residual(_convolution(first, first, 1)),
            AttentionPooling(first),
        ]
        for n_in, n_out in zip(config.widths, config.widths[1:], strict=False):
            stages += [
                _convolution(n_in, n_out, TOWER_KERNEL),
                Residual(_convolution(n_out, n_out, 1)),
                AttentionPooling(n_out),
            ]
        self.tower = nn.Sequential(*stages)
        self.tracks = nn.Linear(2 * len(config.tracks), width)
        self.add_transformer(config.bases // config.token, width)
        self.pointwise = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(config.dropout)
        )
        keep_variance(self.tower)
        pair_dropout(self)

    def encode(self, haplotypes: Tensor, tracks: Tensor, offset: Tensor) -> Tensor:
        """Return the token that contains the variant: ``[2 V, 4, B]`` -> ``[2 V, 2 d]``."""
        around = self.tracks(token_tracks(tracks, offset, self.config.bases, self.config.token))
        x = self.tower(haplotypes).transpose(1, 2)
        x = x + self.positions + torch.cat([around, around])  # [2 V, T, d]
        return self.pointwise(self.layers(x)[:, self.flank // self.config.token])


def _convolution(n_in: int, n_out: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm1d(n_in), nn.GELU(), nn.Conv1d(n_in, n_out, kernel, padding="same")
    )
