"""The encoder of sequences: from bases to tokens, a transformer over them, one vector for each.

GenomAI v2 states 3-mers, width 128, 4 heads and 3 layers with 734,213 parameters, and a vocabulary
of 22, which cannot be: there are 64 3-mers before any special token. Here a token's embedding is
that of the 3-mers it may be, weighted alike, so that IUPAC letters (and heterozygotes) need no
tokens of their own; MASK is the 65th. With learned positions for 512 tokens and the projection that
contrastive learning adds, the preset `genomai` comes within 5 % of the stated number (the contract
test counts).

Letters: B batch, L bases, T tokens, d width, s block of tokens, N blocks, m sites of a token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.config import Count, Share
from genomix_cli.errors import UsageError
from genomix_cli.genome.iupac import SETS, composition
from genomix_cli.nn.transformer import AttentionPool, SelfAttentionBlock, visible

K = 3
KMERS = 4**K
# Added to the variance of a site, so that alleles hardly anybody has do not drown the others.
RARE = 0.02
# Sequences whose bases are counted at once.
COUNTED = 256


@dataclass(frozen=True)
class EncoderShape:
    """Shape of an encoder, whatever it reads.

    Attributes
    ----------
    stem : {"kmers", "motifs", "loci"}
        How bases become tokens: overlapping 3-mers; convolutions of the width of a motif, pooled;
        or, for aligned sequences, a projection of each run of sites that is that run's own.
    width, heads, layers, expansion : int
        Of the transformer: d, its heads, its layers, hidden width of their feed-forward part in d.
    dropout : float
    block : int
        Tokens that attend to each other; longer sequences are read by blocks.
    across : int
        Layers in which the blocks' means attend to each other.
    motifs, motif_width, pool : int
        Of the stem "motifs": filters, their width in bases, tokens made one.
    sites : int
        Of the stem "loci": columns of a token.
    """

    stem: Literal["kmers", "motifs", "loci"] = "kmers"
    width: Count = 128
    heads: Count = 4
    layers: int = 3
    expansion: Count = 4
    dropout: Share = 0.1
    block: Count = 512
    across: int = 0
    motifs: Count = 256
    motif_width: Count = 15
    pool: Count = 4
    sites: Count = 256


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(EncoderShape):
    """An encoder.

    Attributes
    ----------
    length : int
        L, of the sequences it reads.
    """

    length: Count


def shape_of(arch: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields of a configuration that say an encoder's shape."""
    return {f.name: arch[f.name] for f in fields(EncoderShape) if f.name in arch}


PRESETS: dict[str, dict[str, Any]] = {
    "genomai": {},
    "motifs": {"stem": "motifs", "block": 256},
    "loci": {"stem": "loci", "layers": 0, "block": 256},
    "long": {"stem": "motifs", "across": 2, "pool": 8},
    "large": {"stem": "motifs", "width": 256, "heads": 8, "layers": 6, "motifs": 512},
}


class Stem(nn.Module, ABC):
    """From bases to tokens.

    Attributes
    ----------
    n_tokens : int
        T.
    """

    n_tokens: int
    composition: Tensor

    @abstractmethod
    def forward(self, codes: Tensor) -> Tensor:
        """Sets of bases uint8 ``[B, L]`` to ``[B, T, d]``."""

    @abstractmethod
    def soft(self, p: Tensor) -> Tensor:
        """The same from probabilities of A, C, G and T ``[B, L, 4]``, with a gradient."""


class KmerStem(Stem):
    """Overlapping 3-mers at stride 1: T = L - 2."""

    mixture: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(KMERS + 1, config.width) * 0.02)
        mixture = composed_kmers(torch.from_numpy(composition()))
        self.register_buffer("mixture", mixture, persistent=False)
        self.n_tokens = config.length - K + 1

    def forward(self, codes: Tensor) -> Tensor:
        """Sets of bases ``[B, L]`` to ``[B, T, d]``."""
        ids = codes.long()
        ids = (ids[:, :-2] * SETS + ids[:, 1:-1]) * SETS + ids[:, 2:]
        return F.embedding(ids, self.mixture @ self.embedding)

    def soft(self, p: Tensor) -> Tensor:
        """The same from probabilities of bases ``[B, L, 4]``."""
        runs = p[:, :-2], p[:, 1:-1], p[:, 2:]
        kmers = torch.einsum("bta,btc,btg->btacg", *runs).flatten(2)
        hidden = 1 - kmers.sum(-1, keepdim=True)
        return torch.cat([kmers, hidden], -1) @ self.embedding


def composed_kmers(p: Tensor) -> Tensor:
    """Share of each 3-mer, and of MASK, in every run of three sets: ``[16^3, 65]``."""
    kmers = torch.einsum("xa,yc,zg->xyzacg", p, p, p).reshape(SETS**K, KMERS)
    return torch.cat([kmers, 1 - kmers.sum(-1, keepdim=True)], -1)


class MotifStem(Stem):
    """Filters as wide as a motif over the bases, the largest of each few places: T = L / pool."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.register_buffer("composition", torch.from_numpy(composition()), persistent=False)
        width = config.motif_width
        self.filters = nn.Conv1d(4, config.motifs, width, padding=width // 2)
        self.norm = nn.BatchNorm1d(config.motifs)
        self.project = nn.Linear(config.motifs, config.width)
        self.pool = config.pool
        self.n_tokens = (config.length + 2 * (width // 2) - width + 1) // config.pool

    def forward(self, codes: Tensor) -> Tensor:
        """Sets of bases ``[B, L]`` to ``[B, T, d]``."""
        return self.soft(self.composition[codes.long()])

    def soft(self, p: Tensor) -> Tensor:
        """The same from probabilities of bases ``[B, L, 4]``."""
        found = F.gelu(self.norm(self.filters(p.transpose(1, 2))))
        return self.project(F.max_pool1d(found, self.pool).transpose(1, 2))


class LocusStem(Stem):
    """For aligned sequences: each run of m columns through a projection of its own: T = L / m.

    Bases are compared with how often each occurs in that column (Patterson et al. 2006,
    doi:10.1371/journal.pgen.0020190), which :meth:`learn_frequencies` takes from training data.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.sites = config.sites
        self.n_tokens = -(-config.length // config.sites)
        self.padding = self.n_tokens * config.sites - config.length
        self.register_buffer("composition", torch.from_numpy(composition()), persistent=False)
        self.register_buffer("mean", torch.full((config.length, 4), 0.25))
        self.register_buffer("scale", torch.ones(config.length))
        weight = torch.randn(self.n_tokens, config.sites * 4, config.width)
        self.weight = nn.Parameter(weight * (4 * config.length) ** -0.5)
        # Shared by the tokens, so that their sum has it once.
        self.bias = nn.Parameter(torch.zeros(config.width))

    def start_from(self, weights: NDArray[np.floating], bias: NDArray[np.floating]) -> None:
        """Let the first k of the width, summed over tokens, be ``x @ weights + bias``, others 0.

        Parameters
        ----------
        weights : NDArray
            ``[4 L, k]``, of the standardised columns.
        bias : NDArray
            ``[k]``.
        """
        flat = torch.zeros(self.weight.shape[0] * self.weight.shape[1], self.weight.shape[2])
        flat[: len(weights), : weights.shape[1]] = torch.from_numpy(weights)
        with torch.no_grad():
            self.weight.copy_(flat.view_as(self.weight))
            self.bias.zero_()
            self.bias[: len(bias)] = torch.from_numpy(bias)

    def learn_frequencies(self, codes: NDArray[np.uint8]) -> None:
        """Mean and spread of the bases in every column of sets ``[n, L]``; unknown ones count not.

        A column without any spread says nothing, and is left out.
        """
        table = composition()
        table[SETS - 1] = 0
        total = np.zeros((codes.shape[1], 4))
        square, known = total.copy(), np.zeros(codes.shape[1])
        for start in range(0, len(codes), COUNTED):
            p = table[codes[start : start + COUNTED]]
            total += p.sum(0)
            square += (p**2).sum(0)
            known += p.any(-1).sum(0)
        mean = total / np.maximum(known, 1)[:, None]
        variance = (square / np.maximum(known, 1)[:, None] - mean**2).sum(-1) / 2
        scale = np.where(variance > 1e-9, (variance + RARE) ** -0.5, 0.0)
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(scale))

    def forward(self, codes: Tensor) -> Tensor:
        """Sets of bases ``[B, L]`` to ``[B, T, d]``; hidden and unknown ones say nothing."""
        known = (codes != 0) & (codes != SETS - 1)
        return self._project(self.composition[codes.long()], known)

    def soft(self, p: Tensor) -> Tensor:
        """The same from probabilities of bases ``[B, L, 4]``."""
        return self._project(p, None)

    def _project(self, p: Tensor, known: Tensor | None) -> Tensor:
        x = (p - self.mean) * self.scale[:, None]
        if known is not None:
            x = x * known[..., None]
        x = F.pad(x, (0, 0, 0, self.padding)).reshape(len(p), self.n_tokens, -1)  # [B, T, 4 m]
        return torch.einsum("btx,txd->btd", x, self.weight) + self.bias / self.n_tokens


STEMS: dict[str, type[Stem]] = {"kmers": KmerStem, "motifs": MotifStem, "loci": LocusStem}


class Encoder(nn.Module):
    """Bases to a vector per sequence, and to one per token.

    Parameters
    ----------
    config : EncoderConfig

    Raises
    ------
    UsageError
        If heads do not divide the width, or the sequences are too short for a token.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        if config.width % config.heads:
            raise UsageError(
                "heads do not divide the width", found=f"{config.heads} of {config.width}"
            )
        self.config = config
        self.stem: Stem = STEMS[config.stem](config)
        if self.stem.n_tokens < 1:
            raise UsageError("sequences too short for a token", found=f"{config.length} bases")
        self.position = nn.Parameter(torch.randn(config.block, config.width) * 0.02)
        shape = (config.width, config.heads, config.dropout, config.expansion)
        self.layers = nn.ModuleList(SelfAttentionBlock(*shape) for _ in range(config.layers))
        self.across = nn.ModuleList(SelfAttentionBlock(*shape) for _ in range(config.across))
        self.pool = AttentionPool(config.width, config.heads)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, codes: Tensor) -> Tensor:
        """Embedding ``[B, d]`` of sets of bases uint8 ``[B, L]``."""
        return self.pooled(self.stem(codes))

    def soft(self, p: Tensor) -> Tensor:
        """Embedding from probabilities of A, C, G and T float32 ``[B, L, 4]``, with a gradient."""
        return self.pooled(self.stem.soft(p))

    def tokens(self, codes: Tensor) -> Tensor:
        """Tokens ``[B, T, d]`` after the transformer."""
        return self.trunk(self.stem(codes))

    def pooled(self, x: Tensor) -> Tensor:
        """Stem's tokens ``[B, T, d]`` to the embedding ``[B, d]``.

        Loci are summed too, as they come: what sites say each for themselves, which is most of what
        genotypes say, needs no transformer.
        """
        if self.config.stem != "loci":
            return self.norm(self.pool(self.trunk(x)))
        alone = x.sum(1)
        return self.norm(alone + self.pool(self.trunk(x)) if self.layers else alone)

    def trunk(self, x: Tensor) -> Tensor:
        """The transformer, block by block: ``[B, T, d]`` to the same."""
        n_tokens, size = x.shape[1], self.config.block
        n_blocks = -(-n_tokens // size)
        if n_blocks == 1:
            return self._run(x + self.position[:n_tokens], None)
        padding = n_blocks * size - n_tokens
        x = F.pad(x, (0, 0, 0, padding)).unflatten(1, (n_blocks, size))  # [B, N, s, d]
        there = torch.arange(n_blocks * size, device=x.device).view(n_blocks, size) < n_tokens
        mask = visible(there).repeat(len(x), 1, 1, 1)  # [B N, 1, 1, s]
        x = self._run((x + self.position).flatten(0, 1), mask).unflatten(0, (-1, n_blocks))
        if self.across:
            x = x + self._between(x, there)[:, :, None]
        return x.flatten(1, 2)[:, :n_tokens]

    def _run(self, x: Tensor, mask: Tensor | None) -> Tensor:
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def _between(self, x: Tensor, there: Tensor) -> Tensor:
        """What the blocks' means ``[B, N, d]`` learn from each other."""
        mean = (x * there[..., None]).sum(2) / there.sum(1)[:, None]
        for layer in self.across:
            mean = layer(mean)
        return mean
