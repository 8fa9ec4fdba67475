"""What every model of cohorts offers: learn from samples, give each sample's classes, be stored.

Letters: n samples, M modalities, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Floats, Modality, Samples
from genomix_cli.cohorts.models.preprocessing import Encoded, Preprocessor
from genomix_cli.comparison.study import Fitted
from genomix_cli.learning.fit_settings import FitSettings

State = dict[str, NDArray[Any]]


class CohortModel(ABC):
    """A classifier of samples measured in several omics.

    Imputation, scaling and selection are part of `fit`: a model sees raw values, NaN where missing,
    and whole modalities that a sample lacks, in training and afterwards.

    Parameters
    ----------
    config : Any
        An instance of `config_class`.

    Attributes
    ----------
    config_class : type
        A frozen dataclass of plain data.
    presets : dict
        Preset name to fields of that class; the first is the default.
    space : mapping
        Field to the values that tuning draws from: a list, or a frozen distribution of
        `scipy.stats`, as `sklearn.model_selection.ParameterSampler` takes them.
    needs : mapping
        Packages that fitting needs beyond those of cohorts, and the extra that brings each.
    modalities, classes : tuple
        Of the samples it was fitted to.
    """

    config_class: ClassVar[type]
    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}}
    space: ClassVar[Mapping[str, Any]] = {}
    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(self, config: Any) -> None:
        self.config = config
        self.modalities: tuple[Modality, ...] = ()
        self.classes: tuple[str, ...] = ()

    def fit(self, samples: Samples, setting: FitSettings) -> Fitted:
        """Learn from samples, all of which have a label. The same seed gives the same model."""
        self.modalities, self.classes = samples.modalities, samples.classes
        return self._fit(samples, setting)

    @abstractmethod
    def _fit(self, samples: Samples, setting: FitSettings) -> Fitted:
        """See `fit`."""

    @abstractmethod
    def log_probability(self, samples: Samples) -> Floats:
        """Logarithm of each class's probability ``[n, K]``, not yet calibrated; finite.

        `samples` has the modalities and features of the fit (`dataset.aligned` sees to that). The
        answer for a sample does not depend on the others. A class that was not in the fit gets a
        probability near 0.
        """

    @abstractmethod
    def state(self) -> State:
        """Everything learned, as arrays by name, for safetensors: no objects, no Fortran order."""

    def restore(
        self, modalities: tuple[Modality, ...], classes: tuple[str, ...], state: State
    ) -> None:
        """Become what `state` was taken from.

        Raises
        ------
        KeyError, ValueError, RuntimeError
            If it is not a state of this model and configuration.
        """
        self.modalities, self.classes = modalities, classes
        self._restore(state)

    @abstractmethod
    def _restore(self, state: State) -> None:
        """See `restore`."""

    def to(self, device: str) -> None:  # noqa: B027
        """Compute on a device from now on, where the model has anything to move."""

    def differentiable(self) -> Any:
        """The fitted model as a :class:`Differentiable`, for Integrated Gradients.

        Raises
        ------
        NotImplementedError
            If it has no gradient, as trees have none.
        """
        raise NotImplementedError

    def attention(self, samples: Samples) -> NDArray[np.float32] | None:
        """Attention of each modality (row) to each ``[n, M, M]``, rows sum to 1, if there is any.

        NaN in the rows and columns of modalities that a sample lacks.
        """
        return None


class Differentiable(ABC):
    """From encoded values to logits, with gradients.

    Parameters
    ----------
    preprocessor : Preprocessor
        Of the fitted model.
    """

    def __init__(self, preprocessor: Preprocessor) -> None:
        self._preprocessor = preprocessor

    def encode(self, samples: Samples) -> Encoded:
        """Values as the model sees them."""
        return self._preprocessor.transform(samples)

    @property
    def kept(self) -> tuple[Modality, ...]:
        """Modalities with the features of the columns of `encode`."""
        return self._preprocessor.kept

    @abstractmethod
    def logits(self, values: Any, observed: Any, present: Any) -> Any:
        """Logits ``[B, K]`` as a Tensor, from tensors as in `Encoded`, in evaluation mode."""
