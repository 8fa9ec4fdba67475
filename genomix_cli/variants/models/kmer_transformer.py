"""Base of transformers over the k-mers of both haplotypes.

Letters: V variants, R rows of bases, B bases around the variant, k k-mer length, T tokens, d width,
M tracks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from genomix_cli.config import Count, Layers, Share
from genomix_cli.genome.alphabet import MAX_K, MIN_K
from genomix_cli.learning.layers.transformer import SelfAttentionBlock
from genomix_cli.variants.models.allele_tokens import KmerEmbedding, spelled_kmers
from genomix_cli.variants.models.base import uneven_heads
from genomix_cli.variants.models.siamese import (
    NEAR_BINS,
    SiameseConfig,
    SiameseModel,
    pair_dropout,
    spelled,
)


@dataclass(frozen=True)
class KmerTransformerConfig(SiameseConfig):
    """Architecture fields common to all transformers over k-mers.

    Attributes
    ----------
    k : int
        k-mer length, 3 to 8.
    width, n_layers, n_heads : int
        Width d, layers and attention heads of the transformer.
    dropout : float
        Dropout in the transformer.
    """

    k: Count = 6
    width: Count = 96
    n_layers: Layers = 2
    n_heads: Count = 4
    dropout: Share = 0.0

    def problems(self) -> dict[str, bool]:
        """Return possible problems of these fields for `genomix_cli.variants.models.base.check`."""
        return {
            f"k={self.k} is not in {MIN_K}..{MAX_K}": not MIN_K <= self.k <= MAX_K,
            **uneven_heads(self.width, self.n_heads),
        }


class KmerTransformer(SiameseModel):
    """Transformer over [CLS] and every `stride`-th k-mer; returns [CLS] and the variant's token.

    Parameters
    ----------
    config : KmerTransformerConfig
    stride : int
        Bases from one k-mer to the next.
    own : int
        Index of the token that contains the variant, not counting [CLS].
    block : dict
        Further arguments for the layers.

    Attributes
    ----------
    hidden_span : int
        Consecutive bases that pre-training hides by default, with each k-mer that contains one.
    """

    hidden_span = 1

    def __init__(
        self, config: KmerTransformerConfig, stride: int, own: int, block: dict[str, Any]
    ) -> None:
        super().__init__(config, 2 * config.width)
        self.stride, self.own = stride, own
        self.embedding = KmerEmbedding(config.k, config.width)
        self.cls = nn.Parameter(0.02 * torch.randn(config.width))
        self.layers = nn.Sequential(
            *(
                SelfAttentionBlock(config.width, config.n_heads, config.dropout, **block)
                for _ in range(config.n_layers)
            )
        )
        pair_dropout(self)

    def read(self, codes: Tensor) -> Tensor:
        """Return the bases to read: ``[..., H]`` -> uint8 ``[..., B]``."""
        return spelled(codes, self.config.bases, self.config.use_sequence)

    def place(self, tokens: Tensor) -> Tensor:
        """Add position embeddings to tokens ``[2 V, 1 + T, d]``, if the model has any."""
        return tokens

    def start_pretraining(self) -> None:
        """Adjust freshly initialised weights for pre-training, in place."""

    def tokens(self, rows: Tensor) -> Tensor:
        """Return [CLS] and k-mer tokens of the last layer: ``[R, B]`` -> ``[R, 1 + T, d]``."""
        kmers = self.embedding(self.embedding.ids(rows)[:, :: self.stride])  # [R, T, d]
        cls = self.cls.expand(len(kmers), 1, -1)
        out: Tensor = self.layers(self.place(torch.cat([cls, kmers], dim=1)))
        return out

    def encode(self, haplotypes: Tensor, tracks: Tensor, offset: Tensor) -> Tensor:
        """Return features ``[2 V, B]`` -> ``[2 V, 2 d]``; only the head reads tracks."""
        x = self.tokens(haplotypes)
        return torch.cat([x[:, 0], x[:, 1 + self.own]], dim=-1)

    def adopt(self, state: Mapping[str, Tensor], tracks: Sequence[str]) -> dict[str, Tensor]:
        """Return weights of a model with other `tracks`; a new track keeps its current weights."""
        name, near = "head.0.weight", 2 * NEAR_BINS + 1
        new, old = self.state_dict()[name].clone(), state[name]
        features = 4 * self.config.width
        new[:, :features] = old[:, :features]
        # [head, 2, M, near]: the tracks' values, then their observed masks.
        own = self.config.tracks
        here = new[:, features:].unflatten(1, (2, len(own), near))
        there = old[:, features:].unflatten(1, (2, len(tracks), near))
        for i, track in enumerate(own):
            if track in tracks:
                here[:, :, i] = there[:, :, tracks.index(track)]
        return {**state, name: new}


class KmerHead(nn.Module):
    """Pre-training head that predicts hidden k-mers from their tokens; not used for scoring.

    Parameters
    ----------
    config : KmerTransformerConfig
    """

    bases: Tensor

    def __init__(self, config: KmerTransformerConfig) -> None:
        super().__init__()
        d, k = config.width, config.k
        self.norm = nn.LayerNorm(d)
        self.query = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.Linear(d, d + 4 * k))
        self.register_buffer("bases", spelled_kmers(k), persistent=False)

    def forward(self, tokens: Tensor, embedding: KmerEmbedding) -> Tensor:
        """Return logits of every k-mer: ``[n, d]`` -> ``[n, 4^k]``."""
        return embedding.logits(self.query(self.norm(tokens)), self.bases)
