"""The contract between classifiers, the data they learn from, and the contest that judges them.

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
    """Items with a class each, as the contest splits them and classifiers learn from them."""

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
        """Patient or group of each item, int64 ``[n]``: no split divides one."""

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Modalities measured of each item, bool ``[n, M]``: each combination is calibrated."""

    @property
    def layout(self) -> Any:
        """Form of the data that a classifier has to know, such as features or a length."""

    @property
    def inputs(self) -> Any:
        """The data as classifiers predict from it, without labels."""

    def __len__(self) -> int:
        """Return the number of items."""

    def take(self, rows: Any) -> Self:
        """Return some items, by index or mask."""

    def only(self, modalities: Sequence[str]) -> Self:
        """Return all items with some of their modalities, where there are several."""

    def relabelled(self, label: NDArray[np.int64]) -> Self:
        """Return the same items with other labels."""


D = TypeVar("D", bound=Data)


class Classifier(ABC, Generic[D]):
    """A model that learns classes from data, gives their probabilities, and can be stored.

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
    trials : tuple of dict
        Fields that tuning tries in order, for a model without a `space`.
    needs : mapping
        Packages that fitting needs beyond those of its domain, and the extra that brings each.
    layout : Any
        Layout of the data it was fitted to; see `Data.layout`.
    classes : tuple of str
        Classes of the data it was fitted to.
    start : dict of str to NDArray
        Trained weights to start from, for a model that can; empty: from scratch.
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
            If they do not fit.
        """
        return cls(from_dict(cls.config_class, arch, where=where))

    @classmethod
    def tries(cls, arch: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """Return those of `trials` that make a difference to a configuration such as `arch`."""
        return cls.trials

    @abstractmethod
    def fit(self, train: D, setting: FitSettings, valid: D | None = None) -> Fitted:
        """Learn from `train`; the same seed gives the same model.

        Parameters
        ----------
        train : Data
            Every item has a label.
        setting : FitSettings
        valid : Data, optional
            Data to stop by, where the contest sets some aside; nothing else is learned from it.
        """

    @abstractmethod
    def log_probability(self, inputs: Any) -> Floats:
        """Return the logarithm of each class's probability ``[n, K]``, not calibrated; finite.

        The answer for an item does not depend on the others. A class that was not in the fit gets
        a probability near 0.

        Parameters
        ----------
        inputs : Any
            `Data.inputs`, of the layout of the fit.
        """

    @abstractmethod
    def state(self) -> State:
        """Return everything learned, as arrays by name, for safetensors: C order, no objects."""

    def restore(self, layout: Any, classes: tuple[str, ...], state: State) -> None:
        """Become the model that `state` was taken from.

        Raises
        ------
        KeyError, ValueError, RuntimeError
            If it is not a state of this model and configuration.
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
        """Return the model that a run folder stores.

        Raises
        ------
        UsageError
            If the configuration does not fit.
        DataError
            If the weights do not belong to it.
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
        """Set everything learned from `state`; see `restore`."""

    def to(self, device: str) -> None:
        """Move to a device, where the model has anything to move."""

    def attention(self, inputs: Any) -> NDArray[np.float32] | None:
        """Return attention from each modality (row) to each ``[n, M, M]``, rows summing to 1.

        None where the model has no such attention. NaN in the rows and columns of modalities that
        an item lacks.
        """
        return None

    def encoded(self, inputs: Any) -> Encoding | None:
        """Return the vectors that the model tells classes by; None where it makes none."""
        return None

    def alone(self, inputs: Any) -> dict[str, Floats]:
        """Return the logarithm of each class's probability ``[n, K]`` by each modality alone.

        Empty where the model has no such parts.
        """
        return {}
