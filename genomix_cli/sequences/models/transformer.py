"""The transformer of sequences as a classifier: fine-tuned, from scratch, or probed.

Letters: B batch, L bases, d width, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.learning.networks import set_weights
from genomix_cli.sequences.models import encoder
from genomix_cli.sequences.models.base import Labelled
from genomix_cli.sequences.models.encoder import Encoder, EncoderConfig, EncoderShape
from genomix_cli.sequences.models.network import Network, NetworkClassifier, NetworkConfig

# How each preset of the encoder learns; the first is the default.
_LEARNING: dict[str, dict[str, Any]] = {
    "motifs": {"learning_rate": 2e-3},
    "genomai": {},
    "loci": {"hide": 0.5, "epochs": 30, "batch_size": 64},
    "long": {"learning_rate": 2e-3},
    "large": {"learning_rate": 5e-4},
}


@dataclass(frozen=True)
class TransformerConfig(NetworkConfig, EncoderShape):
    """An encoder with a linear head.

    Attributes
    ----------
    freeze : bool
        Learn the head alone: a linear probe of the encoder.
    """

    freeze: bool = False


class TransformerNetwork(Network):
    """Encoder, dropout, linear head."""

    def __init__(self, config: TransformerConfig, length: int, n_classes: int) -> None:
        super().__init__()
        self.encoder = Encoder(EncoderConfig(length=length, **encoder.shape_of(asdict(config))))
        self.head = nn.Linear(config.width, n_classes)
        self.dropout = nn.Dropout(config.dropout)
        self.frozen = config.freeze
        if config.freeze:
            self.encoder.requires_grad_(False)

    def embed(self, codes: Tensor) -> Tensor:
        """Return the embedding ``[B, d]``."""
        return self.encoder(codes)

    def embed_soft(self, p: Tensor) -> Tensor:
        """Return the same from probabilities of bases ``[B, L, 4]``."""
        return self.encoder.soft(p)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the logits ``[B, K]``."""
        return self.head(self.dropout(self.embed(codes)))

    def train(self, mode: bool = True) -> TransformerNetwork:
        """Set the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        self.encoder.train(mode and not self.frozen)
        return self


class Transformer(NetworkClassifier):
    """The encoder of `genomix_cli.sequences.models.encoder`, new or trained, and a linear head."""

    config_class = TransformerConfig
    aligned_preset = "loci"
    has_encoder = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        name: {**encoder.PRESETS[name], **learning} for name, learning in _LEARNING.items()
    }
    trials: ClassVar[tuple[dict[str, Any], ...]] = (
        {"learning_rate": 3e-4},
        {"dropout": 0.3},
        {"weight_decay": 0.1, "smoothing": 0.1},
        {"learning_rate": 4e-3},
    )

    # Of the stem for aligned sequences.
    aligned_trials: ClassVar[tuple[dict[str, Any], ...]] = (
        {"hide": 0.8},
        {"weight_decay": 0.1, "smoothing": 0.1},
        {"learning_rate": 3e-4},
        {"width": 256},
    )

    @classmethod
    def tries(cls, arch: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """Return the trials that suit the stem."""
        return cls.aligned_trials if encoder.stem_of(arch).for_aligned else cls.trials

    def build(self, length: int, n_classes: int) -> TransformerNetwork:
        """Build encoder and head."""
        return TransformerNetwork(self.config, length, n_classes)

    def prepare(self, train: Labelled) -> None:
        """Set the encoder's weights to start from, or let its stem learn the columns."""
        encoder.check_stem(self.config.stem, aligned=train.sequences.aligned)
        if self.start:
            set_weights(self._encoder, self.start)
        else:
            self._encoder.stem.learn_columns(train.sequences.codes)

    @property
    def _encoder(self) -> Encoder:
        assert isinstance(self.module, TransformerNetwork)
        return self.module.encoder

    def background(self) -> NDArray[np.float32] | None:
        """Return the composition of columns that the stem has learned."""
        return self._encoder.stem.background()
