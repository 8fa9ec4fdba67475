"""A siamese convolutional network on both haplotypes: the baseline beside GMT.

After Basset (Kelley et al. 2016, doi:10.1101/gr.200535.115) and DeepSEA (Zhou & Troyanskaya
2015, doi:10.1038/nmeth.3547). Deviations: tracks enter as further input channels; the same
network reads ref and alt, and the head sees their difference and the reference; one output.

Letters: W windows, G variants per window, M tracks, B bases around the variant, N bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genomix_cli.config import Count, Extent, Share
from genomix_cli.variants.models.base import VariantConfig, VariantModel, Variants, Window, check
from genomix_cli.variants.models.siamese import measured_tracks, onehot, tracks_at


@dataclass(frozen=True)
class CNNConfig(VariantConfig):
    """Architecture of a CNN.

    Attributes
    ----------
    bases : int
        Bases around the variant, a multiple of 100 and at least 200.
    widths : tuple of int
        Channels of the three convolutions.
    hidden : int
        Width of the fully connected layer.
    dropout : float
    """

    bases: Extent = 1000
    widths: tuple[Count, ...] = (64, 96, 128)
    hidden: Count = 192
    dropout: Share = 0.2

    def __post_init__(self) -> None:
        check(
            "CNN",
            {
                # 100 bases would leave one position: too few for batch normalisation.
                f"bases={self.bases} is no multiple of 100 from 200 on": self.bases < 200
                or bool(self.bases % 100),
                f"{len(self.widths)} widths, not 3": len(self.widths) != 3,
            },
        )


class CNN(VariantModel):
    """Three convolutions with pooling, shared by both haplotypes.

    Parameters
    ----------
    config : CNNConfig
    """

    config_class = CNNConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {"mini": {}}
    head_parameters = ("head",)

    def __init__(self, config: CNNConfig) -> None:
        super().__init__(config)
        self.flank = config.bases // 2
        a, b, c = config.widths
        channels = 4 + 2 * len(config.tracks)
        self.convolutions = nn.Sequential(
            *_block(channels, a, 11, 4), *_block(a, b, 9, 5), *_block(b, c, 5, 5)
        )
        self.dense = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(c * config.bases // 100, config.hidden), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Linear(2 * config.hidden, 64), nn.ReLU(), nn.Linear(64, 1))

    def window(self, window: Window) -> Tensor:
        """Return the tracks and their observed masks, ``[W, 2 M, N]``."""
        return measured_tracks(window, self.config.use_tracks)

    def variants(self, context: Tensor, variants: Variants) -> Tensor:
        """Return the logits, float ``[W, G]``."""
        step = torch.arange(self.config.bases, device=context.device) - self.flank
        tracks = tracks_at(context, variants.offset[..., None] + step)
        ref = self._encode(variants.ref, tracks)
        alt = self._encode(variants.alt, tracks)
        return self.head(torch.cat([alt - ref, ref], dim=-1)).squeeze(-1)

    def _encode(self, codes: Tensor, tracks: Tensor) -> Tensor:
        """Return features: ``[W, G, H]`` and ``[W, G, 2 M, B]`` -> ``[W, G, hidden]``."""
        sequence = onehot(codes, self.config.bases, self.config.use_sequence)
        x = torch.cat([sequence.to(tracks.dtype), tracks], dim=2)
        y = self.dense(self.convolutions(x.flatten(0, 1)).flatten(1))
        return y.unflatten(0, x.shape[:2])


def _block(n_in: int, n_out: int, width: int, pool: int) -> list[nn.Module]:
    return [
        nn.Conv1d(n_in, n_out, width, padding="same"),
        nn.ReLU(),
        nn.MaxPool1d(pool),
        nn.BatchNorm1d(n_out),
    ]
