"""Evaluate predictions of samples against labels: metrics with intervals, as TSV and JSON.

Letters: n samples, K classes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison import tables
from genomix_cli.comparison.bootstrap import Bootstrap, few_units
from genomix_cli.comparison.held_out import heed
from genomix_cli.comparison.intervals import Interval, MetricResult, share_interval
from genomix_cli.comparison.metrics.multiclass import METRICS, Replicates, replicate
from genomix_cli.comparison.predictions import Predictions, matched, read_predictions
from genomix_cli.comparison.requests import EvaluateRequest
from genomix_cli.comparison.results import class_scores, confusion, leaks
from genomix_cli.comparison.summaries import ClassScore
from genomix_cli.comparison.truth import Truth, true_labels
from genomix_cli.comparison.words import FEW_UNITS
from genomix_cli.errors import DataError
from genomix_cli.provenance import Provenance

log = logging.getLogger("genomix")


class Counts(NamedTuple):
    """Numbers of samples used, and of samples left out by reason."""

    samples: int
    unlabelled: int
    unscored: int
    not_in_other: int
    used: int
    #: Labelled samples of the data that are not in the table.
    not_in_table: int
    #: Samples left out because the model has seen them in training.
    seen_in_training: int = 0


@dataclass(frozen=True)
class CeilingCheck:
    """Comparison of predictions with the Bayes posterior.

    Attributes
    ----------
    modalities : tuple of str
    accuracy_gap, nll_gap : Interval
        Value of the predictions minus that of the posterior.
    leak : bool
        True if the predictions are better than the posterior by more than chance allows.
    """

    modalities: tuple[str, ...]
    accuracy_gap: Interval
    nll_gap: Interval
    leak: bool


@dataclass(frozen=True)
class Sets:
    """Coverage and size of prediction sets.

    Attributes
    ----------
    coverage : Interval
        Share of sets that hold the right class, with Wilson's interval.
    size : float
        Mean number of classes.
    abstained : float
        Share of sets that do not hold exactly one class.
    answered : Interval
        Accuracy on the other samples, with Wilson's interval.
    """

    coverage: Interval
    size: float
    abstained: float
    answered: Interval


@dataclass(frozen=True)
class Evaluation:
    """Evaluation of a model's predictions.

    Attributes
    ----------
    model, versus : str, optional
        Names of the model and of the one it is compared with, if the tables have them.
    counts : Counts
    units : int
        Number of units that the bootstrap resampled.
    unit_name : str
        ``patients``, ``groups`` or ``samples``.
    draws : int
    classes : tuple of ClassScore
    metrics : tuple of MetricResult
    confusion : NDArray
        int64 ``[K, K]``: number of samples by true class (row) and predicted class (column).
    ceiling : CeilingCheck, optional
    sets : Sets, optional
    provenance : Provenance
    """

    model: str | None
    versus: str | None
    counts: Counts
    units: int
    unit_name: str
    draws: int
    classes: tuple[ClassScore, ...]
    metrics: tuple[MetricResult, ...]
    confusion: NDArray[np.int64]
    ceiling: CeilingCheck | None = None
    sets: Sets | None = None
    provenance: Provenance = field(default_factory=lambda: Provenance(""))


def evaluate_classes(request: EvaluateRequest) -> Evaluation:
    """Read predictions and labels, and evaluate the predictions.

    Raises
    ------
    UsageError
        If a file, model or modality does not exist.
    DataError
        If a table cannot be read or does not hold predictions, if samples are repeated or not in
        the data, if classes differ, or if no sample has both a label and a prediction.
    CheckError
        If the model has seen samples in training, and the request does not say whether to leave
        them out or include them.
    MissingExtraError
        If pyarrow is needed for Parquet, or anndata for a cohort, and is not installed.
    """
    scored = read_predictions(request.scored, request.model)
    other = None
    if request.versus is not None or request.versus_model is not None:
        table = read_predictions(request.versus or request.scored, request.versus_model)
        other = matched(table, scored)
    truth = true_labels(request, scored)
    return _evaluate(scored, other, truth, request)


def _evaluate(
    scored: Predictions, other: Predictions | None, truth: Truth, request: EvaluateRequest
) -> Evaluation:
    used, counts = _usable(scored, other, truth)
    used, notes = _heeded(scored, other, used, request)
    left = int(used.sum())
    counts = counts._replace(used=left, seen_in_training=counts.used - left)
    label, unit = truth.label[used], truth.unit[used]
    models = [scored.probability[used]]
    for more in (truth.posterior, None if other is None else other.probability):
        if more is not None:
            models.append(more[used])
    units = len(np.unique(unit))
    if request.draws and (few := few_units(units, truth.unit_name, FEW_UNITS)):
        log.warning(few)
    replicates = replicate(label, models, Bootstrap(unit, request.draws, request.seed))
    bayes = None if truth.posterior is None else 1
    beside = None if other is None else len(models) - 1
    sets = None if scored.sets is None else scored.sets[used]
    said = {**scored.made, "Warning": notes}
    made = tables.request_provenance(request, ("scored", "data", "versus"), said)
    return Evaluation(
        model=scored.model,
        versus=None if other is None else other.model,
        counts=counts,
        units=units,
        unit_name=truth.unit_name,
        draws=request.draws,
        classes=class_scores(replicates, 0, scored.classes, label, unit, sets),
        metrics=tuple(_metric(replicates, name, bayes, beside) for name in METRICS),
        confusion=confusion(label, models[0]),
        ceiling=None if bayes is None else _check(replicates, bayes, truth.modalities),
        sets=None if sets is None else _sets(sets, label, unit, models[0].argmax(1)),
        provenance=made,
    )


def _heeded(
    scored: Predictions,
    other: Predictions | None,
    used: NDArray[np.bool_],
    request: EvaluateRequest,
) -> tuple[NDArray[np.bool_], list[str]]:
    """Return the samples to evaluate, without those seen in training, and all warnings."""
    notes: list[str] = []
    for table in filter(None, (scored, other)):
        used, told = heed(table.seen, used, request.seen, "samples", table.path)
        said = table.made.get("Seen", ()) if table.seen is None else told
        notes += [*table.made.get("Warning", ()), *said]
    return used, list(dict.fromkeys(notes))


def _usable(
    scored: Predictions, other: Predictions | None, truth: Truth
) -> tuple[NDArray[np.bool_], Counts]:
    labelled = truth.label >= 0
    there = np.isfinite(scored.probability).all(1)
    compared = there if other is None else np.isfinite(other.probability).all(1)
    used = labelled & there & compared
    counts = Counts(
        samples=len(labelled),
        unlabelled=int((~labelled).sum()),
        unscored=int((labelled & ~there).sum()),
        not_in_other=int((labelled & there & ~compared).sum()),
        used=int(used.sum()),
        not_in_table=truth.not_in_table,
    )
    if not counts.used:
        raise DataError(
            "no sample has both a label and a prediction",
            where=scored.path,
            found=f"{counts.samples:,} samples: {counts.unlabelled:,} without a label, "
            f"{counts.unscored:,} labelled but without a prediction"
            + (f", {counts.not_in_other:,} not in the other table" if other is not None else ""),
        )
    return used, counts


def _metric(
    replicates: Replicates, name: str, bayes: int | None, beside: int | None
) -> MetricResult:
    return MetricResult(
        name,
        replicates.interval(0, name),
        None if bayes is None else replicates.interval(bayes, name),
        None if beside is None else replicates.interval(beside, name),
        None if beside is None else replicates.difference(0, beside, name),
    )


def _check(replicates: Replicates, bayes: int, modalities: tuple[str, ...]) -> CeilingCheck:
    accuracy, nll = (replicates.difference(0, bayes, name) for name in ("accuracy", "nll"))
    return CeilingCheck(modalities, accuracy, nll, leaks(replicates, 0, bayes, 1))


def _sets(
    sets: NDArray[np.bool_],
    label: NDArray[np.int64],
    unit: NDArray[np.int64],
    predicted: NDArray[np.intp],
) -> Sets:
    size = sets.sum(1)
    single = size == 1
    return Sets(
        share_interval(sets[np.arange(len(label)), label], unit),
        float(size.mean()),
        float((~single).mean()),
        share_interval((predicted == label)[single], unit[single]),
    )


def write_tsv(evaluation: Evaluation, path: Path, *, force: bool = False) -> None:
    """Write one line per metric, overall and per class; cells that do not apply are empty."""
    lines = [(metric, "", evaluation.counts.used) for metric in evaluation.metrics]
    if evaluation.sets is not None:
        coverage = MetricResult("coverage", evaluation.sets.coverage)
        lines.append((coverage, "", evaluation.counts.used))
    lines += [
        (MetricResult(name, interval), each.name, each.support)
        for each in evaluation.classes
        for name, interval in {**each.metrics, "coverage": each.coverage}.items()
        if not np.isnan(interval.value)
    ]
    rows = [
        {"metric": metric.name, "class": name, "samples": samples, **metric.cells()}
        for metric, name, samples in lines
    ]
    tables.write_rows(rows, path, evaluation.provenance, force=force)


def write_json(evaluation: Evaluation, path: Path, *, force: bool = False) -> None:
    """Write the whole evaluation with its provenance."""
    report = {
        **tables.plain(evaluation),
        "counts": evaluation.counts,
        "metrics": {metric.name: metric.intervals() for metric in evaluation.metrics},
        "provenance": evaluation.provenance.to_dict(),
    }
    tables.write_json(report, path, force=force)
