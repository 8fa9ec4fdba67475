"""Labels of alleles, from an INFO field with one number per ALT or from a table of alleles."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from genomix_cli.errors import DataError
from genomix_cli.genome.intervals import canonical
from genomix_cli.genome.tables import TextTable, is_missing, open_table
from genomix_cli.genome.vcf.reader import MISSING, Record, VcfReader

NAN = float("nan")

_COLUMNS = ("contig", "pos", "ref", "alt")
_LABELS = ("label", "effect")
_OPTIONAL = ("weight", "group", "tissue")
_OTHER_NAMES = {"chrom": "contig", "#chrom": "contig", "chr": "contig", "#contig": "contig"}


class AlleleKey(NamedTuple):
    """Identity of an allele across files: canonical contig, 1-based position, upper-case bases."""

    contig: str
    pos: int
    ref: str
    alt: str


class LabelRow(NamedTuple):
    """Row of a label table; NaN or empty where a value is missing."""

    label: float = NAN
    weight: float = 1.0
    group: str = ""
    tissue: str = ""
    effect: float = NAN


def allele_key(contig: str, pos: int, ref: str, alt: str) -> AlleleKey:
    """Return the key of an allele; `pos` is 1-based."""
    return AlleleKey(canonical(contig), pos, ref.upper(), alt.upper())


def info_numbers(reader: VcfReader, record: Record, key: str) -> list[float]:
    """Return the numbers of an INFO key, one per ALT; NaN where missing.

    Raises
    ------
    DataError
        If a value is not a number, or the number of values differs from the number of ALTs.
    """
    alts, text = record.alts, record.info(key)
    if text is None or text in ("", MISSING):
        return [NAN] * len(alts)
    values = text.split(",")
    if len(values) != len(alts):
        raise DataError(
            f"{key} does not say which ALT it belongs to",
            where=reader.where(record),
            expected=f"{len(alts)} values, one per ALT",
            found=text,
            hint="split multi-allelic records: bcftools norm -m-",
        )
    return [_number(value, key, reader.where(record)) for value in values]


def read_labels(path: Path) -> dict[AlleleKey, float]:
    """Read the label of each allele from a table that covers a single tissue.

    If no allele has a label, effects are used as labels.

    Raises
    ------
    DataError
        As in :func:`read_label_rows`; also if the labels of an allele differ between tissues.
    """
    labels: dict[AlleleKey, float] = {}
    table = read_label_rows(path)
    every = [row.label for rows in table.values() for row in rows.values()]
    name = "effect" if all(map(math.isnan, every)) else "label"
    for key, rows in table.items():
        values = {str(getattr(row, name)) for row in rows.values()}
        if len(values) > 1:
            raise DataError(
                f"{':'.join(map(str, key))} has labels of several tissues",
                where=path,
                found=", ".join(rows),
                hint="keep the rows of one tissue",
            )
        labels[key] = getattr(next(iter(rows.values())), name)
    return labels


def read_label_rows(path: Path) -> dict[AlleleKey, dict[str, LabelRow]]:
    """Read a table of labels and return the rows of each allele by tissue.

    The table is TSV or CSV, optionally gzipped. Its first line names the columns: contig (or
    chrom), pos (1-based), ref, alt, then label (0 or 1), effect (a quantity), or both, and
    optionally weight, group, tissue. Other columns, and leading lines that begin with ``##``, are
    ignored. Missing labels (``.``, ``NA`` or empty) are NaN.

    Raises
    ------
    DataError
        If a column is missing, a row is ragged, a value cannot be read, or two rows of an allele
        in one tissue contradict each other.
    UsageError
        If the file does not exist.
    """
    labels: dict[AlleleKey, dict[str, LabelRow]] = {}
    with open_table(path, comment="##") as table:
        index = _column_index(table)
        for line, cells in table.rows():
            where = f"{path}:{line}"
            key, row = _label_row({name: cells[i].strip() for name, i in index.items()}, where)
            earlier = labels.setdefault(key, {}).setdefault(row.tissue, row)
            # Compare as text, since NaN differs from itself.
            if str(earlier) != str(row):
                raise DataError(
                    f"two labels for {':'.join(map(str, key))}",
                    where=where,
                    expected=_describe(earlier),
                    found=_describe(row),
                    hint="keep one row per allele and tissue",
                )
    return labels


def _describe(row: LabelRow) -> str:
    values = {"label": row.label, "effect": row.effect, "weight": row.weight}
    return ", ".join(f"{name} {value:g}" for name, value in values.items() if value == value)


def _column_index(table: TextTable) -> dict[str, int]:
    table.columns = [_OTHER_NAMES.get(name.lower(), name.lower()) for name in table.columns]
    missing = [name for name in _COLUMNS if name not in table.columns]
    if not set(_LABELS) & set(table.columns):
        missing.append(" or ".join(_LABELS))
    if missing:
        raise DataError(
            f"lacks the column {', '.join(missing)}",
            where=f"{table.path}:{table.header}",
            expected="<TAB>".join((*_COLUMNS, _LABELS[0])),
            found=", ".join(table.columns)[:80],
        )
    index = {name: table.find(name) for name in (*_COLUMNS, *_LABELS, *_OPTIONAL)}
    return {name: i for name, i in index.items() if i is not None}


def _label_row(row: dict[str, str], where: str) -> tuple[AlleleKey, LabelRow]:
    """Return the allele and the values of a row, given by column name."""
    pos = row["pos"]
    if not (pos.isascii() and pos.isdigit()):
        raise DataError("pos is not a position", where=where, expected="a whole number", found=pos)
    if is_missing(row["contig"]) or not (row["ref"] and row["alt"]):
        raise DataError(
            "the row has no allele", where=where, found=":".join(row[name] for name in _COLUMNS)
        )
    key = allele_key(row["contig"], int(pos), row["ref"], row["alt"])
    values = (name for name in row if name not in _COLUMNS)
    given = {name: row[name] for name in values if not is_missing(row[name])}
    label, effect = (_number(given.get(name, MISSING), name, where) for name in _LABELS)
    if math.inf in (abs(label), abs(effect)):
        raise DataError("the label is infinite", where=where)
    weight = _weight(given.get("weight", "1"), where)
    return key, LabelRow(label, weight, given.get("group", ""), given.get("tissue", ""), effect)


def _weight(text: str, where: str) -> float:
    weight = _number(text, "weight", where)
    if not 0 <= weight < float("inf"):
        raise DataError("weight is negative or infinite", where=where, found=text)
    return weight


def _number(text: str, key: str, where: str) -> float:
    if text == MISSING:
        return NAN
    try:
        return float("x" if "_" in text else text)
    except ValueError as error:
        raise DataError(f"{key} is not a number", where=where, found=repr(text)) from error
