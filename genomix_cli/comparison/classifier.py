"""The interface between classifiers, their data, and the contest that judges them.

Letters: n items (samples of a cohort, sequences), K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.clustering import Encoding
from genomix_cli.comparison.study import Fitted, Floats
from genomix_cli.config import from_dict
from genomix_cli.errors import DataError
from genomix_cli.formats.run_folder import CONFIG, WEIGHTS
from genomix_cli.learning.fit_settings import FitSettings

State = dict[str, NDArray[Any]]


class Data(Protocol):
    """Labelled items that the contest splits and classifiers learn from."""

    @property
    def names(self) -> NDArray[Any]:
        """Name of each item, str ``[n]``."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""

    @property
    def label(self) -> NDArray[np.int64]:
        """Index of the class of each item, int64 ``[n]``."""

    @property
    def unit(self) -> NDArray[np.int64]:
        """Patient or group of each item, int64 ``[n]``; every split keeps units whole."""

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Modalities measured for each item, bool ``[n, M]``; calibrated per combination."""

    @property
    def layout(self) -> Any:
        """Layout that a classifier must know, such as the features or the sequence length."""

    @property
    def inputs(self) -> Any:
        """The data without labels, as classifiers take it for prediction."""

    def __len__(self) -> int:
        """Return the number of items."""

    def take(self, rows: Any) -> Self:
        """Return the items that an index array or a mask selects."""

    def only(self, modalities: Sequence[str]) -> Self:
        """Return all items, restricted to some modalities if the data have several."""

    def relabelled(self, label: NDArray[np.int64]) -> Self:
        """Return the same items with other labels."""


D = TypeVar("D", bound=Data)


class Classifier(ABC, Generic[D]):
    """A model that learns classes, predicts their probabilities, and can be stored.

    Parameters
    ----------
    config : Any
        An instance of `config_class`.

    Attributes
    ----------
    config_class : type
        A frozen dataclass of plain data.
    presets : dict
        Fields of `config_class` by preset name; the first preset is the default.
    space : mapping
        Values that tuning draws from, by field: a list or a frozen `scipy.stats` distribution, as
        for `sklearn.model_selection.ParameterSampler`.
    trials : tuple of dict
        Fields that tuning tries in this order, for a model without a `space`.
    needs : mapping
        Packages that fitting needs beyond those of the domain, each with the extra that installs
        it.
    layout : Any
        Layout of the data that the model was fitted to; see `Data.layout`.
    classes : tuple of str
        Classes of the data that the model was fitted to.
    start : dict of str to NDArray
        Trained weights to start from, if the model supports it; empty to train from scratch.
    """

    config_class: ClassVar[type]
    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}}
    space: ClassVar[Mapping[str, Any]] = {}
    trials: ClassVar[tuple[dict[str, Any], ...]] = ()
    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(self, config: Any) -> None:
        self.config = config
        self.layout: Any = None
        self.classes: tuple[str, ...] = ()
        self.start: State = {}

    @classmethod
    def of(cls, arch: Mapping[str, Any], *, where: object = None) -> Self:
        """Return a new model from the fields of its configuration.

        Raises
        ------
        UsageError
            If the fields are not valid for `config_class`.
        """
        return cls(from_dict(cls.config_class, arch, where=where))

    @classmethod
    def tries(cls, arch: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """Return the `trials` that have an effect on a configuration such as `arch`."""
        return cls.trials

    @abstractmethod
    def fit(self, train: D, setting: FitSettings, valid: D | None = None) -> Fitted:
        """Fit the model to `train`; the same seed gives the same model.

        Parameters
        ----------
        train : Data
            Items to learn from, all labelled.
        setting : FitSettings
        valid : Data, optional
            Items for early stopping, if the contest sets some aside. Nothing else may be learned
            from them.
        """

    @abstractmethod
    def log_probability(self, inputs: Any) -> Floats:
        """Return uncalibrated log-probabilities of the classes, finite, float64 ``[n, K]``.

        The result for an item must not depend on the other items. A class that was absent from the
        fit gets a probability near 0.

        Parameters
        ----------
        inputs : Any
            `Data.inputs` with the same layout as in the fit.
        """

    @abstractmethod
    def state(self) -> State:
        """Return all learned values as named arrays for safetensors: C order, no objects."""

    def restore(self, layout: Any, classes: tuple[str, ...], state: State) -> None:
        """Restore the fitted model that `state` was taken from.

        Raises
        ------
        KeyError, ValueError, RuntimeError
            If `state` does not belong to this model and configuration.
        """
        self.layout, self.classes = layout, classes
        self._restore(state)

    @classmethod
    def restored(
        cls,
        arch: Mapping[str, Any],
        layout: Any,
        classes: tuple[str, ...],
        state: State,
        folder: Path,
    ) -> Self:
        """Return the model stored in a run folder.

        Raises
        ------
        UsageError
            If the configuration is not valid.
        DataError
            If the weights do not match the configuration.
        """
        model = cls.of(arch, where=folder / CONFIG)
        try:
            model.restore(layout, classes, state)
        except Exception as error:  # each model finds other things wrong with its arrays
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(
                f"the weights do not fit the configuration: {reason}", where=folder / WEIGHTS
            ) from error
        return model

    @abstractmethod
    def _restore(self, state: State) -> None:
        """Set all learned values from `state`; see `restore`."""

    def to(self, device: str) -> None:
        """Move the model to a device; models without tensors do nothing."""

    def attention(self, inputs: Any) -> NDArray[np.float32] | None:
        """Return attention from each modality (row) to each (column), float32 ``[n, M, M]``.

        Rows sum to 1; rows and columns of modalities that an item lacks are NaN. Return None if the
        model has no such attention.
        """
        return None

    def encoded(self, inputs: Any) -> Encoding | None:
        """Return input features and last-layer vectors; None if the model has no such vectors."""
        return None

    def alone(self, inputs: Any) -> dict[str, Floats]:
        """Return log-probabilities ``[n, K]`` predicted from each modality alone.

        Empty if the model has no single-modality parts.
        """
        return {}
