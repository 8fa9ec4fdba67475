"""Whose values these are: tables the right way up, and one spelling of every sample."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from genomix_cli.cohorts.prepare.tables import Table
from genomix_cli.errors import DataError, UsageError

log = logging.getLogger("genomix")

Axis = Literal["rows", "columns"]
Level = Literal["exact", "sample", "patient"]

# R writes the dashes as dots.
_BARCODE = re.compile(
    r"(?P<patient>TCGA[-.]\w{2}[-.]\w{4})(?:[-.](?P<type>\d\d)[A-Z]?(?:[-.]\w+)*)?", re.IGNORECASE
)
NORMAL = range(10, 20)
#: Headers of a column of ids that say which ids they are.
SAMPLE_HEADERS = frozenset(
    [
        "sample",
        "samples",
        "sample_id",
        "sampleid",
        "patient",
        "patient_id",
        "barcode",
        "tumor_sample_barcode",
        "case",
        "case_id",
        "submitter_id",
        "bcr_patient_barcode",
    ]
)
FEATURE_HEADERS = frozenset(
    [
        "gene",
        "genes",
        "geneid",
        "gene_id",
        "gene_name",
        "gene_symbol",
        "hugo_symbol",
        "symbol",
        "ensembl_id",
        "entrez_gene_id",
        "feature",
        "feature_id",
        "probe",
        "probe_id",
        "probeid",
        "id_ref",
        "cpg",
        "cpg_id",
        "ilmnid",
        "targetid",
        "entity_stable_id",
        "composite_element_ref",
        "peak",
        "region",
        "bin",
        "arm",
        "mirna",
        "mirna_id",
    ]
)


class Barcode(NamedTuple):
    """A TCGA barcode: ``TCGA-A1-A0SB`` and, where it is of a sample, its type, as ``01``."""

    patient: str
    type: str

    @property
    def sample(self) -> str:
        """The patient and the type of sample, as ``TCGA-A1-A0SB-01``."""
        return f"{self.patient}-{self.type}" if self.type else self.patient

    @property
    def is_normal(self) -> bool:
        """Whether it is of normal tissue or blood."""
        return bool(self.type) and int(self.type) in NORMAL


def parse_barcode(name: str) -> Barcode | None:
    """A TCGA barcode of a patient, sample or aliquot, or None.

    See https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode/.
    """
    match = _BARCODE.fullmatch(name)
    if match is None:
        return None
    return Barcode(match["patient"].upper().replace(".", "-"), match["type"] or "")


@dataclass(frozen=True)
class Spelling:
    """How ids become samples that all tables agree on.

    Attributes
    ----------
    level : {"exact", "sample", "patient"}
        The ids themselves, or the first 15 or 12 characters of TCGA barcodes.
    with_tumour : frozenset of str
        Patients of whom there is a tumour; at the patient level their normal samples are left out.
    """

    level: Level
    with_tumour: frozenset[str] = frozenset()

    def of(self, name: str) -> str:
        """The sample that an id is of."""
        barcode = None if self.level == "exact" else parse_barcode(name)
        if barcode is None:
            return name
        return barcode.sample if self.level == "sample" else barcode.patient


@dataclass
class LeftOut:
    """Who was left out, by reason."""

    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, reason: str, names: Sequence[str]) -> None:
        """Note that `names` were left out."""
        if names:
            self.names[reason].extend(names)


def choose_spelling(tables: Mapping[str, Sequence[str]], ids: str) -> Spelling:
    """How the ids of these tables are matched.

    Parameters
    ----------
    tables : mapping of str to sequence of str
        Ids by table, the clinical one among them.
    ids : {"auto", "exact", "tcga"}
        ``auto`` is ``tcga`` where every id of every table is a TCGA barcode. With ``tcga`` an id
        that is none stays as it is.

    Raises
    ------
    DataError
        If they have to be barcodes and a table has none.
    """
    if ids == "exact":
        return Spelling("exact")
    found: list[Barcode] = []
    for table, names in tables.items():
        barcodes = [barcode for name in names if (barcode := parse_barcode(name))]
        if ids == "auto" and len(barcodes) < len(names):
            return Spelling("exact")
        if not barcodes:
            first = _first(names)
            raise DataError("has no TCGA barcodes", where=table, found=first, hint="--ids exact")
        found += barcodes
    if all(barcode.type for barcode in found):
        return Spelling("sample")
    tumours = frozenset(barcode.patient for barcode in found if not barcode.is_normal)
    return Spelling("patient", tumours)


def pick_samples(
    table: str, names: Sequence[str], spelling: Spelling, duplicates: str, left_out: LeftOut
) -> dict[str, int]:
    """The row that stands for each sample of a table.

    Parameters
    ----------
    table : str
        For messages.
    names : sequence of str
        Ids, a row each.
    spelling : Spelling
    duplicates : {"error", "first"}
        What to do with a second aliquot of a sample.
    left_out : LeftOut
        Is told of rows that stand for none.

    Returns
    -------
    dict of str to int
        Row by sample, in the order in which they come. Of several samples of a patient the one of
        the lowest type is taken: a primary tumour before a metastasis.

    Raises
    ------
    DataError
        If two aliquots of one sample are there.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    normals = []
    for row, name in enumerate(names):
        barcode = parse_barcode(name) if spelling.level == "patient" else None
        if barcode and barcode.is_normal and barcode.patient in spelling.with_tumour:
            normals.append(name)
        else:
            rows[spelling.of(name)].append(row)
    left_out.add(f"{table}: normal sample of a patient with a tumour", normals)
    return {
        sample: _best(table, [(names[row], row) for row in found], duplicates, left_out)
        for sample, found in rows.items()
    }


def _best(table: str, found: list[tuple[str, int]], duplicates: str, left_out: LeftOut) -> int:
    """The row of the lowest type of sample."""
    if len(found) == 1:
        return found[0][1]
    types = [barcode.type if (barcode := parse_barcode(name)) else "" for name, _ in found]
    best = [pair for pair, type_ in zip(found, types, strict=True) if type_ == min(types)]
    if len(best) > 1 and duplicates != "first":
        raise DataError(
            f"{best[0][0]} and {best[1][0]} are of one sample",
            where=table,
            hint="leave one out, or keep the first of each: --duplicates first",
        )
    chosen = best[0]
    other = [name for name, row in found if row != chosen[1]]
    left_out.add(f"{table}: another sample or aliquot was taken", other)
    return chosen[1]


def orient(
    tables: Mapping[str, Table], known: Collection[str], forced: str | None
) -> dict[str, Axis]:
    """Which way up each matrix is: whether samples are its rows or its columns.

    Told, in this order, from the ids that other tables say are samples, from TCGA barcodes, from
    the name of the column of ids, and from what the tables that are left have in common with those
    that are settled.

    Parameters
    ----------
    tables : mapping of str to Table
    known : collection of str
        Samples of the clinical table and of files that say which they are.
    forced : {"rows", "columns"}, optional
        What `--samples` says, of all tables.

    Raises
    ------
    UsageError
        If it cannot be told.
    """
    if forced is not None:
        axis: Axis = "rows" if forced == "rows" else "columns"
        return dict.fromkeys(tables, axis)
    axes: dict[str, Axis] = {}
    samples = _spellings(known)
    # Samples that one table brings may settle another.
    for _ in range(len(tables) + 1):
        for name, table in tables.items():
            if name not in axes and (axis_found := _axis(table, samples)):
                axes[name] = axis_found
                found = table.rows if axis_found == "rows" else table.columns
                samples |= _spellings(found)
    for name, table in tables.items():
        if name not in axes:
            raise _cannot_tell(name, table, samples)
    return axes


def _cannot_tell(name: str, table: Table, samples: Collection[str]) -> UsageError:
    both = any(_spellings(names) & set(samples) for names in (table.rows, table.columns))
    how = "both" if both else "neither"
    other = f", and {how} have names that other tables give to samples" if samples else ""
    rows, columns = ", ".join(table.rows[:2]), ", ".join(table.columns[:2])
    return UsageError(
        f"cannot tell whether the samples of {name} are its rows or its columns{other}",
        where=table.path,
        expected=f"names as {_first(samples)}" if samples else None,
        found=f"rows {rows}, ... and columns {columns}, ...",
        hint="say it: --samples rows or --samples columns",
    )


def _axis(table: Table, samples: Collection[str]) -> Axis | None:
    rows = len(_spellings(table.rows) & set(samples))
    columns = len(_spellings(table.columns) & set(samples))
    if rows and columns:
        return None
    if rows or columns:
        return "rows" if rows else "columns"
    barcodes = [all(map(parse_barcode, names)) for names in (table.rows, table.columns)]
    if any(barcodes):
        return "rows" if barcodes[0] else "columns"
    header = table.corner.lower().replace(" ", "_")
    if header in SAMPLE_HEADERS:
        return "rows"
    return "columns" if header in FEATURE_HEADERS else None


def _spellings(names: Collection[str]) -> set[str]:
    """The names, TCGA barcodes by their patient."""
    return {barcode.patient if (barcode := parse_barcode(name)) else name for name in names}


def check_shared(samples: Mapping[str, Collection[str]], clinical: Collection[str] | None) -> None:
    """Refuse a modality that has no sample in common with anything else.

    Raises
    ------
    DataError
        Showing ids of both sides.
    """
    for name, own in samples.items():
        others = set() if clinical is None else set(clinical)
        others |= {s for other, names in samples.items() if other != name for s in names}
        if others and not others & set(own):
            raise DataError(
                f"{name} shares no sample with the others",
                expected=f"names as {_first(others)}",
                found=_first(own),
                hint="see --sample-column, --id-column, --samples and --ids",
            )


def _first(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:2])
