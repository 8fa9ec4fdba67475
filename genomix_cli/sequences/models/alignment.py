"""Alignment of DNA and phenotypes: two towers with a shared space, and cross-attention.

The towers are independent: the vector of a sequence must not depend on its phenotypes, or comparing
the two would leak the answer. Cross-attention, in which phenotypes read DNA, scores whether a pair
belongs together. It is trained on matching and non-matching pairs (like image-text matching in
ALBEF, Li et al. 2021, arXiv:2107.07651), re-ranks what the towers found, and shows which tokens
each phenotype attends to.

Letters: B batch, L bases, T tokens of DNA, P phenotypes, d width, p width of the compared vectors,
H heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.config import Count, Depth, NotNegative, Positive, Share
from genomix_cli.learning.layers.transformer import (
    CrossAttentionBlock,
    SelfAttentionBlock,
    attention_weights,
)
from genomix_cli.sequences.models.contrastive import head
from genomix_cli.sequences.models.encoder import Encoder, EncoderConfig
from genomix_cli.sequences.pretrain.objectives import Temperature
from genomix_cli.sequences.pretrain.views import Views
from genomix_cli.sequences.train.learning import Learning


@dataclass(frozen=True)
class AlignConfig(Learning, Views, EncoderConfig):
    """Configuration of the encoder, the view, the training and the alignment.

    Attributes
    ----------
    projection : int
        p.
    temperature : float
        Initial value; the temperature is learned.
    phenotype_layers : int
        Number of layers of the transformer over phenotypes.
    phenotype_dropout : float
        Probability that a known phenotype is hidden in training; one always stays.
    matching : float
        Weight of the cross-attention loss relative to the contrastive loss.
    control : bool
        True to also train a control on phenotypes shuffled between groups, for the report.
    """

    projection: Count = 128
    temperature: Positive = 0.1
    phenotype_layers: Depth = 2
    phenotype_dropout: Share = 0.0
    matching: NotNegative = 0.5
    control: bool = True


class PhenotypeSpec(NamedTuple):
    """A phenotype as input of the phenotype tower.

    Attributes
    ----------
    name : str
    categories : tuple of str or None
        Names of the categories; None for a number.
    mean, sd : float
        Mean and SD of a number in the training sequences.
    """

    name: str
    categories: tuple[str, ...] | None
    mean: float = 0.0
    sd: float = 1.0


class PhenotypeTower(nn.Module):
    """A small transformer over one token per phenotype.

    A category is an embedding. A number, in standard deviations from the mean, scales a direction.
    An unknown value is a mask token. An embedding of the phenotype itself is added to each token.
    """

    def __init__(self, phenotypes: tuple[PhenotypeSpec, ...], config: AlignConfig) -> None:
        super().__init__()
        d = config.width
        sizes = [len(p.categories) if p.categories else 1 for p in phenotypes]
        self.values = nn.ParameterList(torch.randn(size, d) * 0.5 for size in sizes)
        self.which = nn.Parameter(torch.randn(len(phenotypes), d) * 0.5)
        self.missing = nn.Parameter(torch.zeros(d))
        self.is_number = [p.categories is None for p in phenotypes]
        shape = (d, config.heads, config.dropout, 2)
        self.layers = nn.ModuleList(
            SelfAttentionBlock(*shape) for _ in range(config.phenotype_layers)
        )
        self.norm = nn.LayerNorm(d)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors ``[B, d]`` and tokens ``[B, P, d]``.

        Parameters
        ----------
        values : Tensor
            float32 ``[B, P]``: index of the category, or the standardised number; NaN if unknown.
        """
        known = ~values.isnan()
        filled = values.nan_to_num()
        tokens = [
            x[:, None] * table if is_number else table[x.long()]
            for x, table, is_number in zip(filled.T, self.values, self.is_number, strict=True)
        ]
        x = torch.where(known[..., None], torch.stack(tokens, 1), self.missing) + self.which
        for layer in self.layers:
            x = layer(x)
        return self.norm(x.mean(1)), x


class Alignment(nn.Module):
    """The two towers and the cross-attention between them.

    Parameters
    ----------
    phenotypes : tuple of PhenotypeSpec
    config : AlignConfig
    """

    def __init__(self, phenotypes: tuple[PhenotypeSpec, ...], config: AlignConfig) -> None:
        super().__init__()
        d = config.width
        self.config = config
        self.encoder = Encoder(config)
        self.phenotypes = PhenotypeTower(phenotypes, config)
        self.dna_head = head(d, config.projection)
        self.phenotype_head = head(d, config.projection)
        self.scale = Temperature(config.temperature)
        self.reader = CrossAttentionBlock(d, d, config.heads, config.dropout)
        self.match_head = nn.Sequential(nn.LayerNorm(2 * d), head(2 * d, 1))

    def dna(self, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return unit vectors ``[B, p]``, embeddings ``[B, d]`` and tokens ``[B, T, d]``."""
        embedding, tokens = self.encoder.read(codes)
        return _unit(self.dna_head(embedding)), embedding, tokens

    def profile(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit vectors ``[B, p]`` and tokens ``[B, P, d]`` of phenotypes ``[B, P]``."""
        vector, tokens = self.phenotypes(values)
        return _unit(self.phenotype_head(vector)), tokens

    def match(self, phenotypes: Tensor, embedding: Tensor, dna: Tensor) -> Tensor:
        """Return the logit ``[B]`` that phenotype tokens ``[B, P, d]`` and a sequence match."""
        read = self.reader(phenotypes, dna).mean(1)
        return self.match_head(torch.cat([read, embedding], 1))[:, 0]

    def attention(self, phenotypes: Tensor, dna: Tensor) -> Tensor:
        """Return attention of phenotypes to DNA ``[B, P, T]``, mean over heads; rows sum to 1."""
        reader = self.reader
        query = reader.query(reader.norm(phenotypes))
        key = reader.key_value(reader.context_norm(dna)).chunk(2, dim=-1)[0]
        q, k = (t.unflatten(-1, (reader.n_heads, -1)).transpose(1, 2) for t in (query, key))
        return attention_weights(q, k).mean(1)


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.float(), dim=-1)


def same_profile(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return pairs with equal profiles, and pairs that agree where both are known: ``[B, B]``.

    Parameters
    ----------
    values : Tensor
        float32 ``[B, P]``, NaN where unknown.
    """
    a, b = values[:, None], values[None]
    gap_a, gap_b = a.isnan(), b.isnan()
    same = ((a == b) | (gap_a & gap_b)).all(-1)
    return same, ((a == b) | gap_a | gap_b).all(-1)


def hide_phenotypes(values: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Return phenotypes ``[B, P]`` with some set to unknown; one known phenotype always stays."""
    draw = torch.rand(values.shape, generator=generator, device=values.device)
    most = torch.where(values.isnan(), -1.0, draw).argmax(1, keepdim=True)
    stays = torch.zeros_like(values, dtype=torch.bool).scatter_(1, most, True)
    return values.masked_fill((draw < rate) & ~stays, torch.nan)


def hard_negatives(
    logits: Tensor, allowed: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw a wrong column for each row, the more similar the likelier (as in ALBEF).

    Parameters
    ----------
    logits : Tensor
        ``[B, B]``: similarities.
    allowed : Tensor
        bool ``[B, B]``: True for a wrong column.
    generator : torch.Generator

    Returns
    -------
    Tensor, Tensor
        The column, int64 ``[B]``, and True if the row has a wrong column, bool ``[B]``.
    """
    has = allowed.any(1)
    weight = logits.detach().float().masked_fill(~allowed, -torch.inf).softmax(1)
    weight = torch.where(has[:, None], weight, torch.ones_like(weight))
    return torch.multinomial(weight, 1, generator=generator)[:, 0], has
