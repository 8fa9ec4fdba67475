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
from genomix_cli.cohorts.models.tokens import CohortTokens, TokenLearning, TokenModel, plain_values
from genomix_cli.config import Count, Share
from genomix_cli.errors import UsageError
from genomix_cli.nn.transformer import SelfAttentionBlock, feed_forward, visible


@dataclass(frozen=True)
class TabTransformerConfig(TokenLearning):
    """Attributes beside those of `TokenLearning`.

    Attributes
    ----------
    width, heads : int
        Of a token, and of attention.
    layers : int
        Of attention.
    hidden : int
        Width of the hidden layer behind them.
    dropout : float
    max_tokens : int
        Tokens of a modality at most; one with more features is projected to so many.
    """

    width: Count = 16
    heads: Count = 2
    layers: Count = 2
    hidden: Count = 64
    dropout: Share = 0.1
    max_tokens: Count = 64

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)


def check_heads(width: int, heads: int) -> None:
    """Heads share the width in equal parts.

    Raises
    ------
    UsageError
        If they cannot.
    """
    if width % heads:
        raise UsageError(f"a width of {width} does not divide among {heads} heads")


class TabBranch(nn.Module):
    """Attention among all tokens; then all of them, and the plain values, into a hidden layer.

    What many values say in sum has a way of its own: a linear function beside the hidden layer.

    Parameters
    ----------
    tokens, width, heads, layers : int
        N, d, H, and how often they attend.
    values : int
        Plain values beside the tokens.
    hidden, out : int
    dropout : float
    """

    def __init__(
        self,
        tokens: int,
        values: int,
        out: int,
        *,
        width: int,
        heads: int,
        layers: int,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            SelfAttentionBlock(width, heads, dropout) for _ in range(layers)
        )
        self.head = feed_forward(tokens * width + values, hidden, out, dropout)
        self.linear = nn.Linear(values, out)
        nn.init.zeros_(self.linear.weight)

    def forward(self, x: Tensor, mask: Tensor, values: Tensor) -> Tensor:
        """From ``[B, N, d]``, ``[B, 1, 1, N]`` and the plain values."""
        for layer in self.layers:
            x = layer(x, mask)
        return self.head(torch.cat([x.flatten(1), values], dim=1)) + self.linear(values)


class TabNetwork(nn.Module):
    """Huang et al. 2020, TabTransformer: tabular data modeling using contextual embeddings.

    arXiv:2012.06678. Its transformer sees categories alone, and numbers go beside it into the
    final layers. Here, where all features are numbers, each is a token too, as in Gorishniy et al.
    2021, arXiv:2106.11959, and both go into the final layers.

    Further deviations: layers are pre-norm; there is one hidden layer behind them, with a GELU, not
    two, and a linear function beside it; numbers are standardised by the training samples in place
    of a layer norm over features; nothing is pre-trained.
    """

    def __init__(
        self, config: TabTransformerConfig, modalities: tuple[Modality, ...], n_classes: int
    ) -> None:
        super().__init__()
        features = [len(modality.features) for modality in modalities]
        self.tokens = CohortTokens(features, config.width, config.max_tokens)
        self.branch = TabBranch(
            sum(self.tokens.sizes),
            sum(features) + len(features),
            n_classes,
            width=config.width,
            heads=config.heads,
            layers=config.layers,
            hidden=config.hidden,
            dropout=config.dropout,
        )

    def forward(self, inputs: Inputs) -> Output:
        """Logits ``[B, K]``."""
        tokens = torch.cat(self.tokens(inputs), dim=1)
        mask = visible(self.tokens.present(inputs))
        return Output(self.branch(tokens, mask, plain_values(inputs)))


class TabTransformer(TokenModel):
    """See `TabNetwork`."""

    config_class = TabTransformerConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {
            "learning_rate": 2e-3,
            "batch_size": 64,
            "weight_decay": 1.0,
            "epochs": 8,
            "patience": 4,
            "steps": 400,
            "modality_dropout": 0.05,
            "value_dropout": 0.2,
            "dropout": 0.3,
        },
        "large": {"width": 64, "heads": 8, "layers": 4, "hidden": 256, "max_tokens": 256},
    }
    space: ClassVar[Mapping[str, Any]] = {
        "width": [8, 16, 32],
        "layers": [1, 2, 3],
        "dropout": [0.1, 0.3, 0.5],
        "learning_rate": [5e-4, 1e-3, 2e-3, 4e-3],
        "weight_decay": [1e-2, 1e-1, 1.0],
        "value_dropout": [0.0, 0.2, 0.5],
    }

    def build(self, modalities: tuple[Modality, ...], n_classes: int) -> nn.Module:
        """The network."""
        return TabNetwork(self.config, modalities, n_classes)
