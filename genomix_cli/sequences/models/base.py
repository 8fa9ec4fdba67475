"""What every classifier of sequences offers: learn, give each sequence's classes, be stored.

Letters: n sequences, L bases, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.study import Fitted, Floats
from genomix_cli.formats.sequences import Sequences
from genomix_cli.learning.fit_settings import FitSettings

State = dict[str, NDArray[Any]]


class Labelled(NamedTuple):
    """Sequences with the class of each, int64 ``[n]``, none of them unknown."""

    sequences: Sequences
    label: NDArray[np.int64]

    def take(self, rows: Any) -> Labelled:
        """Some of them, by index or mask."""
        return Labelled(self.sequences.take(rows), self.label[rows])

    def joined(self, others: Labelled) -> Labelled:
        """These, then others of the same length, each a group of its own and of no phenotype."""
        first, second = self.sequences, others.sequences
        last = int(first.group.max(initial=-1)) + 1
        sequences = replace(
            first,
            names=np.concatenate([first.names, second.names]),
            codes=np.concatenate([first.codes, second.codes]),
            group=np.concatenate([first.group, last + np.arange(len(second))]),
            split=np.concatenate([first.split, second.split]),
            phenotypes=(),
            windows=None,
        )
        return Labelled(sequences, np.concatenate([self.label, others.label]))


class SequenceClassifier(ABC):
    """A classifier of sequences of equal length.

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
    trials : tuple of dict
        Fields that tuning tries, in order, beside the preset as it is; for all models the same
        number is tried.
    needs : mapping
        Packages that fitting needs beyond the base install, and the extra that brings each.
    needs_aligned : bool
        Whether it reads columns as places, which only aligned sequences have.
    classes : tuple of str
    length : int
    """

    config_class: ClassVar[type]
    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}}
    trials: ClassVar[tuple[dict[str, Any], ...]] = ()
    needs: ClassVar[Mapping[str, str]] = {}
    needs_aligned: ClassVar[bool] = False

    def __init__(self, config: Any) -> None:
        self.config = config
        self.classes: tuple[str, ...] = ()
        self.length = 0

    @classmethod
    def tries(cls, arch: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
        """Those of `trials` that say something for a configuration that starts as `arch`."""
        return cls.trials

    def fit(
        self, train: Labelled, valid: Labelled, classes: tuple[str, ...], setting: FitSettings
    ) -> Fitted:
        """Learn from `train`; `valid` is only to stop by. The same seed gives the same model."""
        self.classes, self.length = classes, train.sequences.length
        return self._fit(train, valid, setting)

    @abstractmethod
    def _fit(self, train: Labelled, valid: Labelled, setting: FitSettings) -> Fitted:
        """See `fit`."""

    @abstractmethod
    def log_probability(self, codes: NDArray[np.uint8]) -> Floats:
        """Logarithm of each class's probability ``[n, K]``, not calibrated; finite.

        Parameters
        ----------
        codes : NDArray
            uint8 ``[n, L]``: sets of bases. The answer for one does not depend on the others.
        """

    @abstractmethod
    def state(self) -> State:
        """Everything learned, as arrays by name, for safetensors."""

    def restore(self, length: int, classes: tuple[str, ...], state: State) -> None:
        """Become what `state` was taken from.

        Raises
        ------
        KeyError, ValueError, RuntimeError
            If it is not a state of this model and configuration.
        """
        self.length, self.classes = length, classes
        self._restore(state)

    @abstractmethod
    def _restore(self, state: State) -> None:
        """See `restore`."""

    def to(self, device: str) -> None:  # noqa: B027
        """Compute on a device from now on, where the model has anything to move."""

    def logits_of(self, p: Any) -> Any:
        """Logits ``[B, K]`` from probabilities of A, C, G, T as a Tensor float32 ``[B, L, 4]``.

        For Integrated Gradients: differentiable, in evaluation mode.

        Raises
        ------
        NotImplementedError
            If it has no gradient.
        """
        raise NotImplementedError

    def background(self) -> NDArray[np.float32] | None:
        """Mean base composition of each column in training ``[L, 4]``, where it was learned."""
        return None
