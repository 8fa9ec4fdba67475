"""Base class of sequence classifiers, and their training data.

Letters: n sequences, L bases, K classes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence as Listing
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.classifier import Classifier, State
from genomix_cli.comparison.study import Fitted
from genomix_cli.formats.sequences import Sequences
from genomix_cli.genome.motifs import Motif
from genomix_cli.learning.fit_settings import FitSettings

__all__ = ["Labelled", "SequenceClassifier", "State"]


@dataclass(frozen=True)
class Labelled:
    """Sequences with one class each.

    Attributes
    ----------
    sequences : Sequences
    label : NDArray
        int64 ``[n]``: index into `classes`; none is unknown.
    classes : tuple of str
    """

    sequences: Sequences
    label: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.label)

    @property
    def names(self) -> NDArray[Any]:
        """Name of each sequence, str ``[n]``."""
        return self.sequences.names

    @property
    def unit(self) -> NDArray[np.int64]:
        """Group of each sequence, int64 ``[n]``: the unit of splits and of the bootstrap."""
        return self.sequences.group

    @property
    def measured(self) -> NDArray[np.bool_]:
        """True ``[n, 1]``: sequences have one modality."""
        return np.ones((len(self), 1), bool)

    @property
    def layout(self) -> int:
        """Length of the sequences, bp."""
        return self.sequences.length

    @property
    def inputs(self) -> NDArray[np.uint8]:
        """Sets of bases uint8 ``[n, L]``."""
        return self.sequences.codes

    def take(self, rows: Any) -> Labelled:
        """Return the sequences that an index array or a mask selects."""
        return replace(self, sequences=self.sequences.take(rows), label=self.label[rows])

    def only(self, modalities: Listing[str]) -> Labelled:
        """Return the same data, because sequences have only one modality."""
        return self

    def relabelled(self, label: NDArray[np.int64]) -> Labelled:
        """Return the same sequences with other labels."""
        return replace(self, label=label)

    def joined(self, others: Labelled) -> Labelled:
        """Append others of the same length, in groups of their own and without phenotypes."""
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
        label = np.concatenate([self.label, others.label])
        return replace(self, sequences=sequences, label=label)


class SequenceClassifier(Classifier[Labelled]):
    """A classifier of sequences that all have the same length.

    Attributes
    ----------
    reads_columns : bool
        True if each column has its own meaning, as in aligned sequences. Such a classifier does not
        give both strands the same answer, and does not find a motif wherever it lies.
    aligned_preset : str
        Preset for aligned sequences, if it is not the first one.
    has_encoder : bool
        True if the classifier can start from the encoder of a pre-trained run.
    motifs : tuple of Motif
        Motifs that the first layer starts from, if `has_filters`.
    """

    reads_columns: ClassVar[bool] = False
    aligned_preset: ClassVar[str] = ""
    has_encoder: ClassVar[bool] = False

    motifs: tuple[Motif, ...] = ()

    @property
    def length(self) -> int:
        """Length of the sequences that the model was fitted to, bp."""
        return self.layout or 0

    def fit(self, train: Labelled, setting: FitSettings, valid: Labelled | None = None) -> Fitted:
        """Fit to `train` and stop early by `valid`, which is required; see `Classifier.fit`."""
        if valid is None:
            raise ValueError("a classifier of sequences stops by a validation part")
        self.layout, self.classes = train.layout, train.classes
        return self._fit(train, valid, setting)

    @abstractmethod
    def _fit(self, train: Labelled, valid: Labelled, setting: FitSettings) -> Fitted:
        """Fit to `train` and stop early by `valid`; see `fit`."""

    def has_filters(self, length: int) -> bool:
        """Return True if the first layer of a network for `length` bases is filters of motifs."""
        return False

    @classmethod
    def has_gradient(cls) -> bool:
        """Return True if the model has `logits_of`, which attributions need."""
        return cls.logits_of is not SequenceClassifier.logits_of

    @classmethod
    def has_embedding(cls) -> bool:
        """Return True if the model has `embedding`."""
        return cls.embedding is not SequenceClassifier.embedding

    def embedding(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return embeddings float32 ``[n, d]`` of sets of bases uint8 ``[n, L]``.

        Raises
        ------
        NotImplementedError
            If the model has no embedding.
        """
        raise NotImplementedError

    def logits_of(self, p: Any) -> Any:
        """Return logits ``[B, K]`` from base probabilities, Tensor float32 ``[B, L, 4]``.

        The result is differentiable, in evaluation mode, as Integrated Gradients needs it.

        Raises
        ------
        NotImplementedError
            If the model has no gradient.
        """
        raise NotImplementedError

    def background(self) -> NDArray[np.float32] | None:
        """Return the mean composition of each training column ``[L, 4]``; None if not learned."""
        return None
