"""The transformer of sequences as a classifier: fine-tuned, from scratch, or probed.

Letters: B batch, L bases, d width, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.config import Share
from genomix_cli.errors import UsageError
from genomix_cli.sequences.models.base import Labelled, State
from genomix_cli.sequences.models.discriminants import discriminants
from genomix_cli.sequences.models.encoder import (
    PRESETS,
    RARE,
    Encoder,
    EncoderConfig,
    EncoderShape,
    LocusStem,
    shape_of,
)
from genomix_cli.sequences.models.network import Network, NetworkClassifier, NetworkConfig

ENCODER = "encoder."
# What the discriminants, scaled to a spread of 1, are multiplied with to be logits, and what the
# head's weights of the rest of the width are.
SHARPNESS, SMALL = 15.0, 0.1
# How each preset of the encoder learns; the first is the default.
_LEARNING: dict[str, dict[str, Any]] = {
    "motifs": {},
    "genomai": {},
    "loci": {"hide": 0.5, "epochs": 4, "batch_size": 64, "learning_rate": 3e-7},
    "long": {},
    "large": {"learning_rate": 5e-4},
}


@dataclass(frozen=True)
class TransformerConfig(NetworkConfig, EncoderShape):
    """An encoder with a linear head.

    Attributes
    ----------
    freeze : bool
        Learn the head alone: a linear probe of the encoder.
    shrinkage : float
        The stem for aligned sequences starts from linear discriminants of the training part, whose
        covariance is drawn towards the identity by this share; 0: from small random numbers.
    """

    freeze: bool = False
    shrinkage: Share = 0.5


class TransformerNetwork(Network):
    """Encoder, dropout, linear head."""

    def __init__(self, config: TransformerConfig, length: int, n_classes: int) -> None:
        super().__init__()
        self.encoder = Encoder(EncoderConfig(length=length, **shape_of(asdict(config))))
        self.head = nn.Linear(config.width, n_classes)
        self.dropout = nn.Dropout(config.dropout)
        self.frozen = config.freeze
        if config.freeze:
            self.encoder.requires_grad_(False)

    def embed(self, codes: Tensor) -> Tensor:
        """Embedding ``[B, d]``."""
        return self.encoder(codes)

    def embed_soft(self, p: Tensor) -> Tensor:
        """The same from probabilities of bases ``[B, L, 4]``."""
        return self.encoder.soft(p)

    def forward(self, codes: Tensor) -> Tensor:
        """Logits ``[B, K]``."""
        return self.head(self.dropout(self.embed(codes)))

    def train(self, mode: bool = True) -> TransformerNetwork:
        """A frozen encoder stays as it answers."""
        super().train(mode)
        self.encoder.train(mode and not self.frozen)
        return self


class Transformer(NetworkClassifier):
    """The encoder of `genomix_cli.sequences.models.encoder` and a linear head.

    Attributes
    ----------
    start : dict of str to NDArray
        Weights of an encoder to start from, keys ``encoder.*``; empty: from scratch.
    """

    config_class = TransformerConfig
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        name: {**PRESETS[name], **learning} for name, learning in _LEARNING.items()
    }
    trials: ClassVar[tuple[dict[str, Any], ...]] = (
        {"learning_rate": 3e-4},
        {"dropout": 0.3},
        {"weight_decay": 0.1, "smoothing": 0.1},
        {"learning_rate": 2e-3},
    )

    # Of the stem for aligned sequences, which starts from linear discriminants.
    aligned_trials: ClassVar[tuple[dict[str, Any], ...]] = (
        {"shrinkage": 0.9},
        {"shrinkage": 0.2},
        {"hide": 0.9, "learning_rate": 1e-6},
        {"shrinkage": 0.0, "hide": 0.9, "learning_rate": 1e-3, "epochs": 30},
    )

    @classmethod
    def tries(cls, arch: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """What matters to the stem."""
        return cls.aligned_trials if arch.get("stem") == "loci" else cls.trials

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.start: State = {}

    def build(self, length: int, n_classes: int) -> TransformerNetwork:
        """Encoder and head."""
        return TransformerNetwork(self.config, length, n_classes)

    def prepare(self, train: Labelled) -> bool:
        """Take the encoder's weights over, or what its stem has to know of the columns."""
        encoder = self._encoder
        if isinstance(encoder.stem, LocusStem) and not train.sequences.aligned:
            raise UsageError(
                "the stem loci is for aligned sequences, and these are not", hint="--preset motifs"
            )
        if self.start:
            found = {k.removeprefix(ENCODER): torch.from_numpy(v) for k, v in self.start.items()}
            encoder.load_state_dict(found)
        elif isinstance(encoder.stem, LocusStem):
            encoder.stem.learn_frequencies(train.sequences.codes)
            return self._start_from_discriminants(encoder.stem, train)
        return False

    def _start_from_discriminants(self, stem: LocusStem, train: Labelled) -> bool:
        """Stem and head as they classify linearly: gradients, from a random start, end below it.

        The norm between them shifts and scales all classes of a sequence alike, so that which is
        the largest stays.
        """
        k, config = len(self.classes), self.config
        if not config.shrinkage or k > config.width:
            return False
        found = discriminants(train, k, config.shrinkage, RARE, 0)
        size = float(np.abs(found.intercepts).mean()) or 1.0
        stem.start_from(found.coefficients / size, found.intercepts / size)
        head = self.module.head
        assert isinstance(head, nn.Linear)
        with torch.no_grad():
            head.weight.mul_(SMALL)
            head.weight[:, :k] = SHARPNESS * torch.eye(k)
            head.bias.zero_()
        return True

    @property
    def _encoder(self) -> Encoder:
        assert isinstance(self.module, TransformerNetwork)
        return self.module.encoder

    def background(self) -> NDArray[np.float32] | None:
        """Of the stem for aligned sequences."""
        stem = self._encoder.stem
        return stem.mean.float().cpu().numpy() if isinstance(stem, LocusStem) else None
