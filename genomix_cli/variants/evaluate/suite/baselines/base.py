"""What a baseline is given and gives, and how its strength is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.metrics.binary import auroc, spearman
from genomix_cli.errors import MissingExtraError
from genomix_cli.formats.genome_shard import Shard
from genomix_cli.variants.evaluate.suite.peaks import Peaks

FloatArray = NDArray[np.float64]
Rows = NDArray[np.int64]
#: Scores of rows, from features of them.
Predict = Callable[[Any], FloatArray]


@dataclass(frozen=True)
class BaselineTask:
    """What a baseline learns from, and what it is asked.

    Attributes
    ----------
    shard : Shard
    train, valid, test : NDArray
        int64: rows of the variant table; of the first two those with a target.
    target : NDArray
        float64 ``[V]``, of the whole table: 0 or 1, or a quantity.
    is_label : bool
        Whether it is 0 or 1.
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
        Where the baseline gives one.
    note : str
        What was chosen.
    """

    score: FloatArray
    probability: FloatArray | None = None
    note: str = ""


def fit_tuned(
    task: BaselineTask,
    features: Callable[[Rows], Any],
    fit: Callable[[Any, FloatArray, float], Predict],
    strengths: Sequence[float],
    what: str,
) -> Prediction:
    """Fit once per strength, and predict with the one that is best on the validation part.

    Parameters
    ----------
    task : BaselineTask
    features : callable
        Of rows.
    fit : callable
        Features, target and strength to a function that predicts.
    strengths : sequence of float
        The middle one serves where there is no validation part.
    what : str
        Name of the strength, for the note.
    """
    x, y = features(task.train), task.target[task.train]
    held, truth = task.valid, task.target[task.valid]
    tuned = len(np.unique(truth)) > 1
    if not tuned:
        strengths = [strengths[len(strengths) // 2]]
    fitted = [fit(x, y, strength) for strength in strengths]
    best = 0
    if tuned:
        quality = auroc if task.is_label else spearman
        seen = features(held)
        best = int(np.argmax([quality(truth, predict(seen)) for predict in fitted]))
    score = fitted[best](features(task.test))
    note = f"{what} {strengths[best]:g}{'' if tuned else ', not tuned'}"
    return Prediction(score, score if task.is_label else None, note)


def require_sklearn() -> None:
    """Refuse to go on without scikit-learn.

    Raises
    ------
    MissingExtraError
    """
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "cohorts") from error
