"""From a comparison of models to numbers: metrics, differences, ceilings, controls, in words too.

Every interval is 95 %, of a bootstrap over patients (or what else is one unit), of the first seed;
how much the seed changes is said beside it and never mixed into it. All models share the draws, so
differences are paired.

Letters: n samples tested, S seeds, K classes.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.bootstrap import Bootstrap
from genomix_cli.comparison.intervals import NAN, Interval, share_interval
from genomix_cli.comparison.metrics.multiclass import (
    CLASS_METRICS,
    METRICS,
    Replicates,
    calibration_floor,
    replicate,
)
from genomix_cli.comparison.study import Outcome, Study
from genomix_cli.provenance import atomic_path

MAIN, BALANCED = "accuracy", "balanced_accuracy"
DRAWS = 1_000
# Fewer draws where samples x models x classes are so many that intervals are narrow anyway.
LEAST_DRAWS, WORK = 200, 1e9
FEW_UNITS = 30
# What is above a ceiling by less is above it by the digits of a table.
ROUNDING = 1e-4
BEATS, LEVEL, BELOW = "beats", "not told apart", "below"


@dataclass(frozen=True)
class Score:
    """A metric of a model.

    Attributes
    ----------
    interval : Interval
        Of the first seed, over units.
    seed_mean, seed_sd : float
        Over seeds; the SD is NaN for a single one.
    """

    interval: Interval
    seed_mean: float
    seed_sd: float


@dataclass(frozen=True)
class ClassScore:
    """A class as a model sees it.

    Attributes
    ----------
    name : str
    support : int
        Samples tested.
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
    """A model against the best baseline.

    The best is chosen on the samples that it is judged on, which flatters it: a model that beats it
    would beat one chosen beforehand too. The interval does not know of that choice, nor of how many
    models were compared.

    Attributes
    ----------
    other : str
    metric : str
        That the verdict is by.
    differences : dict of str to Interval
        This model less the other, of each metric.
    verdict : str
        ``beats`` or ``below`` only where the interval of the main metric excludes 0, else ``not
        told apart``.
    """

    other: str
    metric: str
    differences: dict[str, Interval]
    verdict: str


@dataclass(frozen=True)
class CeilingGap:
    """A model against the Bayes posterior of the modalities it saw.

    Attributes
    ----------
    modalities : tuple of str
    accuracy, nll : Interval
        Of the Bayes rule on these samples.
    accuracy_gap, nll_gap : Interval
        Of the model less that of the rule: at best 0 but for chance.
    leak : bool
        Whether accuracy or log-likelihood is above the ceiling by more than chance allows: by the
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
        ``1 / K``: what balanced accuracy it can.
    above : bool
        Whether the interval of one is above that.
    """

    accuracy: Interval
    balanced_accuracy: Interval
    majority: float
    chance: float
    above: bool


@dataclass(frozen=True)
class SetSummary:
    """Conformal prediction sets.

    Attributes
    ----------
    level : float
        Promised share of samples whose set holds the right class.
    coverage : Interval
        That share (Wilson).
    size : float
        Mean number of classes in a set.
    singletons, empty : float
        Shares of sets with one class and with none.
    """

    level: float
    coverage: Interval
    size: float
    singletons: float
    empty: float


@dataclass(frozen=True)
class OutcomeResult:
    """Everything the table says of a model.

    Attributes
    ----------
    name, model : str
    modalities : tuple of str
    main : bool
    trials, parameters : int
    seconds : float
        Of a fit without tuning, mean over folds.
    temperatures : tuple of float
        Of each fold.
    converged : bool
        Whether every fold did.
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
    ceiling: CeilingGap | None = None
    shuffled: Control | None = None


@dataclass(frozen=True)
class Results:
    """A study in numbers.

    Attributes
    ----------
    headline : str
        Whether the first model that was asked for beats the best baseline.
    warnings : tuple of str
        What a reader must know before the numbers.
    metric : str
        By which baselines are ranked and verdicts given.
    best : str, optional
        Name of the best baseline.
    data : str
    samples : int
        Tested.
    units : int
        Of them, that a bootstrap draws: patients, or what `unit_name` says.
    unit_name : str
    classes : tuple of str
    counts : tuple of int
        Samples tested of each class.
    seeds : tuple of int
    draws : int
        Of the bootstrap.
    outcomes : tuple of OutcomeResult
    """

    headline: str
    warnings: tuple[str, ...]
    metric: str
    best: str | None
    data: str
    samples: int
    units: int
    unit_name: str
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    seeds: tuple[int, ...]
    draws: int
    outcomes: tuple[OutcomeResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: intervals as ``value``, ``low``, ``high``; NaN as null."""
        return plain(self)

    def rows(self) -> list[dict[str, Any]]:
        """A flat row per model, for a table; what does not apply is None."""
        return [_row(outcome) for outcome in self.outcomes]


class _Tested:
    """The samples of a study that were held out, and every model on the same draws of them."""

    def __init__(self, study: Study, metric: str, draws: int | None, seed: int) -> None:
        self.study, self.metric = study, metric
        rows = self.rows = study.tested
        self.label, self.unit = study.label[rows], study.unit[rows]
        self.first = [outcome.probability[0][rows] for outcome in study.outcomes]
        # The ceilings come after the models: modalities to place.
        self.place: dict[frozenset[str], int] = {}
        models = list(self.first)
        for modalities, posterior in study.ceilings.items():
            self.place[frozenset(modalities)] = len(models)
            models.append(np.asarray(posterior[rows], np.float64))
        work = len(self.label) * len(models) * len(study.classes)
        self.draws = int(np.clip(WORK / max(work, 1), LEAST_DRAWS, DRAWS))
        self.draws = self.draws if draws is None else draws
        self.found = replicate(self.label, models, Bootstrap(self.unit, self.draws, seed))
        wrong = {
            i: o.shuffled[rows] for i, o in enumerate(study.outcomes) if o.shuffled is not None
        }
        # Outcome to its place among those that learned from shuffled labels.
        self.shuffled = {i: place for place, i in enumerate(wrong)}
        if wrong:
            label, names = study.shuffled_label[rows], (MAIN, BALANCED)
            models = list(wrong.values())
            others = Bootstrap(self.unit, self.draws, seed, skip=self.draws)
            self.control = replicate(label, models, others, names)

    def ceiling(self, outcome: Outcome) -> int | None:
        """Place of the ceiling of what a model saw."""
        return self.place.get(frozenset(outcome.modalities))


def results(
    study: Study, metric: str = MAIN, *, draws: int | None = None, seed: int = 0
) -> Results:
    """Judge every model of a study.

    Parameters
    ----------
    study : Study
        `probability` finite for every sample tested.
    metric : str
        Of `genomix_cli.comparison.metrics.multiclass.METRICS`: ranks the baselines and gives
        verdicts.
        Accuracy is the one that the Bayes rule is a ceiling of.
    draws : int, optional
        Of the bootstrap; by default 1,000, or fewer for very large studies.
    seed : int
        Of the bootstrap.
    """
    tested = _Tested(study, metric, draws, seed)
    best = _best(tested)
    held = sum(tested.ceiling(outcome) is not None for outcome in study.outcomes)
    outcomes = tuple(_outcome(tested, i, best, held) for i in range(len(study.outcomes)))
    counts = np.bincount(tested.label, minlength=len(study.classes))
    units = len(np.unique(tested.unit))
    return Results(
        headline=_headline(outcomes, metric, None if best is None else outcomes[best]),
        warnings=tuple(_warnings(outcomes, units, counts, study)),
        metric=metric,
        best=None if best is None else study.outcomes[best].name,
        data=study.data,
        samples=len(tested.label),
        units=units,
        unit_name=study.wording.units,
        classes=study.classes,
        counts=tuple(map(int, counts)),
        seeds=study.seeds,
        draws=tested.draws,
        outcomes=outcomes,
    )


def _best(tested: _Tested) -> int | None:
    """Place of the baseline that is best by the main metric, the first of equals."""
    sign = 1 if METRICS[tested.metric].larger_is_better else -1
    value = tested.found.value[tested.metric]
    baselines = [i for i, outcome in enumerate(tested.study.outcomes) if not outcome.main]
    return max(baselines, key=lambda i: sign * np.nan_to_num(value[i], nan=-np.inf), default=None)


def _outcome(tested: _Tested, i: int, best: int | None, held: int) -> OutcomeResult:
    outcome, label = tested.study.outcomes[i], tested.label
    before = outcome.uncalibrated[0][tested.rows]
    compared = None if best is None or best == i else _compared(tested, i, best)
    return OutcomeResult(
        name=outcome.name,
        model=outcome.model,
        modalities=outcome.modalities,
        main=outcome.main,
        trials=outcome.trials,
        parameters=outcome.parameters,
        seconds=float(np.mean([fit.seconds for fit in outcome.folds])) if outcome.folds else np.nan,
        temperatures=tuple(fit.temperature for fit in outcome.folds),
        converged=all(fit.converged for fit in outcome.folds),
        metrics={name: _score(tested, i, name) for name in METRICS},
        uncalibrated={name: METRICS[name](label, before) for name in ("nll", "calibration_error")},
        floor=calibration_floor(tested.first[i]),
        classes=tuple(_class_scores(tested, i)),
        confusion=_confusion(label, tested.first[i]),
        sets=_sets(tested, outcome.sets[tested.rows]),
        against_best=compared,
        ceiling=_ceiling(tested, i, held),
        shuffled=_control(tested, i),
    )


def _score(tested: _Tested, i: int, name: str) -> Score:
    seeds = tested.study.outcomes[i].probability
    others = [METRICS[name](tested.label, p[tested.rows]) for p in seeds[1:]]
    interval = tested.found.interval(i, name)
    values = np.array([interval.value, *others])
    sd = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return Score(interval, float(values.mean()), sd)


def _class_scores(tested: _Tested, i: int) -> Sequence[ClassScore]:
    sets = tested.study.outcomes[i].sets[tested.rows]
    found = []
    for k, name in enumerate(tested.study.classes):
        own = tested.label == k
        metrics = {m: tested.found.class_interval(i, k, m) for m in CLASS_METRICS}
        found.append(ClassScore(name, int(own.sum()), metrics, share_interval(sets[own, k])))
    return found


def _confusion(label: NDArray[np.int64], probability: NDArray[np.float64]) -> NDArray[np.int64]:
    k = probability.shape[1]
    return np.bincount(label * k + probability.argmax(1), minlength=k * k).reshape(k, k)


def _sets(tested: _Tested, sets: NDArray[np.bool_]) -> SetSummary:
    size = sets.sum(1)
    covered = sets[np.arange(len(sets)), tested.label]
    return SetSummary(
        tested.study.level,
        share_interval(covered),
        float(size.mean()),
        float((size == 1).mean()),
        float((size == 0).mean()),
    )


def _compared(tested: _Tested, i: int, best: int) -> Comparison:
    differences = {name: tested.found.difference(i, best, name) for name in METRICS}
    name = tested.study.outcomes[best].name
    metric = tested.metric
    return Comparison(name, metric, differences, verdict(differences[metric], metric))


def verdict(difference: Interval, metric: str) -> str:
    """``beats`` or ``below`` only where the interval of a difference excludes 0.

    Parameters
    ----------
    difference : Interval
        Of the model less the other.
    metric : str
        Of `METRICS`: whether more of it is better.
    """
    better = difference.sign if METRICS[metric].larger_is_better else -difference.sign
    return {1: BEATS, 0: LEVEL, -1: BELOW}[better]


def _ceiling(tested: _Tested, i: int, held: int) -> CeilingGap | None:
    outcome = tested.study.outcomes[i]
    place = tested.ceiling(outcome)
    if place is None:
        return None
    found = tested.found
    return CeilingGap(
        outcome.modalities,
        found.interval(place, "accuracy"),
        found.interval(place, "nll"),
        found.difference(i, place, "accuracy"),
        found.difference(i, place, "nll"),
        leaks(found, i, place, held),
    )


def leaks(found: Replicates, model: int, ceiling: int, held: int) -> bool:
    """Whether a model is above its ceiling by more than chance allows; see :class:`CeilingGap`.

    Parameters
    ----------
    found : Replicates
    model, ceiling : int
        Their places.
    held : int
        Models that are held against a ceiling.
    """
    from statistics import NormalDist

    z = NormalDist().inv_cdf(1 - 0.025 / max(held, 1))
    for name in ("accuracy", "nll"):
        sign = 1 if METRICS[name].larger_is_better else -1
        above = sign * found.difference(model, ceiling, name).value
        spread = (found.draws[name][model] - found.draws[name][ceiling]).std()
        if found.draws[name].shape[1] > 1 and above > max(z * spread, ROUNDING):
            return True
    return False


def _control(tested: _Tested, i: int) -> Control | None:
    place = tested.shuffled.get(i)
    if place is None:
        return None
    found, label = tested.control, tested.study.shuffled_label[tested.rows]
    accuracy, balanced = (found.interval(place, m) for m in (MAIN, BALANCED))
    majority = float(np.bincount(label).max() / len(label))
    chance = 1 / len(np.unique(label))
    above = accuracy.low > majority or balanced.low > chance
    return Control(accuracy, balanced, majority, chance, above)


def _headline(outcomes: Sequence[OutcomeResult], metric: str, best: OutcomeResult | None) -> str:
    mains = [row.against_best for row in outcomes if row.main and row.against_best is not None]
    first = _first_against_best(outcomes, metric, best)
    if len(mains) < 2:
        return first
    above = sum(compared.verdict == BEATS for compared in mains)
    return f"{first} Of {len(mains)} models asked for, {above} beat it."


def _first_against_best(
    outcomes: Sequence[OutcomeResult], metric: str, best: OutcomeResult | None
) -> str:
    main = next((outcome for outcome in outcomes if outcome.main), None)
    if main is None:
        return "Nothing but baselines." if best is None else f"The best is {said(best, metric)}."
    if best is None or main.against_best is None:
        return f"{said(main, metric)}; there is no baseline to compare it with."
    difference = in_words(main.against_best.differences[metric], sign=True)
    other = said(best, metric)
    if main.against_best.verdict == BEATS:
        return f"{said(main, metric)} beats the best baseline, {other}: {difference}."
    if main.against_best.verdict == BELOW:
        return f"A simpler model wins: {other}, against {said(main, metric)}: {difference}."
    return (
        f"{said(main, metric)} and the best baseline, {other}, are not told apart: {difference}. "
        "These samples do not show that the more complex one is worth it."
    )


def said(outcome: OutcomeResult, metric: str) -> str:
    """A model and its value, as ``svm (accuracy 0.912)``."""
    value = outcome.metrics[metric].interval.value
    return f"{outcome.name} ({METRICS[metric].title} {value:.3f})"


def in_words(interval: Interval, sign: bool = False) -> str:
    """As ``0.912 [0.900, 0.924]``; with `sign` also of what is positive."""
    return interval.text(sign=sign)


def _warnings(
    outcomes: Sequence[OutcomeResult], units: int, counts: NDArray[np.int64], study: Study
) -> Sequence[str]:
    found = [
        f"{outcome.name} is above the Bayes ceiling of what it saw, which nothing can be: a leak"
        for outcome in outcomes
        if outcome.ceiling is not None and outcome.ceiling.leak
    ]
    found += [
        f"{outcome.name} is above chance after learning from shuffled labels: labels reach it "
        "some other way, or one shuffle in twenty or so was lucky (repeat with another seed)"
        for outcome in outcomes
        if outcome.shuffled is not None and outcome.shuffled.above
    ]
    if units < FEW_UNITS:
        found.append(f"only {units} {study.wording.units} were tested: the intervals are rough")
    few = [f"{c} ({n})" for c, n in zip(study.classes, counts, strict=True) if n < 10]
    if few:
        found.append(f"fewer than 10 samples were tested of {', '.join(few)}")
    stopped = [outcome.name for outcome in outcomes if not outcome.converged]
    if stopped:
        found.append(f"stopped at their limit while still improving: {', '.join(stopped)}")
    short = [outcome.name for outcome in outcomes if outcome.sets.coverage.high < study.level]
    if short:
        found.append(f"prediction sets cover less than {study.level:.0%}: {', '.join(short)}")
    return found


def plain(value: Any) -> Any:
    """Data that JSON can hold, in the order of the fields."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(item) for name, item in value._asdict().items()}
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _row(outcome: OutcomeResult) -> dict[str, Any]:
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


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path, *, force: bool = True) -> None:
    """Write rows as TSV; numbers with six digits, nothing for what is missing."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path, force=force) as draft, draft.open("w", newline="") as handle:
        table = csv.writer(handle, delimiter="\t", lineterminator="\n")
        table.writerow(names)
        table.writerows([_text(row.get(name)) for name in names] for row in rows)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)
