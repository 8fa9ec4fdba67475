"""A cohort model that fits instantly and remembers its data, for tests of the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from genomix_cli.cohorts.dataset import Floats, Modality, Samples
from genomix_cli.cohorts.models.base import CohortModel, State
from genomix_cli.comparison.study import Fitted
from genomix_cli.config import Positive
from genomix_cli.learning.calibration import log_softmax
from genomix_cli.learning.fit_settings import FitSettings
from genomix_cli.registry import COHORT_MODELS


@dataclass(frozen=True)
class ToyConfig:
    """Configuration: `sharpness` multiplies the logits; `noise` is fixed for each sample."""

    sharpness: Positive = 1.0
    noise: float = 0.0


class Toy(CohortModel):
    """Model that scores a class by the distance of the first feature to the class's mean."""

    config_class = ToyConfig
    space: ClassVar[dict[str, Any]] = {"noise": [0.5, 2.0, 8.0], "sharpness": [1.0, 5.0]}
    seen: ClassVar[list[tuple[ToyConfig, frozenset[str], tuple[int, ...]]]] = []

    def _fit(self, samples: Samples, setting: FitSettings) -> Fitted:
        self.seen.append((self.config, frozenset(samples.names), tuple(samples.label)))
        x = self._x(samples)
        classes = range(len(self.classes))
        self.means = np.array(
            [x[samples.label == k].mean() if (samples.label == k).any() else 1e3 for k in classes]
        )
        # Make the results depend on the seed.
        self.means = self.means + 1e-3 * np.random.default_rng(setting.seed).normal()
        return Fitted(len(self.means))

    def _x(self, samples: Samples) -> Floats:
        return np.nan_to_num(samples.values[self.modalities[0].name][:, 0].astype(np.float64))

    def log_probability(self, samples: Samples) -> Floats:
        x = self._x(samples)
        spoilt = x + self.config.noise * np.sin(1e4 * x)
        return log_softmax(-self.config.sharpness * (spoilt[:, None] - self.means) ** 2)

    def state(self) -> State:
        return {"means": self.means}

    def _restore(self, state: State) -> None:
        self.means = state["means"]


@contextmanager
def toy_registered() -> Iterator[list[Any]]:
    """Register ``toy`` as a model within the block; yield the list of data it is fitted to."""
    COHORT_MODELS._entries["toy"] = "tests.toy_model:Toy"
    # The registry imports the module by name, which may give another copy than this one.
    seen = COHORT_MODELS.load("toy").seen
    seen.clear()
    try:
        yield seen
    finally:
        del COHORT_MODELS._entries["toy"]


def line_of_samples(n: int = 120, classes: int = 3, seed: int = 0, spread: float = 0.5) -> Samples:
    """Return samples with classes 2 apart in one feature of ``first``; the rest is noise."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % classes
    first = rng.normal(2 * label[:, None], [spread, 1.0], (n, 2)).astype(np.float32)
    second = rng.normal(size=(n, 3)).astype(np.float32)
    return Samples(
        names=np.array([f"S{i:03d}" for i in range(n)]),
        modalities=(
            Modality("first", "expression", ("a", "b")),
            Modality("second", "other", ("c", "d", "e")),
        ),
        values={"first": first, "second": second},
        present=np.ones((n, 2), bool),
        classes=tuple("xyzuvw"[:classes]),
        label=label.astype(np.int64),
        patient=np.arange(n),
        batch=np.zeros(n, np.int64),
    )


def relabelled(samples: Samples, rows: Any, label: Any) -> Samples:
    """Return the samples with other labels in some rows."""
    changed = samples.label.copy()
    changed[rows] = label
    return replace(samples, label=changed)
