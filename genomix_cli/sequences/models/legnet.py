"""A LegNet-like network of separable convolutions with squeeze-and-excitation.

Letters: B batch, L bases or pooled positions, d channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.config import Count, Share, Within
from genomix_cli.genome.iupac import composition
from genomix_cli.sequences.models.network import Network, NetworkClassifier, NetworkConfig


@dataclass(frozen=True)
class LegNetConfig(NetworkConfig):
    """Shape of the network.

    Attributes
    ----------
    filters : int
        Number of channels of the first layer.
    stem_width, block_width : int
        Filter width in positions, in the first layer and in a block.
    channels : tuple of int
        Channels after each block.
    expansion : int
        Factor by which a block widens its channels inside, and its squeeze narrows them.
    pool : int
        Positions that are pooled into one after each block.
    dropout : float
        Dropout before the head.
    """

    filters: Count = 64
    stem_width: Count = 11
    block_width: Count = 9
    channels: tuple[Annotated[int, Within(1, 4096)], ...] = (80, 96, 112, 128)
    expansion: Annotated[int, Within(1, 16)] = 4
    pool: Count = 2
    dropout: Share = 0.1


class Excitation(nn.Module):
    """A gate per channel, computed from all channel means (Hu et al. 2018, arXiv:1709.01507)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, squeezed), nn.SiLU(), nn.Linear(squeezed, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, d, L]``, with each channel multiplied by its gate."""
        return x * self.gate(x.mean(-1))[..., None]


class Block(nn.Module):
    """An inverted bottleneck, concatenated with its input, and a layer that merges both."""

    def __init__(self, channels: int, out: int, config: LegNetConfig) -> None:
        super().__init__()
        inner, width = channels * config.expansion, config.block_width
        self.wide = nn.Sequential(
            *_layer(channels, inner, 1),
            *_layer(inner, inner, width, groups=inner),
            Excitation(inner, max(1, inner // config.expansion)),
            *_layer(inner, channels, 1),
        )
        self.join = nn.Sequential(*_layer(2 * channels, out, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, d, L]`` to ``[B, d', L]``."""
        return self.join(torch.cat([x, self.wide(x)], 1))


class LegNetwork(Network):
    """Network in the manner of LegNet.

    Penzar et al. 2023, LegNet: a deep learning model for short DNA regulatory regions,
    doi:10.1093/bioinformatics/btad457. Kept from the paper: a convolution as stem, blocks in the
    manner of EfficientNetV2 (wider inside, separable, squeeze-and-excitation, SiLU and batch norm)
    whose output is concatenated with their input channel by channel, and the mean over positions.

    Deviations: the outputs are classes instead of expression bins, so the head is linear without a
    sum over bins; blocks are as narrow as those that the authors' group uses for human reporter
    assays (Agarwal et al. 2025, doi:10.1038/s41586-024-08430-9) and are followed by pooling,
    instead of 256 to 32 channels at full length; there are no channels for strand and singletons;
    both strands are treated as in all networks here; training uses AdamW with their warm-up and
    cosine schedule instead of one cycle; there is no exchange of noise levels and no ensemble.
    """

    composition: Tensor

    def __init__(self, config: LegNetConfig, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("composition", torch.from_numpy(composition()), persistent=False)
        self.stem = nn.Sequential(*_layer(4, config.filters, config.stem_width))
        sizes = (config.filters, *config.channels)
        self.blocks = nn.ModuleList(
            Block(before, after, config) for before, after in pairwise(sizes)
        )
        self.pool = config.pool
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(sizes[-1], n_classes))

    @property
    def filters(self) -> nn.Sequential:
        """See `Network`."""
        return self.stem

    def embed(self, codes: Tensor) -> Tensor:
        """Return the embedding ``[B, d]``."""
        return self.embed_soft(self.composition[codes.long()])

    def embed_soft(self, p: Tensor) -> Tensor:
        """Return the same from probabilities of bases ``[B, L, 4]``."""
        x = self.stem(p.transpose(1, 2))
        for block in self.blocks:
            # `ceil_mode` keeps the incomplete last window of a short sequence.
            x = F.max_pool1d(block(x), self.pool, ceil_mode=True)
        return x.mean(-1)


def _layer(channels: int, out: int, width: int, groups: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv1d(channels, out, width, padding="same", groups=groups, bias=False)
    return convolution, nn.BatchNorm1d(out), nn.SiLU()


class LegNet(NetworkClassifier):
    """Classifier with a `LegNetwork`.

    The preset ``tiny`` has a tenth of the weights, for computers with two cores.
    """

    config_class = LegNetConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {"learning_rate": 2e-3},
        "tiny": {"learning_rate": 4e-3, "filters": 32, "channels": (32, 48, 64), "expansion": 2},
    }
    trials: ClassVar[tuple[dict[str, Any], ...]] = (
        {"learning_rate": 5e-4},
        {"dropout": 0.4},
        {"weight_decay": 0.1, "smoothing": 0.1},
        {"learning_rate": 4e-3},
    )

    def build(self, length: int, n_classes: int) -> LegNetwork:
        """Build the network."""
        return LegNetwork(self.config, n_classes)
