"""DeepSEA with tracks, on both haplotypes.

After Zhou & Troyanskaya 2015 (doi:10.1038/nmeth.3547): 1,000 bp, three convolutions of width 8
(320, 480 and 960 kernels), two poolings of 4, a dense layer of 925. Deviations: one output
instead of 919 chromatin features; the same network reads ref and alt, and a head of its own sees
alt - ref and ref of the dense layer; tracks near the variant join at that head; batch
normalisation after each convolution; dropout is the same for ref and alt. `mini` is narrower.

Letters: V variants, B bases around the variant, P places after the last convolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from genomix_cli.config import Count, Share
from genomix_cli.variants.models.base import check
from genomix_cli.variants.models.siamese import SiameseConfig, SiameseModel, pair_dropout

KERNEL = 8
POOL = 4


@dataclass(frozen=True)
class DeepSEAConfig(SiameseConfig):
    """Architecture of DeepSEA.

    Attributes
    ----------
    widths : tuple of int
        Kernels of the three convolutions.
    hidden : int
        Width of the dense layer.
    dropouts : tuple of float
        Dropout after each convolution.
    """

    widths: tuple[Count, ...] = (64, 64, 96)
    hidden: Count = 128
    dropouts: tuple[Share, ...] = (0.0, 0.0, 0.1)

    @property
    def places(self) -> int:
        """P, given that no convolution is padded."""
        first = (self.bases - KERNEL + 1) // POOL
        return (first - KERNEL + 1) // POOL - KERNEL + 1

    def __post_init__(self) -> None:
        check(
            "DeepSEA",
            {
                f"bases={self.bases} are too few for its convolutions": self.places < 1,
                f"{len(self.widths)} widths, not 3": len(self.widths) != 3,
                f"{len(self.dropouts)} dropouts, not 3": len(self.dropouts) != 3,
            },
        )


class DeepSEA(SiameseModel):
    """Three convolutions and a dense layer, shared by both haplotypes.

    Parameters
    ----------
    config : DeepSEAConfig
    """

    config_class = DeepSEAConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "mini": {},
        "paper": {
            "widths": (320, 480, 960),
            "hidden": 925,
            "head": 925,
            "dropouts": (0.2, 0.2, 0.5),
        },
    }

    def __init__(self, config: DeepSEAConfig) -> None:
        super().__init__(config, config.hidden)
        a, b, c = config.widths
        drop_a, drop_b, drop_c = config.dropouts
        self.convolutions = nn.Sequential(
            *_convolution(4, a),
            *(nn.MaxPool1d(POOL), nn.Dropout(drop_a)),
            *_convolution(a, b),
            *(nn.MaxPool1d(POOL), nn.Dropout(drop_b)),
            *_convolution(b, c),
            nn.Dropout(drop_c),
        )
        self.dense = nn.Sequential(nn.Linear(c * config.places, config.hidden), nn.ReLU())
        pair_dropout(self)

    def encode(self, haplotypes: Tensor, tracks: Tensor, offset: Tensor) -> Tensor:
        """Return features ``[2 V, 4, B]`` -> ``[2 V, hidden]``; only the head reads tracks."""
        return self.dense(self.convolutions(haplotypes).flatten(1))


def _convolution(n_in: int, n_out: int) -> list[nn.Module]:
    return [nn.Conv1d(n_in, n_out, KERNEL), nn.BatchNorm1d(n_out), nn.ReLU()]
