"""Numbers of a comparison of models, as shown in the tables, the report and JSON.

Letters: K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.clustering import Silhouette
from genomix_cli.comparison.intervals import BETTER, NAN, Interval
from genomix_cli.comparison.metrics.multiclass import METRICS
from genomix_cli.comparison.tables import plain


@dataclass(frozen=True)
class Score:
    """A metric of one model.

    Attributes
    ----------
    interval : Interval
        Value for the first seed, or mean over repeated folds, with its bootstrap interval over
        units.
    seed_mean, seed_sd : float
        Mean and SD over seeds; the SD is NaN for a single seed.
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
        Number of tested samples of the class.
    metrics : dict of str to Interval
        ``precision``, ``recall``, ``f1``, ``auroc``, ``auprc`` of the class against the rest.
    coverage : Interval
        Share of the class's samples whose prediction set holds it, with Wilson's interval.
    """

    name: str
    support: int
    metrics: dict[str, Interval]
    coverage: Interval


@dataclass(frozen=True)
class Comparison:
    """Comparison of a model with the best baseline or with the most frequent class.

    The best baseline is chosen on the samples that it is judged on, which favours the baseline: a
    model better than it would also be better than one chosen beforehand. The interval accounts
    neither for this choice nor for the number of models compared.

    Attributes
    ----------
    other : str
    metric : str
        Metric that the user asked for.
    differences : dict of str to Interval
        This model minus the other, by metric.
    verdicts : dict of str to str
        Verdict by metric of the verdict, with `metric` first: ``better`` or ``worse`` only if the
        interval excludes 0, else ``no significant difference``.
    verdict : str
        Verdict over these metrics; see `genomix_cli.comparison.words.weighed`.
    over_splits : dict of str to Interval
        With repeated folds, mean differences over splits by metric of the verdict. The verdicts
        then use these, since their intervals also allow for variation of the training set; see
        `genomix_cli.comparison.intervals.resampled_interval`.
    """

    other: str
    metric: str
    differences: dict[str, Interval]
    verdicts: dict[str, str]
    verdict: str
    over_splits: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class CeilingGap:
    """Comparison of a model with the Bayes posterior given the modalities that it saw.

    Attributes
    ----------
    modalities : tuple of str
    accuracy, nll : Interval
        Values of the Bayes rule on these samples.
    accuracy_gap, nll_gap : Interval
        Value of the model minus that of the Bayes rule; at best 0, apart from chance.
    leak : bool
        True if accuracy or log-likelihood is above the ceiling by more than chance allows: a normal
        test with the bootstrap SD at 2.5 %, Bonferroni-corrected for the number of models that are
        compared with a ceiling.
    """

    modalities: tuple[str, ...]
    accuracy: Interval
    nll: Interval
    accuracy_gap: Interval
    nll_gap: Interval
    leak: bool


@dataclass(frozen=True)
class Control:
    """Negative control: a model trained on shuffled labels, judged by shuffled held-out labels.

    Attributes
    ----------
    accuracy, balanced_accuracy, auroc : Interval
        AUROC also shows a leak in a model that always names the largest class.
    majority : float
        Share of the largest class: the accuracy that chance can reach.
    chance : float
        ``1 / K``: the balanced accuracy that chance can reach.
    above : bool
        True if the interval of a metric is above chance.
    """

    accuracy: Interval
    balanced_accuracy: Interval
    auroc: Interval
    majority: float
    chance: float
    above: bool


@dataclass(frozen=True)
class SetSummary:
    """Coverage and size of conformal prediction sets.

    Attributes
    ----------
    level : float
        Nominal share of samples whose set holds the right class.
    coverage : Interval
        Observed share, with Wilson's interval.
    size : float
        Mean number of classes in a set.
    singletons : float
        Share of sets with one class.
    always : tuple of str
        Classes that are in every set, because too few samples of them calibrated the model.
    """

    level: float
    coverage: Interval
    size: float
    singletons: float
    always: tuple[str, ...] = ()


@dataclass(frozen=True)
class OutcomeResult:
    """All numbers of one model.

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
        True if the fit of every fold converged.
    metrics : dict of str to Score
    uncalibrated : dict of str to float
        ``nll`` and ``calibration_error`` before temperature scaling.
    floor : float
        Calibration error that a perfectly calibrated model would have by chance.
    classes : tuple of ClassScore
    confusion : NDArray
        int64 ``[K, K]``: number of samples by true class (row) and predicted class (column).
    sets : SetSummary
    against_best : Comparison, optional
        None for the best baseline itself, and if there is no baseline.
    against_majority : Comparison, optional
        None for the majority itself, and if the table does not include it.
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
        """True if the model is better than the most frequent class, or that is not in the table."""
        return self.against_majority is None or self.against_majority.verdict == BETTER


@dataclass(frozen=True)
class Alone:
    """Comparison of the first main model, which saw several modalities, with one modality alone.

    Attributes
    ----------
    modality : str
    by : str
        Name of the table row whose single-modality part makes the predictions.
    compared : Comparison
        The main model minus the single modality.
    metrics : dict of str to Interval
        Metrics of the verdict for the single modality.
    reaches : bool
        True if the main model is not better than the single modality.
    """

    modality: str
    by: str
    compared: Comparison
    metrics: dict[str, Interval]
    reaches: bool


@dataclass(frozen=True)
class BatchCheck:
    """Results of the same models with whole batches held out, for classes that follow batches.

    Attributes
    ----------
    v : float
        Bias-corrected Cramer's V of batches and classes, 0 to 1.
    results : Results, optional
        None if a class would have no sample left to learn from, or if `wanted` is False.
    wanted : bool
        False if the user declined the check.
    """

    v: float
    results: Results | None
    wanted: bool = True


@dataclass(frozen=True)
class Results:
    """All numbers of a study.

    Attributes
    ----------
    headline : str
        Sentences that compare the first main model with the best baseline.
    warnings : tuple of str
        Sentences to read before the numbers.
    metric : str
        Metric that ranks the baselines and gives the verdicts.
    best : str, optional
        Name of the best baseline.
    data : str
    held_out_by : str
        Kind of fold.
    samples : int
        Number of tested samples.
    units : int
        Number of resampling units of the tested samples.
    unit_name : str
        Plural noun for the units, such as ``patients``.
    classes : tuple of str
    counts : tuple of int
        Number of tested samples of each class.
    seeds : tuple of int
    draws : int
        Number of bootstrap draws.
    outcomes : tuple of OutcomeResult
    alone : tuple of Alone
        Comparisons with single modalities, the best modality first; empty if no model predicts from
        single modalities.
    silhouettes : tuple of Silhouette
        Silhouettes of samples that the first fold holds out; empty if the first main model has no
        vectors of them.
    batches : BatchCheck, optional
        Results with whole batches held out, if random folds may have measured the batch.
    repeats : int
        Number of times that the samples were divided into folds.
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
        """Return one flat row per model for a table; None for cells that do not apply."""
        rows = [_row(outcome) for outcome in self.outcomes]
        if self.batches is not None and self.batches.results is not None:
            for row, other in zip(rows, self.batches.results.outcomes, strict=True):
                for name, score in other.metrics.items():
                    row |= _cells(f"batches_{name}", score.interval)
                row |= _cells("batches_coverage", other.sets.coverage)
        return rows


def _row(outcome: OutcomeResult) -> dict[str, Any]:
    """Return the flat row of a model."""
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
