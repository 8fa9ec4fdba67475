"""Model card of a run folder: the model, its evaluation, and its limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from genomix_cli.comparison.intervals import BETTER, Interval
from genomix_cli.comparison.metrics.multiclass import METRICS, SHOWN
from genomix_cli.comparison.rules import CROSS, SPLIT, VALIDATION
from genomix_cli.comparison.study import Study
from genomix_cli.comparison.summaries import OutcomeResult, Results
from genomix_cli.comparison.words import count

CALIBRATED = {
    CROSS: "on predictions of the inner folds",
    SPLIT: "on a fifth of the training samples",
    VALIDATION: "on the validation samples",
}


def card(study: Study, results: Results) -> str:
    """Return the text of ``README.md``, in Markdown.

    Parameters
    ----------
    study : Study
    results : Results
        Returned by :func:`genomix_cli.comparison.results.results`.
    """
    row = next((each for each in results.outcomes if each.main), results.outcomes[0])
    parts = (
        f"# {_plain(row.name)} on {_plain(results.data)}",
        _plain(results.headline),
        "\n".join(f"> {_plain(text)}" for text in results.warnings),
        _model(study, row),
        _data(study, results),
        _protocol(study, results, row),
        _results(results),
        _ceiling(row),
        _trust(study, row),
        _limits(study, results, row),
        _use(study),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _plain(text: str) -> str:
    """Return a text with the special characters of Markdown escaped."""
    for sign in "\\`*_<>|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _cells(values: Iterable[str]) -> str:
    return f"| {' | '.join(values)} |"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    marks = ("---", *["---:"] * (len(columns) - 1))
    return "\n".join([_cells(columns), _cells(marks), *map(_cells, rows)])


def _range(interval: Interval, sign: bool = False) -> str:
    return _plain(interval.text(sign=sign))


def _model(study: Study, row: OutcomeResult) -> str:
    saw = ", ".join(map(_plain, row.modalities))
    return (
        f"## Model\n\n`{row.model}`, {row.parameters:,} parameters, trained on {saw}. "
        f"{study.wording.about}"
    )


def _data(study: Study, results: Results) -> str:
    rows = [
        (_plain(name), f"{int((study.label == k).sum()):,}", f"{results.counts[k]:,}")
        for k, name in enumerate(study.classes)
    ]
    simulated = " It is simulated." if study.ceilings else ""
    return (
        f"## Data\n\n{_plain(study.data)}: {len(study.label):,} samples with a class, of "
        f"{len(np.unique(study.unit)):,} {study.wording.units}.{simulated}\n\n"
        + _table(("class", "samples", "tested"), rows)
    )


def _protocol(study: Study, results: Results, row: OutcomeResult) -> str:
    seeds = ", ".join(map(str, study.seeds))
    return (
        f"## Protocol\n\n{results.samples:,} samples of {results.units:,} {results.unit_name} "
        f"held out by {_plain(study.held_out_by)}. Everything that learns from data (imputation, "
        f"scaling, selection, tuning with {count(row.trials, 'trial')}, temperature scaling "
        f"{CALIBRATED.get(study.calibration, study.calibration)}) was fitted without them, and "
        f"baselines used the same folds. Seeds: {seeds}. Intervals: 95 %, {results.draws:,} "
        f"bootstrap draws of {results.unit_name}, "
        f"{'means over repeats, one seed each' if results.repeats > 1 else 'first seed'}."
    )


def _results(results: Results) -> str:
    title = METRICS[results.metric].title
    columns = ["model", *(METRICS[name].title for name in SHOWN)]
    columns += [f"{title} minus {_plain(results.best)}", "verdict"] if results.best else []
    rows = []
    for row in results.outcomes:
        cells = [_plain(row.name), *(_range(row.metrics[name].interval) for name in SHOWN)]
        if results.best:
            compared = row.against_best
            cells += [
                _range(compared.differences[results.metric], sign=True) if compared else "–",
                compared.verdict if compared else "best baseline",
            ]
        rows.append(cells)
    return "## Results\n\n" + _table(columns, rows)


def _ceiling(row: OutcomeResult) -> str:
    if row.ceiling is None:
        return ""
    leak = " No model can be better than the Bayes rule: it has found a leak."
    return (
        f"The Bayes rule on the same modalities has accuracy {_range(row.ceiling.accuracy)}; model "
        f"minus Bayes rule: {_range(row.ceiling.accuracy_gap, sign=True)}."
        f"{leak if row.ceiling.leak else ''}"
    )


def _trust(study: Study, row: OutcomeResult) -> str:
    error = row.metrics["calibration_error"].interval
    before, sets = row.uncalibrated["calibration_error"], row.sets
    rows = [
        (
            *(_plain(each.name), _range(each.metrics["precision"])),
            *(_range(each.metrics["recall"]), _range(each.coverage)),
        )
        for each in row.classes
    ]
    return (
        f"## Probabilities and sets\n\nCalibration error {_range(error)} ({before:.3f} before "
        f"temperature scaling; {row.floor:.3f} by chance alone). Prediction sets should contain "
        f"the true class of {study.level:.0%} of samples: they contain it for "
        f"{_range(sets.coverage)}, with {sets.size:.2f} classes on average; "
        f"{sets.singletons:.0%} have one class.\n\n"
        + _table(("class", "precision", "recall", "coverage"), rows)
    )


def _limits(study: Study, results: Results, row: OutcomeResult) -> str:
    points = [
        "Evaluated on one cohort: results may differ at another centre, on another platform or in "
        "another population.",
        "For research; not a medical device.",
        "Attention shows where information flows, not what is important.",
    ]
    if study.ceilings:
        points.insert(0, "Trained on simulated data: it says nothing about patients.")
    if results.best and (row.against_best is None or row.against_best.verdict != BETTER):
        points.append(f"It was not shown to be better than {_plain(results.best)}.")
    if results.batches is not None:
        points.insert(0, "Classes follow batches in these data: the model may recognise the batch.")
    return "## Limits\n\n" + "\n".join(f"- {point}" for point in points)


def _use(study: Study) -> str:
    return (
        f"## Use\n\n```\ngenomix score {study.wording.data} --model RUN_FOLDER "
        f"-o predictions.tsv\n```\n\n{study.wording.answer}"
    )
