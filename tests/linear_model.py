"""A cohort model whose gradients and attention are known in closed form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Floats, Samples
from genomix_cli.cohorts.models.base import CohortModel, Differentiable, State
from genomix_cli.cohorts.models.preprocessing import Preprocessor, fit_preprocessor
from genomix_cli.comparison.study import Fitted
from genomix_cli.learning.calibration import log_softmax
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.registry import COHORT_MODELS

NAMES = {"plain": "Plain", "straight": "Straight"}


@dataclass(frozen=True)
class PlainConfig:
    """Configuration: `jump`, without a gradient, goes to class 0 if the first value is positive."""

    jump: float = 0.0


class Plain(CohortModel):
    """Model without gradients whose logits are encoded values times the classes' means."""

    config_class = PlainConfig

    def _fit(self, samples: Samples, setting: FitSettings) -> Fitted:
        self.preprocessor = fit_preprocessor(samples)
        x = self.preprocessor.transform(samples).flat()
        classes = range(len(self.classes))
        self.weights = np.stack([x[samples.label == k].mean(0) for k in classes], 1)
        return Fitted(self.weights.size)

    def logits(self, x: Any) -> Any:
        return x @ self.weights + self.config.jump * (x[:, :1] > 0) * np.eye(len(self.classes))[0]

    def log_probability(self, samples: Samples) -> Floats:
        return log_softmax(self.logits(self.preprocessor.transform(samples).flat()))

    def state(self) -> State:
        return {**self.preprocessor.state(), "weights": np.ascontiguousarray(self.weights)}

    def _restore(self, state: State) -> None:
        self.preprocessor = Preprocessor.restore(self.modalities, state)
        self.weights = state["weights"]


class Straight(Plain):
    """The same model with gradients, and with attention mostly to the modality itself."""

    def differentiable(self) -> Differentiable:
        return Differentiable(self.preprocessor, self._logits)

    def _logits(self, values: Any, observed: Any, present: Any) -> Any:
        assert all(v.shape == o.shape for v, o in zip(values, observed, strict=True))
        x = torch.cat(values, dim=1)
        first = torch.eye(len(self.classes))[0]
        jump = self.config.jump * (x[:, :1] > 0) * first
        return x @ torch.from_numpy(self.weights) + jump

    def attention(self, samples: Samples) -> NDArray[np.float32]:
        both = samples.present[:, :, None] & samples.present[:, None, :]
        raw = both * (1 + np.eye(both.shape[1]))
        total = np.maximum(raw.sum(2, keepdims=True), 1)
        return np.where(both, raw / total, np.nan).astype(np.float32)


@contextmanager
def registered() -> Iterator[None]:
    """Register ``plain`` and ``straight`` as models within the block."""
    for name, attribute in NAMES.items():
        COHORT_MODELS._entries[name] = f"tests.linear_model:{attribute}"
    try:
        yield
    finally:
        for name in NAMES:
            del COHORT_MODELS._entries[name]
