"""Explain the scores of variants: tables in genomic coordinates, and a figure for each variant."""

from __future__ import annotations

import json
import logging
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from genomix_cli.comparison.explanation import check_complete
from genomix_cli.errors import UsageError
from genomix_cli.genome.fasta import Fasta
from genomix_cli.genome.signal import BIN_SIZE
from genomix_cli.genome.source import RawGenome
from genomix_cli.genome.vcf.lines import Lines
from genomix_cli.genome.vcf.reader import Header, VcfReader
from genomix_cli.learning.calibration import Platt
from genomix_cli.learning.devices import resolve_device
from genomix_cli.progress import track
from genomix_cli.provenance import LINE, facts_of
from genomix_cli.registry import BORROWED_MODELS, VARIANT_MODELS
from genomix_cli.variants.explain.activity import ActivityExplainer
from genomix_cli.variants.explain.attribution import Attributor, to_inputs
from genomix_cli.variants.explain.explanation import Explanation, Instance, Site
from genomix_cli.variants.explain.motifs import MotifFinder, chosen_motifs
from genomix_cli.variants.explain.page import background_of
from genomix_cli.variants.explain.rollout import cls_rollout
from genomix_cli.variants.explain.writer import Writer
from genomix_cli.variants.models.gmt import GMT
from genomix_cli.variants.records.alleles import REASONS
from genomix_cli.variants.records.audit import CheckedVariants
from genomix_cli.variants.records.cutting import blocks, head, suited_mode
from genomix_cli.variants.records.inputs import MODES, Mode, haplotypes, load_window
from genomix_cli.variants.records.labels import NAN, AlleleKey, allele_key, info_numbers
from genomix_cli.variants.requests.explain import ExplainRequest
from genomix_cli.variants.score.plan import CORE, ignoring, unread
from genomix_cli.variants.score.reading import start_of
from genomix_cli.variants.score.tags import (
    DEMONSTRATION,
    PROBABILITY,
    REASON,
    is_signed,
    of_output,
    ranking_key,
    score_key,
)
from genomix_cli.variants.score.workers import raw_genome
from genomix_cli.variants.trained import LoadedModel, load_model, refuse_unable

log = logging.getLogger("genomix")

BLOCK = 1000


class Summary(NamedTuple):
    """Result for one variant and baseline.

    Attributes
    ----------
    variant, baseline : str
    probability : float
        Calibrated probability; NaN if no calibration exists for these conditions.
    change : float
        Log-odds of the variant minus those of the baseline.
    error : float
        Completeness error, as a fraction of the change.
    motif : str
        Most important motif and how the variant changes it; empty if there is none.
    """

    variant: str
    baseline: str
    probability: float
    change: float
    error: float
    motif: str


def explain_variants(request: ExplainRequest) -> tuple[Summary, ...]:
    """Explain the selected alleles and write tables and figures.

    Raises
    ------
    UsageError
        If a selected allele is not in the VCF or cannot be scored, or the model has no
        attributions.
    CheckError
        If a completeness error exceeds 1 %; the outputs are written nevertheless.
    """
    refuse_without_vcf(request)
    if request.saturation.measured is not None:
        raise UsageError("needs --ism or --region", where="--measured")
    motifs = chosen_motifs(request.motifs)
    loaded = load_model(request.model, resolve_device(request.device))
    refuse_unable(loaded.config, loaded.path)
    _refuse_inapt(loaded, request)
    request = heeded(loaded, request)
    source = raw_genome(request, loaded.config)
    summaries: list[Summary] = []
    with closing(source):
        warn(loaded, source)
        selection = select_sites(request, source.fasta, loaded)
        request = replace(request, cell=selection.cell)
        explainer = (
            Explainer(loaded, source, request, mode=selection.mode)
            if loaded.module.reads_window
            else ActivityExplainer(loaded, source, request)
        )
        finder = (
            MotifFinder(motifs, request.motifs.p_value, source, request.seed) if motifs else None
        )
        background = background_of(loaded, request, selection.mode) if request.report else None
        with Writer(request, loaded, source, finder, background) as writer:
            for site in track(selection.sites, "explaining"):
                explanation = explainer.explain(site)
                if finder is not None:
                    explanation = replace(explanation, motifs=finder.find(explanation))
                writer.write(explanation)
                summaries += _summaries(explanation)
            writer.finish()
    errors = [(f"{s.variant} (baseline {s.baseline})", s.error) for s in summaries]
    check_complete(errors, "variants", request.steps, allow=request.allow_incomplete)
    return tuple(summaries)


def refuse_without_vcf(request: ExplainRequest) -> None:
    """Refuse a request without a VCF.

    Raises
    ------
    UsageError
        If the request has no VCF.
    """
    if request.variants is None:
        raise UsageError("VCF is missing", hint="give a VCF, or a --region to mutate")


def warn(loaded: LoadedModel, source: RawGenome) -> None:
    """Log the warnings that readers of the outputs need."""
    if loaded.config.demonstration:
        log.warning("%s", DEMONSTRATION)
    if source.missing:
        log.warning(
            "no track or contacts for %s: treated as not measured",
            ", ".join(sorted(source.missing)),
        )


def _summaries(explanation: Explanation) -> Iterator[Summary]:
    named: Iterable[tuple[Instance, ...]] = explanation.motifs or repeat(())
    for attribution, motifs in zip(explanation.attributions, named, strict=False):
        yield Summary(
            explanation.site.name,
            attribution.baseline,
            explanation.probability,
            attribution.change,
            attribution.error,
            f"{motifs[0].motif.name} {motifs[0].change}" if motifs else "",
        )


def _refuse_inapt(loaded: LoadedModel, request: ExplainRequest) -> None:
    """Refuse a model that cannot be explained, or not in the requested way."""
    if not loaded.module.has_attributions:
        able = [name for name in VARIANT_MODELS if VARIANT_MODELS.load(name).has_attributions]
        raise UsageError(
            "has no attributions",
            where=request.model,
            expected=" or ".join([*able, *BORROWED_MODELS]),
            found=loaded.config.model,
        )
    alone = not loaded.module.reads_window
    if request.attention and alone:
        raise UsageError(f"{request.model} has no attention", where="--attention")
    if request.mutagenesis and not alone:
        raise UsageError(
            f"{request.model} predicts no activity",
            where="--mutagenesis",
            expected=f"a run of genomix train --task {' or '.join(BORROWED_MODELS)}",
        )


def heeded(loaded: LoadedModel, request: ExplainRequest) -> ExplainRequest:
    """Return the request without files that the model does not read; log which are ignored.

    Raises
    ------
    UsageError
        If a cell type is named but the model does not distinguish cell types.
    """
    if loaded.module.reads_window and request.cell:
        raise UsageError(
            "selects an output of an activity model; this model explains the "
            "tracks that you give it",
            where="--cell",
        )
    ignored = [option for option, given in unread(request).items() if given]
    if loaded.module.reads_window or not ignored:
        return request
    log.warning("%s", ignoring(loaded.path.resolve().name, ignored))
    return replace(request, tracks={}, contacts=None, uncovered=None)


class Selection(NamedTuple):
    """Alleles to explain, and the settings under which `score` sees them.

    Attributes
    ----------
    sites : list of Site
    mode : {"shared", "centred"}
        Placement of their windows.
    cell : str
        Cell type whose activity to explain; empty for the mean.
    """

    sites: list[Site]
    mode: Mode
    cell: str


def select_sites(request: ExplainRequest, fasta: Fasta, loaded: LoadedModel) -> Selection:
    """Return the alleles to explain, in the order of the VCF.

    Parameters
    ----------
    request : ExplainRequest
    fasta : Fasta
    loaded : LoadedModel

    Raises
    ------
    UsageError
        If a requested allele is not in the VCF or cannot be scored, or no allele is left.
    """
    wanted = {_parse_name(name): name for name in request.select}
    sites: dict[AlleleKey, tuple[Site, float]] = {}
    # Without a selection, the first alleles are explained. Stop early then, rather than read a
    # whole-genome VCF to its end.
    enough = request.max_variants + 1 if not (wanted or request.top) else None
    assert request.variants is not None
    with VcfReader(request.variants) as reader:
        first, lines = head(reader.lines())
        core = loaded.module.core_bins * BIN_SIZE or CORE
        mode = scored_mode(reader.header, first, core)
        scored_in = scored_cell(reader.header, loaded)
        cell = request.cell or scored_in
        if scored_in and not request.cell:
            told = "explaining activity in %s, the cell type in which the alleles were scored"
            log.info(told, scored_in)
        is_ranked = request.top is not None
        field = ranked_by(reader.header, loaded, cell, scored_in) if is_ranked else None
        alleles = _alleles(reader, lines, fasta, field)
        for key, site, score, reason in alleles:
            if wanted and key not in wanted:
                continue
            if site is not None:
                sites.setdefault(key, (site, score))
            elif wanted:
                raise UsageError(f"cannot be scored: {REASONS[reason]}", where=wanted[key])
            if len(sites) == enough:
                break
    _refuse_unknown(wanted, sites, request)
    chosen = _best(list(sites.values()), request)
    if len(chosen) > request.max_variants:
        log.warning(
            "explaining only the first %d alleles; see --max-variants", request.max_variants
        )
    return Selection(chosen[: request.max_variants], mode, cell)


def scored_mode(header: Header, first: Lines, core: int) -> Mode:
    """Return the window mode in which a VCF with this header was scored, or would be."""
    stated = (mode for mode in MODES if f"{LINE}Mode={mode}" in header.meta)
    return next(stated, None) or suited_mode(first, core)


def scored_cell(header: Header, loaded: LoadedModel) -> str:
    """Return the cell type in which a VCF with this header was scored; empty if none was chosen."""
    facts = facts_of(header.meta)
    if loaded.module.reads_window or facts.get("Model") != [loaded.name]:
        return ""
    return str(json.loads(facts["Config"][0]).get("cell", ""))


def ranked_by(header: Header, loaded: LoadedModel, cell: str, scored_in: str) -> str:
    """Return the field that ranks the alleles to explain: that of the cell type, if any.

    Warns if a VCF that was `scored_in` another cell type, or in none, lacks it.
    """
    activity, usual = loaded.config.activity, score_key(header.meta)
    if not cell or activity is None:
        return usual
    own = of_output(activity.of_cell(cell))
    found = ranking_key(header.meta, [own])
    if found is None and cell != scored_in:
        told = "no %s in the VCF: choosing alleles by its %s; to choose by %s, score with --cell %s"
        log.warning(told, own, usual, cell, cell)
    return found or usual


def _alleles(
    reader: VcfReader, lines: Iterable[Lines], fasta: Fasta, field: str | None
) -> Iterator[tuple[AlleleKey, Site | None, float, str]]:
    """Yield key, site, score and reason of every allele, after the same checks as in `score`.

    The score is read only if `field` is given; the reason says why an allele cannot be scored.
    """
    for block in CheckedVariants(reader, fasta, blocks(lines, BLOCK)):
        for record, contig, alleles, reasons, _ in block:
            n = len(record.alts)
            scores = info_numbers(reader, record, field) if field else [NAN] * n
            if field and is_signed(field):
                scores = [abs(score) for score in scores]
            for i, alt in enumerate(record.alts):
                name = f"{record.chrom}:{record.pos}:{record.ref}:{alt}"
                allele = alleles[i]
                site = None if allele is None else Site(name, contig, allele)
                key = allele_key(record.chrom, record.pos, record.ref, alt)
                yield key, site, scores[i], reasons[i] or ""


def _best(sites: Sequence[tuple[Site, float]], request: ExplainRequest) -> list[Site]:
    """Return all sites, or those with the highest scores, in VCF order."""
    if request.top is None:
        return [site for site, _ in sites]
    ranked = sorted((-score, i) for i, (_, score) in enumerate(sites) if score == score)
    if not ranked:
        raise UsageError(
            f"no allele carries {PROBABILITY}, which --top ranks by",
            where=request.variants,
            hint="run genomix score on it, or choose with --variants",
        )
    return [sites[i][0] for i in sorted(i for _, i in ranked[: request.top])]


def _parse_name(name: str) -> AlleleKey:
    contig, *rest = name.rsplit(":", 3)
    if len(rest) != 3 or not rest[0].replace(",", "").isdigit():
        raise UsageError(
            "is not an allele", where="--variants", expected="contig:pos:ref:alt", found=name
        )
    return allele_key(contig, int(rest[0].replace(",", "")), rest[1], rest[2])


def _refuse_unknown(
    wanted: Mapping[AlleleKey, str], sites: Mapping[AlleleKey, object], request: ExplainRequest
) -> None:
    absent = [name for key, name in wanted.items() if key not in sites]
    if absent:
        raise UsageError(f"has no allele {', '.join(absent)}", where=request.variants)
    if not sites:
        raise UsageError(
            "has no allele that can be scored",
            where=request.variants,
            hint=f"genomix score gives the reason in {REASON}",
        )


class Explainer:
    """Explainer of single alleles with one model and one genome.

    Parameters
    ----------
    loaded : LoadedModel
        Model with attributions.
    source : RawGenome
    request : ExplainRequest
    mode : {"shared", "centred"}
        Placement of windows, as in `genomix_cli.variants.score.engine.Engine`.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        source: RawGenome,
        request: ExplainRequest,
        *,
        mode: Mode = "shared",
    ) -> None:
        self.mode = mode
        self.model: GMT = loaded.module.for_mode(mode)
        conditions = loaded.config.conditions(
            request.tracks, contacts=request.contacts is not None, uncovered=request.uncovered
        )
        self.calibration = loaded.config.calibration(conditions)
        if self.calibration is None:
            log.warning(
                "no calibration for %s: writing no probabilities, and "
                "contributions to the uncalibrated logit",
                conditions,
            )
        self.source = source
        self.request = request
        self.device = next(self.model.parameters()).device
        self.attributor = Attributor(
            self.model, slope=(self.calibration or Platt()).slope, steps=request.steps
        )

    def explain(self, site: Site) -> Explanation:
        """Explain one allele, in the window used for scoring."""
        start = start_of(site.allele.pos, self.model, self.mode)
        window = load_window(self.source, site.contig, start, self.model.n_bins)
        flank = self.model.flank
        around = haplotypes(self.source, site.contig, [site.allele], flank)
        inputs = to_inputs(window, around, site.allele.pos - start, self.device)
        with torch.no_grad():
            logit = self.model(*inputs).double().cpu().numpy()
        # The seed includes the window, so shuffles do not depend on the other alleles explained.
        seed = [self.request.seed, zlib.crc32(site.contig.encode()), start % 2**32]
        return Explanation(
            site,
            start,
            self._probability(logit),
            window,
            around,
            flank,
            tuple(
                self.attributor.attribute(inputs, baseline, np.random.default_rng(seed))
                for baseline in self.request.baselines
            ),
            cls_rollout(self.model, *inputs) if self.request.attention else None,
            logit=float(logit[0, 0]),
        )

    def _probability(self, logit: NDArray[np.float64]) -> float:
        if self.calibration is None:
            return math.nan
        return float(self.calibration.apply(logit)[0, 0])
