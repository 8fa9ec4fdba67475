"""A transformer with three branches that combine modalities, and a fusion of their logits.

Letters: B batch, M modalities, N tokens of a modality, d width of a token, s of a summary, H heads,
R branches, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from genomix_cli.cohorts.dataset import Modality
from genomix_cli.cohorts.models.network import Inputs, Output
from genomix_cli.cohorts.models.tab_transformer import TabBranch
from genomix_cli.cohorts.models.tokens import (
    CohortTokens,
    TokenConfig,
    TokenModel,
    check_heads,
    plain_values,
    thinned,
)
from genomix_cli.config import Count, Layers
from genomix_cli.learning.layers import transformer


@dataclass(frozen=True)
class OmicsTransformerConfig(TokenConfig):
    """Attributes beside those of `TokenConfig`.

    Attributes
    ----------
    layers : int
        Number of layers of each modality's encoder.
    latents : int
        Number of latents of the Perceiver.
    summary : int
        Width of the summary of a modality, and of a latent.
    hidden : int
        Width of the hidden layers before the logits.
    encoders : str
        ``specific``: each modality has its own encoder; ``generic``: all share one.
    fusion : str
        Combination of the branches' logits: ``gate``, ``average`` or ``stacking``, see `Fusion`.
    cross_modal : bool
        Use the branch of cross-modal attention.
    """

    layers: Layers = 1
    latents: Count = 8
    summary: Count = 64
    hidden: Count = 64
    encoders: Literal["specific", "generic"] = "specific"
    fusion: Literal["gate", "average", "stacking"] = "gate"
    cross_modal: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.summary, self.heads)


class PerceiverBranch(nn.Module):
    """Perceiver IO (Jaegle et al. 2021, arXiv:2107.14795): latents read all tokens.

    Parameters
    ----------
    config : OmicsTransformerConfig
    n_classes : int
        K.
    """

    def __init__(self, config: OmicsTransformerConfig, n_classes: int) -> None:
        super().__init__()
        width, heads, dropout = config.summary, config.heads, config.dropout
        self.latents = nn.Parameter(0.02 * torch.randn(config.latents, width))
        self.query = nn.Parameter(0.02 * torch.randn(1, width))
        self.read = transformer.CrossAttentionBlock(width, config.width, heads, dropout)
        self.process = transformer.SelfAttentionBlock(width, heads, dropout)
        self.answer = transformer.CrossAttentionBlock(width, width, heads, dropout)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_classes))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the logits ``[B, K]`` from ``[B, sum of N, d]`` and ``[B, 1, 1, sum of N]``."""
        batch = len(tokens)
        latents = self.process(self.read(self.latents.expand(batch, -1, -1), tokens, mask))
        return self.head(self.answer(self.query.expand(batch, -1, -1), latents)[:, 0])


class Summary(nn.Module):
    """A modality as one vector: tokens pooled by attention, plus a linear map of all tokens.

    Attention alone gives a mean; the linear map can add up weak evidence from many features.
    """

    def __init__(self, tokens: int, config: OmicsTransformerConfig) -> None:
        super().__init__()
        width = config.summary
        self.pool = transformer.AttentionPool(config.width, config.heads)
        self.pooled = nn.Linear(config.width, width)
        self.all = nn.Linear(tokens * config.width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), transformer.feed_forward(width, width, width, config.dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, N, d]`` to ``[B, s]``."""
        summary = self.pooled(self.pool(x)) + self.all(x.flatten(1))
        return summary + self.mlp(summary)


class CrossModalBranch(nn.Module):
    """Attention between the summaries of modalities.

    The attended values are also multiplied by a projection of the attending summary, so that the
    branch can represent interactions of two modalities directly.

    Parameters
    ----------
    sizes : sequence of int
        N of each modality.
    config : OmicsTransformerConfig
    n_classes : int
        K.
    """

    def __init__(
        self, sizes: Sequence[int], config: OmicsTransformerConfig, n_classes: int
    ) -> None:
        super().__init__()
        width, self.n_heads = config.summary, config.heads
        self.summaries = nn.ModuleList(Summary(n, config) for n in sizes)
        self.identity = nn.Parameter(width**-0.5 * torch.randn(len(sizes), width))
        self.absent = nn.Parameter(width**-0.5 * torch.randn(len(sizes), width))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 4 * width)
        self.out = nn.Linear(2 * width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), transformer.feed_forward(width, 2 * width, width, config.dropout)
        )
        self.head = transformer.feed_forward(
            len(sizes) * width, config.hidden, n_classes, config.dropout
        )

    def forward(self, tokens: Sequence[Tensor], present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits ``[B, K]``, attention between modalities ``[B, M, M]``, and summaries.

        The summaries are ``[B, M s]``.
        """
        # An absent modality has its own learned vector and is hidden from the others.
        own = torch.stack(
            [summary(x) for summary, x in zip(self.summaries, tokens, strict=True)], dim=1
        )
        x = torch.where(present[..., None], own + self.identity, self.absent)  # [B, M, s]
        q, k, v, gate = (
            t.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for t in self.project(self.norm(x)).chunk(4, dim=-1)
        )
        weights = transformer.attention_weights(q, k, transformer.visible(present))  # [B, H, M, M]
        heard = weights.to(v.dtype) @ v
        # An interaction of two modalities is a product, which attention alone cannot form.
        both = torch.cat([heard, heard * gate], dim=1)  # [B, 2 H, M, s / H]
        x = x + self.out(both.transpose(1, 2).flatten(-2))
        x = x + self.mlp(x)
        vector = x.flatten(1)
        return self.head(vector), weights.mean(1), vector


class Fusion(nn.Module):
    """Fusion of the logits of R branches: ``[B, R, K]`` -> ``[B, K]``.

    ``average`` is their mean. ``gate`` is a weighted mean; the weights are a softmax of a linear
    function of all log-probabilities. ``stacking`` is a linear function of all log-probabilities
    (Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1), here learned together with the branches, not
    from out-of-fold predictions. Both learned kinds start as the average.
    """

    def __init__(self, kind: str, branches: int, n_classes: int) -> None:
        super().__init__()
        self.kind = kind
        self.learned: nn.Linear | None = None
        if kind == "gate":
            self.learned = nn.Linear(branches * n_classes, branches)
            # Zero logits: the softmax initially weights all branches equally.
            nn.init.zeros_(self.learned.weight)
            nn.init.zeros_(self.learned.bias)
        elif kind == "stacking":
            self.learned = nn.Linear(branches * n_classes, n_classes)
            nn.init.zeros_(self.learned.bias)
            with torch.no_grad():
                self.learned.weight.copy_(torch.eye(n_classes).repeat(1, branches) / branches)

    def forward(self, logits: Tensor) -> Tensor:
        """See the class."""
        if self.learned is None:
            return logits.mean(1)
        learned = self.learned(logits.log_softmax(-1).flatten(1))
        if self.kind == "stacking":
            return learned
        return torch.einsum("br,brk->bk", learned.softmax(-1), logits)


class OmicsNetwork(nn.Module):
    """Multi-modal transformer for genomic data integration (Stillwell).

    Features become tokens, and each modality's tokens pass through its own transformer. Three
    branches then predict the class: a TabTransformer, a Perceiver IO, and cross-modal attention
    among summaries of the modalities.

    The network is built from an outline of the paper; sizes and connections are our choices. Known
    deviations:

    - Tokens are those of `FeatureTokens`, where the paper has a linear projection.
    - `CrossModalBranch` adds products of the attending and attended modality to attention.
    - `Summary` adds a linear function of all tokens to learned attention.
    - A linear function of the plain values is added to the TabTransformer's final layers.
    - The branches learn together, only from the loss of the fused logits.
    - No token of an absent modality is attended to; a learned token replaces it elsewhere.

    ``encoders="generic"`` shares the transformers before the branches. Feature embeddings and
    summaries cannot be shared among modalities of different sizes.
    """

    def __init__(
        self, config: OmicsTransformerConfig, modalities: tuple[Modality, ...], n_classes: int
    ) -> None:
        super().__init__()
        features = [len(modality.features) for modality in modalities]
        self.config = config
        self.tokens = CohortTokens(features, config.width, config.max_tokens)
        self.encoders = nn.ModuleList(
            nn.Sequential(
                *(
                    transformer.SelfAttentionBlock(config.width, config.heads, config.dropout)
                    for _ in range(config.layers)
                )
            )
            for _ in (modalities if config.encoders == "specific" else modalities[:1])
        )
        self.tab = TabBranch(
            sum(self.tokens.sizes),
            sum(features) + len(features),
            n_classes,
            config,
            layers=1,
            hidden=config.hidden,
        )
        self.perceiver = PerceiverBranch(config, n_classes)
        self.cross: CrossModalBranch | None = None
        if config.cross_modal:
            self.cross = CrossModalBranch(self.tokens.sizes, config, n_classes)
        self.fusion = Fusion(config.fusion, 3 if config.cross_modal else 2, n_classes)

    def encode(self, inputs: Inputs) -> list[Tensor]:
        """Return the encoded tokens of each modality ``[B, N, d]``."""
        # A modality is present or absent as a whole, so its tokens need no mask.
        return [self.encoders[i % len(self.encoders)](x) for i, x in enumerate(self.tokens(inputs))]

    def forward(self, inputs: Inputs) -> Output:
        """Return logits, and with cross-modal attention also attention and summaries."""
        if self.training:
            inputs = thinned(inputs, self.config)
        tokens = self.encode(inputs)
        joined = torch.cat(tokens, dim=1)
        mask = transformer.visible(self.tokens.present(inputs))
        votes = [self.tab(joined, mask, plain_values(inputs)), self.perceiver(joined, mask)]
        attention = vector = None
        if self.cross is not None:
            vote, attention, vector = self.cross(tokens, inputs.present)
            votes.append(vote)
        return Output(self.fusion(torch.stack(votes, dim=1)), attention, vector=vector)


SMALL = {
    "learning_rate": 2e-3,
    "weight_decay": 0.1,
    "epochs": 8,
    "patience": 4,
    "steps": 200,
    "modality_dropout": 0.05,
    "value_dropout": 0.2,
}


class OmicsTransformer(TokenModel):
    """Cohort model with an `OmicsNetwork`."""

    config_class = OmicsTransformerConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "small": SMALL,
        # Three networks, each with other samples for early stopping, at three times the cost.
        "ensemble": {**SMALL, "members": 3},
        "large": {
            "width": 64,
            "heads": 8,
            "layers": 3,
            "latents": 32,
            "summary": 128,
            "hidden": 256,
            "max_tokens": 256,
        },
    }
    space: ClassVar[Mapping[str, Any]] = {
        "width": [8, 16, 32],
        "layers": [1, 2],
        "dropout": [0.1, 0.3, 0.5],
        "learning_rate": [5e-4, 1e-3, 2e-3],
        "weight_decay": [1e-2, 1e-1, 1.0],
        "value_dropout": [0.0, 0.1, 0.3],
    }

    def build(self, modalities: tuple[Modality, ...], n_classes: int) -> nn.Module:
        """Build the network."""
        return OmicsNetwork(self.config, modalities, n_classes)
