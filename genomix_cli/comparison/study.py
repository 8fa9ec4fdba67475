"""Outcome of a contest of models: everything that the report and the tables need.

Letters: n samples, S seeds, M modalities, K classes, F outer folds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.clustering import Encoding
from genomix_cli.learning.task import Epoch

Floats = NDArray[np.float64]

#: Name of the row that every comparison has: what can be said without a look at the samples.
MAJORITY = "majority"


@dataclass(frozen=True)
class Fitted:
    """Report of a fit on itself.

    Attributes
    ----------
    parameters : int
        Numbers that were learned.
    curve : tuple of Epoch
        Empty for what does not learn in epochs.
    converged : bool
        False where it stopped at its limit while still improving.
    """

    parameters: int
    curve: tuple[Epoch, ...] = ()
    converged: bool = True


@dataclass(frozen=True)
class Wording:
    """Words of a domain in the report.

    Attributes
    ----------
    units : str
        Name of what a bootstrap draws, and folds keep together.
    about : str
        Sentences on the model, for its card.
    data : str
        Argument of ``genomix score``.
    answer : str
        Sentence on what ``genomix score`` writes.
    """

    units: str
    about: str
    data: str
    answer: str


@dataclass(frozen=True)
class FoldFit:
    """Report of the fit for one outer fold.

    Attributes
    ----------
    fold : str
        Name of the samples held out.
    chosen : dict
        Fields of the configuration that tuning chose, of the first seed.
    tuning_nll : float
        Negative log-likelihood of the chosen ones where they were tuned; NaN if nothing was.
    temperature : float
        Divisor of the logits, of the calibration that most items have.
    seconds : float
        Time of the last fit alone, without tuning.
    curve : tuple of Epoch
        Training curve of the last fit, for networks.
    converged : bool
    """

    fold: str
    chosen: dict[str, Any]
    tuning_nll: float
    temperature: float
    seconds: float
    curve: tuple[Epoch, ...] = ()
    converged: bool = True


class MeanAttention(NamedTuple):
    """Attention of modality (row) to modality, mean over the samples held out that have both.

    float32 ``[1 + K, M, M]`` each: of all classes, then of each; NaN where no sample has both.

    Attributes
    ----------
    mean : NDArray
    low, high : NDArray
        Ends of its 95 % interval over units.
    """

    mean: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]


@dataclass(frozen=True)
class Outcome:
    """A row of the table: one model on one set of modalities, judged on samples held out.

    Attributes
    ----------
    name : str
        As the table calls it: the model, and what sets it apart from others of that model.
    model : str
        Name in the registry.
    modalities : tuple of str
        Modalities that it saw.
    main : bool
        The model that was asked for; the others are what it is compared with.
    trials : int
        Number of configurations that were tried in each outer fold.
    parameters : int
        Number of parameters that were learned, in the last fold.
    probability : NDArray
        float64 ``[S, n, K]``: calibrated; NaN for samples that were never held out.
    uncalibrated : NDArray
        The same before the temperature.
    sets : NDArray
        bool ``[n, K]``: conformal prediction sets of the first seed.
    folds : tuple of FoldFit
    attention : MeanAttention, optional
        Its rows and columns are in the order of `modalities`.
    shuffled : NDArray, optional
        float64 ``[n, K]``: probability after training on shuffled labels, to be judged by
        `Study.shuffled_label`.
    alone : dict of str to NDArray
        float64 ``[n, K]`` for each modality that it has an answer from alone, of the first seed.
    """

    name: str
    model: str
    modalities: tuple[str, ...]
    main: bool
    trials: int
    parameters: int
    probability: Floats
    uncalibrated: Floats
    sets: NDArray[np.bool_]
    folds: tuple[FoldFit, ...]
    attention: MeanAttention | None = None
    shuffled: Floats | None = None
    alone: dict[str, Floats] = field(default_factory=dict)


class Encoded(NamedTuple):
    """Items held out in the first fold, as the first main model sees them.

    Folds have networks of their own, whose vectors cannot be compared.

    Attributes
    ----------
    rows : NDArray
        int64 ``[c]``: the items.
    encoding : Encoding
    """

    rows: NDArray[np.int64]
    encoding: Encoding


@dataclass(frozen=True)
class Importance:
    """Mean absolute attribution of a feature, over held-out samples of the first fold.

    Attributes
    ----------
    modality, feature : str
    importance : float
        Mean absolute attribution, in logits of the predicted class.
    driver : bool, optional
        True if the class or an interaction drives it; None where nothing was simulated.
    """

    modality: str
    feature: str
    importance: float
    driver: bool | None = None


@dataclass(frozen=True)
class Study:
    """A comparison of models on the same samples, folds and trials.

    Attributes
    ----------
    data : str
        Name of the file.
    wording : Wording
    names : NDArray
        str ``[n]``: samples with a label.
    classes : tuple of str
    label : NDArray
        int64 ``[n]``.
    shuffled_label : NDArray
        int64 ``[n]``: labels dealt anew among the samples, for the control.
    unit : NDArray
        int64 ``[n]``: unit that a bootstrap draws, such as a patient.
    fold : NDArray
        str ``[n]``: in which the sample was held out; empty if it never was. Of several repeats
        the first.
    tested : NDArray
        bool ``[n]``.
    held_out_by : str
        Name of what a fold is: ``stratified folds``, ``batches``, or the name of a file.
    level : float
        Share of samples that the prediction sets are to cover.
    calibration : str
        See `genomix_cli.comparison.rules.Rules`.
    seeds : tuple of int
        Where folds are repeated, one of each repeat.
    outcomes : tuple of Outcome
        The main ones first.
    ceilings : dict
        Bayes posterior float ``[n, K]`` for sets of modalities, where the truth is known.
    importances : tuple of Importance
        Attributions of the first main model, largest first; empty where it has no gradient.
    encoded : Encoded, optional
        None where the first model makes no vectors of items.
    driver_auprc : dict
        Modality to (AUPRC of attributions against planted drivers, share of drivers), simulated.
    settings : dict
        Plain data of the request.
    repeats : NDArray, optional
        str ``[S, n]``: `fold` with each seed, where samples were divided anew for each.
    """

    data: str
    wording: Wording
    names: NDArray[Any]
    classes: tuple[str, ...]
    label: NDArray[np.int64]
    shuffled_label: NDArray[np.int64]
    unit: NDArray[np.int64]
    fold: NDArray[Any]
    tested: NDArray[np.bool_]
    held_out_by: str
    level: float
    calibration: str
    seeds: tuple[int, ...]
    outcomes: tuple[Outcome, ...]
    ceilings: dict[tuple[str, ...], Floats] = field(default_factory=dict)
    importances: tuple[Importance, ...] = ()
    encoded: Encoded | None = None
    driver_auprc: dict[str, tuple[float, float]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    repeats: NDArray[Any] | None = None
