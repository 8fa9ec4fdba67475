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
    """Fields that the architecture of every transformer over k-mers has.

    Attributes
    ----------
    k : int
        k-mer length, 3 to 8.
    width, n_layers, n_heads : int
        The transformer; `width` is d.
    dropout : float
        In the transformer.
    """

    k: Count = 6
    width: Count = 96
    n_layers: Layers = 2
    n_heads: Count = 4
    dropout: Share = 0.0

    def problems(self) -> dict[str, bool]:
        """Return what may be wrong with them, as `genomix_cli.variants.models.base.check` asks."""
        return {
            f"k={self.k} is not in {MIN_K}..{MAX_K}": not MIN_K <= self.k <= MAX_K,
            **uneven_heads(self.width, self.n_heads),
        }


class KmerTransformer(SiameseModel):
    """[CLS] and a token for every `stride`-th k-mer; gives [CLS] and the variant's token.

    Parameters
    ----------
    config : KmerTransformerConfig
    stride : int
        Bases from one k-mer to the next.
    own : int
        Number of the token that the variant lies in, without [CLS].
    block : dict
        Further arguments of the layers.

    Attributes
    ----------
    hidden_span : int
        Bases in a row that pre-training hides from it by default, with each k-mer that has one.
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
        """``[..., H]`` -> uint8 ``[..., B]``."""
        return spelled(codes, self.config.bases, self.config.use_sequence)

    def place(self, tokens: Tensor) -> Tensor:
        """Tokens ``[2 V, 1 + T, d]`` with their positions, if these are added to them."""
        return tokens

    def start_pretraining(self) -> None:
        """Change what a start from nothing needs before pre-training, in place."""

    def tokens(self, rows: Tensor) -> Tensor:
        """Return [CLS] and the k-mers after the last layer, ``[R, B]`` -> ``[R, 1 + T, d]``."""
        kmers = self.embedding(self.embedding.ids(rows)[:, :: self.stride])  # [R, T, d]
        cls = self.cls.expand(len(kmers), 1, -1)
        out: Tensor = self.layers(self.place(torch.cat([cls, kmers], dim=1)))
        return out

    def encode(self, haplotypes: Tensor, tracks: Tensor, offset: Tensor) -> Tensor:
        """``[2 V, B]`` -> ``[2 V, 2 d]``; tracks are left to the head."""
        x = self.tokens(haplotypes)
        return torch.cat([x[:, 0], x[:, 1 + self.own]], dim=-1)

    def adopt(self, state: Mapping[str, Tensor], tracks: Sequence[str]) -> dict[str, Tensor]:
        """Weights of one with other `tracks`: of a new one the head keeps what it has here."""
        name, near = "head.0.weight", 2 * NEAR_BINS + 1
        new, old = self.state_dict()[name].clone(), state[name]
        features = 4 * self.config.width
        new[:, :features] = old[:, :features]
        # [head, 2, M, near]: the tracks' values, then where they were observed.
        own = self.config.tracks
        here = new[:, features:].unflatten(1, (2, len(own), near))
        there = old[:, features:].unflatten(1, (2, len(tracks), near))
        for i, track in enumerate(own):
            if track in tracks:
                here[:, :, i] = there[:, :, tracks.index(track)]
        return {**state, name: new}


class KmerHead(nn.Module):
    """Head of pre-training: it tells hidden k-mers from their tokens, and is not kept for scores.

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
        """``[n, d]`` -> logits ``[n, 4^k]``."""
        return embedding.logits(self.query(self.norm(tokens)), self.bases)
