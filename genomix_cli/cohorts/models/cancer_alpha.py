"""Cancer Alpha: an encoder for each kind of omics, and attention between them.

We know of no publication with a DOI, so the published design is summarised here. Methylation is
encoded by dense layers with batch norm and dropout, to 128 numbers; fragments by convolutions over
the lengths and global average pooling; copy number by convolutions and a recurrence along the
genome. Each encoder has residuals and layer norm. Multi-head attention between modalities [1]_
follows, then a head of dropout, batch norm and a linear layer. The loss is the focal loss [2]_ plus
a weighted penalty that favours sparse attention. Training uses AdamW, a learning-rate schedule and
clipped gradients, first for each encoder alone, then for all jointly.

Details that the design leaves open, and deviations from it:

- A place on an axis is learned beside the values (`encoders.Stem`), as the mean over all lengths
  would otherwise forget at which length something was.
- The output of the recurrence is read at every position, which the paper does not specify.
- A modality may also attend to itself, since a single modality has nothing else to attend to. Every
  modality has its own projections to queries, keys and values.
- The penalty for sparse attention is the entropy of each row.
- A modality that a sample lacks is a learned token. It attends to the present modalities, and
  nothing attends to it. The sample is left out of that encoder and of its batch norm.
- All other kinds of modalities use the dense encoder.

Letters: B batch, M modalities, K classes, w width, H heads, e = w / H.

References
----------
.. [1] Vaswani A et al. Attention is all you need. arXiv:1706.03762
.. [2] Lin TY et al. Focal loss for dense object detection. doi:10.1109/ICCV.2017.324
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from genomix_cli.cohorts.dataset import Modality
from genomix_cli.cohorts.models.encoders import BatchNorm, encoder_of
from genomix_cli.cohorts.models.network import Inputs, NetworkConfig, NetworkModel, Output, Part
from genomix_cli.config import Count, Layers, NotNegative, Share
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.layers.attention import check_heads
from genomix_cli.learning.layers.transformer import attention_weights
from genomix_cli.learning.networks import new_module
from genomix_cli.learning.task import Epoch

# Keeps the logarithm and its gradient finite where attention is 0.
TINY = 1e-12


@dataclass(frozen=True)
class CancerAlphaConfig(NetworkConfig):
    """Attributes beside those of `NetworkConfig`.

    Attributes
    ----------
    width : int
        Width of the vector of a modality.
    heads : int
        A divisor of `width`.
    layers : int
        Heads and layers of attention between modalities.
    dropout : float
    sparsity : float
        Weight of the mean entropy of attention in the loss, per nat.
    training : str
        ``progressive``: each encoder alone for `alone_epochs`, then all for `joint_epochs`;
        ``end-to-end``: all for `epochs`.
    alone_epochs, joint_epochs : int
        Maximum number of epochs; `epochs` limits both.
    encoders : str
        ``specific`` to the kind of a modality, or the dense one for all (``generic``).
    cross_attention : bool
        Without it modalities meet in the last linear layer only.
    """

    focal: NotNegative = 2.0
    value_dropout: Share = 0.2
    width: Count = 128
    heads: Count = 4
    layers: Layers = 1
    dropout: Share = 0.4
    sparsity: NotNegative = 0.01
    training: Literal["progressive", "end-to-end"] = "progressive"
    alone_epochs: Count = 15
    joint_epochs: Count = 20
    encoders: Literal["specific", "generic"] = "specific"
    cross_attention: bool = True


class Mixed(NamedTuple):
    """Output of a layer of attention: vectors ``[B, M, w]`` and weights ``[B, H, M, M]``."""

    x: Tensor
    attention: Tensor


class CrossModalLayer(nn.Module):
    """Multi-head attention between modalities, then dense layers; residuals and layer norm."""

    def __init__(self, n_modalities: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(n_modalities))
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.dense = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.last_norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, present: Tensor) -> Mixed:
        """``[B, M, w]`` and bool ``[B, M]``, true for at least one modality of each sample."""
        projected = [project(x[:, i]) for i, project in enumerate(self.qkv)]
        parts = torch.stack(projected, 1).unflatten(-1, (3, self.heads, -1))  # [B, M, 3, H, e]
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # [B, H, M, e] each
        attention = attention_weights(q, k, present[:, None, None])
        mixed = (attention.to(v.dtype) @ v).transpose(1, 2).flatten(2)  # [B, M, w]
        x = self.norm(x + self.drop(self.out(mixed)))
        return Mixed(self.last_norm(x + self.drop(self.dense(x))), attention)


class CancerAlphaNetwork(nn.Module):
    """Encoders, attention between modalities, head."""

    def __init__(
        self, config: CancerAlphaConfig, modalities: tuple[Modality, ...], n_classes: int
    ) -> None:
        super().__init__()
        generic = config.encoders == "generic"
        # A modality without a varying feature has nothing to encode; treat it as always missing.
        self.encoders = nn.ModuleDict(
            {
                str(i): encoder_of(modality, config.width, config.dropout, generic=generic)
                for i, modality in enumerate(modalities)
                if modality.features
            }
        )
        count, width = len(modalities), config.width
        self.sparsity = config.sparsity
        self.missing = nn.Parameter(0.02 * torch.randn(count, width))
        self.layers = nn.ModuleList(
            CrossModalLayer(count, width, config.heads, config.dropout)
            for _ in range(config.layers * config.cross_attention)
        )
        self.head = head(count * width, n_classes, config.dropout)

    def forward(self, inputs: Inputs) -> Output:
        """Return logits, attention ``[B, M, M]`` (mean over heads and layers), penalty, vectors."""
        x, there = self.encode(inputs)
        # A softmax over nothing has no value: without any modality, weights are uniform.
        readable = there | ~there.any(1, keepdim=True)
        weights = []
        for layer in self.layers:
            x, attention = layer(x, readable)
            weights.append(attention)
        vector = x.flatten(1)
        logits = self.head(vector)
        if not weights:
            return Output(logits, vector=vector)
        attention = torch.stack(weights, 1)  # [B, layers, H, M, M]
        penalty = self.sparsity * attention_entropy(attention.mean((1, 2)), there)
        return Output(logits, attention.mean((1, 2)), penalty, vector)

    def encode(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return a vector per modality ``[B, M, w]``, and bool ``[B, M]``: True if from values."""
        tokens, there = [], torch.zeros_like(inputs.present)
        for i, missing in enumerate(self.missing):
            token = missing.expand(len(inputs.present), -1)
            rows = inputs.present[:, i]
            if str(i) in self.encoders and rows.any():
                encoded = self.encoders[str(i)](inputs.values[i][rows], inputs.observed[i][rows])
                token = token.index_put((rows,), encoded.to(token.dtype))
                there[:, i] = rows
            tokens.append(token)
        return torch.stack(tokens, 1), there


class Alone(nn.Module):
    """One encoder with its own head; takes `Inputs` with only that modality."""

    def __init__(self, encoder: nn.Module, width: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head(width, n_classes, dropout)

    def forward(self, inputs: Inputs) -> Output:
        """Return the logits ``[B, K]``."""
        return Output(self.head(self.encoder(inputs.values[0], inputs.observed[0])))


class CancerAlpha(NetworkModel):
    """Cancer Alpha; see the docstring of this module."""

    config_class = CancerAlphaConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "end-to-end": {"training": "end-to-end"},
        "no-cross-attention": {"cross_attention": False},
        "generic-encoders": {"encoders": "generic"},
    }
    space: ClassVar[Mapping[str, Any]] = {
        "learning_rate": [3e-4, 1e-3, 3e-3],
        "weight_decay": [1e-2, 1e-1, 1.0],
        "dropout": [0.2, 0.4, 0.6],
        "value_dropout": [0.0, 0.2, 0.4],
        "focal": [0.0, 2.0],
        "sparsity": [0.0, 0.01, 0.1, 1.0],
    }

    def __init__(self, config: CancerAlphaConfig) -> None:
        check_heads(config.width, config.heads)
        super().__init__(config)

    def build(self, modalities: tuple[Modality, ...], n_classes: int) -> nn.Module:
        """Build the network."""
        return CancerAlphaNetwork(self.config, modalities, n_classes)

    def learn(
        self, module: nn.Module, train: Part, valid: Part, member: int, setting: FitSettings
    ) -> list[Epoch]:
        """Train everything jointly, after each encoder alone if training is progressive."""
        if self.config.training == "end-to-end":
            return self.stage(module, train, valid, member, setting)
        assert isinstance(module, CancerAlphaNetwork)
        curve = []
        longest = self.config.epochs
        for i, modality in enumerate(self.modalities):
            if str(i) in module.encoders:
                parts = _only(train, i), _only(valid, i)
                if all(len(part.label) for part in parts):
                    alone = self._alone(module.encoders[str(i)], setting.seed + 1000 * member + i)
                    curve += self.stage(
                        alone,
                        *parts,
                        member,
                        setting,
                        name=modality.name,
                        epochs=min(self.config.alone_epochs, longest),
                    )
        epochs = min(self.config.joint_epochs, longest)
        return curve + self.stage(module, train, valid, member, setting, epochs=epochs)

    def _alone(self, encoder: nn.Module, seed: int) -> Alone:
        config = self.config
        return new_module(
            lambda: Alone(encoder, config.width, len(self.classes), config.dropout), seed
        )


def head(width: int, n_classes: int, dropout: float) -> nn.Sequential:
    """Return dropout, batch norm and a linear layer: ``[B, w]`` -> ``[B, K]``."""
    return nn.Sequential(nn.Dropout(dropout), BatchNorm(width), nn.Linear(width, n_classes))


def attention_entropy(attention: Tensor, present: Tensor) -> Tensor:
    """Return the mean entropy, in nats, of the rows of present modalities; 0 if none is present.

    Parameters
    ----------
    attention : Tensor
        ``[B, M, M]``; rows sum to 1.
    present : Tensor
        bool ``[B, M]``.
    """
    entropy = -(attention * attention.clamp_min(TINY).log()).sum(-1)  # [B, M]
    return (entropy * present).sum() / present.sum().clamp_min(1)


def _only(part: Part, i: int) -> Part:
    """Return the samples that have modality `i`, restricted to that modality."""
    rows = torch.nonzero(part.inputs.present[:, i])[:, 0]
    own = part.inputs.take(rows)
    return Part(
        Inputs((own.values[i],), (own.observed[i],), own.present[:, i : i + 1]), part.label[rows]
    )
