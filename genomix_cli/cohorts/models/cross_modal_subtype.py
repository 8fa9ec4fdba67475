"""Subtypes of breast cancer from expression that attends to copy number and mutations.

The paper (cross-modal self-attention fusion for breast-cancer subtypes; it has no DOI that we know
of) projects each omics to a sequence in a shared space. Expression is the primary stream: it is
enriched by attention to the others [1]_, flattened, and classified by a residual MLP. Features are
the first K of an elastic net.

Details that the paper leaves open, and deviations from it:

- The elastic net sees only the training samples of a fold, which the paper does not specify.
- A token is a feature: its value times a learned direction plus a learned origin. A missing value
  has a learned direction instead. With K = 500 the space is small, 8 dimensions.
- Each other omics is attended to separately, and the results are normalised and added. Otherwise a
  mean over hundreds of features would be negligible beside the token.
- The primary modality is the one that the configuration names, else the first of kind
  ``expression``, else the first of the file, so cohorts without expression can be used.
- An omics that a sample lacks adds nothing. If the primary is missing, its tokens are those of
  missing values, and still attend to the others.

Each modality has its own softmax, so the primary's tokens always put a total attention of 1 on
every other modality. There is no attention between modalities to report, and `Output.attention` is
None.

Letters: B batch, M modalities, K classes, d features of a modality, P of the primary, s width of
the space, h width of the MLP.

References
----------
.. [1] Vaswani A et al. Attention is all you need. arXiv:1706.03762
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.cohorts.dataset import Modality
from genomix_cli.cohorts.models.network import Inputs, NetworkConfig, NetworkModel, Output
from genomix_cli.cohorts.models.preprocessing import Selector
from genomix_cli.cohorts.models.selection import elastic_net
from genomix_cli.config import Count, Layers, NotNegative, Share, Whole
from genomix_cli.errors import DataError
from genomix_cli.learning.layers.attention import check_heads


@dataclass(frozen=True)
class CrossModalSubtypeConfig(NetworkConfig):
    """Attributes beside those of `NetworkConfig`.

    Attributes
    ----------
    primary : str
        Modality of the primary stream. If empty or absent: the first of kind ``expression``, else
        the first of the file.
    space : int
        Dimensions of a token.
    heads : int
        A divisor of `space`.
    width, layers : int
        Width and number of layers of the residual MLP.
    dropout : float
        Dropout of the flattened tokens, and in the MLP.
    """

    weight_decay: NotNegative = 1.0
    batch_size: Count = 64
    epochs: Count = 25
    patience: Whole = 8
    value_dropout: Share = 0.1
    top_k: Whole = 500
    primary: str = ""
    space: Count = 8
    heads: Count = 1
    width: Count = 128
    layers: Layers = 2
    dropout: Share = 0.4


class FeatureTokens(nn.Module):
    """A token per feature: a learned origin plus the value times a learned direction."""

    def __init__(self, n_features: int, space: int) -> None:
        super().__init__()
        self.origin = nn.Parameter(torch.randn(n_features, space) * space**-0.5)
        self.direction = nn.Parameter(torch.randn(n_features, space) * space**-0.5)
        self.missing = nn.Parameter(torch.zeros(space))

    def forward(self, values: Tensor, observed: Tensor) -> Tensor:
        """``[B, d]`` -> ``[B, d, s]``."""
        moved = torch.where(observed[..., None], values[..., None] * self.direction, self.missing)
        return self.origin + moved


class Enrichment(nn.Module):
    """Attention of the tokens of one modality to those of another."""

    def __init__(self, space: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(space, space)
        self.key_value = nn.Linear(space, 2 * space)
        self.out = nn.Linear(space, space)
        self.norm = nn.LayerNorm(space)

    def forward(self, primary: Tensor, other: Tensor, present: Tensor) -> Tensor:
        """Map ``[B, P, s]``, ``[B, d, s]``, bool ``[B]`` to ``[B, P, s]``, 0 where not present."""
        q, k, v = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for t in (self.query(primary), *self.key_value(other).chunk(2, dim=-1))
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.norm(self.out(mixed)) * present[:, None, None]


class ResidualBlock(nn.Module):
    """Layer norm and two dense layers, added to their input."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[B, h]``."""
        return x + self.layers(x)


class CrossModalSubtypeNetwork(nn.Module):
    """Tokens, enrichment of the primary ones, residual MLP."""

    def __init__(
        self, config: CrossModalSubtypeConfig, modalities: tuple[Modality, ...], n_classes: int
    ) -> None:
        super().__init__()
        self.primary = primary_of(modalities, config.primary)
        sizes = [len(modality.features) for modality in modalities]
        self.tokens = nn.ModuleDict(
            {str(i): FeatureTokens(size, config.space) for i, size in enumerate(sizes) if size}
        )
        self.enrichments = nn.ModuleDict(
            {
                str(i): Enrichment(config.space, config.heads)
                for i, size in enumerate(sizes)
                if i != self.primary and size
            }
        )
        self.norm = nn.LayerNorm(config.space)
        self.mlp = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(sizes[self.primary] * config.space, config.width),
            *(ResidualBlock(config.width, config.dropout) for _ in range(config.layers)),
            nn.LayerNorm(config.width),
            nn.Linear(config.width, n_classes),
        )

    def forward(self, inputs: Inputs) -> Output:
        """Return the logits ``[B, K]``, and the vectors ``[B, h]`` that they are linear in."""
        vector = self.mlp[:-1](self.enriched(inputs).flatten(1))
        return Output(self.mlp[-1](vector), vector=vector)

    def enriched(self, inputs: Inputs) -> Tensor:
        """Return the tokens of the primary modality after attention to the others ``[B, P, s]``."""
        tokens = {
            int(i): embed(inputs.values[int(i)], inputs.observed[int(i)])
            for i, embed in self.tokens.items()
        }
        primary = added = tokens[self.primary]
        for i, enrich in self.enrichments.items():
            added = added + enrich(primary, tokens[int(i)], inputs.present[:, int(i)])
        return self.norm(added)


class CrossModalSubtype(NetworkModel):
    """Cross-modal attention from expression; see the docstring of this module."""

    config_class = CrossModalSubtypeConfig
    select: ClassVar[Selector | None] = staticmethod(elastic_net)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "ensemble": {"members": 5},
    }
    space: ClassVar[Mapping[str, Any]] = {
        "top_k": [300, 500, 1000, 1500],
        "learning_rate": [3e-4, 1e-3, 3e-3],
        "weight_decay": [1e-1, 1.0, 3.0],
        "value_dropout": [0.0, 0.1, 0.3],
        "dropout": [0.2, 0.4, 0.6],
        "layers": [1, 2],
    }

    def __init__(self, config: CrossModalSubtypeConfig) -> None:
        check_heads(config.space, config.heads, "space")
        super().__init__(config)

    def build(self, modalities: tuple[Modality, ...], n_classes: int) -> nn.Module:
        """Build the network."""
        return CrossModalSubtypeNetwork(self.config, modalities, n_classes)


def primary_of(modalities: tuple[Modality, ...], named: str) -> int:
    """Return the index of the primary modality among those with features.

    Raises
    ------
    DataError
        If no modality has features.
    """
    able = [i for i, modality in enumerate(modalities) if modality.features]
    if not able:
        raise DataError("no feature of any modality varies among the training samples")
    # Of equals, take the first.
    return min(
        able, key=lambda i: (modalities[i].name != named, modalities[i].kind != "expression")
    )
