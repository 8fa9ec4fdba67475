"""The sequence transformer as a classifier: fine-tuned, from scratch, or as a linear probe.

Letters: B batch, L bases, d width, K classes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genomix_cli.comparison.study import Fitted
from genomix_cli.comparison.tuning import nll_of
from genomix_cli.errors import UsageError
from genomix_cli.learning.calibration import at_temperature
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.learning.networks import set_weights
from genomix_cli.sequences.models import encoder
from genomix_cli.sequences.models.base import Labelled
from genomix_cli.sequences.models.encoder import Encoder, EncoderConfig, EncoderShape
from genomix_cli.sequences.models.linear_start import LinearPart, linear_start
from genomix_cli.sequences.models.network import Network, NetworkClassifier, NetworkConfig

log = logging.getLogger("genomix")

# Candidate weights of the network's logits when they are added to the linear start.
GATES = tuple(i / 20 for i in range(21))

# Training settings for each preset of the encoder; the first is the default.
_LEARNING: dict[str, dict[str, Any]] = {
    "motifs": {"learning_rate": 2e-3},
    "genomai": {},
    # On top of the linear solution there is little left to learn, so few epochs suffice.
    "loci": {
        **{"linear_start": True, "layers": 1, "hide": 0.5},
        **{"epochs": 6, "patience": 2, "batch_size": 64},
    },
    "long": {"learning_rate": 2e-3},
    "large": {"learning_rate": 5e-4},
}


@dataclass(frozen=True)
class TransformerConfig(NetworkConfig, EncoderShape):
    """Configuration of an encoder with a linear head.

    Attributes
    ----------
    freeze : bool
        True to train only the head, as a linear probe of the encoder.
    linear_start : bool
        Aligned sequences only: True to start from linear discriminants of all columns and train the
        network to add to them.
    """

    freeze: bool = False
    linear_start: bool = False


class TransformerNetwork(Network):
    """Encoder, dropout and linear head, plus an optional linear solution to start from.

    With it, the head starts at 0, so the first predictions are the linear ones. In training, the
    task adds the out-of-fold logits of the linear solution, and the linear part is skipped.
    """

    def __init__(self, config: TransformerConfig, length: int, n_classes: int) -> None:
        super().__init__()
        self.encoder = Encoder(EncoderConfig(length=length, **encoder.shape_of(asdict(config))))
        self.head = nn.Linear(config.width, n_classes)
        self.dropout = nn.Dropout(config.dropout)
        self.linear = LinearPart(length, n_classes) if config.linear_start else None
        if self.linear is not None:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)
        self.frozen = config.freeze
        if config.freeze:
            self.encoder.requires_grad_(False)

    @property
    def filters(self) -> nn.Sequential | None:
        """See `Network`."""
        return self.encoder.stem.filters

    def embed(self, codes: Tensor) -> Tensor:
        """Return the embedding ``[B, d]``."""
        return self.encoder(codes)

    def embed_soft(self, p: Tensor) -> Tensor:
        """Return the same from probabilities of bases ``[B, L, 4]``."""
        return self.encoder.soft(p)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the logits ``[B, K]``."""
        logits = self.head(self.dropout(self.embed(codes)))
        if self.linear is None or self.training:
            return logits
        return logits + self.linear(codes)

    def soft(self, p: Tensor) -> Tensor:
        """Return the logits ``[B, K]`` from probabilities of bases ``[B, L, 4]``."""
        logits = super().soft(p)
        return logits if self.linear is None else logits + self.linear.soft(p)

    def train(self, mode: bool = True) -> TransformerNetwork:
        """Set the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        self.encoder.train(mode and not self.frozen)
        return self


class Transformer(NetworkClassifier):
    """Classifier with a linear head on the encoder of `encoder`, new or pre-trained."""

    config_class = TransformerConfig
    aligned_preset = "loci"
    has_encoder = True
    # scikit-learn makes the folds of a linear start.
    needs: ClassVar[Mapping[str, str]] = {**NetworkClassifier.needs, "sklearn": "cohorts"}
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        name: {**encoder.PRESETS[name], **learning} for name, learning in _LEARNING.items()
    }
    trials: ClassVar[tuple[dict[str, Any], ...]] = (
        {"learning_rate": 3e-4},
        {"dropout": 0.3},
        {"weight_decay": 0.1, "smoothing": 0.1},
        {"learning_rate": 4e-3},
    )

    # Trials for the stem for aligned sequences.
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

    def prepare(self, train: Labelled, seed: int) -> NDArray[np.float32] | None:
        """Load the pre-trained weights of the encoder, or let its stem learn the columns."""
        aligned = train.sequences.aligned
        encoder.check_stem(self.config.stem, aligned=aligned)
        if self.start:
            set_weights(self._encoder, self.start)
        else:
            self._encoder.stem.learn_columns(train.sequences.codes)
        if self.config.linear_start and not aligned:
            raise UsageError(
                "needs aligned sequences, and these are not aligned", where="linear_start"
            )
        return self._start(train, seed) if self.config.linear_start else None

    def _start(self, train: Labelled, seed: int) -> NDArray[np.float32]:
        linear, start = self._network.linear, linear_start(train, seed)
        assert linear is not None
        set_weights(linear, start.arrays)
        self._linear_size = start.size
        return start.logits

    def _fit(self, train: Labelled, valid: Labelled, setting: FitSettings) -> Fitted:
        fitted = super()._fit(train, valid, setting)
        if not self.config.linear_start:
            return fitted
        self._set_gate(valid)
        return replace(fitted, parameters=fitted.parameters + self._linear_size)

    def _set_gate(self, valid: Labelled) -> None:
        """Scale the network's contribution to maximise the likelihood of the validation labels.

        A scale of 0 gives the linear solution, so the validation likelihood is never below its own.
        """
        network, codes = self._network, valid.sequences.codes
        assert network.linear is not None
        linear, whole = (
            torch.cat(list(self._run(function, codes))).double().cpu().numpy()
            for function in (network.linear, network)
        )

        def nll(gate: float) -> float:
            return nll_of(at_temperature(linear + gate * (whole - linear), 1.0), valid.label)

        gate = min(GATES, key=nll)
        log.info("weight of the network beside the linear start: %.2f", gate)
        with torch.no_grad():
            for parameter in network.head.parameters():
                parameter.mul_(gate)

    @property
    def _network(self) -> TransformerNetwork:
        assert isinstance(self.module, TransformerNetwork)
        return self.module

    @property
    def _encoder(self) -> Encoder:
        return self._network.encoder

    def embedding(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the input of the last layer ``[n, d]``, joined by the logits of a linear start."""
        encoded, linear = super().embedding(codes), self._network.linear
        if linear is None:
            return encoded
        logits = torch.cat(list(self._run(linear, codes))).float().cpu().numpy()
        return np.concatenate([encoded, logits], 1)

    def background(self) -> NDArray[np.float32] | None:
        """Return the column composition that the stem has learned."""
        return self._encoder.stem.background()
