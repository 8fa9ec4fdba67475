"""BPNet with tracks, on both haplotypes.

After Avsec et al. 2021 (doi:10.1038/s41588-021-00782-6): 1,000 bp at base resolution throughout, a
convolution of 25, nine residual convolutions of 3 whose dilation doubles each time, 64 channels;
then a head of counts, which reads the mean over all bases, and a transposed convolution of 25 to
the profile of each factor. Deviations: no factor is predicted, so the heads give features instead
of counts and profiles, the second one those of the 25 bases around the variant; no control track;
the same network reads ref and alt, and a head of its own sees alt - ref and ref of both features;
tracks near the variant join at that head. `mini` is narrower and reads 400 bp.

Letters: V variants, B bases around the variant, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from genomix_cli.config import Count, Extent, Within
from genomix_cli.learning.layers.convolution import WIDE, dilated_tower
from genomix_cli.variants.models.base import check
from genomix_cli.variants.models.siamese import (
    SiameseConfig,
    SiameseModel,
    keep_variance,
    pair_dropout,
)


@dataclass(frozen=True)
class BPNetConfig(SiameseConfig):
    """Architecture of BPNet.

    Attributes
    ----------
    width : int
        C, the channels of every convolution.
    n_dilated : int
        Number of dilated convolutions; the dilation of the last is 2 to this power.
    """

    bases: Extent = 400
    width: Count = 48
    n_dilated: Annotated[int, Within(0, 16)] = 6

    def __post_init__(self) -> None:
        check("BPNet", {f"bases={self.bases} are fewer than {WIDE}": self.bases < WIDE})


class BPNet(SiameseModel):
    """Dilated convolutions at base resolution, shared by both haplotypes.

    Parameters
    ----------
    config : BPNetConfig
    """

    config_class = BPNetConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "mini": {},
        "paper": {"bases": 1000, "width": 64, "n_dilated": 9},
    }

    def __init__(self, config: BPNetConfig) -> None:
        width = config.width
        super().__init__(config, 2 * width)
        self.body = dilated_tower(width, config.n_dilated)
        self.profile = nn.Conv1d(width, width, WIDE)
        keep_variance(self.body)
        pair_dropout(self)

    def encode(self, haplotypes: Tensor, tracks: Tensor, offset: Tensor) -> Tensor:
        """Return features ``[2 V, 4, B]`` -> ``[2 V, 2 C]``; only the head reads tracks."""
        x = self.body(haplotypes)  # [2 V, C, B]
        around = x.narrow(-1, self.flank - WIDE // 2, WIDE)
        return torch.cat([x.mean(-1), self.profile(around).squeeze(-1)], dim=-1)
