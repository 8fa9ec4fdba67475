"""Sei with tracks, on both haplotypes.

After Chen et al. 2022 (doi:10.1038/s41588-022-01102-2): 4,096 bp; three stages (480, 640 and 960
channels) of two convolutions of 9 without and two with a nonlinearity, the latter added to the
former, with poolings of 4 between them; five residual dilated convolutions of 5 (dilations 2, 4, 8,
16 and 25); positions weighted by 16 cubic B-splines; a classifier of 21,907 chromatin profiles.
The authors' code has 890 million parameters, all but 73.5 million of them in the classifier.
Deviations: a dense layer of `hidden` features replaces the classifier; the first dilated
convolution is added to its whole input, where the authors' code leaves out the linear branch of
the third stage; convolutions are initialised for the nonlinearity that follows them; the same
network reads ref and alt, and a separate head sees alt - ref and ref of the dense layer; tracks
near the variant join at that head; dropout is the same for ref and alt. `mini` reads 512 bp and is
narrower.

Letters: V variants, B bases around the variant, P places of the last stage, C its channels, S
splines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.config import Count, Extent, Share, Within
from genomix_cli.learning.layers.convolution import Residual, dilated
from genomix_cli.variants.models.base import check
from genomix_cli.variants.models.siamese import (
    SiameseConfig,
    SiameseModel,
    keep_variance,
    pair_dropout,
)

KERNEL, DILATED_KERNEL = 9, 5
POOL = 4
DEGREE = 3


@dataclass(frozen=True)
class SeiConfig(SiameseConfig):
    """Architecture of Sei.

    Attributes
    ----------
    widths : tuple of int
        Channels of the three stages.
    dilations : tuple of int
        Dilations of the dilated convolutions.
    splines : int
        S, the number of splines.
    hidden : int
        Width of the dense layer.
    dropouts : tuple of float
        Dropout in the stages, in the dilated convolutions, and before the splines.
    """

    bases: Extent = 512
    widths: tuple[Count, ...] = (32, 48, 64)
    dilations: tuple[Annotated[int, Within(1, 4096)], ...] = (2, 4, 8)
    splines: Annotated[int, Within(DEGREE + 1, 4096)] = 8
    hidden: Count = 128
    dropouts: tuple[Share, ...] = (0.0, 0.0, 0.0)

    @property
    def places(self) -> int:
        """P, the positions after the last stage."""
        return self.bases // POOL // POOL

    def __post_init__(self) -> None:
        check(
            "Sei",
            {
                f"bases={self.bases} leave fewer places than splines={self.splines}": self.places
                < self.splines,
                f"{len(self.widths)} widths, not 3": len(self.widths) != 3,
                f"{len(self.dropouts)} dropouts, not 3": len(self.dropouts) != 3,
            },
        )


class Stage(nn.Module):
    """Two linear convolutions, to which two convolutions with a nonlinearity are added."""

    def __init__(self, n_in: int, n_out: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Sequential(
            nn.Dropout(dropout), _convolution(n_in, n_out), _convolution(n_out, n_out)
        )
        self.nonlinear = Residual(
            nn.Sequential(
                nn.Dropout(dropout),
                _convolution(n_out, n_out),
                nn.ReLU(),
                _convolution(n_out, n_out),
                nn.ReLU(),
            )
        )
        keep_variance(self.linear, then="linear")
        keep_variance(self.nonlinear)

    def forward(self, x: Tensor) -> Tensor:
        """Run the stage: ``[2 V, n_in, n]`` -> ``[2 V, n_out, n]``."""
        return self.nonlinear(self.linear(x))


class Sei(SiameseModel):
    """Three stages, dilated convolutions and splines, shared by both haplotypes.

    Parameters
    ----------
    config : SeiConfig
    """

    config_class = SeiConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "mini": {},
        "paper": {
            "bases": 4096,
            "widths": (480, 640, 960),
            "dilations": (2, 4, 8, 16, 25),
            "splines": 16,
            "hidden": 1024,
            "head": 1024,
            "dropouts": (0.2, 0.1, 0.5),
        },
    }
    basis: Tensor

    def __init__(self, config: SeiConfig) -> None:
        super().__init__(config, config.hidden)
        a, b, c = config.widths
        of_stages, of_dilated, of_splines = config.dropouts
        self.stages = nn.Sequential(
            Stage(4, a, 0.0),
            nn.MaxPool1d(POOL),
            Stage(a, b, of_stages),
            nn.MaxPool1d(POOL),
            Stage(b, c, of_stages),
        )
        self.dilated = nn.Sequential(
            *(dilated(c, DILATED_KERNEL, dilation, of_dilated) for dilation in config.dilations)
        )
        self.dropout = nn.Dropout(of_splines)
        basis = torch.from_numpy(spline_basis(config.places, config.splines)).float()
        self.register_buffer("basis", basis, persistent=False)
        self.dense = nn.Sequential(nn.Linear(c * config.splines, config.hidden), nn.ReLU())
        keep_variance(self.dilated)
        pair_dropout(self)

    def encode(self, haplotypes: Tensor, tracks: Tensor, offset: Tensor) -> Tensor:
        """Return features ``[2 V, 4, B]`` -> ``[2 V, hidden]``; only the head reads tracks."""
        x = self.dilated(self.stages(haplotypes))  # [2 V, C, P]
        weighted = self.dropout(x) @ self.basis  # [2 V, C, S]
        return self.dense(weighted.flatten(1))


def spline_basis(places: int, splines: int) -> NDArray[np.float64]:
    """Return cubic B-splines with evenly spaced knots, evaluated at each place.

    The result has shape ``[places, splines]``.

    The outermost knots are repeated, so that the splines sum to 1 everywhere (de Boor 1972,
    doi:10.1016/0021-9045(72)90080-9).

    Parameters
    ----------
    places : int
        2 or more, a distance of 1 apart.
    splines : int
        4 or more.
    """
    last = places - 1
    inner = np.linspace(0, last, splines - DEGREE + 1)
    knots = np.concatenate([np.zeros(DEGREE), inner, np.full(DEGREE, last)])
    x = np.arange(places)[:, None]
    # Degree 0: indicator of the interval that contains a place; the last interval is closed.
    basis = (knots[:-1] <= x) & (x < knots[1:])
    basis[last, splines - 1] = True
    values = basis.astype(np.float64)
    for degree in range(1, DEGREE + 1):
        left, right = knots[: -degree - 1], knots[degree + 1 :]
        rise = _over(x - left, knots[degree:-1] - left)
        fall = _over(right - x, right - knots[1:-degree])
        values = rise * values[:, :-1] + fall * values[:, 1:]
    return values


def _over(distance: NDArray[np.float64], length: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distance / length, or 0 where the length is 0 because knots coincide."""
    return np.where(length > 0, distance / np.where(length > 0, length, 1), 0.0)


def _convolution(n_in: int, n_out: int) -> nn.Conv1d:
    return nn.Conv1d(n_in, n_out, KERNEL, padding="same")
