"""The interface of cohort models: a classifier with modalities and gradients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from genomix_cli.cohorts.dataset import Modality, Samples
from genomix_cli.cohorts.models.preprocessing import Preprocessor
from genomix_cli.comparison.classifier import Classifier, State
from genomix_cli.comparison.study import Fitted
from genomix_cli.learning.fit_settings import FitSettings

__all__ = ["CohortModel", "Differentiable", "State", "under"]


def under(state: State, prefix: str) -> State:
    """Return the arrays whose names start with a prefix, with the prefix removed."""
    return {name.removeprefix(prefix): a for name, a in state.items() if name.startswith(prefix)}


class CohortModel(Classifier[Samples]):
    """A classifier of samples with several omics modalities.

    Imputation, scaling and selection are part of `fit`. In training and afterwards, a model gets
    raw values with NaN where missing, and samples may lack whole modalities. A model that needs
    early stopping sets samples aside itself.

    Attributes
    ----------
    device : str or torch.device
        Device that the model computes on.
    """

    device: Any = "cpu"

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Modalities of the samples that the model was fitted to."""
        return self.layout or ()

    def fit(self, train: Samples, setting: FitSettings, valid: Samples | None = None) -> Fitted:
        """Fit the model to samples; see `Classifier.fit`."""
        self.layout, self.classes = train.layout, train.classes
        return self._fit(train, setting)

    @abstractmethod
    def _fit(self, samples: Samples, setting: FitSettings) -> Fitted:
        """Fit the model to samples, all of which have a label; see `fit`."""

    @classmethod
    def penalties(cls, strengths: Sequence[float]) -> list[dict[str, Any]]:
        """Return the fields for `late_fusion` to choose from, one set per penalty strength.

        A model without such a penalty returns a single set.
        """
        return [{}]

    @classmethod
    def has_gradient(cls) -> bool:
        """Return True if the model implements `differentiable`, which attributions need."""
        return cls.differentiable is not CohortModel.differentiable

    def differentiable(self) -> Any:
        """Return the fitted model as a :class:`Differentiable`, for Integrated Gradients.

        Raises
        ------
        NotImplementedError
            If the model has no gradient, such as trees.
        """
        raise NotImplementedError


class Differentiable(NamedTuple):
    """A fitted model as a function from encoded values to logits, with gradients.

    Attributes
    ----------
    preprocessor : Preprocessor
        Encodes samples as the values that the model computes with.
    logits : callable
        Function of the tensors values, observed and present (as in `Encoded`) that returns logits
        ``[B, K]`` in evaluation mode.
    """

    preprocessor: Preprocessor
    logits: Callable[[Any, Any, Any], Any]
