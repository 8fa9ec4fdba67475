"""Collect the table of variants of a shard from a VCF and labels."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import CheckError, DataError
from genomix_cli.formats.schema import VariantTable
from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.vcf.reader import Record, VcfReader
from genomix_cli.progress import track
from genomix_cli.variants.records.alleles import REASONS, REF_MISMATCH
from genomix_cli.variants.records.audit import CheckedVariants
from genomix_cli.variants.records.checks import Checked
from genomix_cli.variants.records.cutting import blocks
from genomix_cli.variants.records.inputs import STRIDE
from genomix_cli.variants.records.labels import (
    NAN,
    AlleleKey,
    LabelRow,
    allele_key,
    info_numbers,
    read_label_rows,
)

BLOCK_RECORDS = 10_000
# Number of records that the summary names for each reason.
EXAMPLES = 5
_MAX_CONTIGS = np.iinfo(np.int16).max
# Larger than any locus number, so that groups named by the user never collide with loci.
_NAMED = 1 << 60


class LabelSource:
    """Source of labels: an INFO key, a table, or none.

    Parameters
    ----------
    info : str, optional
        INFO key of the label, one value per ALT.
    table : Path, optional
        TSV, see `genomix_cli.variants.records.labels.read_label_rows`.
    probability_info : str, optional
        INFO key of the true probability of the label, in simulated data.
    effect_info : str, optional
        INFO key of a quantitative label.

    Attributes
    ----------
    matched : set of AlleleKey
        Rows of the table that matched an allele.
    """

    def __init__(
        self,
        info: str | None = None,
        table: Path | None = None,
        probability_info: str | None = None,
        effect_info: str | None = None,
    ) -> None:
        self.info = info
        self.effect_info = effect_info
        self.probability_info = probability_info
        self.rows = {} if table is None else read_label_rows(table)
        self.matched: set[AlleleKey] = set()
        key = info or effect_info
        self.name = f"INFO/{key}" if key else str(table) if table else None

    def labels(self, reader: VcfReader, record: Record) -> list[list[LabelRow]]:
        """Return the label rows of each ALT, one per tissue."""
        if self.info is None and self.effect_info is None:
            return [self._rows(record, alt) for alt in record.alts]
        label, effect = (
            info_numbers(reader, record, key) if key else [NAN] * len(record.alts)
            for key in (self.info, self.effect_info)
        )
        return [[LabelRow(a, effect=b)] for a, b in zip(label, effect, strict=True)]

    def probabilities(self, reader: VcfReader, record: Record) -> list[float]:
        """Return the true probability of each ALT's label, NaN if unknown."""
        if self.probability_info is None:
            return [NAN] * len(record.alts)
        return info_numbers(reader, record, self.probability_info)

    def _rows(self, record: Record, alt: str) -> list[LabelRow]:
        key = allele_key(record.chrom, record.pos, record.ref, alt)
        if key not in self.rows:
            return [LabelRow()]
        self.matched.add(key)
        return list(self.rows[key].values())


class Collected(NamedTuple):
    """Variants of a VCF.

    Attributes
    ----------
    table : VariantTable
        Sorted by contig and position.
    contigs : dict of str to int
        Length of each contig with variants, in the order of the FASTA.
    tissues : tuple of str
    counts : dict of str to int
        ``records``, ``alleles`` and ``used``.
    skipped : dict of str to int
        Unusable alleles by reason.
    examples : dict of str to list of str
        A few alleles for each reason.
    """

    table: VariantTable
    contigs: dict[str, int]
    tissues: tuple[str, ...]
    counts: dict[str, int]
    skipped: dict[str, int]
    examples: dict[str, list[str]]


def collect_variants(vcf: str | Path, fasta: Fasta, source: LabelSource) -> Collected:
    """Read every usable allele of a VCF, and count the others by reason.

    Raises
    ------
    DataError
        If the VCF cannot be read, has no records, shares no contig with the FASTA, or has no usable
        allele; or if labels were requested and none matches.
    CheckError
        If more than 20 % of the REFs differ from the FASTA.
    """
    columns = _Columns()
    examples: dict[str, list[str]] = {}
    with VcfReader(vcf) as reader:
        checked = CheckedVariants(reader, fasta, blocks(reader.lines(), BLOCK_RECORDS))
        counted = track(checked, "reading blocks of 10,000 variants")
        for number, item in enumerate(item for block in counted for item in block):
            if any(allele is not None for allele in item.alleles):
                labels = source.labels(reader, item.record)
                columns.add(number, item, labels, source.probabilities(reader, item.record))
            _note_examples(item, examples)
        _refuse_unusable(reader.name, checked.counts)
    table, contigs = columns.build(fasta)
    if source.name and np.isnan(table.label).all() and np.isnan(table.effect).all():
        raise DataError(f"no variant has a label in {source.name}", where=reader.name)
    counts = {key: checked.counts[key] for key in ("records", "alleles")}
    skipped = {reason: checked.counts[reason] for reason in REASONS if checked.counts[reason]}
    counts["used"] = checked.counts["scored"]
    _refuse_contradictions(table, contigs, reader.name)
    return Collected(table, contigs, tuple(columns.tissues), counts, skipped, examples)


def _refuse_contradictions(table: VariantTable, contigs: dict[str, int], name: str) -> None:
    """Refuse an allele with two different labels in the same tissue."""
    keys = table.contig, table.pos, table.ref, table.alt, table.tissue
    order = np.lexsort(keys[::-1])
    same = np.ones(len(order) - 1, np.bool_)
    for key in keys:
        same &= key[order][1:] == key[order][:-1]
    for label in (table.label[order], table.effect[order]):
        differ = np.flatnonzero(same & (np.abs(np.diff(label)) > 0))  # NaN > 0 is False
        if len(differ):
            row = order[differ[0]]
            allele = f"{table.ref[row].decode() or '-'}>{table.alt[row].decode() or '-'}"
            raise DataError(
                f"{len(differ):,} alleles have two labels, e.g. "
                f"{list(contigs)[table.contig[row]]}:{table.pos[row] + 1} {allele}",
                where=name,
                expected="one label per allele and tissue",
                found=f"{label[differ[0]]:g} and {label[differ[0] + 1]:g}",
            )


def _note_examples(item: Checked, examples: dict[str, list[str]]) -> None:
    record = item.record
    for alt, reason in zip(record.alts, item.reasons, strict=True):
        if reason is not None and len(noted := examples.setdefault(reason, [])) < EXAMPLES:
            line = f"line {record.line}: " if record.line else ""
            noted.append(f"{line}{record.chrom}:{record.pos} {record.ref}>{alt}")


def _refuse_unusable(name: str, counts: Counter[str]) -> None:
    if not counts["records"]:
        raise DataError("has no records", where=name, expected="at least one variant")
    if counts[REF_MISMATCH] > counts["scored"]:
        raise CheckError(
            "most REFs differ from the FASTA: this looks like another assembly",
            where=name,
            found=f"{counts[REF_MISMATCH]:,} of {counts[REF_MISMATCH] + counts['scored']:,}",
            hint="give the FASTA that the variants were called against",
        )
    if not counts["scored"]:
        reasons = (f"{reason} {counts[reason]:,}" for reason in REASONS if counts[reason])
        raise DataError("no allele can be used", where=name, found=", ".join(reasons))


@dataclass
class _Columns:
    """Growing columns of a `VariantTable`: plain numbers, a few dozen bytes per variant."""

    names: dict[str, int] = field(default_factory=dict)
    tissues: dict[str, int] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    columns: list[Any] = field(
        default_factory=lambda: [[] if code == "-" else array(code) for code in "qq--ffffqhqh"]
    )

    def add(
        self, number: int, item: Checked, labels: list[list[LabelRow]], probabilities: list[float]
    ) -> None:
        """Append the usable alleles of a record, once for each tissue with a label."""
        contig = self.names.setdefault(item.contig, len(self.names))
        for index, allele in enumerate(item.alleles):
            if allele is None:
                continue
            bases = [decode(codes).encode() for codes in (allele.ref, allele.alt)]
            for row in labels[index]:
                group, tissue = (
                    numbers.setdefault(name, len(numbers)) if name else -1
                    for name, numbers in ((row.group, self.groups), (row.tissue, self.tissues))
                )
                label = (row.label, row.effect, probabilities[index], row.weight)
                values = (contig, allele.pos, *bases, *label, group, tissue, number, index)
                for column, value in zip(self.columns, values, strict=True):
                    column.append(value)

    def build(self, fasta: Fasta) -> tuple[VariantTable, dict[str, int]]:
        """Return the sorted table, and the contigs that it indexes."""
        contigs = {name: size for name, size in fasta.lengths.items() if name in self.names}
        if len(contigs) > _MAX_CONTIGS:
            raise DataError(
                "variants on too many contigs",
                where=fasta.path,
                expected=f"at most {_MAX_CONTIGS:,}",
                found=f"{len(contigs):,}",
            )
        index = {name: i for i, name in enumerate(contigs)}
        renumber = np.array([index[name] for name in self.names], np.int16)
        arrays: list[NDArray[Any]] = [np.asarray(column) for column in self.columns]
        table = VariantTable(*arrays)
        contig = renumber[table.contig]
        group = _groups(
            contig, table.pos, table.group.astype(np.int64), table.tissue.astype(np.int64)
        )
        table = table._replace(contig=contig, group=group)
        order = np.lexsort((table.pos, contig))
        columns: Any = (column[order] for column in table)
        return VariantTable(*columns), contigs


def _groups(
    contig: NDArray[np.int16],
    pos: NDArray[np.int64],
    named: NDArray[np.int64],
    tissue: NDArray[np.int64],
) -> NDArray[np.int32]:
    """Return the group of each variant: as named by the user, or its 50-kb locus and tissue."""
    stretch = np.unique(contig.astype(np.int64) << 40 | pos // STRIDE, return_inverse=True)[1]
    locus = stretch * (tissue.max(initial=-1) + 2) + tissue + 1
    key = np.where(named >= 0, _NAMED + named, locus)
    return np.unique(key, return_inverse=True)[1].astype(np.int32)
