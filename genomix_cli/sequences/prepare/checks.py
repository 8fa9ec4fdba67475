"""Checks of the options of a preparation, and of the kind of its inputs, before any work."""

from __future__ import annotations

from pathlib import Path

from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.tracks import read_track_name
from genomix_cli.genome.vcf.input import BCF, BYTE_ORDER_MARK, STANDARD_STREAM, Input
from genomix_cli.options import leaves
from genomix_cli.outputs import check_output
from genomix_cli.sequences.prepare import metadata
from genomix_cli.sequences.prepare.metadata import Metadata
from genomix_cli.sequences.prepare.parsed_input import first_twice
from genomix_cli.sequences.prepare.signal import UNIT
from genomix_cli.sequences.requests.prepare import PrepareRequest

FASTA, VCF, TABLE = "FASTA", "VCF", "table"
_VCF_START = b"##fileformat=VCF"
# Groups that folds can keep together without a column of groups: windows of a contig or block.
CONTIG, BLOCK = "contig", "block"
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


def check_request(request: PrepareRequest) -> None:
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


def input_kind(request: PrepareRequest) -> str:
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
        start = source.stream.peek(4096).removeprefix(BYTE_ORDER_MARK)
    if start.startswith((_VCF_START, BCF)):
        return VCF
    if not start.strip():
        raise DataError("is empty or damaged", where=path)
    if b"\0" in start:
        raise DataError("is not text", where=path, expected="a FASTA, a VCF, a BCF or a table")
    return FASTA if start.lstrip().startswith(b">") else TABLE


def check_kind(request: PrepareRequest, kind: str) -> None:
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
    if group_place(request, None):
        asked = [option for option in asked if option != "--group"]
    if asked and request.table is None and kind != TABLE:
        raise UsageError("needs a table", where=asked[0], hint="add --table")


def group_place(request: PrepareRequest, table: Metadata | None) -> str:
    """Return CONTIG or BLOCK if that is the group that folds keep together; else nothing."""
    asked = request.group or (BLOCK if request.tracks else "")
    is_place = asked in (CONTIG, BLOCK) and (request.window or request.bed)
    return asked if is_place and (table is None or asked not in table.columns) else ""
