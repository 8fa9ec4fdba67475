"""Look up precomputed scores in files, so that only the remaining alleles are computed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

from genomix_cli.errors import DataError
from genomix_cli.genome.parquet import MAGIC, parquet_size, read_facts
from genomix_cli.genome.tables import LOCUS, find_locus, first_bytes, is_missing, leading_lines
from genomix_cli.genome.vcf.reader import MISSING, VcfReader
from genomix_cli.provenance import Provenance, facts_of
from genomix_cli.variants.records.checks import Checked
from genomix_cli.variants.records.matching import AlleleFile, Kind, Row, Wanted, kind_of
from genomix_cli.variants.records.reference import Reference
from genomix_cli.variants.score.tags import LOOKED_UP, PREFIX

#: Settings that change scores by more than rounding; see `genomix_cli.variants.conditions`.
DECISIVE = ("cell", "uncovered", "max_gap_bins", "mode", "both_strands")
#: Two scores of an allele that differ by no more than this count as equal.
ROUNDING = 1e-3
_DIGEST = " sha256:"
# Header lines that must agree.
_SAID = ("Background", "Calibration")
Facts = dict[str, list[str]]

# A number as defined by the VCF specification, or a missing value.
_VALUE = r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?|\."
_VALUES = re.compile(_VALUE)


class Lookup:
    """Precomputed scores in one or several files.

    Parameters
    ----------
    paths : sequence of Path
        VCF.gz, BCF or TSV.gz, each with its index, or Parquet; one per contig, or one for all.
    keys : sequence of str
        Fields of the output, which the files must have too.
    empty : collection of str
        Fields of `keys` that this run leaves empty; a file may lack them.
    made : Provenance
        Provenance of the scores of this run, which the files must match.
    inputs_decide : bool
        True if scores depend on input files; False for a model that reads only the sequence.
    facts : mapping of str to str
        Further facts that must match: the background of the ranks, and the calibration.
    reference : Reference

    Attributes
    ----------
    warnings : list of str
        Warnings about the files for readers of the scores.

    Raises
    ------
    DataError
        If a file has no index, lacks a field, has unknown columns, states a different provenance,
        or shares no contig with the reference. While searching: if a file is damaged, or two of
        its rows contradict each other.
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
        empty: Collection[str] = (),
        inputs_decide: bool = True,
        facts: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._reference = reference
        self._open = ExitStack()
        self._files: list[ScoreFile] = []
        self.warnings: list[str] = []
        try:
            for path in paths:
                file = open_scores(path, keys, empty)
                self._open.callback(file.close)
                self._files.append(file)
                if file.facts:
                    _refuse_other(file, made, inputs_decide, facts)
                else:
                    told = "does not say how it was made: its scores are taken as they are"
                    self.warnings.append(f"{path.name} {told}")
                file.refuse_other_assembly(reference)
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> Lookup:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def find(self, block: Iterable[Checked]) -> list[Row | None]:
        """Return the row of each scorable allele of a block; None for an allele without a row."""
        wanted = Wanted.of(block, self._reference)
        rows = wanted.rows()
        for file in self._files:
            file.search(wanted, rows, self._reference)
        return wanted.in_order(rows)


class ScoreFile(AlleleFile):
    """A VCF or BCF of scores.

    Parameters
    ----------
    path : Path
    kind : Kind
    facts : dict of str to list of str
        Provenance stated in the file.
    keys : sequence of str
        Fields of a row.
    """

    def __init__(self, path: Path, kind: Kind, facts: Facts, keys: Sequence[str]) -> None:
        super().__init__(path, kind)
        self._keys = keys
        # Fast path for the layout that genomix writes: fields in order, one ALT.
        self._own = re.compile(";".join(f"{re.escape(key)}=({_VALUE})" for key in keys) + "(?:;|$)")
        self.facts = facts

    def joined(self, before: Row, row: Row, fields: Sequence[str]) -> Row:
        """Return the row of an allele that occurs twice in the file.

        Raises
        ------
        DataError
            If the scores differ by more than rounding.
        """
        if not _agree(before, row):
            raise DataError(
                "two rows of the same allele have different values",
                where=self.place(fields),
                expected=_told(before),
                found=_told(row),
            )
        return before

    def rows_of(self, fields: Sequence[str]) -> list[Row | None]:
        """Return the values of each ALT; None for an ALT without values."""
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
                where=self.place(fields),
                expected=f"{count} values, one per ALT",
            )
        return [self._row(row, fields) for row in zip(*columns, strict=True)]

    def _row(self, texts: Iterable[str], fields: Sequence[str]) -> Row | None:
        """Return the checked values of an allele; None if it has none."""
        row = tuple([MISSING if is_missing(text) else text for text in texts])
        for key, text in zip(self._keys, row, strict=True):
            if not _VALUES.fullmatch(text):
                where = self.place(fields)
                raise DataError(f"{key} is not a number", where=where, found=repr(text[:40]))
        return None if row.count(MISSING) == len(row) else (*row, LOOKED_UP)


class ScoreTable(ScoreFile):
    """A table of scores, indexed text or Parquet: one row per ALT, with named columns."""

    last = -1

    def __init__(
        self,
        path: Path,
        kind: Kind,
        facts: Facts,
        keys: Sequence[str],
        names: Sequence[str],
        empty: Collection[str] = (),
    ) -> None:
        super().__init__(path, kind, facts, keys)
        columns = {name.strip().lower(): i for i, name in enumerate(names)}
        if len(columns) < len(names):
            raise DataError("a column is repeated", where=path, found=", ".join(names))
        locus = find_locus(names, path, ", ".join(keys))
        self._width = len(names)
        _, self.pos, self.ref, self.alt = locus.values()
        # Ignore other columns of genomix, such as the reason why an allele was not scored.
        own = {name for name in columns if name.startswith(PREFIX.lower())}
        unknown = columns.keys() - {names[i].strip().lower() for i in locus.values()} - own - {"id"}
        if unknown:
            raise DataError(
                f"unknown column {names[min(columns[name] for name in unknown)]!r}",
                where=path,
                expected=f"{', '.join(LOCUS)} and {', '.join(keys)}",
            )
        _refuse_lacking(path, [k for k in keys if k.lower() not in columns and k not in empty])
        self._at = [columns.get(key.lower()) for key in keys]

    def rows_of(self, fields: Sequence[str]) -> list[Row | None]:
        """Return the values of the only ALT; None if it has none."""
        if len(fields) != self._width:
            raise DataError(
                "the row has another number of columns than the header",
                where=self.place(fields),
                expected=str(self._width),
                found=str(len(fields)),
            )
        if "," in fields[self.alt]:
            where = self.place(fields)
            raise DataError("the row has several ALTs", where=where, expected="one row per ALT")
        return [self._row([MISSING if i is None else fields[i] for i in self._at], fields)]


def open_scores(path: Path, keys: Sequence[str], empty: Collection[str] = ()) -> ScoreFile:
    """Open a file of scores with all `keys`, except that it may lack those in `empty`.

    Raises
    ------
    DataError
        If the file cannot be read, has no index, lacks a field or has unknown columns.
    """
    if first_bytes(path).startswith(MAGIC):
        names = parquet_size(path)[0]
        return ScoreTable(path, Kind(False, False, None), read_facts(path), keys, names, empty)
    kind = kind_of(path, "a .vcf.gz, .bcf or .tsv.gz")
    if not kind.is_vcf:
        meta, line = leading_lines(path)
        return ScoreTable(path, kind, facts_of(meta), keys, line.split("\t"), empty)
    with VcfReader(path, again=True) as reader:
        meta = list(reader.header.meta)
    fields = {line.partition("ID=")[2].partition(",")[0] for line in meta if "##INFO" in line}
    _refuse_lacking(path, [key for key in keys if key not in fields and key not in empty])
    return ScoreFile(path, kind, facts_of(meta), keys)


def filled(found: Iterable[Row | None], computed: Iterator[Row]) -> Iterator[Row]:
    """Yield the row of each allele: the one found, otherwise the next computed one."""
    for row in found:
        yield next(computed) if row is None else row


def _own_part(info: str) -> str:
    """Return INFO from the first field of genomix on, which is usually at the end."""
    at = info.find(PREFIX)
    return info[at:] if at > 0 else info


def _agree(one: Row, other: Row) -> bool:
    """Return True if two rows are equal up to rounding, since an allele may be scored twice."""
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


def _refuse_other(
    file: ScoreFile, made: Provenance, inputs_decide: bool, said: Mapping[str, str]
) -> None:
    """Raise DataError if a file's scores were made differently from those of this run."""
    here = _making(
        [made.model],
        made.config,
        [f"{role}{_DIGEST}{digest}" for role, digest in made.inputs.items()],
        {name: [text] for name, text in said.items()},
        inputs_decide,
    )
    facts = file.facts
    try:
        config = dict(json.loads((facts.get("Config") or ["{}"])[0]))
    except (ValueError, TypeError) as error:
        raise DataError("its ##genomixConfig is damaged", where=file.name) from error
    model, inputs = facts.get("Model", []), facts.get("Input", [])
    there = _making(model, config, inputs, facts, inputs_decide)
    differing = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    if differing:
        mode = there.get("mode")
        raise DataError(
            "its scores were computed with other settings than those of this run",
            where=file.name,
            expected=", ".join(f"{name} {here.get(name, 'none')}" for name in differing),
            found=", ".join(f"{name} {there.get(name, 'none')}" for name in differing),
            hint=f"add --mode {mode}" if differing == ["mode"] and mode != "None" else None,
        )


def _making(
    model: Sequence[str],
    config: Mapping[str, Any],
    inputs: Iterable[str],
    facts: Mapping[str, Sequence[str]],
    inputs_decide: bool,
) -> dict[str, str]:
    """Return everything that scores and ranks depend on, keyed by its name in messages."""
    digest = model[0].rpartition(_DIGEST)[2] if model else ""
    making = {"weights": digest[:12] or "not stated"}
    making |= {name: str(config[name]) for name in DECISIVE if name in config}
    if inputs_decide:
        for text in inputs:
            label, _, digest = text.rpartition(_DIGEST)
            words = label.split(" ")
            if words[0] in ("track", "contacts", "shard"):
                making[" ".join(words[: 1 + (words[0] == "track")])] = digest[:12]
    return making | {name.lower(): facts[name][0] for name in _SAID if facts.get(name)}
