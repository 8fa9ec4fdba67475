"""TabM: an ensemble of multi-layer perceptrons that share nearly all weights.

Letters: B batch, M modalities, m members, d features, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genomix_cli.cohorts.dataset import Modality
from genomix_cli.cohorts.models.network import Inputs, NetworkConfig, NetworkModel, Output
from genomix_cli.config import Count, Layers, NotNegative, Positive, Share
from genomix_cli.errors import from_extra


@dataclass(frozen=True)
class TabMConfig(NetworkConfig):
    """Attributes beside those of `NetworkConfig`.

    Attributes
    ----------
    width, layers : int
        Width and number of the hidden layers.
    heads : int
        Number of networks. They share their weights, except for a head and for factors before and
        after each layer.
    dropout : float
    """

    learning_rate: Positive = 2e-3
    weight_decay: NotNegative = 3e-4
    width: Count = 256
    layers: Layers = 3
    heads: Layers = 32
    dropout: Share = 0.1


class TabMNetwork(nn.Module):
    """Gorishniy et al. 2025, TabM: tabular deep learning with parameter-efficient ensembling.

    arXiv:2410.24210 (ICLR 2025), with the authors' package. Each head has its own loss, and the
    prediction is the mean of their probabilities. Deviations: values have no embeddings, which are
    costly for thousands of features. Hidden layers have 256 units, not 512. Training is that of all
    networks here (warm-up and cosine, `modality_dropout`). An extra column for each modality marks
    whether it is present.
    """

    def __init__(
        self, config: TabMConfig, modalities: tuple[Modality, ...], n_classes: int
    ) -> None:
        with from_extra("tabm", "tabm"):
            from tabm import TabM as Package
        super().__init__()
        self.heads = Package(
            n_num_features=sum(len(m.features) for m in modalities) + len(modalities),
            d_out=n_classes,
            k=config.heads,
            n_blocks=config.layers,
            d_block=config.width,
            dropout=config.dropout,
            activation="ReLU",
            arch_type="tabm",
            start_scaling_init="random-signs",
        )

    def forward(self, inputs: Inputs) -> Output:
        """Return logits of each head in training ``[B, m, K]``, else of their mean ``[B, K]``."""
        x: Tensor = torch.cat([*inputs.values, inputs.present.float()], dim=-1)
        logits = self.heads(x)
        if self.training:
            return Output(logits)
        log_p = torch.log_softmax(logits, -1)
        return Output(torch.logsumexp(log_p, 1) - math.log(logits.shape[1]))


class TabM(NetworkModel):
    """See `TabMNetwork`."""

    config_class = TabMConfig
    needs: ClassVar[Mapping[str, str]] = {**NetworkModel.needs, "tabm": "tabm"}
    space: ClassVar[Mapping[str, Any]] = {
        "width": [128, 256, 512],
        "layers": [1, 2, 3],
        "dropout": [0.0, 0.1, 0.3, 0.5],
        "learning_rate": [5e-4, 1e-3, 2e-3, 4e-3],
        "weight_decay": [0.0, 3e-4, 1e-2, 1e-1],
    }

    def build(self, modalities: tuple[Modality, ...], n_classes: int) -> nn.Module:
        """Build the network."""
        return TabMNetwork(self.config, modalities, n_classes)
