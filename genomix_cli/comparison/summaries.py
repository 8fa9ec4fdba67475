"""A comparison of models in numbers, as the tables, the report and JSON have them.

Letters: K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.clustering import Silhouette
from genomix_cli.comparison.intervals import NAN, Interval
from genomix_cli.comparison.metrics.multiclass import METRICS
from genomix_cli.comparison.tables import plain


@dataclass(frozen=True)
class Score:
    """Value of a metric of a model.

    Attributes
    ----------
    interval : Interval
        Value with the first seed, or the mean over repeats of folds, drawn over units.
    seed_mean, seed_sd : float
        Mean and SD over seeds; the SD is NaN for a single one.
    """

    interval: Interval
    seed_mean: float
    seed_sd: float


@dataclass(frozen=True)
class ClassScore:
    """Metrics of one class under a model.

    Attributes
    ----------
    name : str
    support : int
        Number of samples tested.
    metrics : dict of str to Interval
        ``precision``, ``recall``, ``f1``, ``auroc``, ``auprc`` against the rest.
    coverage : Interval
        Share of its samples whose prediction set holds it (Wilson).
    """

    name: str
    support: int
    metrics: dict[str, Interval]
    coverage: Interval


@dataclass(frozen=True)
class Comparison:
    """A model against another: the best baseline, or the most frequent class.

    The best baseline is chosen on the samples that it is judged on, which flatters it: a model that
    beats it would beat one chosen beforehand too. The interval does not know of that choice, nor of
    how many models were compared.

    Attributes
    ----------
    other : str
    metric : str
        Metric that gives the verdict.
    differences : dict of str to Interval
        This model less the other, for each metric.
    verdicts : dict of str to str
        For each metric that is weighed, the one asked for first: ``beats`` or ``below`` only where
        its interval excludes 0, else ``not told apart``.
    verdict : str
        All of them weighed; see `genomix_cli.comparison.words.weighed`.
    over_splits : dict of str to Interval
        Where folds are repeated, the differences of the metrics that are weighed once more, which
        the verdicts then go by: means over splits, with intervals that allow for other training
        sets too; see `genomix_cli.comparison.intervals.resampled_interval`.
    """

    other: str
    metric: str
    differences: dict[str, Interval]
    verdicts: dict[str, str]
    verdict: str
    over_splits: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class CeilingGap:
    """A model against the Bayes posterior of the modalities it saw.

    Attributes
    ----------
    modalities : tuple of str
    accuracy, nll : Interval
        Values of the Bayes rule on these samples.
    accuracy_gap, nll_gap : Interval
        Value of the model less that of the rule: at best 0 but for chance.
    leak : bool
        True if accuracy or log-likelihood is above the ceiling by more than chance allows: by the
        SD of the bootstrap, at 2.5 % over all models that are held against a ceiling (Bonferroni).
    """

    modalities: tuple[str, ...]
    accuracy: Interval
    nll: Interval
    accuracy_gap: Interval
    nll_gap: Interval
    leak: bool


@dataclass(frozen=True)
class Control:
    """A model that learned from shuffled labels, judged by those of the samples held out.

    Attributes
    ----------
    accuracy, balanced_accuracy : Interval
    majority : float
        Share of the largest class: what accuracy chance can reach.
    chance : float
        ``1 / K``: what balanced accuracy chance can reach.
    above : bool
        True if the interval of one of them is above that.
    """

    accuracy: Interval
    balanced_accuracy: Interval
    majority: float
    chance: float
    above: bool


@dataclass(frozen=True)
class SetSummary:
    """Coverage and size of conformal prediction sets.

    Attributes
    ----------
    level : float
        Promised share of samples whose set holds the right class.
    coverage : Interval
        Share that it does hold (Wilson).
    size : float
        Mean number of classes in a set.
    singletons : float
        Share of sets with one class.
    """

    level: float
    coverage: Interval
    size: float
    singletons: float


@dataclass(frozen=True)
class OutcomeResult:
    """Everything that the tables say of a model.

    Attributes
    ----------
    name, model : str
    modalities : tuple of str
    main : bool
    trials, parameters : int
    seconds : float
        Time of a fit without tuning, mean over folds.
    temperatures : tuple of float
        Temperature of each fold.
    converged : bool
        True if every fold did.
    metrics : dict of str to Score
    uncalibrated : dict of str to float
        ``nll`` and ``calibration_error`` before the temperature.
    floor : float
        Calibration error that chance alone would show, were the model perfectly calibrated.
    classes : tuple of ClassScore
    confusion : NDArray
        int64 ``[K, K]``: samples of a class (row) by predicted class.
    sets : SetSummary
    against_best : Comparison, optional
        None for the best baseline, and where there is none.
    against_majority : Comparison, optional
        None for the majority itself, and where it does not stand in the table.
    ceiling : CeilingGap, optional
    shuffled : Control, optional
    """

    name: str
    model: str
    modalities: tuple[str, ...]
    main: bool
    trials: int
    parameters: int
    seconds: float
    temperatures: tuple[float, ...]
    converged: bool
    metrics: dict[str, Score]
    uncalibrated: dict[str, float]
    floor: float
    classes: tuple[ClassScore, ...]
    confusion: NDArray[np.int64]
    sets: SetSummary
    against_best: Comparison | None = None
    against_majority: Comparison | None = None
    ceiling: CeilingGap | None = None
    shuffled: Control | None = None

    @property
    def above_majority(self) -> bool:
        """True if it is told apart from the most frequent class, or that is not in the table."""
        return self.against_majority is None or self.against_majority.verdict == "beats"


@dataclass(frozen=True)
class Alone:
    """One modality alone, beside the first model that was asked for, which saw several.

    Attributes
    ----------
    modality, by : str
        Its name, and that of the row of the table whose part it is.
    compared : Comparison
        The model of several modalities less this one.
    metrics : dict of str to Interval
        Of the metrics that are weighed.
    reaches : bool
        True if the model of several is not above it.
    """

    modality: str
    by: str
    compared: Comparison
    metrics: dict[str, Interval]
    reaches: bool


@dataclass(frozen=True)
class BatchCheck:
    """The same models judged on whole batches that were held out, where classes follow batches.

    Attributes
    ----------
    v : float
        Cramer's V of batches and classes, without its bias in small tables: 0 to 1.
    results : Results, optional
        None where a class would be left without a sample to learn from, or it was not `wanted`.
    wanted : bool
    """

    v: float
    results: Results | None
    wanted: bool = True


@dataclass(frozen=True)
class Results:
    """A study in numbers.

    Attributes
    ----------
    headline : str
        Sentence on the first model that was asked for, against the best baseline.
    warnings : tuple of str
        Sentences to read before the numbers.
    metric : str
        Metric that ranks the baselines and gives the verdicts.
    best : str, optional
        Name of the best baseline.
    data : str
    held_out_by : str
        Name of what a fold is.
    samples : int
        Number of samples tested.
    units : int
        Number of units of them that a bootstrap draws: patients, or what `unit_name` says.
    unit_name : str
    classes : tuple of str
    counts : tuple of int
        Number of samples tested of each class.
    seeds : tuple of int
    draws : int
        Number of draws of the bootstrap.
    outcomes : tuple of OutcomeResult
    alone : tuple of Alone
        Single modalities, the best first, where some model answers from each alone.
    silhouettes : tuple of Silhouette
        Of samples held out in the first fold, where the first model that was asked for makes
        vectors of them.
    batches : BatchCheck, optional
        Where random folds may have measured the batch.
    repeats : int
        Number of times that samples were divided into folds.
    """

    headline: str
    warnings: tuple[str, ...]
    metric: str
    best: str | None
    data: str
    held_out_by: str
    samples: int
    units: int
    unit_name: str
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    seeds: tuple[int, ...]
    draws: int
    outcomes: tuple[OutcomeResult, ...]
    alone: tuple[Alone, ...] = ()
    silhouettes: tuple[Silhouette, ...] = ()
    batches: BatchCheck | None = None
    repeats: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON: intervals as ``value``, ``low``, ``high``; NaN as null."""
        return plain(self)

    def rows(self) -> list[dict[str, Any]]:
        """Return a flat row per model, for a table; what does not apply is None."""
        rows = [_row(outcome) for outcome in self.outcomes]
        if self.batches is not None and self.batches.results is not None:
            for row, other in zip(rows, self.batches.results.outcomes, strict=True):
                for name, score in other.metrics.items():
                    row |= _cells(f"batches_{name}", score.interval)
                row |= _cells("batches_coverage", other.sets.coverage)
        return rows


def _row(outcome: OutcomeResult) -> dict[str, Any]:
    """Flat row of a model."""
    row: dict[str, Any] = {
        "name": outcome.name,
        "model": outcome.model,
        "modalities": "+".join(outcome.modalities),
        "main": outcome.main,
        "trials": outcome.trials,
        "parameters": outcome.parameters,
        "seconds": outcome.seconds,
        "temperature": float(np.mean(outcome.temperatures)) if outcome.temperatures else None,
    }
    for name, score in outcome.metrics.items():
        row |= _cells(name, score.interval)
        row |= {f"{name}_seed_mean": score.seed_mean, f"{name}_seed_sd": score.seed_sd}
    compared, ceiling, control = outcome.against_best, outcome.ceiling, outcome.shuffled
    row["best_baseline"] = compared and compared.other
    row["verdict"] = compared and compared.verdict
    for name in METRICS:
        row |= _cells(f"{name}_difference", compared.differences[name] if compared else NAN)
    row["leak"] = ceiling and ceiling.leak
    for name in ("accuracy", "nll", "accuracy_gap", "nll_gap"):
        row |= _cells(f"ceiling_{name}", getattr(ceiling, name) if ceiling else NAN)
    row |= _cells("shuffled_accuracy", control.accuracy if control else NAN)
    row |= _cells("coverage", outcome.sets.coverage)
    return row | {"set_size": outcome.sets.size}


def _cells(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
