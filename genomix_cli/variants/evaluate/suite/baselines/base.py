"""Interface of a baseline, and the choice of its regularisation strength."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.intervals import FloatArray
from genomix_cli.comparison.metrics.binary import auroc, spearman
from genomix_cli.errors import from_extra
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.variants.evaluate.suite.peaks import Peaks

Rows = NDArray[np.int64]
#: Function that returns the scores of rows from their features.
Predict = Callable[[Any], FloatArray]


@dataclass(frozen=True)
class BaselineTask:
    """Rows for a baseline to learn from, and rows to score.

    Attributes
    ----------
    shard : Shard
    train, valid, test : NDArray
        int64: rows of the variant table; `train` and `valid` have only rows with a target.
    target : NDArray
        float64 ``[V]``, for the whole table: 0 or 1, or a quantity.
    is_label : bool
        True if the target is 0 or 1.
    peaks : Peaks, optional
    seed : int
    """

    shard: Shard
    train: Rows
    valid: Rows
    test: Rows
    target: FloatArray
    is_label: bool
    peaks: Peaks | None = None
    seed: int = 0


class Prediction(NamedTuple):
    """Scores of the test rows, float64 ``[n]``.

    Attributes
    ----------
    score : NDArray
    probability : NDArray or None
        Probability of label 1, if the baseline gives one.
    note : str
        Choices made by the baseline, for the report.
    """

    score: FloatArray
    probability: FloatArray | None = None
    note: str = ""


@dataclass(frozen=True)
class Baseline:
    """Simple predictor that a model should beat; registered in `VARIANT_BASELINES`.

    Attributes
    ----------
    predict : callable
        Maps a :class:`BaselineTask` to a :class:`Prediction`.
    description : str
        Inputs and learning method, for the report.
    learns : bool
        True if it needs training rows with different targets.
    reads_tracks, reads_peaks : bool
        True if it needs a shard with tracks, or peaks.
    """

    predict: Callable[[BaselineTask], Prediction]
    description: str
    learns: bool = True
    reads_tracks: bool = False
    reads_peaks: bool = False

    def can_predict(self, task: BaselineTask) -> bool:
        """Return True if the task has everything that the baseline needs."""
        return (
            (not self.learns or len(np.unique(task.target[task.train])) > 1)
            and (not self.reads_tracks or bool(task.shard.modalities))
            and (not self.reads_peaks or task.peaks is not None)
        )


def fit_tuned(
    task: BaselineTask,
    features: Callable[[Rows], Any],
    fit: Callable[[Any, FloatArray, float], Predict],
    strengths: Sequence[float],
    strength_name: str,
) -> Prediction:
    """Fit once per strength, and predict with the fit that is best on the validation rows.

    Parameters
    ----------
    task : BaselineTask
    features : callable
        Maps rows to their features.
    fit : callable
        Maps features, target and strength to a prediction function.
    strengths : sequence of float
        Candidates; the middle one is used without a validation part.
    strength_name : str
        Name of the strength, for the note.
    """
    x, y = features(task.train), task.target[task.train]
    valid_y = task.target[task.valid]
    tuned = len(np.unique(valid_y)) > 1
    if not tuned:
        strengths = [strengths[len(strengths) // 2]]
    fitted = [fit(x, y, strength) for strength in strengths]
    best = 0
    if tuned:
        quality = auroc if task.is_label else spearman
        valid_x = features(task.valid)
        best = int(np.argmax([quality(valid_y, predict(valid_x)) for predict in fitted]))
    score = fitted[best](features(task.test))
    note = f"{strength_name} {strengths[best]:g}{'' if tuned else ', not tuned'}"
    return Prediction(score, score if task.is_label else None, note)


def require_sklearn() -> None:
    """Raise MissingExtraError unless scikit-learn is installed."""
    with from_extra("scikit-learn", "cohorts"):
        import sklearn  # noqa: F401
