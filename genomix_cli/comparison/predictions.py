"""Tables of predictions, as ``genomix score`` and ``genomix train`` write them.

Letters: n samples, K classes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.held_out import SEEN
from genomix_cli.comparison.study import Floats
from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.parquet import MAGIC, read_parquet
from genomix_cli.genome.tables import (
    first_bytes,
    how_made,
    is_missing,
    number,
    numbers,
    open_table,
    place,
)

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("genomix")

PREDICTIONS = "predictions.parquet"
PROBABILITY, SAMPLE, UNIT, LABEL, SETS = "p:", "sample", "unit", "label", "set"
# Probabilities are written with six digits.
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Predictions:
    """Predictions of one model, read from a table.

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
    seen : NDArray, optional
        str ``[n]``: part of training in which the model has seen the sample; empty if it has not.
    made : mapping of str to list of str
        Provenance lines of the table, by key.
    unit : NDArray, optional
        str ``[n]``: unit of the bootstrap, such as a patient; None if each sample is its own.
    """

    path: Path
    model: str | None
    names: NDArray[Any]
    classes: tuple[str, ...]
    probability: Floats
    sets: NDArray[np.bool_] | None
    label: NDArray[Any] | None
    seen: NDArray[Any] | None = None
    made: Mapping[str, list[str]] = field(default_factory=dict)
    unit: NDArray[Any] | None = None


def read_predictions(path: Path, model: str | None = None) -> Predictions:
    """Read a table of predictions.

    Parameters
    ----------
    path : Path
        TSV, TSV.gz, Parquet, or a run folder with ``predictions.parquet``. If the table has several
        seeds, the first is used and logged.
    model : str, optional
        Name of the model to read from a table of several. The default is the first, which in a run
        folder is the model that the user asked for.

    Raises
    ------
    UsageError, DataError, MissingExtraError
        See :func:`genomix_cli.comparison.evaluate.evaluate_classes`.
    """
    path = Path(path)
    if path.is_dir() and not (path / PREDICTIONS).is_file():
        raise UsageError(
            f"has no {PREDICTIONS}, which only classifiers write",
            where=path,
            hint=f"its own metrics: genomix inspect {path}",
        )
    path = path / PREDICTIONS if path.is_dir() else path
    if not path.is_file():
        raise UsageError("no such file", where=path, hint="make one: genomix score")
    table = _read_table(path)
    columns = [str(name) for name in table]
    classes = tuple(name[len(PROBABILITY) :] for name in columns if name.startswith(PROBABILITY))
    if SAMPLE not in table or len(classes) < 2:
        raise DataError(
            "is not a table of predictions",
            where=path,
            expected=f"columns {SAMPLE} and {PROBABILITY}<class> of each class",
            found=", ".join(columns)[:100],
            hint="make one: genomix score with the run of a classifier",
        )
    table, model = _one_model(table, model, path)
    names = table[SAMPLE].fillna("").astype(str).to_numpy()
    _refuse_twice(names, path)
    label = _labels(table[LABEL], classes) if LABEL in table else None
    probability = _probability(table[[f"{PROBABILITY}{name}" for name in classes]], path)
    texts = table[SETS].fillna("").astype(str) if SETS in table else None
    sets = None if texts is None else _parse_sets(texts, classes, path)
    seen = table[SEEN].fillna("").astype(str).to_numpy() if SEEN in table else None
    made = how_made(path)
    unit = table[UNIT].astype(str).to_numpy() if UNIT in table else None
    return Predictions(path, model, names, classes, probability, sets, label, seen, made, unit)


def _read_table(path: Path) -> pd.DataFrame:
    """Return the table, as text unless it is Parquet, indexed by line or row number."""
    if not first_bytes(path).startswith(MAGIC):
        with open_table(path, comment="##") as text:
            table = text.frame()
        if not text.is_ended:
            log.warning("%s: the last line has no line end; the file may be truncated", path)
        return table
    table = read_parquet(path)
    return table.set_axis(range(1, len(table) + 1))


def _one_model(
    table: pd.DataFrame, model: str | None, path: Path
) -> tuple[pd.DataFrame, str | None]:
    """Return the rows of one model and its first seed, and the name of the model."""
    if "model" in table:
        there = list(dict.fromkeys(table["model"].astype(str)))
        if model is None and len(there) > 1:
            log.info("%s: %s; --model %s", path, there[0], listed(there[1:]))
        model = there[0] if model is None and there else model
        if model not in there:
            raise UsageError(f"no model {model}", where=path, expected=listed(there))
        table = table[table["model"].astype(str) == model]
    elif model is not None:
        raise UsageError(f"no model {model}", where=path, found="a table without the column model")
    if "seed" in table and table["seed"].nunique() > 1:
        first = table["seed"].iloc[0]
        log.info("%s: seed %s of %d", path, first, table["seed"].nunique())
        table = table[table["seed"] == first]
    return table, model


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return at most `most` names for a message."""
    return " or ".join(names[:most]) + (f" ... ({len(names)})" if len(names) > most else "")


def _refuse_twice(names: NDArray[Any], path: Path) -> None:
    unique, counts = np.unique(names, return_counts=True)
    if "" in unique:
        found = f"{int((names == '').sum()):,} such rows"
        raise DataError("a row has no sample name", where=path, found=found)
    if (counts > 1).any():
        raise DataError(
            f"sample {unique[counts > 1][0]} is repeated",
            where=path,
            found=f"{int((counts > 1).sum()):,} such samples",
        )


def _labels(column: pd.Series, classes: Sequence[str]) -> NDArray[Any]:
    """Return labels as text, str ``[n]``, empty where unknown."""
    text = column.fillna("").astype(str)
    return text.where(text.isin(classes) | ~text.map(is_missing), "").to_numpy()


def _probability(columns: pd.DataFrame, path: Path) -> Floats:
    header = 0 if first_bytes(path).startswith(MAGIC) else 1

    def where(row: int, column: int) -> str:
        at = place(path, int(columns.index[row]), header)
        return f"{at}, column {columns.columns[column]}"

    text = any(dtype.kind == "O" for dtype in columns.dtypes)
    cells = columns.fillna("").astype(str).to_numpy() if text else columns.to_numpy(np.float64)
    try:
        parts = [numbers(each, 1, np.float64) for each in cells.T.tolist()] if text else [cells]
        values = np.hstack(parts)
    except ValueError:  # parse cell by cell to locate the error
        parsed = [number(cell, partial(where, *at)) for at, cell in np.ndenumerate(cells)]
        values = np.reshape(parsed, cells.shape)
    missing = np.isnan(values)
    known = ~missing.any(1)
    with np.errstate(invalid="ignore"):
        off = (values < 0).any(1) | (np.abs(values.sum(1) - 1) > SUM_TOLERANCE)
    for wrong, what in (
        (~known & ~missing.all(1), "some probabilities are missing"),
        (known & off, "probabilities do not sum to 1"),
    ):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DataError(
                what,
                where=place(path, int(columns.index[row]), header),
                found=", ".join(f"{p:g}" for p in values[row]),
            )
    return values


def _parse_sets(texts: Iterable[str], classes: Sequence[str], path: Path) -> NDArray[np.bool_]:
    """Parse sets written as ``A,B`` to bool ``[n, K]``; names of classes may contain commas."""
    members_of = cache(partial(_members, classes=classes))
    rows = []
    for text in texts:
        members = members_of(text)
        if members is None:
            expected = ", ".join(classes)
            raise DataError(f"{text!r} is not a set of its classes", where=path, expected=expected)
        rows.append([name in members for name in classes])
    return np.array(rows, bool).reshape(len(rows), len(classes))


def _members(text: str, classes: Sequence[str]) -> list[str] | None:
    """Split a set into classes such that all of the text is used; None if that is impossible."""
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


def matched(other: Predictions, scored: Predictions) -> Predictions:
    """Return `other` with the samples and classes of `scored`, in the order of `scored`.

    Samples that `other` lacks get NaN.

    Raises
    ------
    DataError
        If the two tables have different classes.
    """
    if set(other.classes) != set(scored.classes):
        raise DataError(
            "the classes differ from those of the other table",
            where=other.path,
            expected=", ".join(scored.classes),
            found=", ".join(other.classes),
        )
    order = [other.classes.index(name) for name in scored.classes]
    row_of = {name: i for i, name in enumerate(other.names)}
    rows = np.array([row_of.get(name, -1) for name in scored.names])
    seen = None if other.seen is None else np.where(rows >= 0, other.seen[rows], "")
    probability = np.where(rows[:, None] >= 0, other.probability[rows][:, order], np.nan)
    return Predictions(
        *(other.path, other.model, scored.names, scored.classes, probability),
        sets=None,
        label=None,
        seen=seen,
        made=other.made,
    )
