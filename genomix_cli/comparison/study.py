"""Outcome of a contest of models, with everything that the report and the tables need.

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

#: Name of the baseline row in every comparison: prediction without looking at the samples.
MAJORITY = "majority"


@dataclass(frozen=True)
class Fitted:
    """Summary that a classifier returns from a fit.

    Attributes
    ----------
    parameters : int
        Number of learned parameters.
    curve : tuple of Epoch
        Training curve; empty for models that do not learn in epochs.
    converged : bool
        False if the fit stopped at its limit while still improving.
    """

    parameters: int
    curve: tuple[Epoch, ...] = ()
    converged: bool = True


@dataclass(frozen=True)
class Wording:
    """Texts of a domain for the report.

    Attributes
    ----------
    units : str
        Plural noun for the units that a bootstrap draws and folds keep together.
    about : str
        Sentences about the model for its card.
    data : str
        Argument of ``genomix score``.
    answer : str
        Sentence about the output of ``genomix score``.
    """

    units: str
    about: str
    data: str
    answer: str


@dataclass(frozen=True)
class FoldFit:
    """Summary of the fit for one outer fold.

    Attributes
    ----------
    fold : str
        Name of the held-out samples.
    chosen : dict
        Configuration fields that tuning changed.
    tuning_nll : float
        Negative log-likelihood of the chosen configuration on the items it was tuned on; NaN
        without tuning.
    temperature : float
        Divisor of the logits in the calibration of the largest group of items.
    seconds : float
        Time of the first seed's final fit, without tuning.
    curve : tuple of Epoch
        Training curve of that fit; empty for models that do not learn in epochs.
    converged : bool
        False if that fit stopped at its limit while still improving.
    """

    fold: str
    chosen: dict[str, Any]
    tuning_nll: float
    temperature: float
    seconds: float
    curve: tuple[Epoch, ...] = ()
    converged: bool = True


class MeanAttention(NamedTuple):
    """Mean attention of each modality (row) to each (column) over held-out samples with both.

    Arrays are float32 ``[1 + K, M, M]``: all classes first, then each class. NaN where no sample
    has both modalities.

    Attributes
    ----------
    mean : NDArray
    low, high : NDArray
        Ends of the 95 % interval over units.
    """

    mean: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]


@dataclass(frozen=True)
class Outcome:
    """Outcome of one model on one set of modalities, judged on held-out samples.

    Attributes
    ----------
    name : str
        Name in the table: the model, and what distinguishes it from other rows of that model.
    model : str
        Name in the registry.
    modalities : tuple of str
        Modalities that the model saw.
    main : bool
        True for a model that the user asked for, False for a baseline.
    trials : int
        Number of configurations tried in each outer fold.
    parameters : int
        Number of learned parameters in the last fold.
    probability : NDArray
        float64 ``[S, n, K]``: calibrated probabilities; NaN for samples that were never held out.
    uncalibrated : NDArray
        float64 ``[S, n, K]``: probabilities before temperature scaling.
    sets : NDArray
        bool ``[n, K]``: conformal prediction sets of the first seed.
    folds : tuple of FoldFit
    attention : MeanAttention, optional
        Rows and columns are in the order of `modalities`.
    shuffled : NDArray, optional
        float64 ``[n, K]``: probabilities after training on shuffled labels, to compare with
        `Study.shuffled_label`.
    alone : dict of str to NDArray
        float64 ``[n, K]``: first-seed probabilities from one modality alone, by modality.
    kept : NDArray, optional
        bool ``[K]``: classes that no prediction set leaves out, because too few samples of them
        calibrated the model.
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
    kept: NDArray[np.bool_] | None = None


class Encoded(NamedTuple):
    """Features and vectors of the first model for items that the first fold holds out.

    Only one fold is kept: each fold has its own network, whose vectors are not comparable.

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
    """Mean absolute attribution of a feature over held-out samples of the first fold.

    Attributes
    ----------
    modality, feature : str
    importance : float
        Mean absolute attribution, in logits of the predicted class.
    driver : bool, optional
        True if the class or an interaction drives the feature; None for data that are not
        simulated.
    """

    modality: str
    feature: str
    importance: float
    driver: bool | None = None


@dataclass(frozen=True)
class Study:
    """A comparison of models on the same samples, folds and number of trials.

    Attributes
    ----------
    data : str
        Name of the data file.
    wording : Wording
    names : NDArray
        str ``[n]``: samples with a label.
    classes : tuple of str
    label : NDArray
        int64 ``[n]``.
    shuffled_label : NDArray
        int64 ``[n]``: labels permuted among the samples, for the control.
    unit : NDArray
        int64 ``[n]``: resampling unit of each sample, such as a patient.
    fold : NDArray
        str ``[n]``: fold that holds out the sample, in the first repeat; empty if it is never held
        out.
    tested : NDArray
        bool ``[n]``: True for samples that are held out in a fold.
    held_out_by : str
        Kind of fold: ``stratified folds``, ``batches``, or the name of a file.
    level : float
        Share of samples whose prediction set should hold the right class.
    calibration : str
        See `genomix_cli.comparison.rules.Rules`.
    seeds : tuple of int
        Seeds of the final fits; with repeated folds, one per repeat.
    outcomes : tuple of Outcome
        Main models first.
    ceilings : dict
        Bayes posterior, float ``[n, K]``, by tuple of modalities; empty if unknown.
    importances : tuple of Importance
        Attributions of the first main model, largest first; empty if it has no gradient.
    encoded : Encoded, optional
        None if the first model has no vectors of items.
    driver_auprc : dict
        For simulated data, (AUPRC of attributions against planted drivers, share of drivers) by
        modality.
    settings : dict
        Options of the request as plain data.
    repeats : NDArray, optional
        str ``[S, n]``: `fold` of each repeat; None if samples were divided only once.
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
