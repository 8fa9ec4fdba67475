"""Numbers that come with alleles: one per ALT in INFO, or a table keyed by allele."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from genomix_cli.errors import DataError
from genomix_cli.genome.intervals import canonical
from genomix_cli.genome.vcf import MISSING, Record, VcfReader

NAN = float("nan")

_COLUMNS = ("contig", "pos", "ref", "alt", "label")
_OTHER_NAMES = {"chrom": "contig", "#chrom": "contig", "chr": "contig", "#contig": "contig"}


class AlleleKey(NamedTuple):
    """An allele as files agree on it: canonical contig, 1-based position, upper-case bases."""

    contig: str
    pos: int
    ref: str
    alt: str


def allele_key(contig: str, pos: int, ref: str, alt: str) -> AlleleKey:
    """The key of an allele; `pos` is 1-based."""
    return AlleleKey(canonical(contig), pos, ref.upper(), alt.upper())


def info_numbers(reader: VcfReader, record: Record, key: str) -> list[float]:
    """The numbers of an INFO key, one per ALT; NaN where there is none.

    Parameters
    ----------
    reader : VcfReader
        For error messages.
    record : Record
    key : str

    Raises
    ------
    DataError
        If a value is no number, or there are not as many as ALTs.
    """
    alts, text = record.alts, record.info(key)
    if text is None or text in ("", MISSING):
        return [NAN] * len(alts)
    values = text.split(",")
    if len(values) != len(alts):
        raise DataError(
            f"{key} does not say which ALT it belongs to",
            where=reader.where(record.line),
            expected=f"{len(alts)} values, one per ALT",
            found=text,
            hint="split multi-allelic records: bcftools norm -m-",
        )
    return [_number(value, key, reader.where(record.line)) for value in values]


def read_labels(path: Path) -> dict[AlleleKey, float]:
    """Read a TSV of labels.

    The first line names the columns: contig (or chrom), pos (1-based), ref, alt, label; others
    are ignored, and so are lines before it that begin with ``##``.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of AlleleKey to float
        NaN where the label is ``.``, ``NA`` or empty.

    Raises
    ------
    DataError
        If a column is missing, a value cannot be read, or an allele has two labels.
    """
    labels: dict[AlleleKey, float] = {}
    try:
        with path.open(newline="") as handle:
            table = csv.reader(handle, delimiter="\t")
            header = next((row for row in table if row and not row[0].startswith("##")), [])
            index = _column_index(header, path)
            for row in filter(None, table):
                key, label = _label(row, index, f"{path}:{table.line_num}")
                if labels.get(key, label) != label and label == label:
                    raise DataError(
                        f"two labels for {':'.join(map(str, key))}",
                        where=f"{path}:{table.line_num}",
                    )
                labels[key] = label
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", where=path) from error
    return labels


def _column_index(header: list[str], path: Path) -> list[int]:
    names = [_OTHER_NAMES.get(name.strip().lower(), name.strip().lower()) for name in header]
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise DataError(
            f"lacks the column {', '.join(missing)}",
            where=path,
            expected="<TAB>".join(_COLUMNS),
            found=repr("\t".join(header)[:80]),
        )
    return [names.index(name) for name in _COLUMNS]


def _label(row: list[str], index: list[int], where: str) -> tuple[AlleleKey, float]:
    if len(row) <= max(index):
        raise DataError(
            "too few columns", where=where, expected=str(max(index) + 1), found=str(len(row))
        )
    contig, pos, ref, alt, label = (row[i].strip() for i in index)
    if not (pos.isascii() and pos.isdigit()):
        raise DataError("pos is no position", where=where, expected="a whole number", found=pos)
    missing = label in ("", MISSING, "NA")
    return allele_key(contig, int(pos), ref, alt), NAN if missing else _number(
        label, "label", where
    )


def _number(text: str, key: str, where: str) -> float:
    if text == MISSING:
        return NAN
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"{key} is not a number", where=where, found=repr(text)) from error
