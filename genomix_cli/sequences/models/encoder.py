"""The sequence encoder: bases to tokens, a transformer over them, and one vector per sequence.

GenomAI v2 states 3-mers, width 128, 4 heads, 3 layers and 734,213 parameters, but also a vocabulary
of 22, which is impossible: there are 64 3-mers before any special token. Here a token's embedding
is the mean over the 3-mers that it can be, so IUPAC letters (and heterozygotes) need no tokens of
their own; MASK is token 65. With learned positions for 512 tokens and the projection of contrastive
learning, the preset `genomai` is within 5 % of the stated number (checked by the contract test).

Letters: B batch, L bases, T tokens, d width, s tokens per block, N blocks, m sites per token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.config import Count, Depth, Share
from genomix_cli.errors import UsageError
from genomix_cli.genome.iupac import SETS, composition
from genomix_cli.learning.layers.attention import check_heads
from genomix_cli.learning.layers.transformer import AttentionPool, SelfAttentionBlock, visible
from genomix_cli.sequences.models.columns import column_statistics

K = 3
KMERS = 4**K
# Added to the variance of a site, so that very rare alleles do not dominate.
RARE = 0.0075
# Number of sequences whose bases are counted at once.
COUNTED = 256
# Width in positions of a further convolution of the stem "motifs".
TOWER_WIDTH = 5


@dataclass(frozen=True)
class EncoderShape:
    """Architecture of an encoder, without the length of its sequences.

    Attributes
    ----------
    stem : {"kmers", "motifs", "loci"}
        Kind of tokens: overlapping 3-mers; pooled convolutions of motif width; or, for aligned
        sequences, a separate projection for each run of sites.
    width, heads, layers, expansion : int
        Transformer: d, heads, layers, and hidden width of the feed-forward part in units of d.
    dropout : float
    block : int
        Number of tokens that attend to each other; longer sequences are read block by block.
    across : int
        Number of layers in which the blocks' means attend to each other.
    motifs, motif_width, pool : int
        Stem "motifs": number of filters, their width in bases, positions pooled into one.
    tower : int
        Stem "motifs": number of further convolutions, 5 positions wide and pooled like the first.
    sites : int
        Stem "loci": columns per token.
    """

    stem: Literal["kmers", "motifs", "loci"] = "kmers"
    width: Count = 128
    heads: Count = 4
    layers: Depth = 3
    expansion: Count = 4
    dropout: Share = 0.1
    block: Count = 512
    across: Depth = 0
    motifs: Count = 256
    motif_width: Count = 15
    pool: Count = 4
    tower: Depth = 0
    sites: Count = 256


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(EncoderShape):
    """Configuration of an encoder.

    Attributes
    ----------
    length : int
        L, the length of its sequences.
    """

    length: Count


def shape_of(arch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a configuration that belong to `EncoderShape`."""
    return {f.name: arch[f.name] for f in fields(EncoderShape) if f.name in arch}


MOTIFS = {"stem": "motifs", "motifs": 320, "layers": 2, "expansion": 2, "dropout": 0.2}
PRESETS: dict[str, dict[str, Any]] = {
    "genomai": {},
    "motifs": {**MOTIFS, "tower": 1, "block": 64},
    "loci": {"stem": "loci", "layers": 0, "block": 256},
    "long": {**MOTIFS, "tower": 2, "across": 2},
    "large": {**MOTIFS, "tower": 1, "width": 256, "heads": 8, "layers": 6, "motifs": 512},
}


class Stemmed(NamedTuple):
    """Output of a stem.

    Attributes
    ----------
    tokens : Tensor
        ``[B, T, d]``: input of the transformer.
    content : Tensor or None
        ``[B, d]``: added to the embedding, bypassing the transformer.
    """

    tokens: Tensor
    content: Tensor | None = None


class Stem(nn.Module, ABC):
    """The first layers of an encoder, from bases to tokens.

    Attributes
    ----------
    for_aligned : bool
        True if each column has its own meaning, as only aligned sequences do.
    content_suffices : bool
        True if `Stemmed.content` suffices as the embedding of an encoder without layers.
    fine_tuning : mapping
        Training settings for a new head on a trained encoder that differ from the preset.
    n_tokens : int
        T.
    """

    for_aligned: ClassVar[bool] = False
    content_suffices: ClassVar[bool] = False
    fine_tuning: ClassVar[Mapping[str, Any]] = {}
    n_tokens: int
    composition: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    @abstractmethod
    def least_bases(cls, config: EncoderShape) -> int:
        """Return the smallest number of bases that make a token."""

    @property
    def filters(self) -> nn.Sequential | None:
        """The first layer, if it has filters over bases followed by a batch norm; else None."""
        return None

    @abstractmethod
    def covered(self, token: int) -> tuple[int, int]:
        """Return first base and end of a token, half-open; may exceed the sequence."""

    def learn_columns(self, codes: NDArray[np.uint8]) -> None:
        """Learn column statistics, if the stem needs them, from training sequences ``[n, L]``."""

    def background(self) -> NDArray[np.float32] | None:
        """Return the mean composition of each training column ``[L, 4]``; None if not learned."""
        return None

    @abstractmethod
    def forward(self, codes: Tensor) -> Stemmed:
        """Return the tokens of sets of bases uint8 ``[B, L]``."""

    @abstractmethod
    def soft(self, p: Tensor) -> Stemmed:
        """Return the same from probabilities of A, C, G and T ``[B, L, 4]``, with a gradient."""


class KmerStem(Stem):
    """Overlapping 3-mers at stride 1: T = L - 2."""

    mixture: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Parameter(torch.randn(KMERS + 1, config.width) * 0.02)
        mixture = composed_kmers(torch.from_numpy(composition()))
        self.register_buffer("mixture", mixture, persistent=False)
        self.n_tokens = config.length - K + 1

    @classmethod
    def least_bases(cls, config: EncoderShape) -> int:
        """Return 3, the bases of a 3-mer."""
        return K

    def covered(self, token: int) -> tuple[int, int]:
        """See `Stem`."""
        return token, token + K

    def forward(self, codes: Tensor) -> Stemmed:
        """See `Stem`."""
        ids = codes.long()
        ids = (ids[:, :-2] * SETS + ids[:, 1:-1]) * SETS + ids[:, 2:]
        return Stemmed(F.embedding(ids, self.mixture @ self.embedding))

    def soft(self, p: Tensor) -> Stemmed:
        """See `Stem`."""
        runs = p[:, :-2], p[:, 1:-1], p[:, 2:]
        kmers = torch.einsum("bta,btc,btg->btacg", *runs).flatten(2)
        # The probability that a base is hidden is what the others lack to 1.
        hidden = 1 - kmers.sum(-1, keepdim=True)
        return Stemmed(torch.cat([kmers, hidden], -1) @ self.embedding)


def composed_kmers(p: Tensor) -> Tensor:
    """Return the weight of each 3-mer and of MASK in any three sets of bases: ``[16^3, 65]``."""
    kmers = torch.einsum("xa,yc,zg->xyzacg", p, p, p).reshape(SETS**K, KMERS)
    return torch.cat([kmers, 1 - kmers.sum(-1, keepdim=True)], -1)


class MotifStem(Stem):
    """Motif-wide filters over the bases with max pooling, then further, coarser convolutions.

    After Basset (Kelley et al. 2016, doi:10.1101/gr.200535.115) and its successors. The amount of
    each motif, wherever it lies, goes to the embedding past the transformer, because it is most of
    what DNA tells about cell types.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.register_buffer("composition", torch.from_numpy(composition()), persistent=False)
        self.pool = config.pool
        widths = [4, config.motifs, *[config.width] * config.tower]
        spans = [config.motif_width, *[TOWER_WIDTH] * config.tower]
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(before, after, span, padding=span // 2), nn.BatchNorm1d(after), nn.GELU()
            )
            for before, after, span in zip(widths, widths[1:], spans, strict=False)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.project = nn.Identity() if config.tower else nn.Linear(config.motifs, config.width)
        self.content_of = nn.Linear(2 * config.motifs, config.width)
        self.n_tokens = config.length
        for span in spans:
            self.n_tokens = (self.n_tokens + 2 * (span // 2) - span + 1) // config.pool

    @classmethod
    def least_bases(cls, config: EncoderShape) -> int:
        """Return one base more than a token pools."""
        return config.pool + 1

    @property
    def filters(self) -> nn.Sequential:
        """See `Stem`."""
        layer = self.layers[0]
        assert isinstance(layer, nn.Sequential)
        return layer

    def covered(self, token: int) -> tuple[int, int]:
        """See `Stem`; only the first convolution and the pooling count."""
        half = self.config.motif_width // 2
        return token * self.pool - half, (token + 1) * self.pool + half

    def soft(self, p: Tensor) -> Stemmed:
        """See `Stem`."""
        x = first = self._layer(0, p.transpose(1, 2))  # [B, motifs, L / pool]
        for i in range(1, len(self.layers)):
            x = self._layer(i, self.dropout(x))
        content = self.content_of(torch.cat([first.mean(-1), first.amax(-1)], -1))
        return Stemmed(self.project(x.transpose(1, 2)), content)

    def _layer(self, i: int, x: Tensor) -> Tensor:
        return F.max_pool1d(self.layers[i](x), self.pool)

    def forward(self, codes: Tensor) -> Stemmed:
        """See `Stem`."""
        return self.soft(self.composition[codes.long()])


class LocusStem(Stem):
    """Stem for aligned sequences: a separate projection for each run of m columns; T = L / m.

    Bases are centred and scaled by their frequencies in the column (Patterson et al. 2006,
    doi:10.1371/journal.pgen.0020190), which :meth:`learn_columns` takes from training data. The
    effects of single sites, which make up most of the signal in genotypes, need no transformer:
    their sum is the content.
    """

    for_aligned = True
    content_suffices = True
    # A new head on a trained encoder learns everything, not just what to add to a linear solution.
    fine_tuning: ClassVar[Mapping[str, Any]] = {
        **{"learning_rate": 1e-3, "epochs": 30, "patience": 0},
        "linear_start": False,
    }
    mean: Tensor
    scale: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.sites = config.sites
        self.n_tokens = -(-config.length // config.sites)
        self.padding = self.n_tokens * config.sites - config.length
        self.register_buffer("composition", torch.from_numpy(composition()), persistent=False)
        self.register_buffer("mean", torch.full((config.length, 4), 0.25))
        self.register_buffer("scale", torch.ones(config.length))
        weight = torch.randn(self.n_tokens, config.sites * 4, config.width)
        self.weight = nn.Parameter(weight * (4 * config.length) ** -0.5)

    @classmethod
    def least_bases(cls, config: EncoderShape) -> int:
        """Return 1: missing columns are padded."""
        return 1

    def covered(self, token: int) -> tuple[int, int]:
        """See `Stem`."""
        return token * self.sites, (token + 1) * self.sites

    def background(self) -> NDArray[np.float32]:
        """See `Stem`."""
        return self.mean.float().cpu().numpy()

    def learn_columns(self, codes: NDArray[np.uint8]) -> None:
        """Learn the mean and spread of the known bases in every column of ``[n, L]``.

        A column that does not vary is ignored.
        """
        mean, scale = column_statistics(codes, RARE, COUNTED)
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(scale))

    def forward(self, codes: Tensor) -> Stemmed:
        """See `Stem`; hidden and unknown bases contribute nothing."""
        known = (codes != 0) & (codes != SETS - 1)
        return self._project(self.composition[codes.long()], known)

    def soft(self, p: Tensor) -> Stemmed:
        """See `Stem`."""
        return self._project(p, None)

    def _project(self, p: Tensor, known: Tensor | None) -> Stemmed:
        x = (p - self.mean) * self.scale[:, None]
        if known is not None:
            x = x * known[..., None]
        x = F.pad(x, (0, 0, 0, self.padding)).reshape(len(p), self.n_tokens, -1)  # [B, T, 4 m]
        tokens = torch.einsum("btx,txd->btd", x, self.weight)
        return Stemmed(tokens, tokens.sum(1))


STEMS: dict[str, type[Stem]] = {"kmers": KmerStem, "motifs": MotifStem, "loci": LocusStem}


def stem_of(arch: Mapping[str, Any]) -> type[Stem]:
    """Return the stem class that a configuration names."""
    return STEMS[arch.get("stem", EncoderShape.stem)]


def has_filters(config: EncoderConfig) -> bool:
    """Return True if the first layer of an encoder has filters that can be motifs."""
    with torch.device("meta"):
        return STEMS[config.stem](config).filters is not None


def preset_for(presets: Mapping[str, Mapping[str, Any]], *, aligned: bool) -> str:
    """Return the first preset, or the first for aligned sequences if `aligned` and there is one."""
    fitting = (name for name, arch in presets.items() if aligned and stem_of(arch).for_aligned)
    return next(fitting, next(iter(presets)))


def check_stem(name: str, *, aligned: bool) -> None:
    """Refuse a stem for aligned sequences if the sequences are not aligned.

    Raises
    ------
    UsageError
        If the stem does not suit the sequences.
    """
    if STEMS[name].for_aligned and not aligned:
        raise UsageError(
            f"the stem {name} needs aligned sequences, and these are not aligned",
            hint="--preset motifs",
        )


class Encoder(nn.Module):
    """Encoder of bases into one vector per sequence and one per token.

    Parameters
    ----------
    config : EncoderConfig

    Raises
    ------
    UsageError
        If the width is not divisible by the heads, or the sequences are too short for a token.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        check_heads(config.width, config.heads)
        self.config = config
        self.stem: Stem = STEMS[config.stem](config)
        if self.stem.n_tokens < 1:
            raise UsageError("sequences too short for a token", found=f"{config.length} bases")
        if not config.layers and self.stem.content_suffices:
            self.register_parameter("position", None)
            self.pool = None
        else:
            self.position = nn.Parameter(torch.randn(config.block, config.width) * 0.02)
            self.pool = AttentionPool(config.width, config.heads)
        shape = (config.width, config.heads, config.dropout, config.expansion)
        self.layers = nn.ModuleList(SelfAttentionBlock(*shape) for _ in range(config.layers))
        self.across = nn.ModuleList(SelfAttentionBlock(*shape) for _ in range(config.across))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the embedding ``[B, d]`` of sets of bases uint8 ``[B, L]``."""
        return self.read(codes)[0]

    def soft(self, p: Tensor) -> Tensor:
        """Return the embedding of base probabilities float32 ``[B, L, 4]``, with a gradient."""
        return self._read(self.stem.soft(p))[0]

    def read(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return embedding ``[B, d]`` and tokens ``[B, T, d]`` of sets of bases in one pass."""
        return self._read(self.stem(codes))

    def _read(self, stemmed: Stemmed) -> tuple[Tensor, Tensor]:
        tokens, content = stemmed
        if self.pool is None:
            return self.norm(content), tokens
        tokens = self.trunk(tokens)
        pooled = self.pool(tokens)
        return self.norm(pooled if content is None else content + pooled), tokens

    def trunk(self, x: Tensor) -> Tensor:
        """Apply the transformer block by block: ``[B, T, d]`` to the same shape."""
        n_tokens, size = x.shape[1], self.config.block
        n_blocks = -(-n_tokens // size)
        if n_blocks == 1:
            return self._run(x + self.position[:n_tokens], None)
        # Attention is quadratic in the tokens, so long sequences are read block by block. The last
        # block is padded, and padding is hidden from attention.
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
        """Apply attention between the means of the blocks ``[B, N, d]``."""
        mean = (x * there[..., None]).sum(2) / there.sum(1)[:, None]
        for layer in self.across:
            mean = layer(mean)
        return mean
