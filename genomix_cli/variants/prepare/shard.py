"""Prepare a shard from a VCF, a reference, tracks, contacts and labels."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.tables import write_json
from genomix_cli.config import from_dict, to_dict
from genomix_cli.errors import UsageError
from genomix_cli.formats.genome_shard import open_shard
from genomix_cli.formats.reader import check, format_of
from genomix_cli.formats.schema import GENOME, LAYOUTS, WINDOWS, VariantTable
from genomix_cli.formats.writer import LayoutWriter
from genomix_cli.genome.alphabet import kmer_ids
from genomix_cli.genome.contacts import BIN as CONTACT_BIN
from genomix_cli.genome.intervals import merge
from genomix_cli.genome.signal import BIN_SIZE, MEASURED, TrackSpec, Uncovered
from genomix_cli.genome.source import RawGenome
from genomix_cli.genome.tracks import contact_file, modalities, read_track_name
from genomix_cli.options import check_options
from genomix_cli.outputs import atomic_path, check_notes, check_output
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance
from genomix_cli.registry import SHARD_LAYOUTS
from genomix_cli.variants.prepare.summary import PrepareSummary
from genomix_cli.variants.prepare.table import Collected, LabelSource, collect_variants
from genomix_cli.variants.records.inputs import WINDOW
from genomix_cli.variants.requests.prepare import PrepareGenomeRequest, PrepareRequest

log = logging.getLogger("genomix")

DEFAULT_UNCOVERED: Uncovered = "missing"
DEFAULT_MAX_GAP = 500
# Number of bases to copy at a time.
PIECE = 5_000_000
# Half a window on each side of a variant, plus slack for the bin grid and the k-mers at the ends.
WINDOW_FLANK = WINDOW // 2 + 2 * BIN_SIZE


class Job(NamedTuple):
    """Data for writing a layout.

    Attributes
    ----------
    source : RawGenome
    table : VariantTable
    contigs : dict of str to int
    attributes : dict
        Root attributes; see `genomix_cli.formats.schema`.
    flank, k : int
        As given in the request.
    """

    source: RawGenome
    table: VariantTable
    contigs: dict[str, int]
    attributes: dict[str, Any]
    flank: int
    k: int


class Written(NamedTuple):
    """Number of bases stored, and fraction of bins in which each track was measured."""

    bases: int
    observed: dict[str, float]


def prepare_variants(request: PrepareRequest) -> PrepareSummary:
    """Check, normalise and store the model inputs of each variant.

    Raises
    ------
    UsageError
        If options contradict each other.
    DataError
        If an input cannot be read, or the inputs belong to different genomes.
    CheckError
        If more than 20 % of the REFs differ from the FASTA.
    """
    write = SHARD_LAYOUTS.load(request.layout)
    _check(request)
    scale = _scale(request).of(request.tracks)
    labels = LabelSource(
        request.label_info, request.labels, request.probability_info, request.effect_info
    )
    with closing(open_genome(request, scale)) as source:
        collected = collect_variants(request.vcf, source.fasta, labels)
        attributes = genome_attributes(
            request, scale, source, collected.contigs, _provenance(request), collected.tissues
        )
        job = Job(source, collected.table, collected.contigs, attributes, request.flank, request.k)
        with atomic_path(request.output, force=request.force) as draft:
            written = write(draft, job)
    summary = _summary(request, collected, labels, written)
    if request.stats is not None:
        write_json(summary, request.stats, force=True)
    if request.multiqc is not None:
        from genomix_cli.variants.prepare.multiqc import write_multiqc

        write_multiqc(summary, request.multiqc)
    return summary


def _check(request: PrepareRequest) -> None:
    """Refuse options that are invalid for any input, before any work."""
    check_options(request)
    check_output(request.output, force=request.force)
    check_notes(request.stats, request.multiqc)
    if request.labels is not None and (request.label_info or request.effect_info):
        option = "--label-info" if request.label_info else "--effect-info"
        raise UsageError(f"give {option} or --labels, not both")


class Scale(NamedTuple):
    """Normalisation of tracks; `specs` is None if each file is its own reference."""

    specs: tuple[TrackSpec, ...] | None
    uncovered: Uncovered
    max_gap_bins: int

    def of(self, tracks: Iterable[str]) -> Scale:
        """Return the scale of these tracks, of any cell type, in the order of their modalities."""
        if self.specs is None:
            return self
        known = {spec.name: spec for spec in self.specs}
        first = {read_track_name(spec.name).modality: spec for spec in reversed(self.specs)}
        given: dict[str, list[str]] = {name: [] for name in modalities(known)}
        for name in tracks:
            modality = read_track_name(name).modality
            if modality not in given:
                raise UsageError(
                    f"unknown track {name}",
                    where="--track",
                    expected=" or ".join(given) or "no tracks",
                )
            given[modality].append(name)
        specs = tuple(
            known.get(name) or first[modality].called(name)
            for modality, names in given.items()
            for name in names or [modality]
        )
        return self._replace(specs=specs)


def default_scale(request: PrepareRequest | PrepareGenomeRequest) -> Scale:
    """Return the scale of the request's own settings."""
    max_gap = DEFAULT_MAX_GAP if request.max_gap is None else request.max_gap
    return Scale(None, request.uncovered or DEFAULT_UNCOVERED, max_gap // BIN_SIZE)


def _scale(request: PrepareRequest) -> Scale:
    """Return the scale of `normalise_like`, or of the request's own settings."""
    default = default_scale(request)
    if request.normalise_like is None:
        return default
    like = read_scale(request.normalise_like)
    for option, asked, fixed in (
        ("--uncovered", request.uncovered and default.uncovered, like.uncovered),
        ("--max-gap", request.max_gap and default.max_gap_bins, like.max_gap_bins),
    ):
        if asked is not None and asked != fixed:
            raise UsageError(
                "contradicts --normalise-like",
                where=option,
                expected=str(fixed if option == "--uncovered" else like.max_gap_bins * BIN_SIZE),
                hint="remove the option",
            )
    return like


def read_scale(name: str) -> Scale:
    """Return the normalisation of a shard's or a model's tracks.

    Parameters
    ----------
    name : str
        Shard of any layout, run folder, or name of a model that ships with genomix.

    Raises
    ------
    UsageError, DataError
        If the file or model does not exist or is damaged.
    """
    if not Path(name).is_file():
        from genomix_cli.variants.trained import model_folder, read_config

        config = read_config(model_folder(name))
        uncovered: Any = config.uncovered
        return Scale(config.tracks, uncovered, config.max_gap_bins)
    attributes = check(Path(name), LAYOUTS.get(format_of(Path(name)) or "", GENOME)).attributes
    specs = tuple(from_dict(TrackSpec, spec, where=name) for spec in attributes["tracks"])
    return Scale(specs, attributes["uncovered"], int(attributes["max_gap_bins"]))


def open_genome(request: PrepareRequest | PrepareGenomeRequest, scale: Scale) -> RawGenome:
    """Open the FASTA, tracks and contacts of a request."""
    return RawGenome(
        request.fasta,
        request.tracks,
        scale.specs,
        request.contacts,
        uncovered=scale.uncovered,
        max_gap_bins=scale.max_gap_bins,
    )


def genome_attributes(
    request: PrepareRequest | PrepareGenomeRequest,
    scale: Scale,
    source: RawGenome,
    contigs: Mapping[str, int],
    provenance: Provenance,
    tissues: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the root attributes of a shard."""
    return {
        "bin_size": BIN_SIZE,
        "assembly": request.assembly,
        "contigs": [list(item) for item in contigs.items()],
        "tracks": [to_dict(spec) for spec in source.specs],
        "uncovered": scale.uncovered,
        "max_gap_bins": scale.max_gap_bins,
        "tissues": list(tissues),
        "provenance": provenance.to_dict(),
    }


def genome_inputs(
    request: PrepareRequest | PrepareGenomeRequest, **variants: Path
) -> dict[str, Path | None]:
    """Return the input files by role."""
    inputs: dict[str, Path | None] = {"fasta": request.fasta}
    inputs |= {f"track {name}": path for name, path in request.tracks.items()}
    contacts = request.contacts and contact_file(request.contacts)
    return {**inputs, **variants, "contacts": contacts}


def _provenance(request: PrepareRequest) -> Provenance:
    inputs = {**genome_inputs(request, vcf=request.vcf), "labels": request.labels}
    settings = (
        *("label_info", "effect_info", "probability_info"),
        *("flank", "layout", "k", "assembly"),
    )
    return Provenance.of({name: getattr(request, name) for name in settings}, inputs)


def _summary(
    request: PrepareRequest, collected: Collected, labels: LabelSource, written: Written
) -> PrepareSummary:
    table = collected.table
    labelled = int(np.count_nonzero(~(np.isnan(table.label) & np.isnan(table.effect))))
    per_contig = np.bincount(table.contig, minlength=len(collected.contigs)).tolist()
    return PrepareSummary(
        output=str(request.output),
        **collected.counts,
        skipped=collected.skipped,
        examples=collected.examples,
        labelled=labelled,
        unlabelled=len(table.pos) - labelled,
        labels_unused=len(labels.rows) - len(labels.matched),
        contigs=dict(zip(collected.contigs, per_contig, strict=True)),
        bases=written.bases,
        observed=written.observed,
    )


def write_genome_layout(path: Path, job: Job) -> Written:
    """Write the genome near variants once; see `genomix_cli.formats.schema.GENOME`."""
    blocks = {
        contig: _blocks(job, index, length)
        for index, (contig, length) in enumerate(job.contigs.items())
    }
    bases = sum(int((b[:, 1] - b[:, 0]).sum()) for b in blocks.values())
    observed = write_genome(path, job.attributes, job.source, blocks, job.table)
    shares = (observed / max(bases / BIN_SIZE, 1)).round(4).tolist()
    return Written(bases, dict(zip(job.source.tracks, shares, strict=True)))


def _blocks(job: Job, index: int, length: int) -> NDArray[np.int64]:
    """Return start, end and offset of the merged neighbourhoods of a contig's variants."""
    rows = slice(*np.searchsorted(job.table.contig, [index, index + 1]))
    pos, n_ref = job.table.pos[rows], np.char.str_len(job.table.ref[rows])
    starts = np.maximum((pos - job.flank) // CONTACT_BIN * CONTACT_BIN, 0)
    ends = -(-(pos + n_ref + job.flank) // CONTACT_BIN) * CONTACT_BIN
    merged = merge(starts, np.minimum(ends, length))
    sizes = merged[:, 1] - merged[:, 0]
    return np.column_stack([merged, np.cumsum(sizes) - sizes])


def write_genome(
    path: Path,
    attributes: Mapping[str, Any],
    source: RawGenome,
    blocks: Mapping[str, NDArray[np.int64]],
    table: VariantTable,
) -> NDArray[np.float64]:
    """Write a shard of the genome layout; return the measured bins of each track."""
    observed, known = np.zeros(len(source.tracks)), False
    with LayoutWriter(path, GENOME, attributes) as writer:
        for contig, intervals in track(blocks.items(), "writing contigs", len(blocks)):
            observed += _write_contig(writer, source, contig, intervals)
            if source.has_contacts:
                band = source.band(contig)
                known |= bool(band.any())
                writer.put("/contacts/<contig>/oe", band, contig)
        writer.put_variants(table)
    for name in (name for name, bins in zip(source.tracks, observed, strict=True) if not bins):
        log.warning("track %s has no data in the stored regions", name)
    if source.has_contacts and not known:
        log.warning("the contact map has no contacts on the stored contigs")
    return observed


def _write_contig(
    writer: LayoutWriter, source: RawGenome, contig: str, blocks: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Write bases and tracks of the blocks; return the measured bins of each track."""
    n_bases = int((blocks[:, 1] - blocks[:, 0]).sum())
    shape = len(source.tracks), -(-n_bases // BIN_SIZE)
    writer.put("/sequence/<contig>/blocks", blocks, contig)
    codes = writer.create("/sequence/<contig>/codes", (n_bases,), contig)
    signal = writer.create("/tracks/<contig>/signal", shape, contig)
    observed = writer.create("/tracks/<contig>/observed", shape, contig)
    total = np.zeros(len(source.tracks), np.int64)
    for start, end, offset in _pieces(blocks):
        codes[offset : offset + end - start] = source.codes(contig, start, end)
        first, last = start // BIN_SIZE, -(-end // BIN_SIZE)
        part = slice(offset // BIN_SIZE, offset // BIN_SIZE + last - first)
        piece = source.signal(contig, first, last)
        signal[:, part], observed[:, part] = piece.value, piece.state
        total += (piece.state == MEASURED).sum(axis=1)
    return total


def _pieces(blocks: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Cut the blocks into pieces of at most `PIECE` bases."""
    for start, end, offset in blocks.tolist():
        for low in range(start, end, PIECE):
            yield low, min(low + PIECE, end), offset + low - start


def write_windows_layout(path: Path, job: Job) -> Written:
    """Write one row per variant; see `genomix_cli.formats.schema.WINDOWS`.

    Neighbouring windows overlap, so the genome layout is written first, to a temporary file, and
    the windows are cut from it.
    """
    genome = path.with_name("genome.h5")
    written = write_genome_layout(genome, job._replace(flank=max(job.flank, WINDOW_FLANK)))
    shard = open_shard(genome)
    table, names = shard.variants, list(shard.contigs)
    n, n_bins = len(table.pos), WINDOW // BIN_SIZE
    shape = n, len(shard.tracks), n_bins
    starts = table.pos // BIN_SIZE * BIN_SIZE - WINDOW // 2
    with LayoutWriter(path, WINDOWS, {**job.attributes, "k": job.k}) as writer:
        kmers = writer.create("/windows/kmers", (n, WINDOW))
        signal = writer.create("/windows/signal", shape)
        observed = writer.create("/windows/observed", shape)
        for row in track(range(n), "writing windows"):
            contig, start = names[table.contig[row]], int(starts[row])
            first = start - job.k // 2
            kmers[row] = kmer_ids(shard.codes(contig, first, first + WINDOW + job.k - 1), job.k)
            bins = shard.signal(contig, start // BIN_SIZE, start // BIN_SIZE + n_bins)
            signal[row], observed[row] = bins
        writer.put("/windows/start", starts)
        writer.put_variants(table)
    genome.unlink()
    return written
