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
        Minimum number of steps: on few samples, `epochs` and `patience` are as many times longer.
    width, heads : int
        Width of a token, and number of heads of attention.
    max_tokens : int
        Tokens of a modality at most; one with more features is projected to so many.
    wide_dropout : float
        Share of the values of such a modality that count as the mean, in training: enough are left,
        and all together could tell any two samples apart.
    dropout : float
        Elsewhere.
    """

    steps: Whole = 0
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
        """Train for `epochs` or for `steps`, whichever takes longer."""
        config: TokenConfig = self.config
        steps = config.epochs * -(-len(train.label) // config.batch_size)
        times = max(1.0, config.steps / steps)
        epochs, patience = round(times * config.epochs), round(times * config.patience)
        return self.stage(module, train, valid, member, setting, epochs=epochs, patience=patience)


class FeatureTokens(nn.Module):
    """Each feature of a modality a token: an embedding, and the value times a direction.

    The tokens of numeric features of Gorishniy et al. 2021, Revisiting deep learning models for
    tabular data. arXiv:2106.11959. Beside them, each feature has a token for where its value is
    missing, and a modality one token for where it is missing as a whole.

    A deviation: of a modality with more than `max_tokens` features, tokens stand for `max_tokens`
    learned linear combinations of the values (a missing one counts as the training mean), since
    attention is quadratic in the tokens.

    Parameters
    ----------
    features : int
        k; without any, there is one token that says no more than that the modality is there.
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
            # Standardised values stay so, whatever their number.
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
        Tokens of each modality.
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
        """Return True ``[B, sum of N]`` for the tokens of modalities that a sample has."""
        return torch.cat(
            [inputs.present[:, i, None].expand(-1, n) for i, n in enumerate(self.sizes)], dim=1
        )


def thinned(inputs: Inputs, config: TokenConfig) -> Inputs:
    """Return a training batch after `wide_dropout`; the rest is scaled up, so that sums keep."""
    return inputs._replace(
        values=tuple(
            F.dropout(v, config.wide_dropout) if v.shape[1] > config.max_tokens else v
            for v in inputs.values
        )
    )


def plain_values(inputs: Inputs) -> Tensor:
    """Return all values side by side, 0 where missing, and which modalities are there.

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
