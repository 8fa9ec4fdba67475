"""Explain the classes of samples: tables of attributions, and a figure for each sample.

Letters in shapes: n samples, M modalities, k features that a model uses, K classes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.cohorts.dataset import Samples, aligned, read_samples
from genomix_cli.cohorts.explain import explanation as tables
from genomix_cli.cohorts.explain.attribution import (
    Attribution,
    Drivers,
    attribute,
    driver_auprc,
    importances,
    planted_drivers,
)
from genomix_cli.cohorts.explain.explanation import Explanation
from genomix_cli.cohorts.explain.page import write_page
from genomix_cli.cohorts.models.base import CohortModel, Differentiable
from genomix_cli.cohorts.requests import ExplainRequest
from genomix_cli.cohorts.runs import Run, load_run
from genomix_cli.cohorts.score import score_samples, told_far, told_uncalibrated
from genomix_cli.comparison import explanation as common
from genomix_cli.comparison.study import Importance
from genomix_cli.errors import UsageError
from genomix_cli.formats.cohort import open_cohort
from genomix_cli.learning.devices import resolve_device
from genomix_cli.outputs import atomic_path, check_output, make_folder, safe_name
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance
from genomix_cli.registry import COHORT_MODELS

log = logging.getLogger("genomix")

# Progress interval, in samples.
CHUNK = 64


class ExplainSummary(NamedTuple):
    """Summary of an explanation.

    Attributes
    ----------
    samples : tuple of Explained
    driver_auprc : dict
        See `genomix_cli.cohorts.explain.attribution.driver_auprc`; empty unless simulated.
    """

    samples: tuple[common.Explained, ...]
    driver_auprc: dict[str, tuple[float, float]]


def explain_cohort(request: ExplainRequest) -> ExplainSummary:
    """Explain the selected samples and write tables and figures.

    Raises
    ------
    UsageError
        If a selected sample or class does not exist, or the model has no gradients or attention.
    CheckError
        If a completeness error exceeds 1 %. The outputs are written nevertheless.
    """
    if request.report:
        check_output(request.report, force=request.force)
    run = load_run(Path(request.model), str(resolve_device(request.device)))
    try:
        surface = run.model.differentiable()
    except NotImplementedError as error:
        raise common.no_gradients(run.config.model, run.path, COHORT_MODELS) from error
    with open_cohort(request.cohort) as cohort:
        samples = aligned(read_samples(cohort), run.config.modalities, request.cohort)
        drivers = planted_drivers(cohort)
    # The labels of the file are not used; from here on, classes are those of the model.
    samples = replace(samples, classes=run.config.classes)
    # Write all tables or none.
    with ExitStack() as stack:
        drafts = [
            None if path is None else stack.enter_context(atomic_path(path, force=request.force))
            for path in (request.output, request.summary, request.attention)
        ]
        explanation = _explain(run, surface, samples, drivers, request)
        _write(explanation, run, request, drafts)
    errors = [line.completeness for line in explanation.rows()]
    common.check_complete(errors, "samples", request.steps, allow=request.allow_incomplete)
    return ExplainSummary(explanation.rows(), driver_auprc(explanation.importances))


def feature_importance(
    model: CohortModel,
    samples: Samples,
    drivers: Drivers | None = None,
    *,
    steps: int = common.STEPS,
) -> tuple[Importance, ...]:
    """Return the mean absolute attribution of every feature to the predicted class.

    Parameters
    ----------
    model : CohortModel
        Fitted.
    samples : Samples
        Samples with the modalities of the fit that were not used for training.
    drivers : mapping, optional
        See `genomix_cli.cohorts.explain.attribution.planted_drivers`, for simulated cohorts.
    steps : int

    Returns
    -------
    tuple of Importance
        Every feature of the samples, largest first; 0 for those that the model does not use.

    Raises
    ------
    NotImplementedError
        If the model has no gradient.
    MissingExtraError
        If captum is not installed.
    """
    surface = model.differentiable()
    samples = samples.take(np.flatnonzero(samples.present.any(1)))
    target = model.log_probability(samples).argmax(1)
    attribution = attribute(surface, samples, target, steps=steps, device=model.device)
    return importances(attribution, samples.modalities, drivers)


def _explain(
    run: Run, surface: Differentiable, samples: Samples, drivers: Drivers, request: ExplainRequest
) -> Explanation:
    explained = common.class_index(request.of_class, samples.classes, request.model)
    most = request.max_samples if request.top is None else None
    rows = common.rows_of(
        samples.names, request.select, most, what="sample", where=request.cohort, option="--samples"
    )
    scores = score_samples(run, samples.take(rows))
    _refuse_unmeasured(samples.names[rows[~scores.known]], request)
    for text in (*told_uncalibrated(scores), *told_far(run, samples)):
        log.warning("%s: %s", request.cohort, text)
    rows, known = rows[scores.known], scores.probability[scores.known]
    if not len(rows):
        raise UsageError("has no sample with features of the model", where=request.cohort)
    predicted = known.argmax(1)
    target = predicted if explained is None else np.full(len(rows), explained)
    if request.top is not None:
        probability = known[np.arange(len(rows)), target]
        surest = np.sort(np.argsort(-probability, kind="stable")[: request.top])
        surest = surest[: request.max_samples]
        rows, predicted = rows[surest], predicted[surest]
        target, known = target[surest], known[surest]
    chosen = samples.take(rows)
    wanted = request.attention or request.plot_dir or request.report
    attention = run.model.attention(chosen) if wanted else None
    if request.attention and attention is None:
        raise UsageError(f"{run.config.model} has no attention", where="--attention")
    attribution = _attribute(surface, chosen, target, request.steps, run.model.device)
    sizes = importances(attribution, chosen.modalities, drivers)
    return Explanation(chosen, predicted, known, attribution, sizes, attention)


def _refuse_unmeasured(names: NDArray[Any], request: ExplainRequest) -> None:
    if len(names) and request.select:
        what = f"none of the model's features was measured in {names[0]}"
        raise UsageError(what, where=request.cohort)
    if len(names):
        why = "samples in which none of the model's features was measured"
        log.warning("%s: left out %s %s", request.cohort, f"{len(names):,}", why)


def _attribute(
    surface: Differentiable, samples: Samples, target: NDArray[np.int64], steps: int, device: Any
) -> Attribution:
    """Attribute all samples, reporting progress."""
    starts = range(0, len(samples), CHUNK)
    parts = []
    for start in track(starts, f"explaining {CHUNK} samples at a time"):
        rows = np.arange(start, min(start + CHUNK, len(samples)))
        part = attribute(surface, samples.take(rows), target[rows], steps=steps, device=device)
        parts.append(part)
    values = tuple(map(np.concatenate, zip(*(part.values for part in parts), strict=True)))
    change = np.concatenate([part.change for part in parts])
    return Attribution(surface.preprocessor.selected, values, target, change)


def _write(
    explanation: Explanation, run: Run, request: ExplainRequest, drafts: Sequence[Path | None]
) -> None:
    """Write every table and figure."""
    settings = {"steps": request.steps, "class": request.of_class}
    provenance = Provenance.of(settings, {"cohort": request.cohort}, model=run.name)
    contents: list[tuple[Sequence[str], str, Iterable[Sequence[str]]]] = [
        (tables.COLUMNS, "", tables.attribution_rows(explanation)),
        tables.summary_table(explanation.importances),
        (tables.ATTENTION_COLUMNS, tables.ATTENTION_NOTE, tables.attention_rows(explanation)),
    ]
    for draft, (columns, note, rows) in zip(drafts, contents, strict=True):
        if draft is not None:
            common.write_table(draft, provenance, columns, note, rows)
    if request.plot_dir:
        _draw(explanation, run, request.plot_dir, request.force)
    if request.report:
        write_page(explanation, run.path.name, provenance, request)


def _draw(explanation: Explanation, run: Run, folder: Path, force: bool) -> None:
    from genomix_cli.cohorts.figures.reasons import draw_sample

    make_folder(folder)
    taken: set[str] = set()
    for i, line in enumerate(track(explanation.rows(), "drawing")):
        sample = tables.sample_reasons(explanation, i, line, run.path.name)
        with atomic_path(folder / _file_name(line.sample, taken), force=force) as draft:
            draw_sample(sample, draft)


def _file_name(sample: str, taken: set[str]) -> str:
    """Return a name that any file system accepts and no other sample has."""
    safe = safe_name(sample)[:100]
    name, i = safe, 1
    while name.lower() in taken:
        i += 1
        name = f"{safe}-{i}"
    taken.add(name.lower())
    return f"{name}.png"
