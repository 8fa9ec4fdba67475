"""Base of siamese models: one network encodes both haplotypes, the head reads their difference.

Letters: W windows, G variants per window, V = W G, M tracks, N bins, B bases around the variant,
H haplotype bases, L places, T tokens, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.config import Count, Extent, Within
from genomix_cli.genome.alphabet import UNKNOWN_BASE
from genomix_cli.learning.layers.positions import sinusoidal
from genomix_cli.learning.layers.transformer import SelfAttentionBlock
from genomix_cli.variants.models.base import VariantConfig, VariantModel, Variants, Window
from genomix_cli.variants.records.inputs import BIN_SIZE

# Share of the running mean that a batch replaces, as in batch normalisation.
MOMENTUM = 0.1
# Scale of positions added to tokens; at 1 they would far outweigh the effect of an SNV.
POSITION_SCALE = 0.2
# Bins of tracks on each side of the variant's own that the head reads.
NEAR_BINS = 6
# Places at which the tracks of a token are sampled.
SAMPLES = 4


def measured_tracks(window: Window, use: bool) -> Tensor:
    """Return the tracks and their observed masks, float ``[W, 2 M, N]``; zeros unless `use`."""
    tracks = torch.cat([window.signal * window.observed, window.observed], dim=1)
    return tracks if use else torch.zeros_like(tracks)


def tracks_at(tracks: Tensor, places: Tensor) -> Tensor:
    """Return tracks ``[W, 2 M, N]`` at base offsets, int64 ``[W, G, L]`` -> ``[W, G, 2 M, L]``.

    Offsets outside the window take the value of its first or last bin.
    """
    bins = (places // BIN_SIZE).clamp(0, tracks.shape[-1] - 1)
    rows = torch.arange(len(tracks), device=places.device)[:, None, None]
    return tracks.transpose(1, 2)[rows, bins].transpose(-1, -2)


def token_tracks(tracks: Tensor, offset: Tensor, bases: int, size: int) -> Tensor:
    """Return the mean tracks of each token of `size` bases around each variant.

    Parameters
    ----------
    tracks : Tensor
        ``[W, 2 M, N]``.
    offset : Tensor
        int64 ``[W, G]``: offset of the variant, which is base `bases` // 2 (0-based) of its B.
    bases, size : int
        B, and B / T.

    Returns
    -------
    Tensor
        ``[V, T, 2 M]``.
    """
    sample = torch.arange(bases // size * SAMPLES, device=offset.device)
    places = offset[..., None] + (2 * sample + 1) * size // (2 * SAMPLES) - bases // 2
    means = tracks_at(tracks, places).unflatten(-1, (-1, SAMPLES)).mean(-1)
    return means.flatten(0, 1).transpose(1, 2)


def onehot(codes: Tensor, bases: int, use: bool) -> Tensor:
    """Return the first `bases` of ``[..., H]`` one-hot, float32 ``[..., 4, B]``; 0 unless `use`."""
    hot = F.one_hot(codes[..., :bases].long(), 5)[..., :4].float().transpose(-1, -2)
    return hot if use else torch.zeros_like(hot)


def spelled(codes: Tensor, bases: int, use: bool) -> Tensor:
    """Return the first `bases` of ``[..., H]``, uint8 ``[..., B]``; all unknown unless `use`."""
    codes = codes[..., :bases]
    return codes if use else torch.full_like(codes, UNKNOWN_BASE)


class PairedDropout(nn.Module):
    """Dropout with the same mask for ref and alt, the two halves of a batch.

    Separate masks would change the features far more than the variant does. In pre-training, rows
    are not paired and may be odd in number.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Apply dropout to ``[2 V, ...]``."""
        if not self.training or not self.rate:
            return x
        mask = F.dropout(torch.ones_like(x[: -(-len(x) // 2)]), self.rate)
        return x * torch.cat([mask, mask])[: len(x)]


def pair_dropout(module: nn.Module) -> nn.Module:
    """Replace every dropout in `module` by a `PairedDropout`."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout):
                setattr(parent, name, PairedDropout(child.p))
    return module


def keep_variance(module: nn.Module, then: Literal["relu", "linear"] = "relu") -> None:
    """Initialise convolutions to preserve variance (He et al. 2015, arXiv:1502.01852).

    The default initialisation of torch shrinks the variance stage by stage until the effect of an
    SNV is lost in rounding. Convolutions without a bias are attention scores and stay unchanged.
    `then` names the nonlinearity after each convolution.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv1d) and part.bias is not None:
            nn.init.kaiming_normal_(part.weight, nonlinearity=then)
            nn.init.zeros_(part.bias)


class RunningScale(nn.Module):
    """Features divided by the running root mean square of earlier batches; 0 stays 0.

    An SNV changes the features of a haplotype by a tenth or less of the spread between haplotypes.
    Unscaled, that difference would be learned last.
    """

    mean_square: Tensor

    def __init__(self) -> None:
        super().__init__()
        # An initial guess, soon replaced during training.
        self.register_buffer("mean_square", torch.tensor(0.01))

    def forward(self, x: Tensor) -> Tensor:
        """Scale features ``[V, F]``."""
        if self.training and len(x):
            self.mean_square.lerp_(x.detach().square().mean(), MOMENTUM)
        return x * (self.mean_square + 1e-8).rsqrt()


@dataclass(frozen=True)
class SiameseConfig(VariantConfig):
    """Architecture fields common to all siamese models, in addition to `VariantConfig`.

    Attributes
    ----------
    bases : int
        Bases around the variant.
    head : int
        Width of the head.
    """

    bases: Extent = 1000
    head: Annotated[int, Within(2)] = 128


@dataclass(frozen=True)
class TowerConfig(SiameseConfig):
    """Fields of an architecture whose convolutions and poolings turn bases into tokens.

    Attributes
    ----------
    bases : int
        Bases around the variant, a multiple of the token size. With an odd multiple, the variant
        lies in the middle of a token.
    widths : tuple of int
        Channels of the first convolution and of each stage of the tower. Each of them halves the
        length, so 7 give tokens of 128 bp. The last is the width of the tokens.
    """

    bases: Extent = 2944
    widths: tuple[Count, ...] = (24, 32, 40, 48, 64, 96, 128)

    @property
    def token(self) -> int:
        """Bases of a token."""
        return 2 ** len(self.widths)

    def faults(self) -> dict[str, bool]:
        """Return possible problems of the tower, for `check`."""
        return {
            "no widths": not self.widths,
            f"bases={self.bases} is no multiple of {self.token}": bool(self.bases % self.token),
        }


class SiameseModel(VariantModel):
    """Model that encodes both haplotypes with `encode`; the head reads alt - ref, ref and tracks.

    Parameters
    ----------
    config : SiameseConfig
    features : int
        F, the width of the features from `encode`.
    """

    head_parameters = ("head",)

    def __init__(self, config: SiameseConfig, features: int) -> None:
        super().__init__(config)
        self.flank = config.bases // 2
        near = (2 * NEAR_BINS + 1) * 2 * len(config.tracks)
        self.norm = nn.LayerNorm(features)
        self.scale = RunningScale()
        self.head = nn.Sequential(
            nn.Linear(2 * features + near, config.head),
            nn.ReLU(),
            nn.Linear(config.head, config.head // 2),
            nn.ReLU(),
            nn.Linear(config.head // 2, 1),
        )

    def add_transformer(self, tokens: int, width: int) -> None:
        """Add the positions and layers of a transformer over tokens, as configured."""
        config: Any = self.config
        positions = POSITION_SCALE * sinusoidal(tokens, width)
        self.register_buffer("positions", positions, persistent=False)
        self.layers = nn.Sequential(
            *(
                SelfAttentionBlock(width, config.n_heads, config.dropout)
                for _ in range(config.n_layers)
            )
        )

    def read(self, codes: Tensor) -> Tensor:
        """Return the input of `encode`: haplotypes ``[..., H]`` -> one-hot ``[..., 4, B]``."""
        return onehot(codes, self.config.bases, self.config.use_sequence)

    def encode(self, haplotypes: Tensor, tracks: Tensor, offset: Tensor) -> Tensor:
        """Return the features of each haplotype.

        Parameters
        ----------
        haplotypes : Tensor
            Output of `read`, ``[2 V, 4, B]`` by default: ref of all variants, then alt of all.
        tracks, offset : Tensor
            ``[W, 2 M, N]``, and the offset of each variant in its window, ``[W, G]``.

        Returns
        -------
        Tensor
            ``[2 V, F]``.
        """
        raise NotImplementedError

    def window(self, window: Window) -> Tensor:
        """Return the tracks and their observed masks, ``[W, 2 M, N]``."""
        return measured_tracks(window, self.config.use_tracks)

    def variants(self, context: Tensor, variants: Variants) -> Tensor:
        """Return the logits, float ``[W, G]``."""
        both = torch.stack([variants.ref, variants.alt])
        # alt - ref is a small difference of large numbers: keep it in full precision.
        with torch.autocast(context.device.type, enabled=False):
            # A single pass gives ref and alt the same batch statistics.
            haplotypes = self.read(both).flatten(0, 2)
            features = self.encode(haplotypes, context, variants.offset)
            logits = self.head(self._head_input(features, context, variants.offset))
        return logits.view(variants.offset.shape)

    def _head_input(self, features: Tensor, tracks: Tensor, offset: Tensor) -> Tensor:
        """Return the input of the head: features ``[2 V, F]`` -> ``[V, 2 F + near]``."""
        ref, alt = self.norm(features).chunk(2)
        step = BIN_SIZE * torch.arange(-NEAR_BINS, NEAR_BINS + 1, device=offset.device)
        near = tracks_at(tracks, offset[..., None] + step).flatten(0, 1).flatten(1)
        return torch.cat([self.scale(alt - ref), ref, near], dim=-1)
