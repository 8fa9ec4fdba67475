"""A comparison of models in words: the headline, and what to know before the numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.bootstrap import few_units
from genomix_cli.comparison.metrics.multiclass import METRICS
from genomix_cli.comparison.study import Study
from genomix_cli.comparison.summaries import OutcomeResult

FEW_UNITS = 30
BEATS, LEVEL, BELOW = "beats", "not told apart", "below"


def headline(outcomes: Sequence[OutcomeResult], metric: str, best: OutcomeResult | None) -> str:
    """Return a sentence on the first model that was asked for, against the best baseline."""
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
    difference = main.against_best.differences[metric].text(sign=True)
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
    """Return a model and its value, as ``svm (accuracy 0.912)``."""
    value = outcome.metrics[metric].interval.value
    return f"{outcome.name} ({METRICS[metric].title} {value:.3f})"


def warnings(
    outcomes: Sequence[OutcomeResult], units: int, counts: NDArray[np.int64], study: Study
) -> list[str]:
    """Return sentences to read before the numbers."""
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
    short = [outcome.name for outcome in outcomes if outcome.sets.coverage.high < study.level]
    if short:
        sentences.append(f"prediction sets cover less than {study.level:.0%}: {', '.join(short)}")
    return sentences
