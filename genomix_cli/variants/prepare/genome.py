"""Prepare a shard of a whole genome without variants, for pre-training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomix_cli.config import to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.schema import GENOME, VariantTable
from genomix_cli.formats.writer import LayoutWriter
from genomix_cli.genome.alphabet import UNKNOWN_BASE
from genomix_cli.genome.contacts import BIN as CONTACT_BIN
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.intervals import ContigNames
from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.genome.source import RawGenome
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance, atomic_path
from genomix_cli.variants.prepare.shard import (
    DEFAULT_MAX_GAP,
    DEFAULT_UNCOVERED,
    PIECE,
    Scale,
    read_scale,
    write_contig,
)
from genomix_cli.variants.requests import PrepareGenomeRequest

log = logging.getLogger("genomix")


@dataclass(frozen=True)
class GenomeSummary:
    """Contents of the shard.

    Attributes
    ----------
    output : str
    contigs : dict of str to int
        Bases stored of each contig.
    gaps : int
        Bases of assembly gaps that were left out.
    observed : dict of str to float
        Fraction of the stored bins in which each track was observed.
    """

    output: str
    contigs: dict[str, int]
    gaps: int
    observed: dict[str, float]


def prepare_genome(request: PrepareGenomeRequest) -> GenomeSummary:
    """Store a genome without its assembly gaps, with tracks and contacts.

    Raises
    ------
    UsageError
        If options contradict each other, or a contig does not exist.
    DataError
        If an input cannot be read, or the inputs belong to different genomes.
    """
    scale = _scale(request)
    genome = RawGenome(
        request.fasta,
        request.tracks,
        scale.specs,
        request.contacts,
        uncovered=scale.uncovered,
        max_gap_bins=scale.max_gap_bins,
    )
    with closing(genome) as source, atomic_path(request.output, force=request.force) as draft:
        blocks = _blocks_by_contig(source.fasta, request.contigs)
        observed = _write(draft, source, blocks, _attributes(request, scale, source, blocks))
    stored = {name: int((found[:, 1] - found[:, 0]).sum()) for name, found in blocks.items()}
    whole = sum(source.contigs[name] for name in blocks)
    return GenomeSummary(str(request.output), stored, whole - sum(stored.values()), observed)


def _scale(request: PrepareGenomeRequest) -> Scale:
    if request.normalise_like is not None:
        if request.uncovered is not None or request.max_gap is not None:
            option = "--uncovered" if request.uncovered is not None else "--max-gap"
            raise UsageError("is that of --normalise-like", where=option, hint="leave it out")
        return read_scale(request.normalise_like).of(request.tracks)
    gap = DEFAULT_MAX_GAP if request.max_gap is None else request.max_gap
    return Scale(None, request.uncovered or DEFAULT_UNCOVERED, gap // BIN_SIZE)


def _blocks_by_contig(fasta: Fasta, asked: tuple[str, ...]) -> dict[str, NDArray[np.int64]]:
    names = ContigNames(fasta.lengths, fasta.path)
    wanted = {names.require(name) for name in asked} or set(fasta.lengths)
    contigs = [name for name in fasta.lengths if name in wanted]
    blocks = {name: stretches(fasta, name) for name in track(contigs, "finding assembly gaps")}
    blocks = {name: found for name, found in blocks.items() if len(found)}
    if not blocks:
        raise DataError("holds nothing but N", where=fasta.path)
    return blocks


def stretches(fasta: Fasta, contig: str) -> NDArray[np.int64]:
    """Return start, end and offset of a contig's blocks between assembly gaps, int64 ``[n, 3]``.

    Starts and ends are multiples of 5 kb, except for the contig's end. A gap's edges are stored if
    they share a 5-kb bin with sequence.
    """
    length = fasta.lengths[contig]
    unit = CONTACT_BIN
    empty = np.zeros(-(-length // unit), np.bool_)
    for low in range(0, length, PIECE):
        codes = fasta.fetch(contig, low, min(low + PIECE, length))
        padded = np.full(-(-len(codes) // unit) * unit, UNKNOWN_BASE, np.uint8)
        padded[: len(codes)] = codes
        whole = (padded.reshape(-1, unit) == UNKNOWN_BASE).all(1)
        empty[low // unit : low // unit + len(whole)] = whole
    edges = np.flatnonzero(np.diff(~empty, prepend=False, append=False))
    start, end = edges[::2] * unit, np.minimum(edges[1::2] * unit, length)
    return np.column_stack([start, end, np.cumsum(end - start) - (end - start)])


def _attributes(
    request: PrepareGenomeRequest,
    scale: Scale,
    source: RawGenome,
    blocks: Mapping[str, NDArray[np.int64]],
) -> dict[str, Any]:
    inputs = {"fasta": request.fasta}
    inputs |= {f"track {name}": path for name, path in request.tracks.items()}
    if request.contacts is not None:
        inputs["contacts"] = Path(str(request.contacts).split("::")[0])
    settings = {"contigs": list(request.contigs), "assembly": request.assembly}
    return {
        "bin_size": BIN_SIZE,
        "assembly": request.assembly,
        "contigs": [[name, source.contigs[name]] for name in blocks],
        "tracks": [to_dict(spec) for spec in source.specs],
        "uncovered": scale.uncovered,
        "max_gap_bins": scale.max_gap_bins,
        "tissues": [],
        "provenance": Provenance.of(settings, inputs).to_dict(),
    }


def _write(
    path: Path,
    source: RawGenome,
    blocks: Mapping[str, NDArray[np.int64]],
    attributes: Mapping[str, Any],
) -> dict[str, float]:
    observed = np.zeros(len(source.tracks))
    bins = 0
    with LayoutWriter(path, GENOME, attributes) as writer:
        for contig, found in track(blocks.items(), "writing contigs", len(blocks)):
            observed += write_contig(writer, source, contig, found)
            bins += int((-(-(found[:, 1] - found[:, 0]) // BIN_SIZE)).sum())
            if source.has_contacts:
                writer.put("/contacts/<contig>/oe", source.band(contig), contig)
        writer.put_variants(VariantTable.empty())
    return dict(zip(source.tracks, (observed / bins).round(4).tolist(), strict=True))
