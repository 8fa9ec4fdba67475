"""Sequence and tracks of the bins of a window, fused into one token per bin.

Letters: W windows, S tokens of the window, M tracks, F features of a modality, d width, H heads,
e = d/H.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.learning.layers.attention import MultiHeadAttention


class TrackStem(nn.Module):
    """Projection of each track from the values and observed masks of a bin and its neighbours."""

    project: Any  # ModuleList of Linear

    def __init__(self, n_tracks: int, d_model: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Linear(6, d_model) for _ in range(n_tracks))
        self.absent = nn.Parameter(0.02 * torch.randn(n_tracks, d_model))

    @staticmethod
    def features(signal: Tensor, observed: Tensor) -> Tensor:
        """Return the input of the projections.

        With its neighbours in view, a linear projection can detect the edge of a peak.

        Parameters
        ----------
        signal, observed : Tensor
            ``[W, M, S]``: mean of the measured bins of each token, and the fraction measured.

        Returns
        -------
        Tensor
            ``[W, M, S, 6]``.
        """
        pairs = torch.stack([signal, observed], dim=2)  # [W, M, 2, S]
        padded = F.pad(pairs.flatten(0, 1), (1, 1), mode="replicate").unflatten(0, pairs.shape[:2])
        return padded.unfold(-1, 3, 1).permute(0, 1, 3, 2, 4).flatten(3)

    def forward(self, features: Tensor, present: Tensor) -> Tensor:
        """Project the features of the tracks.

        Parameters
        ----------
        features : Tensor
            ``[W, M, S, 6]``.
        present : Tensor
            bool ``[W, M]``: False if the whole track is missing from the window.

        Returns
        -------
        Tensor
            ``[W, S, M, d]``.
        """
        if not len(self.project):
            return self.absent.new_zeros(len(features), features.shape[2], *self.absent.shape)
        tokens = [
            torch.where(present[:, m, None, None], project(features[:, m]), self.absent[m])
            for m, project in enumerate(self.project)
        ]
        return torch.stack(tokens, dim=2)


class Fusion(nn.Module):
    """Attention between the modalities of a bin, merged into one token."""

    norms: Any  # ModuleList of LayerNorm
    layers: Any  # ModuleList of MultiHeadAttention

    def __init__(self, d_model: int, n_heads: int, n_modalities: int, n_layers: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(0.02 * torch.randn(n_modalities, d_model))
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(n_layers))
        self.layers = nn.ModuleList(MultiHeadAttention(d_model, n_heads) for _ in range(n_layers))
        self.mix = nn.Linear(n_modalities * d_model, d_model)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Fuse modalities: ``[W, S, 1 + M, d]`` and positions ``[S, d]`` -> ``[W, S, d]``."""
        x = (tokens + self.embedding + positions[:, None]).flatten(0, 1)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + layer(norm(x))
        return self.merge(x).unflatten(0, tokens.shape[:2])

    def merge(self, x: Tensor) -> Tensor:
        """Merge the modalities into one token: ``[..., 1 + M, d]`` -> ``[..., d]``."""
        # The sum gives a gradient path from the first step; the mix tells modalities apart.
        return self.mix(x.flatten(-2)) + x.sum(-2)


class FoldedFusion:
    """`TrackStem` and `Fusion` with one layer, at half the cost, for weights that stay as they are.

    The token of a modality is linear in a few features f of its bin, A f + c; c holds embedding and
    position and is the same in every window. Layer norm is linear up to the standard deviation of
    the token, so its queries, keys and values are (A' f + c') / sd + b. All that follows attention
    is linear, which leaves one product of the features and one of the heads.

    Parameters
    ----------
    sequence : nn.Linear
        Projection of the sequence.
    stem : TrackStem
    fusion : Fusion
    positions : Tensor
        ``[S, d]``.
    """

    @torch.no_grad()
    def __init__(
        self, sequence: nn.Linear, stem: TrackStem, fusion: Fusion, positions: Tensor
    ) -> None:
        (norm,), (self.attention,) = fusion.norms, fusion.layers
        self.eps, d = norm.eps, positions.shape[-1]
        # A token is A f + c: a track that is present adds to `absent`.
        inputs = [sequence.weight] + [
            torch.cat([project.weight, (project.bias - absent)[:, None]], dim=1)
            for project, absent in zip(stem.project, stem.absent, strict=True)
        ]  # [d, F] each
        same = torch.cat([sequence.bias[None], stem.absent]) + fusion.embedding
        constants = same[:, None] + positions  # [1 + M, S, d]
        # Wanted of each token: itself less its mean; queries, keys and values before scaling.
        centre = torch.eye(d).to(positions) - 1 / d
        wanted = torch.cat([centre, self.attention.qkv.weight * norm.weight @ centre])
        self.weights = [(wanted @ weight).T for weight in inputs]  # [F, 4 d] each
        self.constants = constants @ wanted.T  # [1 + M, S, 4 d]
        self.bias = self.attention.qkv(norm.bias)
        # Merging is a product with one matrix of each modality.
        merges = [part + torch.eye(d).to(part) for part in fusion.mix.weight.split(d, dim=1)]
        self.direct = torch.cat([m @ w for m, w in zip(merges, inputs, strict=True)], dim=1)
        self.attended = torch.cat([m @ self.attention.out.weight for m in merges], dim=1)
        self.constant = fusion.merge(constants.transpose(0, 1) + self.attention.out.bias)

    def __call__(self, sequence: Tensor, tracks: Tensor, present: Tensor) -> Tensor:
        """Fuse the modalities.

        Parameters
        ----------
        sequence : Tensor
            ``[W, S, F]``, the input of its projection.
        tracks : Tensor
            ``[W, M, S, 6]``, from `TrackStem.features`.
        present : Tensor
            bool ``[W, M]``.

        Returns
        -------
        Tensor
            ``[W, S, d]``.
        """
        with_bias = torch.cat([tracks, torch.ones_like(tracks[..., :1])], dim=-1)
        features = [sequence, *(with_bias * present[..., None, None]).unbind(1)]
        each = map(self._project, features, self.weights, self.constants)
        q, k, v = self.attention.split(torch.stack([*each], dim=2).flatten(0, 1), 3)
        heads = F.scaled_dot_product_attention(q, k, v)  # [W S, H, 1 + M, e]
        attended = F.linear(heads.transpose(1, 2).flatten(1), self.attended)
        direct = F.linear(torch.cat(features, dim=-1), self.direct) + self.constant
        return direct + attended.view_as(direct)

    def _project(self, features: Tensor, weight: Tensor, constant: Tensor) -> Tensor:
        """Return queries, keys and values of a modality: ``[W, S, F]`` -> ``[W, S, 3 d]``."""
        wanted = torch.baddbmm(constant, features, weight.expand(len(features), -1, -1))
        d = wanted.shape[-1] // 4
        x, qkv = wanted.split([d, 3 * d], dim=-1)
        scale = (x.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return torch.addcmul(self.bias, qkv, scale)
