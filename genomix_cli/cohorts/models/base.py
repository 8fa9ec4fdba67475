"""The contract of cohort models, beside that of any classifier: modalities, gradients."""

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
    """Return the arrays whose names start with a prefix, without it."""
    return {name.removeprefix(prefix): a for name, a in state.items() if name.startswith(prefix)}


class CohortModel(Classifier[Samples]):
    """A classifier of samples measured in several omics.

    Imputation, scaling and selection are part of `fit`: a model sees raw values, NaN where missing,
    and whole modalities that a sample lacks, in training and afterwards. Those that have to stop
    early set samples aside themselves.

    Attributes
    ----------
    device : str or torch.device
        Device that it computes on.
    """

    device: Any = "cpu"

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Modalities of the samples that the model was fitted to."""
        return self.layout or ()

    def fit(self, train: Samples, setting: FitSettings, valid: Samples | None = None) -> Fitted:
        """Learn from samples; see `Classifier.fit`."""
        self.layout, self.classes = train.layout, train.classes
        return self._fit(train, setting)

    @abstractmethod
    def _fit(self, samples: Samples, setting: FitSettings) -> Fitted:
        """Learn from samples, all of which have a label; see `fit`."""

    @classmethod
    def penalties(cls, strengths: Sequence[float]) -> list[dict[str, Any]]:
        """Return configurations for `late_fusion` to choose from, one per strength of a penalty.

        The default is a single one, for models without such a penalty.
        """
        return [{}]

    @classmethod
    def has_gradient(cls) -> bool:
        """Return True if the model offers `differentiable`, of which attributions are made."""
        return cls.differentiable is not CohortModel.differentiable

    def differentiable(self) -> Any:
        """Return the fitted model as a :class:`Differentiable`, for Integrated Gradients.

        Raises
        ------
        NotImplementedError
            If it has no gradient, as trees have none.
        """
        raise NotImplementedError


class Differentiable(NamedTuple):
    """A fitted model as a function from encoded values to logits, with gradients.

    Attributes
    ----------
    preprocessor : Preprocessor
        Makes of samples the values that the model computes with.
    logits : callable
        From values, observed and present, tensors as in `Encoded`, to logits ``[B, K]``, in
        evaluation mode.
    """

    preprocessor: Preprocessor
    logits: Callable[[Any, Any, Any], Any]
