"""Numbers of a comparison of models: metrics, differences, ceilings and controls.

Every interval is a 95 % bootstrap interval over patients (or another unit) for the first seed.
Variation between seeds is reported separately, never mixed into the interval. All models share the
draws, so differences are paired. With repeated folds, a metric is the mean over the repeats, and a
draw has the same patients in every repeat: a patient counts once however often predicted.

Letters: n samples tested, S seeds, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison import summaries
from genomix_cli.comparison.bootstrap import Bootstrap
from genomix_cli.comparison.clustering import Silhouette, silhouettes
from genomix_cli.comparison.intervals import (
    BETTER,
    NAN,
    Interval,
    resampled_interval,
    share_interval,
)
from genomix_cli.comparison.metrics import multiclass
from genomix_cli.comparison.metrics.multiclass import METRICS, Replicates
from genomix_cli.comparison.study import MAJORITY, Outcome, Study
from genomix_cli.comparison.summaries import Results
from genomix_cli.comparison.words import (
    NONE_BETTER,
    NOT_ABOVE,
    headline,
    no_better_than,
    verdict,
    warnings,
    weighed,
    weighed_metrics,
)

MAIN, BALANCED, AUROC = "accuracy", "balanced_accuracy", "auroc"
DRAWS = 1_000
# Fewer draws for many samples x models x classes, where intervals are narrow anyway.
LEAST_DRAWS, WORK = 200, 1e9
# An excess over a ceiling below this is due to rounding in a table.
ROUNDING = 1e-4


class _Tested:
    """Held-out samples of a study, and the metrics of every model on the same bootstrap draws."""

    def __init__(self, study: Study, metric: str, draws: int | None, seed: int) -> None:
        self.study, self.metric = study, metric
        rows = self.rows = study.tested
        self.label, self.unit = study.label[rows], study.unit[rows]
        self.first = [outcome.probability[0][rows] for outcome in study.outcomes]
        # Judge the first seed; with repeats, judge all of them and average their metrics.
        repeats = 1 if study.repeats is None else len(study.repeats)
        models = [p[rows] for each in study.outcomes for p in each.probability[:repeats]]
        counts = [repeats] * len(study.outcomes)
        # Index of the ceiling of a set of modalities; ceilings come after the models.
        self.index: dict[frozenset[str], int] = {}
        for modalities, posterior in study.ceilings.items():
            self.index[frozenset(modalities)] = len(counts)
            models.append(np.asarray(posterior[rows], np.float64))
            counts.append(1)
        work = len(self.label) * len(models) * len(study.classes)
        self.draws = int(np.clip(WORK / max(work, 1), LEAST_DRAWS, DRAWS))
        self.draws = self.draws if draws is None else draws
        self.replicates = multiclass.replicate(
            self.label, models, Bootstrap(self.unit, self.draws, seed)
        ).averaged(counts)
        wrong = {
            i: o.shuffled[rows] for i, o in enumerate(study.outcomes) if o.shuffled is not None
        }
        # Index of an outcome among those that learned from shuffled labels.
        self.shuffled = {i: index for index, i in enumerate(wrong)}
        if wrong:
            label, names = study.shuffled_label[rows], (MAIN, BALANCED, AUROC)
            models = list(wrong.values())
            others = Bootstrap(self.unit, self.draws, seed, skip=self.draws)
            self.control = multiclass.replicate(label, models, others, names)

    def over_splits(self, i: int, other: int, metric: str) -> Interval | None:
        """Return a difference of two models over repeated folds; None without repeats."""
        study = self.study
        if study.repeats is None:
            return None
        value, differences, sizes = METRICS[metric], [], []
        both = (study.outcomes[i].probability, study.outcomes[other].probability)
        for fold, own, its in zip(study.repeats, *both, strict=True):
            for name in np.unique(fold[fold != ""]):
                rows = fold == name
                label = study.label[rows]
                differences.append(value(label, own[rows]) - value(label, its[rows]))
                sizes.append(int(rows.sum()))
        held_out = float(np.mean(sizes)) / (len(self.label) - float(np.mean(sizes)))
        return resampled_interval(np.array(differences), held_out)

    def ceiling(self, outcome: Outcome) -> int | None:
        """Return the index of the ceiling for the modalities that a model saw; None if unknown."""
        return self.index.get(frozenset(outcome.modalities))


def results(
    study: Study, metric: str = MAIN, *, draws: int | None = None, seed: int = 0
) -> Results:
    """Return the metrics, differences, ceilings and controls of every model of a study.

    Parameters
    ----------
    study : Study
        Its probabilities must be finite for every tested sample.
    metric : str
        One of `genomix_cli.comparison.metrics.multiclass.METRICS`. It ranks the baselines and is
        the first metric of a verdict. The Bayes rule is a ceiling of accuracy.
    draws : int, optional
        Number of bootstrap draws; by default 1,000, or fewer for very large studies.
    seed : int
        Seed of the bootstrap.
    """
    tested = _Tested(study, metric, draws, seed)
    best = _best(tested)
    held = sum(tested.ceiling(outcome) is not None for outcome in study.outcomes)
    outcomes = tuple(_outcome(tested, i, best, held) for i in range(len(study.outcomes)))
    alone = _alone(tested, outcomes, seed)
    counts = np.bincount(tested.label, minlength=len(study.classes))
    units = len(np.unique(tested.unit))
    return Results(
        headline=headline(outcomes, metric, None if best is None else outcomes[best])
        + no_better_than(alone, next((row.name for row in outcomes if row.main), "")),
        warnings=tuple(warnings(outcomes, units, counts, study)),
        metric=metric,
        best=None if best is None else study.outcomes[best].name,
        data=study.data,
        held_out_by=study.held_out_by,
        samples=len(tested.label),
        units=units,
        unit_name=study.wording.units,
        classes=study.classes,
        counts=tuple(map(int, counts)),
        seeds=study.seeds,
        repeats=1 if study.repeats is None else len(study.repeats),
        draws=tested.draws,
        outcomes=outcomes,
        alone=alone,
        silhouettes=_silhouettes(study, seed),
    )


def _silhouettes(study: Study, seed: int) -> tuple[Silhouette, ...]:
    """Return silhouettes of the classes in the first model's inputs and vectors, if it has any."""
    if study.encoded is None:
        return ()
    rows, encoding = study.encoded
    return silhouettes(encoding, study.label[rows], study.unit[rows], study.classes, seed)


def _alone(
    tested: _Tested, outcomes: Sequence[summaries.OutcomeResult], seed: int
) -> tuple[summaries.Alone, ...]:
    """Return the comparison of the first main model with each modality alone.

    Empty if that model is not above the majority or saw a single modality. Predictions from single
    modalities come from the first model that has such parts, such as `best-single`.
    """
    main = next((i for i, outcome in enumerate(tested.study.outcomes) if outcome.main), None)
    whole = next((outcome for outcome in tested.study.outcomes if outcome.alone), None)
    if main is None or whole is None or not outcomes[main].above_majority:
        return ()
    if len(outcomes[main].modalities) < 2:
        return ()
    # Use the same draws as for all models, so that differences are paired.
    bootstrap = Bootstrap(tested.unit, tested.draws, seed)
    weigh = weighed_metrics(tested.metric)
    parts = [values[tested.rows] for values in whole.alone.values()]
    own = multiclass.replicate(tested.label, parts, bootstrap, weigh)
    found = []
    for j, name in enumerate(whole.alone):
        both = Replicates(
            {m: np.stack([tested.replicates.of_all[m][main], own.of_all[m][j]]) for m in weigh},
            {},
        )
        differences = {m: both.difference(0, 1, m) for m in weigh}
        verdicts = {m: verdict(differences[m], m) for m in weigh}
        compared = summaries.Comparison(
            name, tested.metric, differences, verdicts, weighed(verdicts)
        )
        metrics = {m: both.interval(1, m) for m in weigh}
        found.append(
            summaries.Alone(name, whole.name, compared, metrics, compared.verdict != BETTER)
        )
    sign = 1 if METRICS[tested.metric].larger_is_better else -1
    return tuple(sorted(found, key=lambda each: -sign * each.metrics[tested.metric].value))


def _best(tested: _Tested) -> int | None:
    """Return the index of the best baseline by the main metric; of equals, the smallest.

    The most frequent class is returned only if there is no other baseline.
    """
    outcomes = tested.study.outcomes
    sign = 1 if METRICS[tested.metric].larger_is_better else -1
    value = tested.replicates.of_all[tested.metric][:, 0]

    def rank(i: int) -> tuple[bool, float, int]:
        score = sign * value[i] if np.isfinite(value[i]) else -np.inf
        return outcomes[i].model != MAJORITY, float(score), -outcomes[i].parameters

    baselines = (i for i, outcome in enumerate(outcomes) if not outcome.main)
    return max(baselines, key=rank, default=None)


def _outcome(tested: _Tested, i: int, best: int | None, held: int) -> summaries.OutcomeResult:
    outcome, label = tested.study.outcomes[i], tested.label
    before = outcome.uncalibrated[0][tested.rows]
    majority = next((j for j, o in enumerate(tested.study.outcomes) if o.model == MAJORITY), i)
    against_majority = None if majority == i else _compared(tested, i, majority)
    compared = None if best is None or best == i else _compared(tested, i, best)
    # A model that is not above the most frequent class is never called better than another.
    if compared and against_majority and against_majority.verdict != BETTER:
        compared = replace(compared, verdict=NOT_ABOVE)
    if compared and majority == i and outcome.model == MAJORITY and compared.verdict == BETTER:
        compared = replace(compared, verdict=NONE_BETTER)
    return summaries.OutcomeResult(
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
        floor=multiclass.calibration_floor(tested.first[i]),
        classes=class_scores(
            tested.replicates,
            i,
            tested.study.classes,
            label,
            tested.unit,
            outcome.sets[tested.rows],
        ),
        confusion=confusion(label, tested.first[i]),
        sets=_sets(tested, outcome),
        against_best=compared,
        against_majority=against_majority,
        ceiling=_ceiling(tested, i, held),
        shuffled=_control(tested, i),
    )


def _score(tested: _Tested, i: int, name: str) -> summaries.Score:
    seeds = tested.study.outcomes[i].probability
    values = np.array([METRICS[name](tested.label, p[tested.rows]) for p in seeds])
    interval = tested.replicates.interval(i, name)
    sd = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return summaries.Score(interval, float(values.mean()), sd)


def class_scores(
    replicates: Replicates,
    model: int,
    names: Sequence[str],
    label: NDArray[np.int64],
    unit: NDArray[np.int64],
    sets: NDArray[np.bool_] | None,
) -> tuple[summaries.ClassScore, ...]:
    """Return the metrics of each class under a model, and the coverage of its prediction sets."""
    scores = []
    for k, name in enumerate(names):
        own = label == k
        metrics = {
            metric: replicates.class_interval(model, k, metric)
            for metric in multiclass.CLASS_METRICS
        }
        coverage = NAN if sets is None else share_interval(sets[own, k], unit[own])
        scores.append(summaries.ClassScore(name, int(own.sum()), metrics, coverage))
    return tuple(scores)


def confusion(label: NDArray[np.int64], probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return sample counts by true class (row) and predicted class (column), int64 ``[K, K]``."""
    k = probability.shape[1]
    return np.bincount(label * k + probability.argmax(1), minlength=k * k).reshape(k, k)


def _sets(tested: _Tested, outcome: Outcome) -> summaries.SetSummary:
    sets = outcome.sets[tested.rows]
    size, kept = sets.sum(1), () if outcome.kept is None else np.flatnonzero(outcome.kept)
    covered = sets[np.arange(len(sets)), tested.label]
    return summaries.SetSummary(
        tested.study.level,
        share_interval(covered, tested.unit),
        float(size.mean()),
        float((size == 1).mean()),
        tuple(tested.study.classes[k] for k in kept),
    )


def _compared(tested: _Tested, i: int, best: int) -> summaries.Comparison:
    differences = {name: tested.replicates.difference(i, best, name) for name in METRICS}
    name, metric = tested.study.outcomes[best].name, tested.metric
    splits = {each: tested.over_splits(i, best, each) for each in weighed_metrics(metric)}
    over_splits = {each: interval for each, interval in splits.items() if interval is not None}
    weigh = {each: over_splits.get(each, differences[each]) for each in splits}
    verdicts = {each: verdict(interval, each) for each, interval in weigh.items()}
    return summaries.Comparison(name, metric, differences, verdicts, weighed(verdicts), over_splits)


def _ceiling(tested: _Tested, i: int, held: int) -> summaries.CeilingGap | None:
    outcome = tested.study.outcomes[i]
    index = tested.ceiling(outcome)
    if index is None:
        return None
    replicates = tested.replicates
    return summaries.CeilingGap(
        outcome.modalities,
        replicates.interval(index, "accuracy"),
        replicates.interval(index, "nll"),
        replicates.difference(i, index, "accuracy"),
        replicates.difference(i, index, "nll"),
        leaks(replicates, i, index, held),
    )


def leaks(replicates: Replicates, model: int, ceiling: int, held: int) -> bool:
    """Return True if a model is above its ceiling by more than chance allows; see `CeilingGap`.

    Parameters
    ----------
    replicates : Replicates
    model, ceiling : int
        Index of each in `replicates`.
    held : int
        Number of models that are compared with a ceiling, for the Bonferroni correction.
    """
    from statistics import NormalDist

    z = NormalDist().inv_cdf(1 - 0.025 / max(held, 1))
    for name in ("accuracy", "nll"):
        sign = 1 if METRICS[name].larger_is_better else -1
        above = sign * replicates.difference(model, ceiling, name).value
        gaps = replicates.of_all[name][model, 1:] - replicates.of_all[name][ceiling, 1:]
        if len(gaps) > 1 and above > max(z * gaps.std(), ROUNDING):
            return True
    return False


def _control(tested: _Tested, i: int) -> summaries.Control | None:
    index = tested.shuffled.get(i)
    if index is None:
        return None
    replicates, label = tested.control, tested.study.shuffled_label[tested.rows]
    accuracy, balanced, auroc = (replicates.interval(index, m) for m in (MAIN, BALANCED, AUROC))
    majority = float(np.bincount(label).max() / len(label))
    chance = 1 / len(np.unique(label))
    above = accuracy.low > majority or balanced.low > chance or auroc.low > 0.5
    return summaries.Control(accuracy, balanced, auroc, majority, chance, above)
