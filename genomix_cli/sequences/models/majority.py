"""The most frequent class whatever the sequence, the baseline of every classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.study import Fitted, Floats
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.sequences.models.base import Labelled, SequenceClassifier, State


@dataclass(frozen=True)
class MajorityConfig:
    """Configuration without settings."""


class Majority(SequenceClassifier):
    """Frequency of each class in training, plus one so that no class is impossible."""

    config_class = MajorityConfig

    _log_share: Floats

    def _fit(self, train: Labelled, valid: Labelled, setting: FitSettings) -> Fitted:
        counts = np.bincount(train.label, minlength=len(self.classes)) + 1.0
        self._log_share = np.log(counts / counts.sum())
        return Fitted(len(counts))

    def log_probability(self, codes: NDArray[np.uint8]) -> Floats:
        """Return the same log-probabilities for all sequences."""
        return np.tile(self._log_share, (len(codes), 1))

    def state(self) -> State:
        """Return the logarithms of the class frequencies."""
        return {"log_share": self._log_share}

    def _restore(self, state: State) -> None:
        self._log_share = state["log_share"].reshape(len(self.classes))
