"""Measured values as tokens of a transformer.

Letters: B batch, M modalities, k features of a modality, N tokens of it, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.cohorts.models.network import Inputs, NetworkConfig, NetworkModel, Part
from genomix_cli.config import Count, Share, Whole
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.layers.attention import check_heads
from genomix_cli.learning.task import Epoch


@dataclass(frozen=True)
class TokenConfig(NetworkConfig):
    """Attributes beside those of `NetworkConfig`.

    Attributes
    ----------
    steps : int
        Minimum number of training steps. With few samples, `epochs` and `patience` are increased in
        proportion to reach it.
    stretch : bool
        If False, `epochs` is never exceeded, and only `patience` is increased.
    width, heads : int
        Width of a token, and number of attention heads.
    max_tokens : int
        Largest number of tokens of a modality; more features are projected to this number.
    wide_dropout : float
        Share of the values of such a projected modality that are replaced by the mean in training,
        since all values together could distinguish any two samples.
    dropout : float
        Dropout in all other places.
    """

    steps: Whole = 0
    stretch: bool = True
    width: Count = 16
    heads: Count = 2
    max_tokens: Count = 64
    wide_dropout: Share = 0.5
    dropout: Share = 0.1

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)


class TokenModel(NetworkModel):
    """A network that trains longer on few samples: attention takes many steps to form."""

    def learn(
        self, module: nn.Module, train: Part, valid: Part, member: int, setting: FitSettings
    ) -> list[Epoch]:
        """Train for `epochs` or, if `stretch`, for `steps`, whichever takes longer."""
        config: TokenConfig = self.config
        steps = config.epochs * -(-len(train.label) // config.batch_size)
        times = max(1.0, config.steps / steps)
        epochs = round(times * config.epochs) if config.stretch else config.epochs
        patience = round(times * config.patience)
        return self.stage(module, train, valid, member, setting, epochs=epochs, patience=patience)


class FeatureTokens(nn.Module):
    """Token of each feature: an embedding plus the value times a learned direction.

    These are the tokens for numeric features of Gorishniy et al. 2021, Revisiting deep learning
    models for tabular data. arXiv:2106.11959. In addition, each feature has a token for a missing
    value, and each modality has a token for the case that it is missing as a whole.

    Deviation: for a modality with more than `max_tokens` features, tokens are `max_tokens` learned
    linear combinations of the values (missing ones count as the training mean), since attention is
    quadratic in the number of tokens.

    Parameters
    ----------
    features : int
        k; with 0 features there is one token, which only marks the modality as present.
    width : int
        d.
    max_tokens : int
    """

    def __init__(self, features: int, width: int, max_tokens: int) -> None:
        super().__init__()
        self.tokens = max(1, min(features, max_tokens))
        self.project: nn.Linear | None = None
        if features > max_tokens:
            self.project = nn.Linear(features, max_tokens, bias=False)
            # Keep projections at unit variance, whatever the number of features.
            nn.init.normal_(self.project.weight, std=features**-0.5)
        scale = width**-0.5
        self.embedding = nn.Parameter(scale * torch.randn(self.tokens, width))
        self.direction = nn.Parameter(scale * torch.randn(self.tokens, width))
        self.missing = nn.Parameter(scale * torch.randn(self.tokens, width))
        self.absent = nn.Parameter(scale * torch.randn(width))

    def forward(self, values: Tensor, observed: Tensor, present: Tensor) -> Tensor:
        """Return the tokens ``[B, N, d]``.

        Parameters
        ----------
        values, observed : Tensor
            float32 and bool ``[B, k]``.
        present : Tensor
            bool ``[B]``.
        """
        values = values * observed
        if self.project is not None:
            values, observed = self.project(values), observed.any(-1, keepdim=True)
        elif not values.shape[1]:
            values, observed = F.pad(values, (0, 1)), F.pad(observed, (0, 1))
        x = torch.addcmul(self.embedding, values[..., None], self.direction)
        x = torch.where(observed[..., None], x, self.missing)
        return torch.where(present[:, None, None], x, self.absent)


class CohortTokens(nn.Module):
    """:class:`FeatureTokens` of each modality.

    Attributes
    ----------
    sizes : tuple of int
        Number of tokens of each modality.
    """

    def __init__(self, features: Sequence[int], width: int, max_tokens: int) -> None:
        super().__init__()
        self.modalities = nn.ModuleList(FeatureTokens(k, width, max_tokens) for k in features)
        self.sizes = tuple(max(1, min(k, max_tokens)) for k in features)

    def forward(self, inputs: Inputs) -> list[Tensor]:
        """Return the tokens of each modality ``[B, N, d]``."""
        return [
            tokens(values, observed, inputs.present[:, i])
            for i, (tokens, values, observed) in enumerate(
                zip(self.modalities, inputs.values, inputs.observed, strict=True)
            )
        ]

    def present(self, inputs: Inputs) -> Tensor:
        """Return True for tokens of modalities that a sample has, bool ``[B, sum of N]``."""
        return torch.cat(
            [inputs.present[:, i, None].expand(-1, n) for i, n in enumerate(self.sizes)], dim=1
        )


def thinned(inputs: Inputs, config: TokenConfig) -> Inputs:
    """Return a training batch after `wide_dropout`, rescaled to keep expected sums."""
    return inputs._replace(
        values=tuple(
            F.dropout(v, config.wide_dropout) if v.shape[1] > config.max_tokens else v
            for v in inputs.values
        )
    )


def plain_values(inputs: Inputs) -> Tensor:
    """Return all values concatenated, 0 where missing, and indicators of present modalities.

    Returns
    -------
    Tensor
        float32 ``[B, sum of k + M]``.
    """
    values = [
        v * o * inputs.present[:, i, None]
        for i, (v, o) in enumerate(zip(inputs.values, inputs.observed, strict=True))
    ]
    return torch.cat([*values, inputs.present.float()], dim=1)
