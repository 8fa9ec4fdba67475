"""The model card of a run folder: what the model is, how it was judged, and what it is not for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from genomix_cli.comparison.intervals import Interval
from genomix_cli.comparison.metrics.multiclass import METRICS
from genomix_cli.comparison.study import Study
from genomix_cli.comparison.summaries import OutcomeResult, Results
from genomix_cli.comparison.words import BEATS

FIRST = ("accuracy", "macro_f1", "auroc", "nll")


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
        f"## Model\n\n`{row.model}`, {row.parameters:,} numbers learned, from {saw}. "
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
        f"held out by {_plain(study.held_out_by)}; everything that learns from data (imputation, "
        f"scaling, selection, tuning with {row.trials:,} trials, the temperature: "
        f"{study.calibration}) did so without them, and the baselines had the same folds. Seeds: "
        f"{seeds}. Intervals: 95 %, {results.draws:,} bootstrap draws of {results.unit_name}, "
        f"{'means over repeats, a seed each' if results.repeats > 1 else 'first seed'}."
    )


def _results(results: Results) -> str:
    title = METRICS[results.metric].title
    columns = ["model", *(METRICS[name].title for name in FIRST)]
    columns += [f"{title} less {_plain(results.best)}", "verdict"] if results.best else []
    rows = []
    for row in results.outcomes:
        cells = [_plain(row.name), *(_range(row.metrics[name].interval) for name in FIRST)]
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
    leak = " That is above it: a leak." if row.ceiling.leak else ""
    return (
        f"The Bayes rule on the same modalities has accuracy {_range(row.ceiling.accuracy)}; the "
        f"model less that: {_range(row.ceiling.accuracy_gap, sign=True)}.{leak}"
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
        f"## Probabilities and sets\n\nCalibration error {_range(error)} ({before:.3f} before the "
        f"temperature; {row.floor:.3f} by chance alone). Prediction sets are to hold the right "
        f"class of {study.level:.0%} of samples: they hold it in {_range(sets.coverage)}, with "
        f"{sets.size:.2f} classes on average; {sets.singletons:.0%} have one class.\n\n"
        + _table(("class", "precision", "recall", "coverage"), rows)
    )


def _limits(study: Study, results: Results, row: OutcomeResult) -> str:
    points = [
        "Judged on one cohort: another centre, platform or population may differ.",
        "For research; not a medical device.",
        "Attention says where information flows, not what matters.",
    ]
    if study.ceilings:
        points.insert(0, "Learned from simulated data: it says nothing of patients.")
    if results.best and (row.against_best is None or row.against_best.verdict != BEATS):
        points.append(f"It was not shown to be better than {_plain(results.best)}.")
    if results.batches is not None:
        points.insert(0, "Classes follow batches in these data: it may know a sample by its batch.")
    return "## Limits\n\n" + "\n".join(f"- {point}" for point in points)


def _use(study: Study) -> str:
    return (
        f"## Use\n\n```\ngenomix score {study.wording.data} --model RUN_FOLDER "
        f"-o predictions.tsv\n```\n\n{study.wording.answer}"
    )
