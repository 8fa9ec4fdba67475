"""Clinical tables of the samples, and the label, batch and patient in them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genomix_cli.cohorts.prepare.samples import (
    LeftOut,
    Spelling,
    parse_barcode,
    pick_samples,
    plain_name,
)
from genomix_cli.cohorts.requests import PrepareRequest
from genomix_cli.errors import DataError
from genomix_cli.formats.cohort import BATCH, LABEL, PATIENT
from genomix_cli.genome.tables import first_bytes, is_missing, open_table, place, unknown_name

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("genomix")

# A number with a decimal comma.
_COMMA = re.compile(r"-?\d+,\d+")
# A label of numbers with more classes than this, or than half the samples, looks like a quantity.
_MOST_CLASSES = 20
#: Names of the column of samples; without any of them it is the first column.
SAMPLE_COLUMNS = ("sample_id", "sample", "sampleid", "sample id", "tumor_sample_barcode")


@dataclass(frozen=True)
class Clinical:
    """Table with one row per sample, as its file spells it.

    Attributes
    ----------
    path : Path
    frame : DataFrame
        Text, None if missing; or typed columns. Indexed by the ids.
    """

    path: Path
    frame: pd.DataFrame


@dataclass(frozen=True)
class Roles:
    """Roles of the clinical columns.

    Attributes
    ----------
    label, batch, patient : str, optional
        Columns; by default those of these names.
    keep : tuple of str
        Other columns to keep; by default all that are not empty.
    drop_labels : tuple of str
        Values of the label that mean unknown.
    """

    label: str | None = None
    batch: str | None = None
    patient: str | None = None
    keep: tuple[str, ...] = ()
    drop_labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: PrepareRequest) -> Roles:
        """Return the roles that a request gives to columns."""
        return cls(**{each.name: getattr(request, each.name) for each in fields(cls)})

    @property
    def asked(self) -> dict[str, str | None]:
        """Return the column requested for each role."""
        return {LABEL: self.label, BATCH: self.batch, PATIENT: self.patient}


def read_clinical(
    path: Path, sample_column: str | None = None, duplicates: str = "error"
) -> Clinical:
    """Read a table of samples.

    Parameters
    ----------
    path : Path
        TSV or CSV, gzipped or not, or Parquet. Lines before the header that begin with ``#`` (the
        four of cBioPortal) are skipped.
    sample_column : str, optional
        Column of the ids; by default one of `SAMPLE_COLUMNS`, else the first.
    duplicates : {"error", "first"}

    Raises
    ------
    UsageError
        If the column does not exist.
    DataError
        If a row is ragged or has no id, or a sample or a column is repeated.
    """
    import pandas as pd

    is_parquet = first_bytes(path).startswith(b"PAR1")
    columns, rows, places, header = (_parquet if is_parquet else _text)(path)
    key = _sample_column(columns, sample_column, path)
    ids = [(row[key] or "").strip() for row in rows]
    first: dict[str, int] = {}
    for name, number in zip(ids, places, strict=True):
        where = place(path, number, header)
        if is_missing(name):
            raise DataError(f"no sample id in the column {columns[key]}", where=where)
        if first.setdefault(name, number) != number and duplicates != "first":
            what = f"{name} is repeated, first in line {first[name]}"
            raise DataError(what, where=where, hint="keep the first of each: --duplicates first")
    if len(first) < len(rows):
        log.warning("%s: %d rows repeat an earlier sample", path, len(rows) - len(first))
    frame = pd.DataFrame(rows, pd.Index(ids, dtype=object), columns, dtype=object)
    return Clinical(path, frame[~frame.index.duplicated()].drop(columns=columns[key]))


def _text(path: Path) -> tuple[list[str], list[list[str | None]], list[int], int]:
    with open_table(path) as table:
        table.refuse_repeated(table.columns)
        rows = list(table.rows())
        if not rows:
            raise DataError("has a header but no rows", where=path)
        cells = [[_clean(c, table.has_decimal_commas) for c in row.cells] for row in rows]
        return table.columns, cells, [row.line for row in rows], table.header


def _clean(cell: str, commas: bool) -> str | None:
    """Return a cell without spaces around it, None if missing; `commas` are decimal marks."""
    if is_missing(cell):
        return None
    cell = cell.strip()
    return cell.replace(",", ".") if commas and _COMMA.fullmatch(cell) else cell


def _parquet(path: Path) -> tuple[list[str], list[list[str | None]], list[int], int]:
    import pandas as pd

    from genomix_cli.genome.parquet import read_parquet

    frame = read_parquet(path)
    frame = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
    cells = [
        [None if pd.isna(c) or is_missing(str(c)) else str(c) for c in row]
        for row in frame.itertuples(index=False, name=None)
    ]
    return list(map(str, frame.columns)), cells, list(range(1, len(cells) + 1)), 0


def _sample_column(columns: list[str], named: str | None, path: Path) -> int:
    if named is not None:
        if named not in columns:
            raise unknown_name(named, columns, what="column", where=path, option="--sample-column")
        return columns.index(named)
    lower = [column.lower() for column in columns]
    return next((lower.index(name) for name in SAMPLE_COLUMNS if name in lower), 0)


def respell(clinical: Clinical, spelling: Spelling, duplicates: str, left_out: LeftOut) -> Clinical:
    """Return the table with one row per sample, spelled as in all tables."""
    frame = clinical.frame
    rows = pick_samples(clinical.path.name, list(frame.index), spelling, duplicates, left_out)
    frame = frame.iloc[list(rows.values())].set_axis(list(rows), axis=0)
    return replace(clinical, frame=frame)


def merge(tables: Sequence[Clinical]) -> Clinical | None:
    """Merge tables; of a column in several, the last one's values are used."""
    if not tables:
        return None
    frame = tables[0].frame
    for table in tables[1:]:
        again = [column for column in table.frame.columns if column in frame.columns]
        if again:
            log.info("%s overrides the columns %s", table.path, ", ".join(again))
        new = [name for name in table.frame.index if name not in frame.index]
        frame = frame.drop(columns=again).reindex([*frame.index, *new])
        frame = frame.join(table.frame)
    return Clinical(tables[-1].path, frame)


def observations(
    clinical: Clinical | None, samples: Sequence[str], spelling: Spelling, roles: Roles
) -> pd.DataFrame:
    """Return the observations of a cohort file.

    Parameters
    ----------
    clinical : Clinical, optional
    samples : sequence of str
        In the order of the file.
    spelling : Spelling
        TCGA barcodes give the patient even without a column.
    roles : Roles

    Returns
    -------
    DataFrame
        `label`, `batch` and `patient` as categories, then the other columns: numbers if every
        value is one, else categories. Columns without a value are left out.

    Raises
    ------
    UsageError
        If a value to drop does not occur.
    DataError
        If the label has fewer than two classes.
    """
    import pandas as pd

    index = pd.Index(list(samples), dtype=object)
    obs = pd.DataFrame(index=index)
    table = obs if clinical is None else clinical.frame.reindex(index)
    where = None if clinical is None else clinical.path
    columns = {role: _column(table, name, role) for role, name in roles.asked.items()}
    for role, column in columns.items():
        if column is not None:
            obs[role] = _categories(table[column])
    if PATIENT not in obs and spelling.level != "exact":
        obs[PATIENT] = _categories(pd.Series(list(map(_patient, samples)), index))
    if LABEL in obs:
        obs[LABEL] = _label(obs[LABEL], roles.drop_labels, columns[LABEL], where)
    for name in roles.keep or table.columns:
        if name not in (LABEL, BATCH, PATIENT) and table[name].notna().any():
            obs[name.replace("/", "_")] = _typed(table[name])
    return obs


def check_columns(tables: Sequence[pd.DataFrame], roles: Roles, path: Path | None) -> None:
    """Refuse a column that no table has.

    Raises
    ------
    UsageError
        Listing the columns, and the most similar one.
    """
    there = list(dict.fromkeys(str(column) for table in tables for column in table.columns))
    asked = [(role, name) for role, name in roles.asked.items() if name is not None]
    for role, name in [*asked, *(("keep", name) for name in roles.keep)]:
        if name not in there:
            raise unknown_name(name, there, what="column", where=path, option=f"--{role}")


def _column(table: pd.DataFrame, name: str | None, role: str) -> str | None:
    """Return the column for a role."""
    if name is not None and name != role and role in table.columns:
        log.warning("the column %s is dropped, because %s is used as the %s", role, name, role)
    return name or (role if role in table.columns else None)


def _patient(sample: str) -> str:
    barcode = parse_barcode(sample)
    return barcode.patient if barcode else sample


def _label(label: pd.Series, drop: tuple[str, ...], column: object, where: object) -> pd.Series:
    """Return the label without the values that mean unknown."""
    classes = list(map(str, label.cat.categories))
    for value in drop:
        if value not in classes:
            raise unknown_name(
                value, classes, what=f"class of {column}", where=where, option="--drop-label"
            )
    label = label.cat.remove_categories(list(drop))
    left = list(label.cat.categories)
    if len(left) < 2:
        raise DataError(
            f"the label {column} has fewer than two classes among the samples",
            where=where,
            found=", ".join(left) or "none",
        )
    _warn_of_classes(left, int(label.notna().sum()), column)
    return label


def _warn_of_classes(classes: Sequence[str], samples: int, column: object) -> None:
    """Warn of classes that are one class in two spellings, or the values of a quantity."""
    spelled: dict[str, list[str]] = {}
    for name in classes:
        spelled.setdefault(plain_name(name), []).append(name)
    for names in spelled.values():
        if len(names) > 1:
            text = "the classes %s of %s differ only in case or punctuation; are they one class?"
            log.warning(text, " and ".join(map(repr, names)), column)
    numeric = all(_number(name) is not None for name in classes)
    if numeric and len(classes) > min(_MOST_CLASSES, samples / 2):
        text = "the label %s has %d numbers in %d samples: a quantity has to be cut into classes"
        log.warning(text, column, len(classes), samples)


def _categories(column: pd.Series) -> pd.Series:
    """Return text as categories: in numerical order if all are numbers, else alphabetical."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        text = column.cat.rename_categories(list(map(str, column.cat.categories)))
        return text.cat.remove_unused_categories()
    text = column.map(str, na_action="ignore").astype(object)
    classes = sorted(set(text.dropna()), key=_in_order)
    return pd.Series(pd.Categorical(text, classes), column.index)


def _in_order(text: str) -> tuple[float, str]:
    number = _number(text)
    return (np.inf if number is None else number, text)


def _number(text: str) -> float | None:
    # A code such as 007 is not a number.
    if re.match(r"-?0\d", text) or "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _typed(column: pd.Series) -> pd.Series:
    """Return numbers if every value is one, else categories."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        return column
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _categories(column)
    numbers = [_number(str(cell)) for cell in column.dropna()]
    if None in numbers:
        return _categories(column)
    values = column.map(float, na_action="ignore").astype(float)
    is_whole = values.notna().all() and (values == values.round()).all()
    # Beyond 2^53 neighbouring whole numbers share one float.
    return values.astype(np.int64) if is_whole and values.abs().max() < 2**53 else values


def label_counts(obs: pd.DataFrame) -> Mapping[str, int]:
    """Return the number of samples of each class, in the order of the classes."""
    if LABEL not in obs:
        return {}
    counts = obs[LABEL].value_counts(sort=False)
    return {str(name): int(n) for name, n in counts.items()}
