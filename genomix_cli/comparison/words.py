"""Sentences about a comparison of models: the verdict, the headline and the warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.bootstrap import few_units
from genomix_cli.comparison.intervals import BETTER, COMPARES, LEVEL, WORSE, Interval
from genomix_cli.comparison.metrics.multiclass import METRICS
from genomix_cli.comparison.study import MAJORITY, Study
from genomix_cli.comparison.summaries import Alone, BatchCheck, Comparison, OutcomeResult, Results
from genomix_cli.learning.conformal import fewest

FEW_UNITS = 30
MIXED = "metrics disagree"
NOT_ABOVE = f"not better than {MAJORITY}"
# Verdict of the majority itself when it has the best value.
NONE_BETTER = "no baseline is better"
MOST_FREQUENT = "always predicting the most frequent class"
#: Metrics of a verdict beside the one that the user asked for: correctness, ranking, and quality of
#: the probabilities.
WEIGHED = ("accuracy", "auroc", "nll")


def weighed_metrics(metric: str) -> tuple[str, ...]:
    """Return the metrics of a verdict, starting with the one that the user asked for."""
    return (metric, *(name for name in WEIGHED if name != metric))


def verdict(difference: Interval, metric: str) -> str:
    """Return `BETTER` or `WORSE` if the interval excludes 0, else `LEVEL`.

    Parameters
    ----------
    difference : Interval
        The model minus the other.
    metric : str
        One of `METRICS`, which say whether larger values are better.
    """
    better = difference.sign if METRICS[metric].larger_is_better else -difference.sign
    return {1: BETTER, 0: LEVEL, -1: WORSE}[better]


def weighed(verdicts: Mapping[str, str]) -> str:
    """Return one verdict from several metrics, of which the user asked for the first.

    The verdict is that of the first metric, or of two other metrics that agree. If any metric says
    the opposite, the verdict is `MIXED`. A single other metric gives no verdict, though the
    headline mentions it: of 400 simulated pairs of equal models this rule distinguishes 26,
    accuracy alone 14, and any of the three metrics 38.

    Parameters
    ----------
    verdicts : mapping of str to str
        Metric to `BETTER`, `WORSE` or `LEVEL`.
    """
    first, *others = verdicts.values()
    found = {word for word in (BETTER, WORSE) if first == word or others.count(word) > 1}
    if found and {BETTER, WORSE} <= {first, *others}:
        return MIXED
    return found.pop() if found else LEVEL


def headline(outcomes: Sequence[OutcomeResult], metric: str, best: OutcomeResult | None) -> str:
    """Return sentences that compare the first main model with the best baseline."""
    mains = [row.against_best for row in outcomes if row.main and row.against_best is not None]
    first = _first_model(outcomes, metric, best)
    if len(mains) < 2:
        return first
    better = sum(compared.verdict == BETTER for compared in mains)
    verb = "is" if better == 1 else "are"
    return (
        f"{first} Of {len(mains)} requested models, {better} {verb} better than {mains[0].other}."
    )


def _first_model(outcomes: Sequence[OutcomeResult], metric: str, best: OutcomeResult | None) -> str:
    main = next((outcome for outcome in outcomes if outcome.main), None)
    if main is None:
        return "No models." if best is None else f"The best baseline is {said(best, metric)}."
    compared = main.against_best
    if best is None or compared is None:
        return f"{said(main, metric)}; there is no baseline to compare it with."
    if best.name == MAJORITY or not main.above_majority:
        return _against_majority(main, best, metric)
    this, other = said(main, metric), f"the best baseline, {said(best, metric)}"
    if compared.verdict == BETTER:
        text = f"{this} {COMPARES[1]} {other}: {_by(compared, BETTER)}."
        return f"{text}{_undecided(compared)}"
    if compared.verdict == WORSE:
        text = f"{this} {COMPARES[-1]} {other}{_size(best, main)}: {_by(compared, WORSE)}."
        return f"{text}{_undecided(compared)}"
    if compared.verdict == MIXED:
        return (
            f"Metrics disagree about {this} and {other}: {main.name} has better "
            f"{_by(compared, BETTER)}, but worse {_by(compared, WORSE)}."
        )
    level = f"{this} {COMPARES[0]} {other}: {_by(compared, LEVEL)}."
    return f"{level}{_alone(main.name, compared)}{_which(main, best)}"


def _against_majority(main: OutcomeResult, best: OutcomeResult, metric: str) -> str:
    """Return sentences about a model that is not above the majority or has no other baseline."""
    compared = main.against_majority
    assert compared is not None
    this = said(main, metric)
    told = ", ".join(_difference(compared, name) for name in compared.verdicts)
    if compared.verdict == BETTER:
        text = f"{this} {COMPARES[1]} {MOST_FREQUENT}: {_by(compared, BETTER)}."
        return f"{text} It was compared with nothing else."
    others = ""
    if best.name != MAJORITY:
        but = "is better than that" if best.above_majority else "is not better than that either"
        others = f" The best baseline, {said(best, metric)}, {but}."
    verb = {WORSE: COMPARES[-1], MIXED: "is better by some metrics and worse by others than"}.get(
        compared.verdict, COMPARES[0]
    )
    return f"{this} {verb} {MOST_FREQUENT}: {told}.{others}"


def no_better_than(alone: Sequence[Alone], model: str) -> str:
    """Return a sentence on the single modalities that the whole model is not better than."""
    told = [
        f"{each.modality} alone ({METRICS[each.compared.metric].title} "
        f"{each.metrics[each.compared.metric].value:.3f})"
        for each in alone
        if each.reaches
    ]
    if not told:
        return ""
    single = " or ".join(told)
    return (
        f" {model} was not shown to be better than {single}, so nothing shows that the other "
        "modalities help."
    )


def _by(compared: Comparison, word: str) -> str:
    """Return the differences in the metrics that have the verdict `word`, as text."""
    told = [_difference(compared, name) for name, each in compared.verdicts.items() if each == word]
    return listed(told)


def _difference(compared: Comparison, name: str) -> str:
    difference = compared.over_splits.get(name, compared.differences[name])
    return f"{METRICS[name].title} {difference.text(sign=True)}"


def _undecided(compared: Comparison) -> str:
    level = [METRICS[name].title for name, each in compared.verdicts.items() if each == LEVEL]
    if not level:
        return ""
    return f" There is {LEVEL} in {listed(level)}."


def _alone(name: str, compared: Comparison) -> str:
    """Return sentences about a metric that differs alone, which makes no verdict."""
    return "".join(
        f" In {METRICS[metric].title} alone, {name} is {each}: "
        f"{compared.over_splits.get(metric, compared.differences[metric]).text(sign=True)}."
        for metric, each in compared.verdicts.items()
        if each in (BETTER, WORSE)
    )


def _size(winner: OutcomeResult, loser: OutcomeResult) -> str:
    if winner.parameters == loser.parameters:
        return ""
    return ", a smaller model" if winner.parameters < loser.parameters else ", a larger model"


def _which(main: OutcomeResult, best: OutcomeResult) -> str:
    """Return a sentence that recommends the smaller of two equally good models."""
    if main.parameters == best.parameters:
        return ""
    small, large = sorted((main, best), key=lambda row: row.parameters)
    counts = f"{large.parameters:,} parameters against {small.parameters:,}"
    return f" These samples do not show that {large.name} is worth its size ({counts})."


def said(outcome: OutcomeResult, metric: str) -> str:
    """Return a model and its value, as ``svm (accuracy 0.912)``."""
    value = outcome.metrics[metric].interval.value
    return f"{outcome.name} ({METRICS[metric].title} {value:.3f})"


def count(n: int, what: str) -> str:
    """Return a count with its noun, such as ``1 sample`` or ``1,200 samples``."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def listed(words: Iterable[str]) -> str:
    """Return words as a list in a sentence: ``a, b and c``."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def with_batches(results: Results, check: BatchCheck) -> Results:
    """Return results whose headline starts with the results for held-out batches."""
    follow = f"Classes follow batches (Cramer's V {check.v:.2f})"
    if check.results is None:
        why = (
            "holding out whole batches would leave a class without training samples: models may "
            "recognise the batch instead of the class, and these data cannot show which"
        )
        if not check.wanted:
            why = (
                "whole batches were not held out (--no-batch-check): models may recognise the "
                "batch instead of the class"
            )
        alarm = f"{follow}, and {why}"
        return replace(
            results,
            headline=f"{alarm}. {results.held_out_by.capitalize()}: {results.headline}",
            warnings=(alarm, *results.warnings),
            batches=check,
        )
    other = check.results
    name = next((row.name for row in results.outcomes if row.main), results.outcomes[0].name)
    here, there = (
        next(row for row in each.outcomes if row.name == name).metrics[results.metric].interval
        for each in (results, other)
    )
    text = (
        f"{follow}: {name} has {METRICS[results.metric].title} {here.text()} in "
        f"{results.held_out_by}, and {there.text()} with whole batches held out. "
        f"Batches held out: {other.headline} {results.held_out_by.capitalize()}: "
        f"{results.headline}"
    )
    alarm = (
        "classes follow batches, so random folds may measure how well the batch is recognised; "
        "trust the results with whole batches held out, which is also what a new batch would give"
    )
    of_batches = (f"batches held out: {text}" for text in other.warnings)
    return replace(
        results,
        headline=text,
        warnings=(alarm, *results.warnings, *of_batches),
        batches=check,
    )


def warnings(
    outcomes: Sequence[OutcomeResult], units: int, counts: NDArray[np.int64], study: Study
) -> list[str]:
    """Return warnings to read before the numbers."""
    sentences = [
        f"{outcome.name} is better than the Bayes rule on the same data, which no model can be: "
        "it has found a leak"
        for outcome in outcomes
        if outcome.ceiling is not None and outcome.ceiling.leak
    ]
    sentences += [
        f"{outcome.name} trained on shuffled labels is better than chance: either the labels leak "
        "into its input, or this is one of about twenty shuffles that are so by luck (repeat with "
        "another seed)"
        for outcome in outcomes
        if outcome.shuffled is not None and outcome.shuffled.above
    ]
    if note := few_units(units, study.wording.units, FEW_UNITS):
        sentences.append(note)
    few = [f"{c} ({n})" for c, n in zip(study.classes, counts, strict=True) if n < 10]
    if few:
        sentences.append(f"fewer than 10 tested samples in class {', '.join(few)}")
    stopped = [outcome.name for outcome in outcomes if not outcome.converged]
    if stopped:
        sentences.append(f"reached their iteration limit before converging: {', '.join(stopped)}")
    short = [
        f"{outcome.name} ({outcome.sets.coverage.value:.0%})"
        for outcome in outcomes
        if outcome.sets.coverage.high < study.level
    ]
    if short:
        sentences.append(
            f"prediction sets should contain the true class of {study.level:.0%} of samples, but "
            f"cover fewer: {', '.join(short)}"
        )
    least = fewest(study.level)
    sentences += [
        f"every prediction set of {outcome.name} holds {', '.join(outcome.sets.always)}, "
        f"because fewer than {least} samples of each calibrated the model"
        for outcome in outcomes
        if outcome.main and outcome.sets.always
    ]
    return sentences
