"""Predictions for samples against labels: how good they are, and how sure one can be of that.

Letters: n samples, K classes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.bootstrap import Bootstrap
from genomix_cli.comparison.intervals import NAN, Interval, MetricResult, share_interval
from genomix_cli.comparison.metrics.multiclass import CLASS_METRICS, METRICS, Replicates, replicate
from genomix_cli.comparison.requests import EvaluateRequest
from genomix_cli.comparison.results import ClassScore, leaks, plain, write_rows
from genomix_cli.comparison.study import Floats
from genomix_cli.errors import DataError, MissingExtraError, UsageError
from genomix_cli.formats.cohort import PATIENT, Cohort, open_cohort
from genomix_cli.formats.sequences import Sequences, is_sequences, open_sequences
from genomix_cli.genome.tables import GZIP
from genomix_cli.provenance import Provenance, atomic_path

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("genomix")

PREDICTIONS = "predictions.parquet"
PROBABILITY, SAMPLE, LABEL, SETS = "p:", "sample", "label", "set"
FEW_UNITS = 30
PARQUET = b"PAR1"
# Probabilities come with six digits.
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Predictions:
    """A model's predictions as a table holds them.

    Attributes
    ----------
    path : Path
    model : str, optional
    names : NDArray
        str ``[n]``.
    classes : tuple of str
    probability : NDArray
        float64 ``[n, K]``; rows of NaN where nothing was predicted.
    sets : NDArray, optional
        bool ``[n, K]``.
    label : NDArray, optional
        str ``[n]``, empty where unknown.
    """

    path: Path
    model: str | None
    names: NDArray[Any]
    classes: tuple[str, ...]
    probability: Floats
    sets: NDArray[np.bool_] | None
    label: NDArray[Any] | None


class Counts(NamedTuple):
    """What became of the samples of the table."""

    samples: int
    unlabelled: int
    unscored: int
    not_in_other: int
    used: int
    #: Samples of the cohort with a label that the table does not have.
    not_in_table: int


@dataclass(frozen=True)
class CeilingCheck:
    """Predictions against the Bayes posterior.

    Attributes
    ----------
    modalities : tuple of str
    accuracy_gap, nll_gap : Interval
        The predictions' less the posterior's.
    leak : bool
        Whether they are above it by more than chance allows.
    """

    modalities: tuple[str, ...]
    accuracy_gap: Interval
    nll_gap: Interval
    leak: bool


@dataclass(frozen=True)
class Sets:
    """Prediction sets.

    Attributes
    ----------
    coverage : Interval
        Share that holds the right class (Wilson).
    size : float
        Mean number of classes.
    abstained : float
        Share that does not hold exactly one class.
    answered : Interval
        Accuracy on the others (Wilson).
    """

    coverage: Interval
    size: float
    abstained: float
    answered: Interval


@dataclass(frozen=True)
class Evaluation:
    """What came of an evaluation.

    Attributes
    ----------
    model, versus : str, optional
        Names, where a table has them.
    counts : Counts
    units : int
        What the bootstrap drew.
    unit_name : str
        ``patients``, ``groups`` or ``samples``.
    draws : int
    classes : tuple of ClassScore
    metrics : tuple of MetricResult
    confusion : NDArray
        int64 ``[K, K]``: samples of a class (row) by predicted class.
    ceiling : CeilingCheck, optional
    sets : Sets, optional
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


class _Truth(NamedTuple):
    """Of each sample of the table: label (index of its classes, -1 unknown), unit, posterior."""

    label: NDArray[np.int64]
    unit: NDArray[np.int64]
    unit_name: str
    posterior: Floats | None
    modalities: tuple[str, ...]
    not_in_table: int


def evaluate_classes(request: EvaluateRequest) -> Evaluation:
    """Read predictions and labels and evaluate them.

    Raises
    ------
    UsageError
        If a file, model or modality does not exist.
    DataError
        If a table cannot be read or is none of predictions, if samples come twice or are not in
        the data, if classes differ, or nothing has both a label and a prediction.
    MissingExtraError
        If Parquet is to be read and pyarrow is not installed, or a cohort and anndata is not.
    """
    scored = read_predictions(request.scored, request.model)
    other = _other(request, scored)
    truth = _truth(request, scored)
    return _evaluate(scored, other, truth, request)


def _other(request: EvaluateRequest, scored: Predictions) -> Predictions | None:
    """The second table, with the classes of the first in its order."""
    if request.versus is None and request.versus_model is None:
        return None
    other = read_predictions(request.versus or request.scored, request.versus_model)
    if set(other.classes) != set(scored.classes):
        raise DataError(
            "its classes differ from those of the other table",
            where=other.path,
            expected=", ".join(scored.classes),
            found=", ".join(other.classes),
        )
    order = [other.classes.index(name) for name in scored.classes]
    place = {name: i for i, name in enumerate(other.names)}
    rows = np.array([place.get(name, -1) for name in scored.names])
    found = np.where(rows[:, None] >= 0, other.probability[rows][:, order], np.nan)
    return Predictions(
        other.path, other.model, scored.names, scored.classes, found, sets=None, label=None
    )


def read_predictions(path: Path, model: str | None = None) -> Predictions:
    """Read a table of predictions.

    Parameters
    ----------
    path : Path
        TSV, TSV.gz, Parquet, or a run folder with ``predictions.parquet``. Of several seeds the
        first is taken, and said to be.
    model : str, optional
        Of a table of several; by default the first, which in a run folder is what was asked for.

    Raises
    ------
    UsageError, DataError, MissingExtraError
        See :func:`evaluate_classes`.
    """
    path = Path(path)
    path = path / PREDICTIONS if path.is_dir() else path
    if not path.is_file():
        raise UsageError("no such file", where=path, hint="make one: genomix score")
    table = _read_table(path)
    columns = [str(name) for name in table]
    classes = tuple(name[len(PROBABILITY) :] for name in columns if name.startswith(PROBABILITY))
    if SAMPLE not in table or len(classes) < 2:
        raise DataError(
            "is no table of predictions",
            where=path,
            expected=f"columns {SAMPLE} and {PROBABILITY}<class> of each class",
            found=", ".join(columns)[:100],
            hint="make one: genomix score",
        )
    table, model = _one_model(table, model, path)
    names = table[SAMPLE].astype(str).to_numpy()
    _refuse_twice(names, path)
    label = table[LABEL].fillna("").astype(str).to_numpy() if LABEL in table else None
    probability = _probability(table[[f"{PROBABILITY}{name}" for name in classes]], path)
    sets = None
    if SETS in table:
        texts = table[SETS].fillna("").astype(str)
        sets = _parse_sets(texts, classes, path)
    return Predictions(path, model, names, classes, probability, sets, label)


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    with path.open("rb") as handle:
        start = handle.read(4)
    try:
        if start.startswith(PARQUET):
            return pd.read_parquet(path)
        # Names are text, whatever they look like.
        text = {SAMPLE: str, LABEL: str, SETS: str, "predicted": str, "model": str, "fold": str}
        return pd.read_csv(
            path,
            sep="\t",
            dtype=text,  # type: ignore[arg-type]
            keep_default_na=False,
            na_values=[""],
            compression="gzip" if start.startswith(GZIP) else None,
        )
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"cannot be read as a table: {reason}", where=path) from error


def _one_model(
    table: pd.DataFrame, model: str | None, path: Path
) -> tuple[pd.DataFrame, str | None]:
    """The rows of one model and of its first seed."""
    if "model" in table:
        there = list(dict.fromkeys(table["model"].astype(str)))
        if model is None and len(there) > 1:
            log.info("%s: %s; --model %s", path, there[0], _listed(there[1:]))
        model = there[0] if model is None and there else model
        if model not in there:
            raise UsageError(f"no model {model}", where=path, expected=_listed(there))
        table = table[table["model"].astype(str) == model]
    elif model is not None:
        raise UsageError(f"no model {model}", where=path, found="a table without a column model")
    if "seed" in table and table["seed"].nunique() > 1:
        first = table["seed"].iloc[0]
        log.info("%s: seed %s of %d", path, first, table["seed"].nunique())
        table = table[table["seed"] == first]
    return table, model


def _listed(names: Sequence[str], most: int = 8) -> str:
    return " or ".join(names[:most]) + (f" ... ({len(names)})" if len(names) > most else "")


def _refuse_twice(names: NDArray[Any], path: Path) -> None:
    unique, counts = np.unique(names, return_counts=True)
    if (counts > 1).any():
        raise DataError(
            f"sample {unique[counts > 1][0]} is there more than once",
            where=path,
            found=f"{int((counts > 1).sum()):,} such samples",
        )


def _probability(columns: pd.DataFrame, path: Path) -> Floats:
    import pandas as pd

    try:
        found = columns.apply(pd.to_numeric).to_numpy(np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(f"a probability is no number: {error}", where=path) from error
    known = ~np.isnan(found).any(1)
    off = known & ((found < 0).any(1) | (np.abs(found.sum(1) - 1) > SUM_TOLERANCE))
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise DataError(
            "probabilities do not sum to 1",
            where=f"{path}, row {row + 1}",
            found=", ".join(f"{p:g}" for p in found[row]),
        )
    return np.where(known[:, None], found, np.nan)


def _parse_sets(texts: Iterable[str], classes: Sequence[str], path: Path) -> NDArray[np.bool_]:
    """Sets written as ``A,B``, bool ``[n, K]``; a class may have commas in its name."""
    known: dict[str, list[str] | None] = {}
    found = []
    for text in texts:
        if text not in known:
            known[text] = _members(text, classes)
        members = known[text]
        if members is None:
            raise DataError(
                f"{text!r} is no set of its classes", where=path, expected=", ".join(classes)
            )
        found.append([name in members for name in classes])
    return np.array(found, bool).reshape(len(found), len(classes))


def _members(text: str, classes: Sequence[str]) -> list[str] | None:
    """The classes of a text, in the one way that uses all of it; None if there is none."""
    if not text:
        return []
    for name in classes:
        if text == name:
            return [name]
        if text.startswith(f"{name},"):
            rest = _members(text[len(name) + 1 :], [c for c in classes if c != name])
            if rest:
                return [name, *rest]
    return None


def _truth(request: EvaluateRequest, scored: Predictions) -> _Truth:
    if request.data is not None and is_sequences(request.data):
        return _of_sequences(open_sequences(request.data), request, scored)
    if request.data is not None:
        with open_cohort(request.data) as cohort:
            return _of_cohort(cohort, request, scored)
    if request.modalities:
        raise UsageError("without a cohort there is no ceiling", where="--modalities")
    if scored.label is None:
        raise UsageError("has no labels", where=scored.path, hint="give the file that has: --data")
    label = _codes(scored.label, scored, scored.path)
    return _Truth(label, np.arange(len(label)), "samples", None, (), 0)


def _codes(names: NDArray[Any], scored: Predictions, where: Path) -> NDArray[np.int64]:
    """Labels as indices of the table's classes, -1 where empty."""
    code = {name: k for k, name in enumerate(scored.classes)} | {"": -1}
    strange = sorted(set(names) - set(code))
    if strange:
        raise DataError(
            f"samples are of class {_listed(strange)}, which the predictions do not know",
            where=where,
            expected=_listed(scored.classes),
        )
    return np.array([code[name] for name in names], np.int64)


def _rows(known: Any, scored: Predictions, path: Path) -> NDArray[np.intp]:
    """Of each sample of the table, where the data has it."""
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


def _not_in_table(rows: NDArray[np.intp], label: NDArray[np.int64]) -> int:
    left_out = np.ones(len(label), bool)
    left_out[rows] = False
    return int((left_out & (label >= 0)).sum())


def _of_cohort(cohort: Cohort, request: EvaluateRequest, scored: Predictions) -> _Truth:
    rows = _rows(cohort.obs.index, scored, cohort.path)
    names = np.array([*cohort.classes, ""], object)[cohort.labels]
    if not (cohort.labels >= 0).any():
        raise DataError("has no labels", where=cohort.path)
    patient = np.arange(len(cohort.obs))
    if PATIENT in cohort.obs:
        codes = np.asarray(cohort.obs[PATIENT].cat.codes, np.int64)
        # Who is unknown is a patient of their own.
        patient = np.where(codes < 0, len(codes) + patient, codes)
    modalities = _seen(cohort, request, scored)
    return _Truth(
        _codes(names[rows], scored, cohort.path),
        patient[rows],
        "patients",
        _posterior(cohort, modalities, scored, rows),
        modalities,
        _not_in_table(rows, cohort.labels),
    )


def _of_sequences(sequences: Sequences, request: EvaluateRequest, scored: Predictions) -> _Truth:
    assert request.data is not None
    if request.modalities:
        raise UsageError("sequences have no modalities", where="--modalities")
    rows = _rows(sequences.names, scored, request.data)
    classes, label = sequences.label(request.label)
    names = np.array([*classes, ""], object)[label]
    codes = _codes(names[rows], scored, request.data)
    return _Truth(codes, sequences.group[rows], "groups", None, (), _not_in_table(rows, label))


def _seen(cohort: Cohort, request: EvaluateRequest, scored: Predictions) -> tuple[str, ...]:
    """Modalities that the model saw: as asked for, as its run says, or all."""
    unknown = [name for name in request.modalities if name not in cohort.modalities]
    if unknown:
        expected = _listed(cohort.modalities)
        raise UsageError(f"no modality {unknown[0]}", where=cohort.path, expected=expected)
    wanted = set(request.modalities or _of_run(scored) or cohort.modalities)
    return tuple(name for name in cohort.modalities if name in wanted)


def _of_run(scored: Predictions) -> tuple[str, ...]:
    """What the ``metrics.json`` beside the predictions of a run says that the model saw."""
    path = scored.path.parent / "metrics.json"
    if scored.path.name != PREDICTIONS or not path.is_file():
        return ()
    try:
        outcomes = json.loads(path.read_text())["outcomes"]
        return next((tuple(o["modalities"]) for o in outcomes if o["name"] == scored.model), ())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("is damaged", where=path) from error


def _posterior(
    cohort: Cohort, modalities: tuple[str, ...], scored: Predictions, rows: NDArray[np.intp]
) -> Floats | None:
    found = cohort.posterior(modalities)
    if found is None:
        if cohort.truth is not None:
            log.warning("%s has no Bayes posterior given %s", cohort.path, " + ".join(modalities))
        return None
    if set(cohort.classes) != set(scored.classes):
        log.warning("no Bayes ceiling: the classes of %s are others", cohort.path)
        return None
    order = [cohort.classes.index(name) for name in scored.classes]
    return np.asarray(found, np.float64)[rows][:, order]


def _evaluate(
    scored: Predictions, other: Predictions | None, truth: _Truth, request: EvaluateRequest
) -> Evaluation:
    used, counts = _usable(scored, other, truth)
    label, unit = truth.label[used], truth.unit[used]
    models = [scored.probability[used]]
    for more in (truth.posterior, None if other is None else other.probability):
        if more is not None:
            models.append(more[used])
    units = len(np.unique(unit))
    if request.draws and units < FEW_UNITS:
        log.warning("only %d %s to draw: the intervals are rough", units, truth.unit_name)
    found = replicate(label, models, Bootstrap(unit, request.draws, request.seed))
    bayes = None if truth.posterior is None else 1
    beside = None if other is None else len(models) - 1
    k = len(scored.classes)
    sets = None if scored.sets is None else scored.sets[used]
    predicted = models[0].argmax(1)
    return Evaluation(
        model=scored.model,
        versus=None if other is None else other.model,
        counts=counts,
        units=units,
        unit_name=truth.unit_name,
        draws=request.draws,
        classes=tuple(_classes(found, scored.classes, label, sets)),
        metrics=tuple(_metric(found, name, bayes, beside) for name in METRICS),
        confusion=np.bincount(label * k + predicted, minlength=k * k).reshape(k, k),
        ceiling=None if bayes is None else _check(found, bayes, truth.modalities),
        sets=None if sets is None else _sets(sets, label, predicted),
    )


def _usable(
    scored: Predictions, other: Predictions | None, truth: _Truth
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


def _metric(found: Replicates, name: str, bayes: int | None, beside: int | None) -> MetricResult:
    return MetricResult(
        name,
        found.interval(0, name),
        None if bayes is None else found.interval(bayes, name),
        None if beside is None else found.interval(beside, name),
        None if beside is None else found.difference(0, beside, name),
    )


def _check(found: Replicates, bayes: int, modalities: tuple[str, ...]) -> CeilingCheck:
    accuracy, nll = (found.difference(0, bayes, name) for name in ("accuracy", "nll"))
    return CeilingCheck(modalities, accuracy, nll, leaks(found, 0, bayes, 1))


def _classes(
    found: Replicates,
    names: Sequence[str],
    label: NDArray[np.int64],
    sets: NDArray[np.bool_] | None,
) -> Iterator[ClassScore]:
    for k, name in enumerate(names):
        own = label == k
        metrics = {metric: found.class_interval(0, k, metric) for metric in CLASS_METRICS}
        coverage = NAN if sets is None else share_interval(sets[own, k])
        yield ClassScore(name, int(own.sum()), metrics, coverage)


def _sets(sets: NDArray[np.bool_], label: NDArray[np.int64], predicted: NDArray[np.intp]) -> Sets:
    size = sets.sum(1)
    single = size == 1
    return Sets(
        share_interval(sets[np.arange(len(label)), label]),
        float(size.mean()),
        float((~single).mean()),
        share_interval((predicted == label)[single]),
    )


def write_tsv(evaluation: Evaluation, path: Path, *, force: bool = False) -> None:
    """Write a line per metric, of all classes and of each; what does not apply is empty."""
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
    write_rows(rows, path, force=force)


def write_json(
    evaluation: Evaluation, request: EvaluateRequest, path: Path, *, force: bool = False
) -> None:
    """Write everything, and how it was made."""
    inputs = {"scored": request.scored, "data": request.data, "versus": request.versus}
    files = {role: file for role, file in inputs.items() if file is not None}
    settings = {key: value for key, value in asdict(request).items() if key not in inputs}
    made = Provenance.of(settings, files, request.seed).to_dict()
    report = {
        **plain(evaluation),
        "counts": evaluation.counts._asdict(),
        "metrics": {m.name: plain(m.intervals()) for m in evaluation.metrics},
        "provenance": made,
    }
    with atomic_path(path, force=force) as draft:
        draft.write_text(json.dumps(report, indent=1) + "\n")
