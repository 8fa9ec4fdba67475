"""Sentences about a comparison of models: the verdict, the headline and the warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.bootstrap import few_units
from genomix_cli.comparison.intervals import Interval
from genomix_cli.comparison.metrics.multiclass import METRICS
from genomix_cli.comparison.study import MAJORITY, Study
from genomix_cli.comparison.summaries import (
    Alone,
    BatchCheck,
    Comparison,
    OutcomeResult,
    Results,
)

FEW_UNITS = 30
BEATS, LEVEL, BELOW, MIXED = "beats", "not told apart", "below", "metrics disagree"
NOT_ABOVE = f"not above {MAJORITY}"
# Verdict of the majority itself when it has the best value.
NOT_BEATEN = "not beaten"
#: Metrics of a verdict beside the one that the user asked for: correctness, ranking, and quality of
#: the probabilities.
WEIGHED = ("accuracy", "auroc", "nll")


def weighed_metrics(metric: str) -> tuple[str, ...]:
    """Return the metrics of a verdict, starting with the one that the user asked for."""
    return (metric, *(name for name in WEIGHED if name != metric))


def verdict(difference: Interval, metric: str) -> str:
    """Return ``beats`` or ``below`` if the interval excludes 0, else ``not told apart``.

    Parameters
    ----------
    difference : Interval
        The model minus the other.
    metric : str
        One of `METRICS`, which say whether larger values are better.
    """
    better = difference.sign if METRICS[metric].larger_is_better else -difference.sign
    return {1: BEATS, 0: LEVEL, -1: BELOW}[better]


def weighed(verdicts: Mapping[str, str]) -> str:
    """Return one verdict from several metrics, of which the user asked for the first.

    The verdict is that of the first metric, or of two other metrics that agree. If any metric says
    the opposite, the verdict is ``metrics disagree``. A single other metric gives no verdict,
    though the headline mentions it: of 400 simulated pairs of equal models this rule distinguishes
    26, accuracy alone 14, and any of the three metrics 38.

    Parameters
    ----------
    verdicts : mapping of str to str
        Metric to ``beats``, ``below`` or ``not told apart``.
    """
    first, *others = verdicts.values()
    told = {word for word in (BEATS, BELOW) if first == word or others.count(word) > 1}
    if told and {BEATS, BELOW} <= {first, *others}:
        return MIXED
    return told.pop() if told else LEVEL


def headline(outcomes: Sequence[OutcomeResult], metric: str, best: OutcomeResult | None) -> str:
    """Return sentences that compare the first main model with the best baseline."""
    mains = [row.against_best for row in outcomes if row.main and row.against_best is not None]
    first = _first_model(outcomes, metric, best)
    if len(mains) < 2:
        return first
    above = sum(compared.verdict == BEATS for compared in mains)
    return f"{first} Of {len(mains)} models asked for, {above} beat {mains[0].other}."


def _first_model(outcomes: Sequence[OutcomeResult], metric: str, best: OutcomeResult | None) -> str:
    main = next((outcome for outcome in outcomes if outcome.main), None)
    if main is None:
        return "Nothing but baselines." if best is None else f"The best is {said(best, metric)}."
    compared = main.against_best
    if best is None or compared is None:
        return f"{said(main, metric)}; there is no baseline to compare it with."
    if best.name == MAJORITY or not main.above_majority:
        return _against_majority(main, best, metric)
    this, other = said(main, metric), said(best, metric)
    if compared.verdict == BEATS:
        better = f"{this} beats the best baseline, {other}: {_by(compared, BEATS)}."
        return better + _undecided(compared)
    if compared.verdict == BELOW:
        worse = f"{this} is below it: {_by(compared, BELOW)}."
        return f"{_size(best, main)} model wins, {other}; {worse}{_undecided(compared)}"
    if compared.verdict == MIXED:
        return (
            f"{this} and the best baseline, {other}: metrics disagree. It is better by "
            f"{_by(compared, BEATS)}, and worse by {_by(compared, BELOW)}."
        )
    level = f"{this} and the best baseline, {other}, are not told apart: "
    return f"{level}{_by(compared, LEVEL)}.{_alone(main.name, compared)}{_which(main, best)}"


def _against_majority(main: OutcomeResult, best: OutcomeResult, metric: str) -> str:
    """Return sentences about a model that is not above the majority or has no other baseline."""
    compared = main.against_majority
    assert compared is not None
    this = said(main, metric)
    others = ""
    if best.name != MAJORITY:
        but = "is not either" if not best.above_majority else "is"
        others = f" The best baseline, {said(best, metric)}, {but}."
    if compared.verdict == BEATS:
        text = f"{this} is above always naming the most frequent class: {_by(compared, BEATS)}."
        return f"{text} It was compared with nothing else."
    word = {BELOW: "worse than", MIXED: "both better and worse than"}.get(
        compared.verdict, "not told apart from"
    )
    told = ", ".join(_difference(compared, name) for name in compared.verdicts)
    return f"{this} is {word} always naming the most frequent class: {told}.{others}"


def reaching(alone: Sequence[Alone], model: str) -> str:
    """Return a sentence that names the modalities that alone do as well as the whole model."""
    told = [
        f"{each.modality} ({METRICS[each.compared.metric].title} "
        f"{each.metrics[each.compared.metric].value:.3f})"
        for each in alone
        if each.reaches
    ]
    if not told:
        return ""
    verb = "reach" if len(told) > 1 else "reaches"
    rest = "the other modalities are not shown to add anything"
    return f" Alone, {listed(told)} {verb} {model}: {rest}."


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
    return f" In {listed(level)} the difference may be chance."


def _alone(name: str, compared: Comparison) -> str:
    """Return sentences about a metric that differs alone, which makes no verdict."""
    words = {BEATS: "better", BELOW: "worse"}
    return "".join(
        f" By {METRICS[metric].title} alone {name} is {words[each]}: "
        f"{compared.over_splits.get(metric, compared.differences[metric]).text(sign=True)}."
        for metric, each in compared.verdicts.items()
        if each in words
    )


def _size(winner: OutcomeResult, loser: OutcomeResult) -> str:
    if winner.parameters == loser.parameters:
        return "Another"
    return "A smaller" if winner.parameters < loser.parameters else "A larger"


def _which(main: OutcomeResult, best: OutcomeResult) -> str:
    """Return a sentence that recommends the smaller of two equally good models."""
    if main.parameters == best.parameters:
        return ""
    small, large = sorted((main, best), key=lambda row: row.parameters)
    counts = f"{large.parameters:,} numbers learned, against {small.parameters:,}"
    return f" These samples do not show that {large.name} is worth its size ({counts})."


def said(outcome: OutcomeResult, metric: str) -> str:
    """Return a model and its value, as ``svm (accuracy 0.912)``."""
    value = outcome.metrics[metric].interval.value
    return f"{outcome.name} ({METRICS[metric].title} {value:.3f})"


def listed(words: Iterable[str]) -> str:
    """Return words as a list in a sentence: ``a, b and c``."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def with_batches(results: Results, check: BatchCheck) -> Results:
    """Return results whose headline starts with the results for held-out batches."""
    follow = f"Classes follow batches (Cramer's V {check.v:.2f})"
    if check.results is None:
        why = (
            "no fold of whole batches leaves every class to learn from: what is measured may be "
            "the batch, and nothing in these data can tell"
        )
        if not check.wanted:
            why = (
                "whole batches were not held out (--no-batch-check): what is measured may be the "
                "batch"
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
        "classes follow batches: what random folds measure may be the batch; believe what is "
        "measured with whole batches held out, which is also what the next batch will be like"
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
        f"{outcome.name} is above the Bayes ceiling of what it saw, which nothing can be: a leak"
        for outcome in outcomes
        if outcome.ceiling is not None and outcome.ceiling.leak
    ]
    sentences += [
        f"{outcome.name} is above chance after learning from shuffled labels: labels reach it "
        "some other way, or one shuffle in twenty or so was lucky (repeat with another seed)"
        for outcome in outcomes
        if outcome.shuffled is not None and outcome.shuffled.above
    ]
    if note := few_units(units, study.wording.units, FEW_UNITS):
        sentences.append(note)
    few = [f"{c} ({n})" for c, n in zip(study.classes, counts, strict=True) if n < 10]
    if few:
        sentences.append(f"fewer than 10 samples were tested of {', '.join(few)}")
    stopped = [outcome.name for outcome in outcomes if not outcome.converged]
    if stopped:
        sentences.append(f"stopped at their limit while still improving: {', '.join(stopped)}")
    short = [
        f"{outcome.name} ({outcome.sets.coverage.value:.0%})"
        for outcome in outcomes
        if outcome.sets.coverage.high < study.level
    ]
    if short:
        sentences.append(
            f"prediction sets are to hold the right class of {study.level:.0%}, and hold less: "
            + ", ".join(short)
        )
    return sentences
