"""True labels of predicted samples, with their units, and the Bayes posterior where known.

Letters: n samples, K classes.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.bootstrap import to_codes
from genomix_cli.comparison.predictions import PREDICTIONS, Predictions, listed
from genomix_cli.comparison.requests import EvaluateRequest
from genomix_cli.comparison.study import Floats
from genomix_cli.errors import DataError, UsageError, guarded
from genomix_cli.formats.cohort import PATIENT, Cohort, open_cohort
from genomix_cli.formats.detect import is_sequences
from genomix_cli.formats.run_folder import METRICS, read_json
from genomix_cli.formats.sequences import Sequences, open_sequences

log = logging.getLogger("genomix")


class Truth(NamedTuple):
    """Label, unit and Bayes posterior of each sample of a table.

    Attributes
    ----------
    label : NDArray
        int64 ``[n]``: index of the class in the table, -1 where unknown.
    unit : NDArray
        int64 ``[n]``: resampling unit.
    unit_name : str
        Plural noun, such as ``patients``, ``groups`` or ``samples``.
    posterior : NDArray, optional
        float64 ``[n, K]``: Bayes posterior of a simulated cohort.
    modalities : tuple of str
        Modalities that the posterior is conditioned on.
    not_in_table : int
        Number of labelled samples that are not in the table.
    """

    label: NDArray[np.int64]
    unit: NDArray[np.int64]
    unit_name: str
    posterior: Floats | None
    modalities: tuple[str, ...]
    not_in_table: int


def true_labels(request: EvaluateRequest, scored: Predictions) -> Truth:
    """Return the true labels, from a cohort, a file of sequences, or the table itself.

    Raises
    ------
    UsageError, DataError
        See :func:`genomix_cli.comparison.evaluate.evaluate_classes`.
    """
    if request.data is not None and is_sequences(request.data):
        return _of_sequences(open_sequences(request.data), request, scored)
    if request.data is not None:
        with open_cohort(request.data) as cohort:
            return _of_cohort(cohort, request, scored)
    if request.modalities:
        raise UsageError("the Bayes ceiling needs a cohort", where="--modalities")
    if scored.label is None:
        raise UsageError(
            "has no labels", where=scored.path, hint="give the file that has them: --data"
        )
    label = _codes(scored.label, scored, scored.path)
    unit, unit_name = np.arange(len(label)), "samples"
    if scored.unit is not None:
        unit, unit_name = to_codes(scored.unit), str(_run_results(scored).get("unit_name", "units"))
    return Truth(label, unit, unit_name, None, (), 0)


def _codes(names: NDArray[Any], scored: Predictions, where: Path) -> NDArray[np.int64]:
    """Return labels as indices of the table's classes, int64 ``[n]``, -1 where empty."""
    code = {name: k for k, name in enumerate(scored.classes)} | {"": -1}
    strange = sorted(set(names) - set(code))
    if strange:
        raise DataError(
            f"samples have the class {listed(strange)}, which the predictions lack",
            where=where,
            expected=listed(scored.classes),
        )
    return np.array([code[name] for name in names], np.int64)


def _rows(known: Any, scored: Predictions, path: Path) -> NDArray[np.intp]:
    """Return the row of the data for each sample of the table, int ``[n]``."""
    import pandas as pd

    rows = pd.Index(known).astype(str).get_indexer(pd.Index(scored.names))
    if (rows < 0).any():
        strange = scored.names[rows < 0]
        raise DataError(
            f"sample {strange[0]} is not in the data",
            where=scored.path,
            found=f"{len(strange):,} of {len(rows):,} samples that are not in {path.name}",
        )
    return rows


def _of_cohort(cohort: Cohort, request: EvaluateRequest, scored: Predictions) -> Truth:
    rows = _rows(cohort.obs.index, scored, cohort.path)
    names = np.array([*cohort.classes, ""], object)[cohort.labels]
    if not (cohort.labels >= 0).any():
        raise DataError("has no labels", where=cohort.path)
    modalities = _seen(cohort, request, scored)
    return Truth(
        _codes(names[rows], scored, cohort.path),
        cohort.groups(PATIENT)[rows],
        "patients",
        _posterior(cohort, modalities, scored, rows),
        modalities,
        int((np.delete(cohort.labels, rows) >= 0).sum()),
    )


def _of_sequences(sequences: Sequences, request: EvaluateRequest, scored: Predictions) -> Truth:
    assert request.data is not None
    if request.modalities:
        raise UsageError("sequences have no modalities", where="--modalities")
    rows = _rows(sequences.names, scored, request.data)
    classes, label = sequences.label(request.label)
    names = np.array([*classes, ""], object)[label]
    codes = _codes(names[rows], scored, request.data)
    others = int((np.delete(label, rows) >= 0).sum())
    return Truth(codes, sequences.group[rows], "groups", None, (), others)


def _seen(cohort: Cohort, request: EvaluateRequest, scored: Predictions) -> tuple[str, ...]:
    """Return the modalities that the model saw: from the request, from its run, or else all."""
    unknown = [name for name in request.modalities if name not in cohort.modalities]
    if unknown:
        expected = listed(cohort.modalities)
        raise UsageError(f"no modality {unknown[0]}", where=cohort.path, expected=expected)
    wanted = set(request.modalities or _of_run(scored) or cohort.modalities)
    return tuple(name for name in cohort.modalities if name in wanted)


def _of_run(scored: Predictions) -> tuple[str, ...]:
    """Return the modalities that a run records for a model, or ()."""
    with guarded(scored.path.parent / METRICS):
        outcomes = _run_results(scored).get("outcomes", ())
        own = (outcome["modalities"] for outcome in outcomes if outcome["name"] == scored.model)
        return tuple(map(str, next(own, ())))


def _run_results(scored: Predictions) -> dict[str, Any]:
    """Return ``metrics.json`` beside a run's predictions; empty for other tables."""
    path = scored.path.parent / METRICS
    return read_json(path) if scored.path.name == PREDICTIONS and path.is_file() else {}


def _posterior(
    cohort: Cohort, modalities: tuple[str, ...], scored: Predictions, rows: NDArray[np.intp]
) -> Floats | None:
    posterior = cohort.posterior(modalities)
    if posterior is None:
        if cohort.truth is not None:
            log.warning("%s has no Bayes posterior given %s", cohort.path, " + ".join(modalities))
        return None
    if set(cohort.classes) != set(scored.classes):
        log.warning("no Bayes ceiling: %s has other classes", cohort.path)
        return None
    order = [cohort.classes.index(name) for name in scored.classes]
    return np.asarray(posterior, np.float64)[rows][:, order]
