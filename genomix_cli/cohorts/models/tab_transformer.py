"""TabTransformer: contextual embeddings of all features, whatever their modality.

Letters: B batch, M modalities, N tokens of all of them, d width, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genomix_cli.cohorts.dataset import Modality
from genomix_cli.cohorts.models.network import Inputs, Output
from genomix_cli.cohorts.models.tokens import (
    CohortTokens,
    TokenConfig,
    TokenModel,
    plain_values,
    thinned,
)
from genomix_cli.config import Count, Layers
from genomix_cli.learning.layers.transformer import SelfAttentionBlock, feed_forward, visible


@dataclass(frozen=True)
class TabTransformerConfig(TokenConfig):
    """Attributes beside those of `TokenConfig`.

    Attributes
    ----------
    layers : int
        Number of layers of attention.
    hidden : int
        Width of the hidden layer after attention.
    """

    layers: Layers = 2
    hidden: Count = 64


class TabBranch(nn.Module):
    """Attention among all tokens, then a hidden layer, plus a linear map of the plain values.

    Parameters
    ----------
    tokens, values, out : int
        Numbers of tokens, of plain values, and of logits.
    config : TokenConfig
    layers, hidden : int
        Number of layers of attention, and width of the hidden layer.
    """

    def __init__(
        self,
        tokens: int,
        values: int,
        out: int,
        config: TokenConfig,
        *,
        layers: int,
        hidden: int,
    ) -> None:
        super().__init__()
        width, dropout = config.width, config.dropout
        self.layers = nn.ModuleList(
            SelfAttentionBlock(width, config.heads, dropout) for _ in range(layers)
        )
        self.head = feed_forward(tokens * width, hidden, out, dropout)
        self.linear = nn.Linear(values, out)
        nn.init.zeros_(self.linear.weight)

    def forward(self, x: Tensor, mask: Tensor, values: Tensor) -> Tensor:
        """Return logits from ``[B, N, d]``, ``[B, 1, 1, N]`` and the plain values."""
        for layer in self.layers:
            x = layer(x, mask)
        return self.head(x.flatten(1)) + self.linear(values)


class TabNetwork(nn.Module):
    """Huang et al. 2020, TabTransformer: tabular data modeling using contextual embeddings.

    arXiv:2012.06678. In the paper, the transformer sees only categorical features, and numeric ones
    go directly to the final layers. Here all features are numeric, and each is also a token, as in
    Gorishniy et al. 2021, arXiv:2106.11959.

    Further deviations: layers are pre-norm. The contextual embeddings go into one hidden layer with
    GELU, not two, and the plain values into a parallel linear map. Values are standardised by the
    training samples, not by a layer norm over features. Nothing is pre-trained.
    """

    def __init__(
        self, config: TabTransformerConfig, modalities: tuple[Modality, ...], n_classes: int
    ) -> None:
        super().__init__()
        features = [len(modality.features) for modality in modalities]
        self.config = config
        self.tokens = CohortTokens(features, config.width, config.max_tokens)
        self.branch = TabBranch(
            sum(self.tokens.sizes),
            sum(features) + len(features),
            n_classes,
            config,
            layers=config.layers,
            hidden=config.hidden,
        )

    def forward(self, inputs: Inputs) -> Output:
        """Return the logits ``[B, K]``."""
        if self.training:
            inputs = thinned(inputs, self.config)
        tokens = torch.cat(self.tokens(inputs), dim=1)
        mask = visible(self.tokens.present(inputs))
        return Output(self.branch(tokens, mask, plain_values(inputs)))


class TabTransformer(TokenModel):
    """See `TabNetwork`."""

    config_class = TabTransformerConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {
            "learning_rate": 2e-3,
            "weight_decay": 0.1,
            "epochs": 6,
            "patience": 4,
            "steps": 200,
            "modality_dropout": 0.05,
        },
        "large": {"width": 64, "heads": 8, "layers": 4, "hidden": 256, "max_tokens": 256},
    }
    space: ClassVar[Mapping[str, Any]] = {
        "width": [8, 16, 32],
        "layers": [1, 2, 3],
        "dropout": [0.1, 0.3, 0.5],
        "learning_rate": [5e-4, 1e-3, 2e-3, 4e-3],
        "weight_decay": [1e-2, 1e-1, 1.0],
        "value_dropout": [0.0, 0.1, 0.3],
    }

    def build(self, modalities: tuple[Modality, ...], n_classes: int) -> nn.Module:
        """Build the network."""
        return TabNetwork(self.config, modalities, n_classes)
