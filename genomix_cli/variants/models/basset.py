"""Basset with tracks, on both haplotypes.

After Kelley et al. 2016 (doi:10.1101/gr.200535.115): 600 bp, convolutions of 19, 11 and 7 (300,
200 and 200 kernels) with batch normalisation, poolings of 3, 4 and 4, two dense layers of 1,000.
Deviations: one output instead of 164 cell types; the same network reads ref and alt, and a head
of its own sees alt - ref and ref of the second dense layer; tracks near the variant join at that
head; dropout is the same for ref and alt. `mini` is narrower.

Letters: V variants, B bases around the variant, P places after the last pooling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from genomix_cli.config import Count, Extent, Share
from genomix_cli.variants.models.base import check
from genomix_cli.variants.models.siamese import SiameseConfig, SiameseModel, pair_dropout

KERNELS = (19, 11, 7)
POOLS = (3, 4, 4)


@dataclass(frozen=True)
class BassetConfig(SiameseConfig):
    """Architecture of Basset.

    Attributes
    ----------
    widths : tuple of int
        Kernels of the three convolutions.
    hidden : int
        Width of each dense layer.
    dropout : float
        Dropout after each dense layer.
    """

    bases: Extent = 600
    widths: tuple[Count, ...] = (64, 64, 96)
    hidden: Count = 192
    dropout: Share = 0.1

    @property
    def places(self) -> int:
        """P, given that no convolution is padded."""
        places = self.bases
        for kernel, pool in zip(KERNELS, POOLS, strict=True):
            places = (places - kernel + 1) // pool
        return places

    def __post_init__(self) -> None:
        check(
            "Basset",
            {
                f"bases={self.bases} are too few for its convolutions": self.places < 1,
                f"{len(self.widths)} widths, not 3": len(self.widths) != 3,
            },
        )


class Basset(SiameseModel):
    """Three convolutions and two dense layers, shared by both haplotypes.

    Parameters
    ----------
    config : BassetConfig
    """

    config_class = BassetConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "mini": {},
        "paper": {"widths": (300, 200, 200), "hidden": 1000, "head": 1000, "dropout": 0.3},
    }

    def __init__(self, config: BassetConfig) -> None:
        super().__init__(config, config.hidden)
        layers: list[nn.Module] = []
        n_in = 4
        for n_out, kernel, pool in zip(config.widths, KERNELS, POOLS, strict=True):
            layers += [nn.Conv1d(n_in, n_out, kernel), nn.BatchNorm1d(n_out), nn.ReLU()]
            layers.append(nn.MaxPool1d(pool))
            n_in = n_out
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            *_dense(n_in * config.places, config.hidden, config.dropout),
            *_dense(config.hidden, config.hidden, config.dropout),
        )
        pair_dropout(self)

    def encode(self, haplotypes: Tensor, tracks: Tensor, offset: Tensor) -> Tensor:
        """Return features ``[2 V, 4, B]`` -> ``[2 V, hidden]``; only the head reads tracks."""
        return self.dense(self.convolutions(haplotypes).flatten(1))


def _dense(n_in: int, n_out: int, dropout: float) -> list[nn.Module]:
    return [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.ReLU(), nn.Dropout(dropout)]
