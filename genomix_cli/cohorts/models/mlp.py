"""A multi-layer perceptron on the concatenated modalities, the simplest network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genomix_cli.cohorts.dataset import Modality
from genomix_cli.cohorts.models.network import Inputs, NetworkConfig, NetworkModel, Output
from genomix_cli.config import Count, Layers, Share


@dataclass(frozen=True)
class MLPConfig(NetworkConfig):
    """Attributes beside those of `NetworkConfig`.

    Attributes
    ----------
    width, layers : int
        Width and number of the hidden layers.
    dropout : float
    """

    width: Count = 128
    layers: Layers = 2
    dropout: Share = 0.2


class MLPNetwork(nn.Module):
    """ReLU layers with dropout, on the values and on indicators of the present modalities."""

    def __init__(self, config: MLPConfig, modalities: tuple[Modality, ...], n_classes: int) -> None:
        super().__init__()
        width = sum(len(modality.features) for modality in modalities) + len(modalities)
        layers: list[nn.Module] = []
        for _ in range(config.layers):
            layers += [nn.Linear(width, config.width), nn.ReLU(), nn.Dropout(config.dropout)]
            width = config.width
        self.layers = nn.Sequential(*layers, nn.Linear(width, n_classes))

    def forward(self, inputs: Inputs) -> Output:
        """Return the logits ``[B, K]``."""
        x: Tensor = torch.cat([*inputs.values, inputs.present.float()], dim=-1)
        return Output(self.layers(x))


class MLP(NetworkModel):
    """See `MLPNetwork`."""

    config_class = MLPConfig
    space: ClassVar[Mapping[str, Any]] = {
        "width": [64, 128, 256],
        "layers": [1, 2, 3],
        "dropout": [0.0, 0.2, 0.5],
        "learning_rate": [3e-4, 1e-3, 3e-3],
        "weight_decay": [1e-4, 1e-2, 1e-1],
    }

    def build(self, modalities: tuple[Modality, ...], n_classes: int) -> nn.Module:
        """Build the network."""
        return MLPNetwork(self.config, modalities, n_classes)
