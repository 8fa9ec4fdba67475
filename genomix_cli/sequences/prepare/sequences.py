"""Preparation of a sequence file from FASTA, tables or people's genotypes.

Letters in shapes: n sequences, L bases of each.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.tables import write_json
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.sequences import (
    Measurement,
    Phenotype,
    Sequences,
    Windows,
    sequences_writer,
)
from genomix_cli.genome.intervals import ContigNames
from genomix_cli.genome.tracks import read_track_name
from genomix_cli.genome.vcf.input import BCF, STANDARD_STREAM, Input
from genomix_cli.options import leaves
from genomix_cli.provenance import Provenance, atomic_path, check_output
from genomix_cli.sequences.prepare import metadata
from genomix_cli.sequences.prepare.fasta import read_fasta
from genomix_cli.sequences.prepare.metadata import Known, Matched, Metadata
from genomix_cli.sequences.prepare.parsed_input import Parsed, first_twice
from genomix_cli.sequences.prepare.signal import UNIT, read_signal
from genomix_cli.sequences.prepare.table import read_table
from genomix_cli.sequences.prepare.vcf import read_vcf
from genomix_cli.sequences.requests import PrepareRequest
from genomix_cli.sequences.train.splits import TEST, TRAIN, VALID

log = logging.getLogger("genomix")

# Groups that folds can keep together without a column of groups: windows of a contig or block.
CONTIG, BLOCK = "contig", "block"
BLOCK_BASES = 1_000_000
# Blocks are shortened if the genome would have fewer than this.
MIN_BLOCKS = 50
FASTA, VCF, TABLE = "FASTA", "VCF", "table"
_VCF_START = b"##fileformat=VCF"
_EXAMPLES = 3
# Settings in the provenance; the rest of the request consists of inputs.
_SETTINGS = (
    *("id_column", "sequence_column", "make_ids", "label", "group", "split", "keep"),
    *("categorical", "numeric", "allow_unmatched", "window", "stride", "max_n"),
    *("haplotypes", "flank", "regions", "max_missing", "min_maf", "assembly"),
    *("assay", "unit", "adaptors", "top", "background", "uncovered", "profiles", "strands"),
    *("valid_contigs", "test_contigs"),
)
# Settings that apply only to tracks.
_OF_TRACKS = ("top", "background", "uncovered", "profiles", "strands")
# Settings that apply to one kind of input.
_ONLY = {
    FASTA: ("tracks", *_OF_TRACKS, "window", "stride", "bed", "max_n"),
    VCF: (
        *("haplotypes", "flank", "regions", "regions_file"),
        *("max_missing", "min_maf", "like"),
    ),
    TABLE: ("sequence_column",),
}


_LEAVES = {leaf.path[-1]: leaf for leaf in leaves(PrepareRequest)}


@dataclass(frozen=True)
class PrepareSummary:
    """Contents of the file, and what was left out.

    Attributes
    ----------
    output : str
    kind : {"FASTA", "VCF", "table"}
    rows : str
        Kind of the sequences: records, windows, regions, rows, genotypes or haplotypes.
    sequences, length : int
    facts : dict
        Facts about this kind of input, such as the number of sites.
    phenotypes : dict of str to str
        Type of each phenotype, and the number of sequences with a value.
    not_used : dict of str to str
        Columns that are not phenotypes, and why.
    label : str
    classes : dict of str to int
        Number of sequences in each class of the label.
    unlabelled : int
    groups : int
    splits : dict of str to int
    without_row, unused_rows : int
        Sequences without a row in the table, and rows without a sequence.
    left_out : dict of str to int
        Number of inputs left out, by reason.
    examples : dict of str to str
        First input left out for each reason.
    warnings : list of str
    """

    output: str
    kind: str
    rows: str
    sequences: int
    length: int
    facts: dict[str, Any]
    phenotypes: dict[str, str]
    not_used: dict[str, str]
    label: str
    classes: dict[str, int]
    unlabelled: int
    groups: int
    splits: dict[str, int]
    without_row: int
    unused_rows: int
    left_out: dict[str, int]
    examples: dict[str, str]
    warnings: list[str] = field(default_factory=list)


def prepare_sequences(request: PrepareRequest) -> PrepareSummary:
    """Read and check sequences and their table, and write them to one file.

    Memory does not grow with the number of bases, which go through a temporary file next to the
    output.

    Raises
    ------
    UsageError
        If options contradict each other, or name something that does not exist.
    DataError
        If an input is not valid.
    """
    _check(request)
    kind = _kind(request)
    _check_options(request, kind)
    table = None
    if request.table is not None:
        table = metadata.read_metadata(request.table, request.id_column)
        table.check(_without_place(request, table))
    with atomic_path(request.output, force=request.force) as draft:
        parsed = _read(request, kind, draft.parent)
        table = table or parsed.metadata
        matched = metadata.match(table, parsed.units, request.allow_unmatched)
        facts = _known(request, parsed, table)
        sequences = _sequences(request, parsed, facts)
        _write(draft, request, kind, parsed, sequences)
    summary = _summary(request, kind, parsed, facts, matched, sequences)
    if request.stats is not None:
        write_json(summary, request.stats, force=True)
    return summary


def _check(request: PrepareRequest) -> None:
    """Refuse options that are wrong whatever the files contain, before any work."""
    check_output(request.output, force=request.force)
    if request.stats is not None:
        check_output(request.stats)
    if request.haplotypes not in ("auto", "yes", "no"):
        raise UsageError(
            "unknown", where="--haplotypes", expected="auto, yes or no", found=request.haplotypes
        )
    if request.regions is not None and request.regions_file is not None:
        raise UsageError("give one of them", where="--regions, --regions-file")
    if request.stride and not request.window:
        raise UsageError("applies only to windows", where="--stride", hint="add --window")
    if request.stride and request.bed is not None:
        raise UsageError("does not apply to regions", where="--stride", hint="remove --bed")
    if (request.bed or request.tracks) and len(request.inputs) > 1:
        option, what = ("--bed", "regions") if request.bed else ("--track", "tracks")
        found = f"{len(request.inputs)} files"
        raise UsageError(f"{what} need exactly one FASTA", where=option, found=found)
    if request.split and (request.valid_contigs or request.test_contigs):
        raise UsageError("give one of them", where="--split, --test-contigs")
    if clash := set(request.valid_contigs) & set(request.test_contigs):
        raise UsageError(f"{min(clash)} is in both", where="--valid-contigs, --test-contigs")
    _check_tracks(request)
    if request.flank and (request.fasta is None or request.like is not None):
        needs = "--fasta" if request.fasta is None else "the flanks of --like"
        raise UsageError("cannot be given", where="--flank", expected=needs)
    metadata.check_single_use(request)


def _check_tracks(request: PrepareRequest) -> None:
    """Refuse options that tracks need or rule out."""
    if not request.tracks:
        for name in _OF_TRACKS:
            if getattr(request, name) != _LEAVES[name].default:
                raise UsageError(
                    "applies only to tracks", where=_LEAVES[name].flag, hint="add --track"
                )
        return
    for name in request.tracks:
        read_track_name(name)
    if not request.window and request.bed is None:
        hint = "give the length of the windows: --window 200"
        raise UsageError("needs windows or regions", where="--track", hint=hint)
    if request.bed is not None and request.top != _LEAVES["top"].default:
        raise UsageError("does not apply to regions", where="--top", hint="remove --bed")
    if request.table is not None:
        raise UsageError("the tracks already are the labels", where="--table", hint="remove it")
    if request.unit:
        raise UsageError("is set by the tracks", where="--unit", expected=UNIT)
    named = [name for pair in request.strands for name in pair]
    if unknown := [name for name in named if name not in request.tracks]:
        expected = " or ".join(request.tracks)
        raise UsageError(f"no track {unknown[0]!r}", where="--strands", expected=expected)
    if twice := first_twice(named):
        raise UsageError(f"{twice} is in two pairs", where="--strands")


def _kind(request: PrepareRequest) -> str:
    """Return the kind of all inputs, from their first bytes."""
    kinds = {path: _kind_of(path) for path in request.inputs}
    first, kind = next(iter(kinds.items()))
    if len(kinds) < len(request.inputs):
        raise UsageError("an input is given twice", where=request.inputs[0])
    for path, other in kinds.items():
        if other != kind:
            raise UsageError("inputs of several kinds", where=path, expected=kind, found=other)
        if kind == TABLE and path != first:
            raise UsageError("several tables", where=path, hint="join them first")
    return kind


def _kind_of(path: Path) -> str:
    if str(path) == STANDARD_STREAM or path.is_fifo():
        return VCF
    if not path.exists():
        raise UsageError("no such file", where=path)
    if path.is_dir():
        raise UsageError("is a folder", where=path, expected="a FASTA, a VCF or a table")
    if not path.stat().st_size:
        raise DataError("is empty", where=path)
    with Input(path) as source:
        start = source.stream.peek(4096)
    if start.startswith((_VCF_START, BCF)):
        return VCF
    if not start.strip():
        raise DataError("is empty or damaged", where=path)
    if b"\0" in start:
        raise DataError("is not text", where=path, expected="a FASTA, a VCF, a BCF or a table")
    return FASTA if start.lstrip().startswith(b">") else TABLE


def _check_options(request: PrepareRequest, kind: str) -> None:
    """Refuse options that have no effect on this kind of input."""
    for other, names in _ONLY.items():
        for name in names:
            if other != kind and getattr(request, name) != _LEAVES[name].default:
                where = _LEAVES[name].flag
                raise UsageError(f"is for a {other}", where=where, found=f"a {kind}")
    if kind == VCF and any(request.adaptors):
        raise UsageError("apply only to sequences", where="--adaptors", found=f"a {kind}")
    if request.make_ids and (kind == VCF or request.table is not None):
        raise UsageError("made-up ids cannot match a table", where="--make-ids")
    if request.table is not None and kind == TABLE:
        raise UsageError("the input is itself a table", where="--table", hint="join the two first")
    asked = [
        *metadata.named_columns(request).values(),
        *(["--id-column"] if request.id_column else []),
    ]
    if _place(request, None):
        asked = [option for option in asked if option != "--group"]
    if asked and request.table is None and kind != TABLE:
        raise UsageError("needs a table", where=asked[0], hint="add --table")


def _read(request: PrepareRequest, kind: str, folder: Path) -> Parsed:
    if kind == VCF:
        return read_vcf(request.inputs, request, folder)
    if request.tracks:
        return read_signal(request.inputs[0], request, folder)
    if kind == FASTA:
        return read_fasta(request.inputs, request, folder)
    return read_table(request.inputs[0], request, folder)


def _place(request: PrepareRequest, table: Metadata | None) -> str:
    """Return CONTIG or BLOCK if that is the group that folds keep together; else nothing."""
    asked = request.group or (BLOCK if request.tracks else "")
    is_place = asked in (CONTIG, BLOCK) and (request.window or request.bed)
    return asked if is_place and (table is None or asked not in table.columns) else ""


def _without_place(request: PrepareRequest, table: Metadata | None) -> PrepareRequest:
    """Return the request without its groups if these are contigs or blocks, not a column."""
    return replace(request, group=None) if _place(request, table) else request


def _known(request: PrepareRequest, parsed: Parsed, table: Metadata | None) -> Known:
    n = len(parsed.names)
    if table is None:
        facts = Known(parsed.phenotypes, [""] * n, np.full(n, "", "U1"), {})
    else:
        asked = _without_place(request, table)
        facts = metadata.known(table, table.rows(parsed.units), asked)
    place = _place(request, table)
    if place and parsed.windows is not None:
        facts = facts._replace(group=_group_by_place(place, parsed.contigs, parsed.windows))
    if request.valid_contigs or request.test_contigs:
        facts = facts._replace(split=_split_by_contig(request, parsed))
    return facts


def _group_by_place(place: str, contigs: Mapping[str, int], windows: Windows) -> list[str]:
    """Return the contig of each window, or its block."""
    names = [list(contigs)[number] for number in windows.contig]
    if place == CONTIG:
        return names
    size = max(min(BLOCK_BASES, sum(contigs.values()) // MIN_BLOCKS), 1)
    blocks = (windows.start // size).tolist()
    return [f"{name}:{block}" for name, block in zip(names, blocks, strict=True)]


def _split_by_contig(request: PrepareRequest, parsed: Parsed) -> NDArray[np.str_]:
    """Return the split of each window, which is that of its contig.

    Raises
    ------
    UsageError
        If the sequences have no place in a genome.
    DataError
        If a contig has no window.
    """
    if parsed.windows is None:
        option = "--test-contigs" if request.test_contigs else "--valid-contigs"
        raise UsageError("the sequences have no genome coordinates", where=option)
    names = ContigNames(parsed.contigs, f"{request.inputs[0]}, of which windows are left,")
    split = dict.fromkeys(parsed.contigs, TRAIN[0])
    for part, contigs in ((VALID[1], request.valid_contigs), (TEST[0], request.test_contigs)):
        split |= dict.fromkeys(map(names.require, contigs), part)
    return np.array(list(split.values()))[parsed.windows.contig]


def _sequences(request: PrepareRequest, parsed: Parsed, facts: Known) -> Sequences:
    """Return everything but the bases."""
    return Sequences(
        names=np.array(parsed.names, np.str_),
        codes=np.empty((0, parsed.length), np.uint8),
        group=_groups(facts.group, parsed.units),
        split=facts.split,
        phenotypes=facts.phenotypes,
        default_label=request.label or "",
        contigs=parsed.contigs,
        assembly=request.assembly,
        windows=parsed.windows,
        columns=parsed.columns,
        measurement=Measurement(
            request.assay or parsed.measurement.assay,
            request.unit or parsed.measurement.unit,
            *request.adaptors,
        ),
        profiles=None if parsed.profiles is None else parsed.profiles.unread,
    )


def _groups(group: list[str], units: list[str]) -> NDArray[np.int64]:
    """Return group numbers in order of appearance; sequences without one form their own."""
    numbers: dict[tuple[str, bool], int] = {}
    keys = ((name or unit, not name) for name, unit in zip(group, units, strict=True))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _write(
    draft: Path, request: PrepareRequest, kind: str, parsed: Parsed, sequences: Sequences
) -> None:
    settings = {name: getattr(request, name) for name in _SETTINGS}
    plain = {name: list(v) if isinstance(v, tuple) else v for name, v in settings.items()}
    seed = request.seed if request.tracks else None
    provenance = Provenance.of({**plain, "rows": parsed.rows}, _files(request, kind), seed)
    with sequences_writer(draft, sequences, provenance) as file:
        dataset = file.create("/sequences/codes", (len(sequences), parsed.length))
        done = 0
        for block in parsed.blocks():
            dataset[done : done + len(block)] = block
            done += len(block)
        if parsed.profiles is not None:
            shape = len(sequences), len(parsed.profiles.files), parsed.length
            signal = file.create("/profiles/signal", shape)
            # A compressed data set is assembled in memory and written once, since rows arrive in
            # another order.
            whole = None if signal.chunks is None else np.empty(shape, np.float32)
            for rows, values in parsed.profiles.blocks():
                for row, one in zip(rows.tolist(), values, strict=True):
                    (signal if whole is None else whole)[row] = one
            if whole is not None:
                signal[...] = whole


def _summary(
    request: PrepareRequest,
    kind: str,
    parsed: Parsed,
    facts: Known,
    matched: Matched,
    sequences: Sequences,
) -> PrepareSummary:
    classes = _classes(sequences)
    names, counts = np.unique(sequences.split[sequences.split != ""], return_counts=True)
    return PrepareSummary(
        output=str(request.output),
        kind=kind,
        rows=parsed.rows,
        sequences=len(sequences),
        length=parsed.length,
        facts=parsed.facts,
        phenotypes={p.name: _described(p) for p in sequences.phenotypes},
        not_used=facts.not_used,
        label=sequences.default_label,
        classes=classes,
        unlabelled=len(sequences) - sum(classes.values()) if sequences.default_label else 0,
        groups=len(np.unique(sequences.group)),
        splits=dict(zip(names.tolist(), counts.tolist(), strict=True)),
        without_row=len(matched.without_row),
        unused_rows=len(matched.unused_rows),
        left_out=parsed.left_out.counts,
        examples=parsed.left_out.examples,
        warnings=_warnings(request, parsed, sequences, classes, matched),
    )


def _classes(sequences: Sequences) -> dict[str, int]:
    if not sequences.default_label:
        return {}
    names, label = sequences.label()
    return dict(zip(names, np.bincount(label[label >= 0]).tolist(), strict=True))


def _described(phenotype: Phenotype) -> str:
    values = phenotype.values
    if phenotype.categories is None:
        return f"a number of {int(np.isfinite(values).sum()):,}"
    return f"{len(phenotype.categories):,} categories of {int((values >= 0).sum()):,}"


def _warnings(
    request: PrepareRequest,
    parsed: Parsed,
    sequences: Sequences,
    classes: dict[str, int],
    matched: Matched,
) -> list[str]:
    """Return warnings about data that are valid here but may fail in training."""
    warnings = [*parsed.warnings]
    single = [] if not classes else _single(sequences)
    if single:
        named = ", ".join(single[:_EXAMPLES])
        warnings.append(
            f"{len(single):,} classes of {sequences.default_label} have one sequence or group "
            f"(e.g. {named}), so they cannot be both learned and judged"
        )
    if len(classes) == 1:
        warnings.append(f"{sequences.default_label} has one class only")
    overlap = parsed.facts.get("stride", parsed.length) < parsed.length
    if overlap and request.group is None and not request.tracks:
        warnings.append(
            "windows overlap: those in training and in test may share bases; "
            "to keep contigs whole: --group contig"
        )
    names = set(sequences.split.tolist()) - {""}
    if names and not names & set(TEST):
        warnings.append(
            f"no split is called {TEST[0]}: training will not go by {', '.join(sorted(names))}"
        )
    for unmatched, what in (
        (matched.without_row, "sequences or people have no row in the table and stay unlabelled"),
        (matched.unused_rows, "rows of the table have no sequence"),
    ):
        if unmatched:
            warnings.append(f"{len(unmatched):,} {what}, as {', '.join(unmatched[:_EXAMPLES])}")
    return warnings


def _single(sequences: Sequences) -> list[str]:
    """Return classes whose sequences are all in one group."""
    names, label = sequences.label()
    pairs = np.unique(np.stack([label, sequences.group], 1)[label >= 0], axis=0)
    return [names[k] for k in np.flatnonzero(np.bincount(pairs[:, 0], minlength=len(names)) == 1)]


def _files(request: PrepareRequest, kind: str) -> dict[str, Path]:
    """Return every input file by its role, except standard input."""
    numbered = len(request.inputs) > 1
    files: dict[str, Path | None] = {
        f"{kind} {i}" if numbered else kind: path for i, path in enumerate(request.inputs, 1)
    }
    files |= {f"track {name}": path for name, path in request.tracks.items()}
    files |= {"metadata": request.table, "BED": request.bed, "like": request.like}
    files |= {"regions": request.regions_file, "reference": request.fasta if kind == VCF else None}
    return {
        role: path
        for role, path in files.items()
        if path is not None and str(path) != STANDARD_STREAM and not path.is_fifo()
    }
