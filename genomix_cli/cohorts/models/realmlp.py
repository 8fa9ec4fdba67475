"""RealMLP: a multi-layer perceptron with tuned defaults for tables.

Letters: B batch, d features, h frequencies, e numbers that a feature becomes, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genomix_cli.cohorts.dataset import Modality
from genomix_cli.cohorts.models.network import Inputs, NetworkConfig, NetworkModel, Output
from genomix_cli.config import Count, Layers, NotNegative, Positive, Share, Whole

# Values are smoothly limited to this many standard deviations.
SOFT_CLIP = 3.0
# Relative learning rates: of scales (fast), and of biases, activations and embeddings (slow).
FAST, SLOW = 6.0, 0.1


@dataclass(frozen=True)
class RealMLPConfig(NetworkConfig):
    """Attributes beside those of `NetworkConfig`.

    Attributes
    ----------
    width, layers : int
        Width and number of the hidden layers.
    dropout : float
    frequencies : int
        Number of cosines in the embedding of a value; 0 for no embedding.
    sigma : float
        Standard deviation of the frequencies.
    """

    learning_rate: Positive = 0.04
    weight_decay: NotNegative = 0.02
    batch_size: Count = 256
    epochs: Count = 100
    patience: Whole = 0
    smoothing: Share = 0.1
    width: Count = 256
    layers: Layers = 3
    dropout: Share = 0.15
    frequencies: Whole = 16
    sigma: Positive = 0.1


class Paced(nn.Module):
    """A parameter with a learning rate of `pace` times that of others, under Adam.

    Adam's steps do not depend on the scale of the gradient, so a parameter that is multiplied by
    `pace` where it is used moves `pace` times as fast.
    """

    def __init__(self, start: Tensor, pace: float) -> None:
        super().__init__()
        self.pace = pace
        self.slow = nn.Parameter(start / pace)

    def forward(self) -> Tensor:
        """Return the parameter."""
        return self.slow * self.pace


class Embedding(nn.Module):
    """Embedding of each value: itself and a linear map of cosines, ``[B, d]`` to ``[B, d e]``."""

    def __init__(self, d: int, frequencies: int, sigma: float, size: int = 4) -> None:
        super().__init__()
        h = frequencies
        self.frequency = Paced(sigma * torch.randn(d, h), SLOW)
        self.phase = Paced(math.pi * (2 * torch.rand(d, h) - 1), SLOW)
        spread = 1 / math.sqrt(h)
        self.weight = Paced(spread * (2 * torch.rand(d, h, size - 1) - 1), SLOW)
        self.bias = Paced(spread * (2 * torch.rand(d, size - 1) - 1), SLOW)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding."""
        waves = torch.cos(2 * math.pi * x[..., None] * self.frequency() + self.phase())
        linear = torch.einsum("bdh,dhe->bde", waves, self.weight()) + self.bias()
        return torch.cat([x[..., None], linear], -1).flatten(1)


class Layer(nn.Module):
    """A linear layer with weights of unit scale at any width (neural tangent parametrisation)."""

    def __init__(self, inputs: int, outputs: int, spread: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(spread * torch.randn(outputs, inputs))
        self.bias = Paced(spread * torch.randn(outputs), SLOW)

    def forward(self, x: Tensor) -> Tensor:
        """Return the linear function."""
        return F.linear(x, self.weight / math.sqrt(x.shape[-1]), self.bias())


class Activation(nn.Module):
    """Parametric SELU: a learned mixture of SELU and the identity for each unit."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.share = Paced(torch.ones(width), SLOW)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation."""
        return x + self.share() * (F.selu(x) - x)


class RealMLPNetwork(nn.Module):
    """Holzmüller et al. 2024, Better by default: strong pre-tuned MLPs and boosted trees.

    arXiv:2407.04491 (NeurIPS 37): values squashed smoothly, cosine embeddings with the number
    itself, a learned scale of each input, layers in neural-tangent form with rates of their own for
    biases and scales, parametric SELU, dropout, label smoothing.

    It is implemented here because the authors' package stores models as its own objects.
    Deviations: values are standardised, not scaled by quantiles. Initial weights and biases are
    normal, and 0 in the last layer, instead of data-dependent. Training is that of all networks
    here: AdamW with the usual moments, warm-up and cosine, constant dropout and decay, and 100
    epochs instead of 256, of which the best is kept by likelihood, not by error.
    """

    def __init__(
        self, config: RealMLPConfig, modalities: tuple[Modality, ...], n_classes: int
    ) -> None:
        super().__init__()
        d = sum(len(modality.features) for modality in modalities)
        self.embedding = (
            Embedding(d, config.frequencies, config.sigma) if config.frequencies else None
        )
        width = d * (4 if config.frequencies else 1) + len(modalities)
        self.scale = Paced(torch.ones(width), FAST)
        layers: list[nn.Module] = []
        for _ in range(config.layers):
            layers += [
                Layer(width, config.width),
                Activation(config.width),
                nn.Dropout(config.dropout),
            ]
            width = config.width
        self.layers = nn.Sequential(*layers, Layer(width, n_classes, spread=0.0))

    def forward(self, inputs: Inputs) -> Output:
        """Return the logits ``[B, K]``."""
        x = torch.cat(inputs.values, dim=-1)
        x = x / torch.sqrt(1 + (x / SOFT_CLIP) ** 2)
        if self.embedding is not None:
            x = self.embedding(x)
        x = torch.cat([x, inputs.present.float()], dim=-1)
        return Output(self.layers(x * self.scale()))


class RealMLP(NetworkModel):
    """See `RealMLPNetwork`."""

    config_class = RealMLPConfig
    space: ClassVar[Mapping[str, Any]] = {
        "width": [128, 256, 512],
        "layers": [2, 3],
        "dropout": [0.0, 0.15, 0.3],
        "frequencies": [0, 16],
        "sigma": [0.05, 0.1, 0.5, 1.0],
        "learning_rate": [0.01, 0.02, 0.04, 0.07],
        "weight_decay": [0.0, 0.02],
        "smoothing": [0.0, 0.1],
    }

    def build(self, modalities: tuple[Modality, ...], n_classes: int) -> nn.Module:
        """Build the network."""
        return RealMLPNetwork(self.config, modalities, n_classes)
