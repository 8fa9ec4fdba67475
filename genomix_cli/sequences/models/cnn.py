"""A plain convolutional classifier, about as large as the transformer that it is compared with.

Letters: B batch, L bases, d filters, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.config import Count, Share
from genomix_cli.genome.iupac import composition
from genomix_cli.sequences.models.network import Network, NetworkClassifier, NetworkConfig


@dataclass(frozen=True)
class CNNConfig(NetworkConfig):
    """Shape of the network.

    Attributes
    ----------
    filters, motif_width : int
        Number of filters in the first layer, and their width, about that of a motif.
    width : int
        Number of filters in the last layer.
    pool : int
        Positions that are pooled into one after each of the first two layers.
    dropout : float
    """

    filters: Count = 256
    motif_width: Count = 15
    width: Count = 128
    pool: Count = 4
    dropout: Share = 0.2


class Convolutions(Network):
    """Three convolution layers, the mean and maximum of each filter, and a head."""

    composition: Tensor

    def __init__(self, config: CNNConfig, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("composition", torch.from_numpy(composition()), persistent=False)
        shapes = (
            (4, config.filters, config.motif_width),
            (config.filters, config.filters, 7),
            (config.filters, config.width, 5),
        )
        self.layers = nn.ModuleList(_layer(*shape) for shape in shapes)
        self.pool = config.pool
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Sequential(self.dropout, nn.Linear(2 * config.width, n_classes))

    @property
    def filters(self) -> nn.Sequential:
        """See `Network`."""
        layer = self.layers[0]
        assert isinstance(layer, nn.Sequential)
        return layer

    def embed(self, codes: Tensor) -> Tensor:
        """Return the embedding ``[B, 2 d]``."""
        return self.embed_soft(self.composition[codes.long()])

    def embed_soft(self, p: Tensor) -> Tensor:
        """Return the same from probabilities of bases ``[B, L, 4]``."""
        x = p.transpose(1, 2)
        for layer in self.layers[:-1]:
            # `ceil_mode` keeps the incomplete last window of a short sequence.
            x = self.dropout(F.max_pool1d(layer(x), self.pool, ceil_mode=True))
        x = self.layers[-1](x)
        return torch.cat([x.mean(-1), x.amax(-1)], -1)


def _layer(channels: int, filters: int, width: int) -> nn.Sequential:
    convolution = nn.Conv1d(channels, filters, width, padding=width // 2)
    return nn.Sequential(convolution, nn.BatchNorm1d(filters), nn.GELU())


class CNN(NetworkClassifier):
    """Convolutions pooled over the sequence, after DeepBind (doi:10.1038/nbt.3300) and successors.

    The first layer is as wide as a motif. Batch norm, GELU, three layers and both kinds of pooling
    are later practice. The default has 650,000 weights, as many as the transformer's preset
    ``motifs``.
    """

    config_class = CNNConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {"learning_rate": 2e-3}}
    trials: ClassVar[tuple[dict[str, Any], ...]] = (
        {"learning_rate": 3e-4},
        {"dropout": 0.4},
        {"weight_decay": 0.1, "smoothing": 0.1},
        {"learning_rate": 4e-3},
    )

    def build(self, length: int, n_classes: int) -> Convolutions:
        """Build the convolutions."""
        return Convolutions(self.config, n_classes)
