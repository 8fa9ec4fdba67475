"""Preparation of a sequence file from FASTA, tables or people's genotypes.

Letters in shapes: n sequences, L bases of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.tables import write_json
from genomix_cli.errors import UsageError
from genomix_cli.formats.sequences import Measurement, Sequences, Windows, sequences_writer
from genomix_cli.genome.intervals import ContigNames
from genomix_cli.outputs import atomic_path
from genomix_cli.provenance import Provenance
from genomix_cli.sequences.prepare import metadata
from genomix_cli.sequences.prepare.checks import (
    CONTIG,
    FASTA,
    VCF,
    check_kind,
    check_request,
    group_place,
    input_kind,
)
from genomix_cli.sequences.prepare.fasta import read_fasta
from genomix_cli.sequences.prepare.metadata import Known, Metadata
from genomix_cli.sequences.prepare.parsed_input import Parsed
from genomix_cli.sequences.prepare.signal import read_signal
from genomix_cli.sequences.prepare.summary import PrepareSummary, summarise
from genomix_cli.sequences.prepare.table import read_table
from genomix_cli.sequences.prepare.vcf import read_vcf
from genomix_cli.sequences.requests.prepare import PrepareRequest
from genomix_cli.sequences.train.splits import TEST, TRAIN, VALID

# Length of a block; shortened if the genome would have fewer blocks than `MIN_BLOCKS`.
BLOCK_BASES = 1_000_000
MIN_BLOCKS = 50
# Settings in the provenance; the rest of the request consists of inputs.
_SETTINGS = (
    *("id_column", "sequence_column", "make_ids", "label", "group", "split", "keep"),
    *("categorical", "numeric", "allow_unmatched", "window", "stride", "max_n"),
    *("haplotypes", "flank", "regions", "max_missing", "min_maf", "assembly"),
    *("assay", "unit", "adaptors", "top", "background", "uncovered", "profiles", "strands"),
    *("valid_contigs", "test_contigs"),
)


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
    check_request(request)
    kind = input_kind(request)
    check_kind(request, kind)
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
    summary = summarise(request, kind, parsed, facts, matched, sequences)
    if request.stats is not None:
        write_json(summary, request.stats, force=True)
    return summary


def _read(request: PrepareRequest, kind: str, folder: Path) -> Parsed:
    if kind == VCF:
        return read_vcf(request.inputs, request, folder)
    if request.tracks:
        return read_signal(request.inputs[0], request, folder)
    if kind == FASTA:
        return read_fasta(request.inputs, request, folder)
    return read_table(request.inputs[0], request, folder)


def _without_place(request: PrepareRequest, table: Metadata | None) -> PrepareRequest:
    """Return the request without its groups if these are contigs or blocks, not a column."""
    return replace(request, group=None) if group_place(request, table) else request


def _known(request: PrepareRequest, parsed: Parsed, table: Metadata | None) -> Known:
    n = len(parsed.names)
    if table is None:
        facts = Known(parsed.phenotypes, [""] * n, np.full(n, "", "U1"), {})
    else:
        asked = _without_place(request, table)
        facts = metadata.known(table, table.rows(parsed.units), asked)
    place = group_place(request, table)
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
    names = ContigNames(parsed.contigs, f"{request.inputs[0]} (contigs with windows)")
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


def _files(request: PrepareRequest, kind: str) -> dict[str, Path | None]:
    """Return every input file by its role."""
    numbered = len(request.inputs) > 1
    files: dict[str, Path | None] = {
        f"{kind} {i}" if numbered else kind: path for i, path in enumerate(request.inputs, 1)
    }
    files |= {f"track {name}": path for name, path in request.tracks.items()}
    files |= {"metadata": request.table, "BED": request.bed, "like": request.like}
    files |= {"regions": request.regions_file, "reference": request.fasta if kind == VCF else None}
    return files
