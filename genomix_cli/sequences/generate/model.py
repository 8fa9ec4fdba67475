"""Denoiser network: probability of each hidden base, given the others and the conditions.

Letters in shapes: B batch, L bases, w width at bases, P bases of a patch, T patches, d width of
tokens, C conditions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.config import Count, Depth, Layers, Share, Within
from genomix_cli.errors import UsageError
from genomix_cli.learning.layers.transformer import SelfAttentionBlock
from genomix_cli.sequences.generate.chain import BASES, ChainStart

HIDDEN = 4
# Largest number of tokens; the cost of attention grows with its square.
MAX_TOKENS = 2048

# Time and memory of a chain grow as 4 to the power of its order.
Order = Annotated[int, Within(0, 6)]


@dataclass(frozen=True)
class DenoiserConfig:
    """Shape of a denoiser.

    Attributes
    ----------
    length : int
        L.
    conditions : tuple of int
        Number of categories of each condition; 0 for a number.
    channels, kernel, blocks : int
        Convolutions at single bases: w, kernel width, and number of blocks after the transformer.
    patch : int
        Bases per token.
    width, heads, layers, expansion : int
        Transformer over tokens: d, heads, layers, and hidden width in units of d.
    dropout : float
    chain : int
        Order of the per-class Markov chain whose prediction is corrected; 0 for none.
    """

    length: Count
    conditions: tuple[int, ...] = ()
    channels: Count = 64
    kernel: Count = 7
    blocks: Layers = 2
    patch: Count = 4
    width: Count = 128
    heads: Count = 4
    layers: Depth = 4
    expansion: Count = 2
    dropout: Share = 0.0
    # Runs of earlier versions lack this field and have no chain.
    chain: Order = 0

    @property
    def classes_at(self) -> int | None:
        """Index of the condition with a chain per category; None if there is none."""
        return next((i for i, kind in enumerate(self.conditions) if kind), None)


_LARGE = {"channels": 256, "blocks": 4, "width": 512, "heads": 8, "layers": 12, "expansion": 4}
PRESETS: dict[str, dict[str, Any]] = {
    "small": {"chain": 4},
    "tiny": {"channels": 16, "kernel": 5, "blocks": 1, "width": 32, "layers": 1, "chain": 2},
    "large": {**_LARGE, "chain": 5},
}


class Conditions(nn.Module):
    """Embedding of a sequence's conditions: their sum, with a null vector for an unknown one.

    Parameters
    ----------
    kinds : tuple of int
        As in :class:`DenoiserConfig`.
    width : int
    """

    def __init__(self, kinds: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.kinds = kinds
        self.null = nn.Parameter(torch.randn(len(kinds), width) * 0.02)
        self.known = nn.ModuleList(
            nn.Embedding(kind, width)
            if kind
            else nn.Sequential(nn.Linear(1, width), nn.GELU(), nn.Linear(width, width))
            for kind in kinds
        )
        self.start = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, values: Tensor) -> Tensor:
        """Map float ``[B, C]`` (category index, standardised number, NaN) to ``[B, d]``."""
        total = self.start.expand(len(values), -1)
        for i, (kind, embed) in enumerate(zip(self.kinds, self.known, strict=True)):
            unknown = values[:, i].isnan()
            value = values[:, i].nan_to_num()
            vector = embed(value.long()) if kind else embed(value[:, None])
            total = total + torch.where(unknown[:, None], self.null[i], vector)
        return total


class BaseBlock(nn.Module):
    """Residual convolution at single bases: ``[B, w, L]`` to the same.

    The condition scales and shifts the channels (Perez et al. 2018, arXiv:1709.07871), initially
    not at all. A class changes each base by only thousandths of a nat; without this short path from
    the class to the bases, the model did not learn that.
    """

    def __init__(self, channels: int, kernel: int, dropout: float, width: int) -> None:
        super().__init__()
        self.film = nn.Linear(width, 2 * channels)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        self.norm = nn.GroupNorm(1, channels)
        self.conv = nn.Conv1d(channels, channels, kernel, padding="same")
        self.mix = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise, scale by the condition ``[B, d]``, convolve, mix and add."""
        scale, shift = self.film(condition)[:, :, None].chunk(2, dim=1)
        h = self.norm(x) * (1 + scale) + shift
        return x + self.dropout(self.mix(F.gelu(self.conv(h))))


class Denoiser(nn.Module):
    """Convolutions at bases, a transformer over patches, and convolutions at bases again.

    Motifs are local and exact, whereas context (composition, class, repeats) is coarse. So
    attention works on patches, and the neighbours of a hidden base bypass the transformer. Time is
    not an input: the fraction of hidden bases determines it (Sahoo et al. 2024, arXiv:2406.07524,
    section 3.2).

    With `chain`, it corrects the exact prediction of a Markov chain of the sequence's class, which
    knows short words from the first step. The chain is fitted beforehand (`ChainStart.take`).

    Parameters
    ----------
    config : DenoiserConfig

    Raises
    ------
    UsageError
        If the width is not divisible by the heads, or the sequences are too long.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        if config.width % config.heads:
            raise UsageError(
                "the width is not a multiple of the number of heads",
                found=f"{config.heads} of {config.width}",
            )
        n_tokens = -(-config.length // config.patch)
        if n_tokens > MAX_TOKENS:
            raise UsageError(
                "sequences too long for diffusion",
                expected=f"at most {MAX_TOKENS * config.patch:,} bases",
                found=f"{config.length:,}",
                hint="use shorter windows, or larger patches: --set patch=16",
            )
        self.config = config
        w, d = config.channels, config.width
        self.padding = n_tokens * config.patch - config.length
        self.stem = nn.Conv1d(BASES + 1, w, config.kernel, padding="same")
        self.local = BaseBlock(w, config.kernel, config.dropout, d)
        self.down = nn.Conv1d(w, d, config.patch, stride=config.patch)
        self.position = nn.Parameter(torch.randn(n_tokens, d) * 0.02)
        self.condition = Conditions(config.conditions, d)
        shape = (d, config.heads, config.dropout, config.expansion)
        self.layers = nn.ModuleList(SelfAttentionBlock(*shape) for _ in range(config.layers))
        self.norm = nn.LayerNorm(d)
        self.up = nn.Linear(d, config.patch * w)
        self.blocks = nn.ModuleList(
            BaseBlock(w, config.kernel, config.dropout, d) for _ in range(config.blocks)
        )
        last = nn.Conv1d(w, BASES, 1)
        self.head = nn.Sequential(nn.GroupNorm(1, w), nn.GELU(), last)
        at = config.classes_at
        classes = 0 if at is None else config.conditions[at]
        self.chain = ChainStart(config.chain, classes) if config.chain else None
        if self.chain is not None:
            # Start from the chain's prediction, unchanged.
            for part in last.parameters():
                nn.init.zeros_(part)

    def forward(self, bases: Tensor, values: Tensor) -> Tensor:
        """Return logits of A, C, G and T at every position.

        Parameters
        ----------
        bases : Tensor
            int64 ``[B, L]``: 0 to 3, and 4 if hidden.
        values : Tensor
            float32 ``[B, C]``: conditions, see :class:`Conditions`.

        Returns
        -------
        Tensor
            ``[B, L, 4]``.
        """
        known = F.one_hot(bases, BASES + 1).to(self.position.dtype).transpose(1, 2)
        # Padding beyond the end is zero, unlike the input for a hidden base.
        condition = self.condition(values)
        local = self.local(self.stem(F.pad(known, (0, self.padding))), condition)  # [B, w, T P]
        coarse = self.tokens(self.down(local).transpose(1, 2), condition)
        back = self.up(self.norm(coarse)).unflatten(-1, (self.config.patch, -1))  # [B, T, P, w]
        x = local + back.flatten(1, 2).transpose(1, 2)
        for block in self.blocks:
            x = block(x, condition)
        logits = self.head(x).transpose(1, 2)[:, : self.config.length]
        if self.chain is None:
            return logits
        return logits.float() + self.chain(bases, self._label(values))

    def _label(self, values: Tensor) -> Tensor:
        """Return the class of each sequence ``[B]`` from conditions ``[B, C]``; -1 if unknown."""
        at = self.config.classes_at
        if at is None:
            return torch.full(values.shape[:1], -1, device=values.device)
        return values[:, at].nan_to_num(nan=-1).long()

    def tokens(self, x: Tensor, condition: Tensor) -> Tensor:
        """Apply the transformer to patches ``[B, T, d]``.

        The condition ``[B, d]`` is added to every patch, and is also a token of its own.
        """
        x = torch.cat([condition[:, None], x + self.position + condition[:, None]], 1)
        for layer in self.layers:
            x = layer(x)
        return x[:, 1:]
