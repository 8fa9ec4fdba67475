"""Scores taken from indexed files of precomputed ones, so that only the rest is computed.

Alleles are the same if they are equal once trimmed and left-aligned, whatever their spelling.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from genomix_cli.errors import DataError
from genomix_cli.genome.alphabet import decode
from genomix_cli.genome.intervals import ContigNames, merge
from genomix_cli.genome.tables import is_missing, leading_lines
from genomix_cli.genome.vcf.indexed import find_index
from genomix_cli.genome.vcf.input import Input
from genomix_cli.genome.vcf.reader import MAGIC, MISSING, Record, VcfReader
from genomix_cli.provenance import Provenance, facts_of
from genomix_cli.variants.records.checks import (
    AUDIT_RECORDS,
    Checked,
    ReferenceAudit,
    check_contigs,
    check_records,
)
from genomix_cli.variants.records.inputs import MAX_SHIFT, Allele
from genomix_cli.variants.records.reference import Reference
from genomix_cli.variants.score.tags import LOOKED_UP, PREFIX, REASON, SEEN, SOURCE

#: 0-based position, reference and alternative bases: trimmed, left-aligned, upper case.
Key = tuple[int, str, str]
#: Values of an allele as the output writes them.
Row = tuple[str, ...]

# Alleles nearer than this many bases are read in one go: to jump costs as much as these lines.
NEAR = 4096
#: Places of each contig, and rows at each, whose REF is compared with the reference. The ends of
#: contigs are often alike in two assemblies, so the head of a file would not do.
AUDIT_PLACES, AUDIT_ROWS, AUDIT_CONTIGS = 16, 16, 64
#: Settings that scores depend on beyond rounding; see `genomix_cli.variants.conditions`.
DECISIVE = ("cell", "uncovered", "max_gap_bins", "mode", "both_strands")
#: Two scores of an allele that differ by no more are the same one.
ROUNDING = 1e-3
_DIGEST = " sha256:"

# A number as the VCF specification has it, or none.
_VALUE = r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?|\."
_VALUES = re.compile(_VALUE)
_CONTIG_NAMES = ("chrom", "#chrom", "contig", "#contig", "chr")
_LOCUS = {"contig": _CONTIG_NAMES, "pos": ("pos",), "ref": ("ref",), "alt": ("alt",)}
# Columns of a score table that say something of the input, or of the run that made it.
_PASSED_OVER = {"id", *map(str.lower, (REASON, SEEN, SOURCE))}


class Lookup:
    """Precomputed scores in one or several indexed files.

    Parameters
    ----------
    paths : sequence of Path
        VCF.gz, BCF or TSV.gz, each with its index; one for each contig, or all in one.
    keys : sequence of str
        Fields that the output has, which the files must have too.
    made : Provenance
        How this run makes its scores.
    inputs_decide : bool
        False for a model that reads the sequence alone.
    background : str
        Description of the background that ranks are among; empty if there is none.
    reference : Reference

    Attributes
    ----------
    warnings : list of str
        What a reader of the scores needs to know of the files.

    Raises
    ------
    DataError
        If a file has no index, lacks a field, has unknown columns or says that it was made
        otherwise, or shares no contig with the reference; while searching, if it is damaged or
        two of its rows contradict each other.
    CheckError
        If a file belongs to another assembly.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        keys: Sequence[str],
        made: Provenance,
        reference: Reference,
        *,
        inputs_decide: bool = True,
        background: str = "",
    ) -> None:
        self._reference = reference
        self._open = ExitStack()
        self._files: list[ScoreFile] = []
        self.warnings: list[str] = []
        try:
            for path in paths:
                file = open_scores(path, keys)
                self._open.callback(file.close)
                self._files.append(file)
                if file.facts:
                    _refuse_other(file, made, inputs_decide, background)
                else:
                    told = "does not say how it was made: its scores are taken as they are"
                    self.warnings.append(f"{path.name} {told}")
                _audit(file, reference)
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> Lookup:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def find(self, block: Iterable[Checked]) -> list[Row | None]:
        """Return the row of each allele of a block that can be scored, in order; None if unknown.

        Fastest where the block is sorted, but any order will do.
        """
        places: list[tuple[dict[Key, Row | None], Key]] = []
        rows: defaultdict[str, dict[Key, Row | None]] = defaultdict(dict)
        spans: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for record, contig, alleles, *_ in block:
            for allele in alleles:
                if allele is not None:
                    key = _key(record, allele)
                    rows[contig][key] = None
                    spans[contig].append(self._span(contig, key, allele))
                    places.append((rows[contig], key))
        for contig, wanted in rows.items():
            merged = _merged(spans[contig])
            for file in self._files:
                name = file.contigs.find(contig)
                if name is not None:
                    file.search(name, merged, wanted, self._reference)
        return [wanted[key] for wanted, key in places]

    def _span(self, contig: str, key: Key, allele: Allele) -> tuple[int, int]:
        """Return a stretch, 0-based and half-open, that any spelling of an allele overlaps."""
        pos, ref, alt = key
        if ref and alt:
            return pos, pos + len(ref)
        # An indel is spelled with the base before it, in its place or farther to the right.
        return max(pos - 1, 0), pos + len(ref) + self._room(contig, allele)

    def _room(self, contig: str, allele: Allele) -> int:
        """Return over how many bases a left-aligned indel can be moved to the right."""
        bases = allele.ref if len(allele.ref) else allele.alt
        start = allele.pos + len(allele.ref)
        after = self._reference.fetch(contig, start, start + MAX_SHIFT)
        # It can as long as what follows repeats its bases.
        differs = after != np.concatenate([bases, after])[:MAX_SHIFT]
        return int(differs.argmax()) if differs.any() else MAX_SHIFT


class ScoreFile:
    """An indexed file of scores, searched by place; of this class VCF and BCF.

    Parameters
    ----------
    path : Path
    file : BcfFile or IndexedText
    meta : sequence of str
        Its ``##`` lines.
    keys : sequence of str
        Fields of a row.

    Attributes
    ----------
    name : str
        As messages name it.
    contigs : ContigNames
    facts : dict of str to list of str
        What it says of how it was made.
    """

    # Columns of the locus, and how many there are before what need not be split.
    pos, ref, alt, last = 1, 3, 4, 8

    def __init__(self, path: Path, file: Any, meta: Sequence[str], keys: Sequence[str]) -> None:
        self.name = str(path)
        self._file = file
        self._keys = keys
        # As a run of ours writes them: in order, one ALT.
        self._own = re.compile(";".join(f"{re.escape(key)}=({_VALUE})" for key in keys) + "(?:;|$)")
        self.contigs = ContigNames(file.contigs, path)
        self.facts = facts_of(meta)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def where(self, record: Record) -> str:
        """Return a place in the file, as messages name it."""
        return f"{self.name} at {record.chrom}:{record.pos}"

    def search(
        self,
        contig: str,
        spans: Iterable[tuple[int, int]],
        wanted: dict[Key, Row | None],
        reference: Reference,
    ) -> None:
        """Enter into `wanted` the rows of its keys that some stretches of a contig have."""
        p, r, a, last = self.pos, self.ref, self.alt, self.last
        others: list[list[str]] = []
        for start, end in spans:
            for line in self._file.fetch(contig, start, end):
                fields = line.split("\t", last)
                try:
                    ref, alt = fields[r], fields[a]
                    if len(ref) != 1 or len(alt) != 1:
                        others.append(fields)
                        continue
                    key = int(fields[p]) - 1, ref.upper(), alt.upper()
                except (IndexError, ValueError) as error:
                    raise self._no_row(line) from error
                if key in wanted:
                    self._enter(wanted, key, self._rows(fields)[0], fields)
        # What is spelled with more letters may be the same all the same.
        records = [self._record(contig, fields) for fields in others]
        for fields, checked in zip(others, check_records(records, reference), strict=True):
            keys = [None if x is None else _key(checked.record, x) for x in checked.alleles]
            if any(key in wanted for key in keys):
                for each, row in zip(keys, self._rows(fields), strict=True):
                    if each in wanted:
                        self._enter(wanted, each, row, fields)

    def _enter(
        self, wanted: dict[Key, Row | None], key: Key, row: Row | None, fields: Sequence[str]
    ) -> None:
        """Enter a row unless it is empty; it may be there: long REFs lie in several stretches."""
        before = wanted[key]
        if before is None:
            wanted[key] = row
        elif row is not None and not _agree(before, row):
            raise DataError(
                "two rows of an allele contradict each other",
                where=self.where(self._record(fields[0], fields)),
                expected=_told(before),
                found=_told(row),
            )

    def head(self, contig: str, start: int, count: int) -> list[Record]:
        """Return the first records of a contig from a position on."""
        lines = islice(self._file.fetch(contig, start, None), count)
        return [self._record(contig, line.split("\t", self.last)) for line in lines]

    def _record(self, contig: str, fields: Sequence[str]) -> Record:
        """Return the allele of a line as the record of a VCF."""
        try:
            pos, ref, alt = fields[self.pos], fields[self.ref], fields[self.alt]
            return Record(0, int(pos), [contig, pos, MISSING, ref, alt, *[MISSING] * 3])
        except (IndexError, ValueError) as error:
            raise self._no_row("\t".join(fields)) from error

    def _no_row(self, line: str) -> DataError:
        expected = "a position, REF and ALT"
        return DataError("is no row of scores", where=self.name, expected=expected, found=line[:40])

    def _rows(self, fields: Sequence[str]) -> list[Row | None]:
        """Return the values of each ALT, None for one without any."""
        own = self._own.search(fields[7])
        if own is not None:
            row = own.groups()
            return [None if row.count(MISSING) == len(row) else (*row, LOOKED_UP)]
        entries = dict([entry.partition("=")[::2] for entry in _own_part(fields[7]).split(";")])
        texts = [entries.get(key, MISSING) for key in self._keys]
        count = fields[self.alt].count(",") + 1
        if count == 1:
            return [self._row(texts, fields)]
        columns = [[MISSING] * count if t == MISSING else t.split(",") for t in texts]
        if any(len(column) != count for column in columns):
            raise DataError(
                "scores do not say which ALT they belong to",
                where=self.where(self._record(fields[0], fields)),
                expected=f"{count} values, one per ALT",
            )
        return [self._row(row, fields) for row in zip(*columns, strict=True)]

    def _row(self, texts: Iterable[str], fields: Sequence[str]) -> Row | None:
        """Return checked values of an allele; None if there is none."""
        row = tuple([MISSING if is_missing(text) else text for text in texts])
        for key, text in zip(self._keys, row, strict=True):
            if not _VALUES.fullmatch(text):
                where = self.where(self._record(fields[0], fields))
                raise DataError(f"{key} is not a number", where=where, found=repr(text[:40]))
        return None if row.count(MISSING) == len(row) else (*row, LOOKED_UP)


class ScoreTable(ScoreFile):
    """An indexed table of scores, one row per ALT, with named columns."""

    last = -1

    def __init__(
        self, path: Path, file: Any, meta: Sequence[str], keys: Sequence[str], names: Sequence[str]
    ) -> None:
        super().__init__(path, file, meta, keys)
        columns = {name.strip().lower(): i for i, name in enumerate(names)}
        if len(columns) < len(names):
            raise DataError("a column is repeated", where=path, found=", ".join(names))
        locus = {
            name: columns.pop(spelling)
            for name, spellings in _LOCUS.items()
            for spelling in spellings
            if spelling in columns
        }
        absent = [name for name in _LOCUS if name not in locus]
        if absent:
            raise DataError(
                f"lacks the column {', '.join(absent)}",
                where=path,
                expected=f"chrom, pos, ref, alt, {', '.join(keys)}",
                found=", ".join(names),
            )
        self._width = len(names)
        self.pos, self.ref, self.alt = locus["pos"], locus["ref"], locus["alt"]
        unknown = columns.keys() - _PASSED_OVER - {key.lower() for key in keys}
        if unknown:
            raise DataError(
                f"unknown column {names[min(columns[name] for name in unknown)]!r}",
                where=path,
                expected=f"chrom, pos, ref, alt, {', '.join(keys)}",
            )
        _refuse_lacking(path, [key for key in keys if key.lower() not in columns])
        self._at = [columns[key.lower()] for key in keys]

    def _rows(self, fields: Sequence[str]) -> list[Row | None]:
        if len(fields) != self._width:
            raise DataError(
                "the row has another number of columns than the header",
                where=self.where(self._record(fields[0], fields)),
                expected=str(self._width),
                found=str(len(fields)),
            )
        if "," in fields[self.alt]:
            where = self.where(self._record(fields[0], fields))
            raise DataError("has several ALTs", where=where, expected="a row for each")
        return [self._row([fields[i] for i in self._at], fields)]


def open_scores(path: Path, keys: Sequence[str]) -> ScoreFile:
    """Open a file of scores.

    Raises
    ------
    DataError
        If it cannot be read, has no index, lacks a field or has unknown columns.
    """
    from genomix_cli.genome.vcf.htslib import BcfFile, IndexedText

    with Input(path) as source:
        is_bcf, is_bgzf = source.is_bcf, source.is_bgzf
        is_vcf = is_bcf or source.stream.peek(len(MAGIC)) == MAGIC.encode()
    index = find_index(path)
    if index is None or not (is_bcf or is_bgzf):
        how = "-p vcf" if is_vcf else "-s 1 -b 2 -e 2 -S 1"
        raise DataError(
            "has no index to look alleles up by",
            where=path,
            expected="a .vcf.gz, .bcf or .tsv.gz with a .tbi or .csi beside it",
            hint="run: bcftools index FILE"
            if is_bcf
            else f"run: bgzip FILE && tabix {how} FILE.gz",
        )
    if not is_vcf:
        meta, names = leading_lines(path)
        return ScoreTable(path, IndexedText(path, index), meta, keys, names.split("\t"))
    with VcfReader(path, again=True) as reader:
        meta = list(reader.header.meta)
    fields = {line.partition("ID=")[2].partition(",")[0] for line in meta if "##INFO" in line}
    _refuse_lacking(path, [key for key in keys if key not in fields])
    file = BcfFile(path, str(path), index) if is_bcf else IndexedText(path, index)
    return ScoreFile(path, file, meta, keys)


def filled(found: Iterable[Row | None], computed: Iterator[Row]) -> Iterator[Row]:
    """Yield the row of each allele: the one that was found, else the next that was computed."""
    for row in found:
        yield next(computed) if row is None else row


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the stretches in order, those that are near each other as one."""
    starts, ends = np.array(spans, np.int64).T
    return [(start, end - NEAR) for start, end in merge(starts, ends + NEAR).tolist()]


def _key(record: Record, allele: Allele) -> Key:
    ref, alt = record.fields[3], record.fields[4]
    if len(ref) == 1 == len(alt):  # nearly every allele: as it is spelled
        return allele.pos, ref.upper(), alt.upper()
    return allele.pos, decode(allele.ref), decode(allele.alt)


def _own_part(info: str) -> str:
    """Return INFO from the first of our fields on; they stand last unless something followed."""
    at = info.find(PREFIX)
    return info[at:] if at > 0 else info


def _agree(one: Row, other: Row) -> bool:
    """Return True if two rows say the same up to rounding: an allele may be scored twice."""
    return one == other or all(
        MISSING not in pair and math.isclose(*map(float, pair), rel_tol=ROUNDING, abs_tol=ROUNDING)
        for pair in zip(one[:-1], other[:-1], strict=True)
    )


def _told(row: Row) -> str:
    return ", ".join(row[:-1])


def _refuse_lacking(path: Path, lacking: Sequence[str]) -> None:
    if lacking:
        raise DataError(
            f"lacks {', '.join(lacking)}, which this run writes",
            where=path,
            hint="score it with the same model, settings and background",
        )


def _refuse_other(file: ScoreFile, made: Provenance, inputs_decide: bool, background: str) -> None:
    """Raise DataError if a file's scores were not made as this run makes them."""
    here = _making(
        [made.model],
        made.config,
        [f"{role}{_DIGEST}{digest}" for role, digest in made.inputs.items()],
        [background] if background else [],
        inputs_decide,
    )
    facts = file.facts
    try:
        config = dict(json.loads((facts.get("Config") or ["{}"])[0]))
    except (ValueError, TypeError) as error:
        raise DataError("its ##genomixConfig is damaged", where=file.name) from error
    inputs, ranks = facts.get("Input", []), facts.get("Background", [])
    there = _making(facts.get("Model", []), config, inputs, ranks, inputs_decide)
    differing = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    if differing:
        mode = there.get("mode")
        raise DataError(
            "its scores were made otherwise than by this run",
            where=file.name,
            expected=", ".join(f"{name} {here.get(name, 'none')}" for name in differing),
            found=", ".join(f"{name} {there.get(name, 'none')}" for name in differing),
            hint=f"add --mode {mode}" if differing == ["mode"] and mode != "None" else None,
        )


def _making(
    model: Sequence[str],
    config: Mapping[str, Any],
    inputs: Iterable[str],
    background: Sequence[str],
    inputs_decide: bool,
) -> dict[str, str]:
    """Return everything that scores and ranks depend on, by what it is called in messages."""
    digest = model[0].rpartition(_DIGEST)[2] if model else ""
    making = {"weights": digest[:12] or "not stated"}
    making |= {name: str(config[name]) for name in DECISIVE if name in config}
    if inputs_decide:
        for text in inputs:
            label, _, digest = text.rpartition(_DIGEST)
            words = label.split(" ")
            if words[0] in ("track", "contacts", "shard"):
                making[" ".join(words[: 1 + (words[0] == "track")])] = digest[:12]
    if background:
        making["background"] = background[0]
    return making


def _audit(file: ScoreFile, reference: Reference) -> None:
    """Refuse a file of another assembly, by some rows of all over each contig."""
    check_contigs(file.contigs, reference, file)
    audit = ReferenceAudit(file, reference)
    for contig in islice(filter(reference.names.find, file.contigs), AUDIT_CONTIGS):
        length = reference.lengths[reference.names.require(contig)]
        for start in range(0, length, length // AUDIT_PLACES + 1):
            if audit.compared < AUDIT_RECORDS:
                records = file.head(contig, start, AUDIT_ROWS)
                audit.look_at(check_records(records, reference))
