"""Orient tables so that samples are rows, and give every sample one spelling."""

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

# R replaces the dashes by dots.
_BARCODE = re.compile(
    r"(?P<patient>TCGA[-.]\w{2}[-.]\w{4})(?:[-.](?P<type>\d\d)[A-Z]?(?:[-.]\w+)*)?", re.IGNORECASE
)
NORMAL = range(10, 20)
# Headers of a column of ids that identify them as samples, or as features.
_SAMPLE_HEADER = re.compile(
    r"samples?|sample_?id|patient(_id)?|(tumor_sample_|bcr_patient_)?barcode|case(_id)?|"
    r"submitter_id"
)
_FEATURE_HEADER = re.compile(
    r"genes?|gene_?id|gene_name|(gene_|hugo_)?symbol|(ensembl|entrez_gene)_id|feature(_id)?|"
    r"probe(_?id)?|id_ref|cpg(_id)?|ilmnid|targetid|entity_stable_id|composite_element_ref|peak|"
    r"region|bin|arm|mirna(_id)?"
)


class Barcode(NamedTuple):
    """TCGA barcode: ``TCGA-A1-A0SB``, and the type of the sample, as in ``01``, if it is of one."""

    patient: str
    type: str

    @property
    def sample(self) -> str:
        """Return patient and sample type, as in ``TCGA-A1-A0SB-01``."""
        return f"{self.patient}-{self.type}" if self.type else self.patient

    @property
    def is_normal(self) -> bool:
        """Return True if it is of normal tissue or blood."""
        return bool(self.type) and int(self.type) in NORMAL


def parse_barcode(name: str) -> Barcode | None:
    """Parse a TCGA barcode of a patient, sample or aliquot; None if it is not one.

    See https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode/.
    """
    match = _BARCODE.fullmatch(name)
    if match is None:
        return None
    return Barcode(match["patient"].upper().replace(".", "-"), match["type"] or "")


def plain_name(name: str) -> str:
    """Return a name without case, spaces and punctuation; the signs + and - stay at its end."""
    sign = name.strip()[-1:] if name.strip().endswith(("+", "-")) else ""
    return re.sub(r"[\W_]", "", name).casefold() + sign


@dataclass(frozen=True)
class Spelling:
    """Mapping from ids to samples that all tables share.

    Attributes
    ----------
    level : {"exact", "sample", "patient"}
        The ids themselves, or the first 15 or 12 characters of TCGA barcodes.
    with_tumour : frozenset of str
        Patients with a tumour sample; at the patient level their normal samples are left out.
    """

    level: Level
    with_tumour: frozenset[str] = frozenset()

    def of(self, name: str) -> str:
        """Return the sample of an id."""
        barcode = None if self.level == "exact" else parse_barcode(name)
        if barcode is None:
            return name
        return barcode.sample if self.level == "sample" else barcode.patient


@dataclass
class LeftOut:
    """Rows that were left out, by reason."""

    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, reason: str, names: Sequence[str]) -> None:
        """Note that `names` were left out."""
        if names:
            self.names[reason].extend(names)


def choose_spelling(tables: Mapping[str, Sequence[str]], ids: str) -> Spelling:
    """Choose how the ids of these tables are matched.

    Parameters
    ----------
    tables : mapping of str to sequence of str
        Ids by table, including the clinical one.
    ids : {"auto", "exact", "tcga"}
        ``auto`` is ``tcga`` if every id of every table is a TCGA barcode. With ``tcga``, other ids
        stay as they are.

    Raises
    ------
    DataError
        If barcodes are required and a table has none.
    """
    if ids == "exact":
        return Spelling("exact")
    barcodes: list[Barcode] = []
    for table, names in tables.items():
        of_table = [barcode for name in names if (barcode := parse_barcode(name))]
        if ids == "auto" and len(of_table) < len(names):
            return Spelling("exact")
        if not of_table:
            first = _first(names)
            raise DataError("has no TCGA barcodes", where=table, found=first, hint="--ids exact")
        barcodes += of_table
    if all(barcode.type for barcode in barcodes):
        return Spelling("sample")
    tumours = frozenset(barcode.patient for barcode in barcodes if not barcode.is_normal)
    return Spelling("patient", tumours)


def pick_samples(
    table: str, names: Sequence[str], spelling: Spelling, duplicates: str, left_out: LeftOut
) -> dict[str, int]:
    """Choose the row of each sample of a table.

    Parameters
    ----------
    table : str
        Name of the table, for messages.
    names : sequence of str
        Id of each row.
    spelling : Spelling
    duplicates : {"error", "first"}
        Treatment of a second aliquot of a sample.
    left_out : LeftOut
        Collects the rows that are not used.

    Returns
    -------
    dict of str to int
        Row by sample, in order of appearance. Of several samples of a patient, the one of the
        lowest type is used: a primary tumour before a metastasis.

    Raises
    ------
    DataError
        If a sample has two aliquots.
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
        sample: _best(table, [(names[row], row) for row in candidates], duplicates, left_out)
        for sample, candidates in rows.items()
    }


def _best(table: str, candidates: list[tuple[str, int]], duplicates: str, left_out: LeftOut) -> int:
    """Return the row of the lowest sample type."""
    if len(candidates) == 1:
        return candidates[0][1]
    types = [barcode.type if (barcode := parse_barcode(name)) else "" for name, _ in candidates]
    best = [pair for pair, type_ in zip(candidates, types, strict=True) if type_ == min(types)]
    if len(best) > 1 and duplicates != "first":
        raise DataError(
            f"{best[0][0]} and {best[1][0]} belong to the same sample",
            where=table,
            hint="leave one out, or keep the first of each: --duplicates first",
        )
    other = [name for name, row in candidates if row != best[0][1]]
    left_out.add(f"{table}: another sample or aliquot was taken", other)
    return best[0][1]


def orient(
    tables: Mapping[str, Table], known: Collection[str], forced: str | None
) -> dict[str, Axis]:
    """Return for each matrix whether samples are its rows or its columns.

    Inferred, in this order, from the ids that other tables give as samples, from TCGA barcodes,
    from the name of the column of ids, and from the names that undecided tables share with those
    already decided.

    Parameters
    ----------
    tables : mapping of str to Table
    known : collection of str
        Samples of the clinical table and of files with a fixed orientation.
    forced : {"rows", "columns"}, optional
        Value of `--samples`, for all tables.

    Raises
    ------
    UsageError
        If the orientation cannot be inferred.
    """
    if forced is not None:
        return dict.fromkeys(tables, "rows" if forced == "rows" else "columns")
    axes: dict[str, Axis] = {}
    samples = _spellings(known)
    # The samples of one table may decide the orientation of another.
    for _ in range(len(tables) + 1):
        for name, table in tables.items():
            if name not in axes and (axis := _axis(table, samples)):
                axes[name] = axis
                samples |= _spellings(table.rows if axis == "rows" else table.columns)
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
        hint=_alike([*table.rows, *table.columns], samples)
        or "add --samples rows or --samples columns",
    )


def _alike(names: Collection[str], others: Collection[str]) -> str | None:
    """Return a hint at a name that differs from another only in case or punctuation, if any."""
    if set(names) & set(others):
        return None
    known = {plain_name(name): name for name in others}
    for name in names:
        if (key := plain_name(name)) in known:
            return f"spell names alike in all tables: {name} is {known[key]} elsewhere"
    return None


def _axis(table: Table, samples: Collection[str]) -> Axis | None:
    sides = table.rows, table.columns
    rows, columns = (bool(_spellings(names) & set(samples)) for names in sides)
    if rows and columns:
        return None
    if not (rows or columns):
        rows, columns = (all(map(parse_barcode, names)) for names in sides)
    if rows or columns:
        return "rows" if rows else "columns"
    header = table.corner.lower().replace(" ", "_")
    if _SAMPLE_HEADER.fullmatch(header):
        return "rows"
    return "columns" if _FEATURE_HEADER.fullmatch(header) else None


def _spellings(names: Collection[str]) -> set[str]:
    """Return the names, TCGA barcodes also by their patient."""
    return {barcode.patient if (barcode := parse_barcode(name)) else name for name in names}


def check_shared(samples: Mapping[str, Collection[str]], clinical: Collection[str] | None) -> None:
    """Refuse a modality that has no sample in common with anything else.

    Raises
    ------
    DataError
        Showing ids of both sides.
    """
    for name, ids in samples.items():
        others = set() if clinical is None else set(clinical)
        others |= {s for other, names in samples.items() if other != name for s in names}
        if others and not others & set(ids):
            raise DataError(
                f"{name} shares no sample with the others",
                expected=f"names as {_first(others)}",
                found=_first(ids),
                hint=_alike(ids, others) or "see --sample-column, --id-column, --samples and --ids",
            )


def _first(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:2])
