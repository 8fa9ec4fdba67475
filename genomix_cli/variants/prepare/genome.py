"""Prepare a shard of a whole genome without variants, for pre-training."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.schema import VariantTable
from genomix_cli.genome.alphabet import UNKNOWN_BASE
from genomix_cli.genome.contacts import BIN as CONTACT_BIN
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.intervals import ContigNames
from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.outputs import atomic_path
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance
from genomix_cli.variants.prepare import shard
from genomix_cli.variants.requests.prepare import PrepareGenomeRequest


@dataclass(frozen=True)
class GenomeSummary:
    """Summary of a genome shard.

    Attributes
    ----------
    output : str
    contigs : dict of str to int
        Number of bases stored for each contig.
    gaps : int
        Number of bases in assembly gaps, which are left out.
    observed : dict of str to float
        Fraction of the stored bins in which each track was measured.
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
    with (
        closing(shard.open_genome(request, scale)) as source,
        atomic_path(request.output, force=request.force) as draft,
    ):
        blocks = _blocks_by_contig(source.fasta, request.contigs)
        contigs = {name: source.contigs[name] for name in blocks}
        settings = {"contigs": list(request.contigs), "assembly": request.assembly}
        provenance = Provenance.of(settings, shard.genome_inputs(request))
        attributes = shard.genome_attributes(request, scale, source, contigs, provenance)
        observed = shard.write_genome(draft, attributes, source, blocks, VariantTable.empty())
    sizes = {name: each[:, 1] - each[:, 0] for name, each in blocks.items()}
    bases = {name: int(size.sum()) for name, size in sizes.items()}
    bins = sum(int((-(-size // BIN_SIZE)).sum()) for size in sizes.values())
    shares = (observed / bins).round(4).tolist()
    return GenomeSummary(
        str(request.output),
        bases,
        sum(contigs.values()) - sum(bases.values()),
        dict(zip(source.tracks, shares, strict=True)),
    )


def _scale(request: PrepareGenomeRequest) -> shard.Scale:
    if request.normalise_like is not None:
        if request.uncovered is not None or request.max_gap is not None:
            option = "--uncovered" if request.uncovered is not None else "--max-gap"
            raise UsageError("is set by --normalise-like", where=option, hint="remove it")
        return shard.read_scale(request.normalise_like).of(request.tracks)
    return shard.default_scale(request)


def _blocks_by_contig(fasta: Fasta, asked: tuple[str, ...]) -> dict[str, NDArray[np.int64]]:
    names = ContigNames(fasta.lengths, fasta.path)
    wanted = {names.require(name) for name in asked} or set(fasta.lengths)
    contigs = [name for name in fasta.lengths if name in wanted]
    blocks = {name: stretches(fasta, name) for name in track(contigs, "finding assembly gaps")}
    blocks = {name: intervals for name, intervals in blocks.items() if len(intervals)}
    if not blocks:
        raise DataError("contains only N", where=fasta.path)
    return blocks


def stretches(fasta: Fasta, contig: str) -> NDArray[np.int64]:
    """Return start, end and offset of a contig's blocks between assembly gaps, int64 ``[n, 3]``.

    Starts and ends are multiples of 5 kb, except for the contig's end. The edges of a gap are
    stored if they share a 5-kb bin with sequence.
    """
    length = fasta.lengths[contig]
    unit = CONTACT_BIN
    empty = np.zeros(-(-length // unit), np.bool_)
    for low in range(0, length, shard.PIECE):
        codes = fasta.fetch(contig, low, min(low + shard.PIECE, length))
        padded = np.full(-(-len(codes) // unit) * unit, UNKNOWN_BASE, np.uint8)
        padded[: len(codes)] = codes
        whole = (padded.reshape(-1, unit) == UNKNOWN_BASE).all(1)
        empty[low // unit : low // unit + len(whole)] = whole
    edges = np.flatnonzero(np.diff(~empty, prepend=False, append=False))
    start, end = edges[::2] * unit, np.minimum(edges[1::2] * unit, length)
    return np.column_stack([start, end, np.cumsum(end - start) - (end - start)])
