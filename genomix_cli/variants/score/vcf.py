"""Score the alleles of a VCF and write the same VCF with ``GENOMIX_*`` INFO fields."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import NamedTuple

import numpy as np
import torch

from genomix_cli.config import to_dict
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.seen import read_seen, told
from genomix_cli.genome.vcf.lines import Lines, between
from genomix_cli.genome.vcf.reader import Header, VcfReader
from genomix_cli.genome.vcf.regions import Regions
from genomix_cli.genome.vcf.writer import open_output
from genomix_cli.outputs import atomic_path
from genomix_cli.provenance import LINE, sha256
from genomix_cli.variants.records.audit import ReferenceAudit, check_contigs
from genomix_cli.variants.records.checks import check_lines
from genomix_cli.variants.records.cutting import head, part_bounds
from genomix_cli.variants.records.every_snv import NAME, EverySnv, Records
from genomix_cli.variants.records.reference import Reference, open_reference
from genomix_cli.variants.records.seen import SeenAlleles
from genomix_cli.variants.requests.score import ScoreRequest
from genomix_cli.variants.score.annotate import Annotator, Beside
from genomix_cli.variants.score.background import SOURCE, Background, load_backgrounds
from genomix_cli.variants.score.blocks import Run, ScoreSummary
from genomix_cli.variants.score.context import GeneContext
from genomix_cli.variants.score.header import facts_of_run, make_header, provenance, warnings_of
from genomix_cli.variants.score.histogram import Histogram
from genomix_cli.variants.score.known import KnownVariants
from genomix_cli.variants.score.lookup import Lookup
from genomix_cli.variants.score.plan import Plan, check_choices, heeded, make_plan
from genomix_cli.variants.score.tags import LOOKUP, RANKS
from genomix_cli.variants.score.tracks import score_tracks
from genomix_cli.variants.score.workers import EngineSpec, Workers

log = logging.getLogger("genomix")

#: Number of alleles in a background below which ranks are said to be coarse.
FEW_RANKED = 1_000


class Scored(NamedTuple):
    """Summary and plan of a run, and the request adapted to the model."""

    summary: ScoreSummary
    plan: Plan
    request: ScoreRequest


def score_variants(request: ScoreRequest) -> ScoreSummary:
    """Score every scorable allele, and write every record in order.

    Memory does not grow with the number of variants. The first records are checked against the
    FASTA before the model is loaded.

    Raises
    ------
    UsageError
        If the model or device does not exist, a track is not one of the model's, or options
        contradict each other.
    DataError
        If a file cannot be read or belongs to another genome.
    CheckError
        If more than 20 % of the REFs differ from the FASTA, or any does and `check_ref` is ``"e"``.
    """
    scored = score_once(request)
    write_statistics(scored.summary, scored.request, scored.plan)
    return scored.summary


def score_once(request: ScoreRequest, cell: str = "") -> Scored:
    """Score a file in one cell type; `cell` is its name if it is one of several."""
    if cell:
        log.info("scoring in %s", cell)
    check_choices(request)
    request, ignored = heeded(request)
    regions = Regions.wanted(request.regions, request.regions_file)
    with (
        _opened(request, regions) as (reader, reference),
        _threads(request.threads),
        _few_collections(),
    ):
        first, lines = _first_lines(request, reader, reference)
        names = [*reader.header.contigs, *(run.contig for run in first.runs)]
        if len(first):
            check_contigs(names, reference, reader)
        ReferenceAudit(reader, reference).look_at(check_lines(first, reference))
        plan = make_plan(request, regions, first, ignored)
        if plan.format.is_bcf:
            reader.header.refuse_for_bcf(reader.name)
        if not cell:  # with several cell types, the caller logs them once
            for text in warnings_of(plan):
                log.warning("%s", text)
        summary = _score(request, plan, reader, lines, reference)
    return Scored(summary, plan, request)


def write_statistics(summary: ScoreSummary, request: ScoreRequest, plan: Plan) -> None:
    """Write the requested counts and times as JSON and as MultiQC sections."""
    if request.stats is not None:
        with atomic_path(request.stats) as draft:
            plain = {**to_dict(summary), "provenance": provenance(request, plan).to_dict()}
            draft.write_text(json.dumps(plain, indent=2, default=str) + "\n")
    if request.multiqc is not None:
        from genomix_cli.variants.score.multiqc import write_multiqc

        write_multiqc(summary, request, request.multiqc)


@contextmanager
def _opened(request: ScoreRequest, regions: Regions | None) -> Iterator[tuple[Records, Reference]]:
    """Open the source of the records and the reference."""
    files = request.genome
    with ExitStack() as opened:
        if request.vcf is None:
            reference = open_reference(files.fasta, files.shard)
            opened.enter_context(reference)
            yield EverySnv(reference, regions), reference
            return
        reader = opened.enter_context(VcfReader(request.vcf, regions))
        reference = open_reference(files.fasta, files.shard)
        opened.enter_context(reference)
        yield reader, reference


def _first_lines(
    request: ScoreRequest, reader: Records, reference: Reference
) -> tuple[Lines, Iterator[Lines]]:
    """Return the first lines of the whole file (even to score a region), and the lines to score."""
    if request.vcf is None:
        return head(EverySnv(reference, again=True).lines())[0], reader.lines()
    if request.is_read_once:
        return head(reader.lines())
    with VcfReader(request.vcf, again=True) as whole:
        return head(whole.lines())[0], reader.lines()


@contextmanager
def _few_collections() -> Iterator[None]:
    """Run the garbage collector rarely, since records are many and form no cycles."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(200_000, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Set the number of PyTorch threads within the block; 0 leaves it unchanged."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _score(
    request: ScoreRequest,
    plan: Plan,
    reader: Records,
    lines: Iterator[Lines],
    reference: Reference,
) -> ScoreSummary:
    with ExitStack() as files:
        beside = [files.enter_context(closing(each)) for each in _beside(request, reference)]
        annotator = _annotator(request, plan, reference, beside)
        lookup = None
        if request.lookup:
            lookup = files.enter_context(_lookup(request, plan, annotator, reference))
        header = make_header(request, plan, reader, reference, annotator)
        warnings = lookup.warnings if lookup else []
        header = header.plus(f"{LINE}Warning={text}" for text in warnings)
        for text in warnings:
            log.warning("%s", text)
        return _run(request, plan, reader, lines, reference, annotator, lookup, header)


def _beside(request: ScoreRequest, reference: Reference) -> Iterator[GeneContext | KnownVariants]:
    """Yield the sources of annotations beside the scores, in column order."""
    if request.genes is not None:
        yield GeneContext(request.genes, reference, request.genome)
    if request.known:
        yield KnownVariants(request.known, reference)


def _annotator(
    request: ScoreRequest, plan: Plan, reference: Reference, beside: Sequence[Beside]
) -> Annotator:
    # A sequence-activity network was trained on sequences, so it has seen no alleles.
    seen = read_seen(plan.folder) if plan.reads_window else None
    if seen is None and plan.reads_window and not plan.config.demonstration:
        log.info("%s: %s", plan.name, told(None, "alleles")[0])
    annotator = Annotator(
        plan.calibration,
        plan.background,
        plan.format.is_table,
        ranks=bool(plan.backgrounds),
        exclude_mismatches=request.check_ref == "x",
        seen=None if seen is None else SeenAlleles(seen, reference),
        has_logit=plan.reads_window,
        differences=plan.differences,
        beside=beside,
        lookup=bool(request.lookup),
    )
    if request.multiqc is not None and annotator.ranking is not None:
        annotator.histogram = Histogram(annotator.ranking)
    return annotator


def _lookup(
    request: ScoreRequest, plan: Plan, annotator: Annotator, reference: Reference
) -> Lookup:
    return Lookup(
        request.lookup,
        [tag.key for tag in annotator.tags if tag is not LOOKUP],
        provenance(request, plan),
        reference,
        empty=[] if annotator.background is not None else [tag.key for tag in RANKS],
        inputs_decide=plan.reads_window,
        facts=dict(facts_of_run(request, plan)),
    )


def _run(
    request: ScoreRequest,
    plan: Plan,
    reader: Records,
    lines: Iterator[Lines],
    reference: Reference,
    annotator: Annotator,
    lookup: Lookup | None,
    header: Header,
) -> ScoreSummary:
    spec = EngineSpec(
        request.model, request.genome, plan.mode, plan.precision, request.both_strands
    )
    if request.shard is not None and request.vcf is not None:
        with VcfReader(request.vcf, plan.regions, again=True) as again:
            bounds = part_bounds(again, request.shard, again, plan.stride)
        lines = between(lines, bounds.start, bounds.stop)
    made = header.only(LINE)
    with (
        open_output(
            request.output,
            plan.format,
            columns=annotator.columns if plan.format.is_table else None,
            index=request.write_index,
            resume=request.resume,
            identity=_identity(request, plan, header),
        ) as output,
        score_tracks(request.bigwig, annotator.tags, reference.lengths, made) as annotator.tracks,
        Workers(spec, plan.devices) as workers,
    ):
        run = Run(request, plan, reader, reference, annotator, workers, output, lookup)
        run.score(lines, header)
    run.warn(header)
    if request.save_background:
        _save_background(request, plan, run)
    return run.summary()


def _identity(request: ScoreRequest, plan: Plan, header: Header) -> str:
    """Return a digest of everything that the bytes of the output depend on."""
    digest = [] if request.regions_file is None else [sha256(request.regions_file)]
    parts = [header, plan.format, request.shard, request.regions, request.regions_file, *digest]
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()


def _save_background(request: ScoreRequest, plan: Plan, run: Run) -> None:
    ranked = np.concatenate([np.empty(0, np.float32), *run.ranked])
    if not len(ranked):
        raise UsageError("no allele was scored", where="--save-background")
    if len(ranked) < FEW_RANKED:
        what = (
            "the background has %s alleles: ranks among so few are coarse (%s or more are better)"
        )
        log.warning(what, f"{len(ranked):,}", f"{FEW_RANKED:,}")
    source = SOURCE + (NAME if request.vcf is None else request.vcf.name)
    others: tuple[Background, ...] = ()
    with suppress(DataError):  # backgrounds of other weights or damaged ones are replaced
        others = load_backgrounds(plan.folder, plan.digest, plan.config.conditions())
    made = Background.of(ranked, source, plan.digest, plan.conditions, plan.statistic)
    made.save(plan.folder, others)
