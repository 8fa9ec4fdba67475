"""Saturation mutagenesis in silico: every substitution of a region, as table, VCF and heat map.

They are scored as `score` does, with all substitutions of a window in one pass over it, and set
beside measured effects where there are any; a genome browser shows the strongest of each base.

Letters: L bases of the region.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genomix_cli.comparison.metrics.binary import pearson, spearman
from genomix_cli.errors import DataError, UsageError
from genomix_cli.genome.alphabet import BASES, UNKNOWN_BASE
from genomix_cli.genome.intervals import ContigNames
from genomix_cli.genome.source import RawGenome
from genomix_cli.genome.vcf.lines import Lines
from genomix_cli.genome.vcf.reader import COLUMNS, MISSING, contig_line
from genomix_cli.genome.vcf.regions import END, Interval, Regions
from genomix_cli.genome.vcf.writer import format_of, open_output
from genomix_cli.learning.devices import resolve_device
from genomix_cli.options import leaves
from genomix_cli.provenance import Provenance, atomic_path, safe_name
from genomix_cli.variants.explain.activity import UNIT
from genomix_cli.variants.explain.alleles import heeded, warn
from genomix_cli.variants.explain.browser import BrowserFiles
from genomix_cli.variants.explain.explanation import LOG_ODDS
from genomix_cli.variants.explain.heat_map import Saturation, draw
from genomix_cli.variants.explain.writer import made_by
from genomix_cli.variants.records.checks import SUBSTITUTION, CheckedLines
from genomix_cli.variants.records.labels import allele_key, read_labels
from genomix_cli.variants.requests import ExplainRequest
from genomix_cli.variants.score.annotate import Annotator
from genomix_cli.variants.score.differences import Differences
from genomix_cli.variants.score.engine import Engine, Scores
from genomix_cli.variants.score.header import score_line
from genomix_cli.variants.score.plan import CORE
from genomix_cli.variants.score.reading import Target
from genomix_cli.variants.score.tags import ACTIVITY, DIFFERENCE
from genomix_cli.variants.score.workers import raw_genome
from genomix_cli.variants.trained import LoadedModel, load_model, refuse_unable

log = logging.getLogger("genomix")

# Bases of a region, at most: three alleles each.
LONGEST = 100_000
# Bases of a picture, at most; longer regions have several.
BASES_DRAWN = 600
_OF_ALLELES = (
    *("variants", "attention", "mutagenesis", "report", "motifs", "select", "top"),
    *("max_variants", "baselines", "steps", "allow_incomplete"),
)


@dataclass(frozen=True)
class RegionSummary:
    """Result for a region.

    Attributes
    ----------
    region : str
    field : str
        What was compared: ``GENOMIX_DA`` or ``GENOMIX_DL``.
    substitutions, measured : int
        Alleles scored, and those of them that were measured.
    pearson, spearman : float
        Of the field and the measured effects, with their sign; NaN without any.
    """

    region: str
    field: str
    substitutions: int
    measured: int
    pearson: float
    spearman: float


class Substitution(NamedTuple):
    """Place in the region, base (0 to 3), position (0-based), and both letters."""

    place: int
    base: int
    pos: int
    ref: str
    alt: str


def explain_region(request: ExplainRequest) -> RegionSummary:
    """Score every substitution of the region that is asked for, write them and draw them.

    Raises
    ------
    UsageError
        If it is no region of the FASTA, too long, or options are of alleles.
    DataError
        If a file cannot be read, or nothing in the region was measured.
    """
    _refuse_of_alleles(request)
    wanted = _parsed(str(request.saturation.region))
    device = resolve_device(request.device)
    loaded = load_model(request.model, device)
    refuse_unable(loaded.config, loaded.path)
    request = heeded(loaded, request)
    with closing(raw_genome(request, loaded.config)) as source:
        warn(loaded, source)
        region = _located(wanted, source, request.fasta)
        codes = source.codes(*region)
        alleles = _known(region, codes)
        measured = _measured(request.saturation.measured, region, codes)
        annotator = _annotator(request, loaded)
        contigs = source.contigs
        settings: dict[str, object] = {"region": str(Regions([region]))}
        made = made_by(request, loaded, settings, {"measured": request.saturation.measured})
        with atomic_path(request.output, force=request.force) as draft:
            block = _checked(region.contig, alleles)
            engine = Engine(loaded.module, source, device)
            scores = engine.score([Target(c, a, a.pos // CORE) for c, a, _ in block.placed()])
            head = _head(made, loaded.path, annotator, region.contig, contigs[region.contig])
            columns = annotator.columns if annotator.table else None
            with open_output(draft, format_of(request.output), columns=columns) as output:
                output.lines(head)
                output.text(annotator.text(block, scores))
    saturation = Saturation(
        region.contig,
        region.start,
        codes,
        _placed(alleles, _changes(scores, annotator.differences), codes),
        measured,
        LOG_ODDS if loaded.module.reads_window else UNIT,
        loaded.path.name + (" (demonstration weights)" if loaded.config.demonstration else ""),
        of_effect=loaded.module.reads_window,
    )
    if request.plot_dir:
        _draw(saturation, request.plot_dir, force=request.force)
    if request.browser:
        files = BrowserFiles(request.browser, request.fasta, contigs, made, force=request.force)
        files.write_region(saturation, _stem(saturation))
    return _summary(saturation, str(Regions([region])))


def _refuse_of_alleles(request: ExplainRequest) -> None:
    """Refuse options that say how to explain the alleles of a VCF."""
    defaults = {leaf.path: leaf.default for leaf in leaves(ExplainRequest)}
    given = [
        leaf.flag
        for leaf in leaves(request)
        if leaf.path[0] in _OF_ALLELES and leaf.default != defaults[leaf.path]
    ]
    if given:
        raise UsageError(f"means nothing to --region, which has no VCF: {', '.join(given)}")


def _parsed(text: str) -> Interval:
    """Return one region with two ends."""
    found = [
        Interval(contig, *pair)
        for contig, pairs in Regions.parse(text).by_contig.items()
        for pair in pairs.tolist()
    ]
    if len(found) != 1 or found[0].end == END or found[0].start < 0:
        expected = "one region with both ends, as chr1:1000-1400"
        raise UsageError("is not one region", where="--region", expected=expected, found=text)
    bases = found[0].end - found[0].start
    if bases > LONGEST:
        raise UsageError(
            "is too long", where="--region", expected=f"at most {LONGEST:,} bp", found=f"{bases:,}"
        )
    return found[0]


def _located(wanted: Interval, source: RawGenome, fasta: Path) -> Interval:
    """Return the region as the FASTA spells its contig."""
    contig = ContigNames(source.contigs, fasta).require(wanted.contig)
    if wanted.end > source.contigs[contig]:
        raise UsageError(
            f"reaches beyond {contig}",
            where="--region",
            expected=f"up to {source.contigs[contig]:,}",
            found=f"{wanted.end:,}",
        )
    return wanted._replace(contig=contig)


def _measured(
    path: Path | None, region: Interval, codes: NDArray[np.uint8]
) -> NDArray[np.float64] | None:
    """Return the measured effect of each base in each place, ``[L, 4]``; NaN: none."""
    if path is None:
        return None
    labels = read_labels(path)
    effects = np.full((len(codes), 4), np.nan)
    for i, k, pos, ref, alt in _substitutions(region, codes):
        effects[i, k] = labels.get(allele_key(region.contig, pos + 1, ref, alt), np.nan)
    n = int(np.isfinite(effects).sum())
    if not n:
        raise DataError(
            f"measures no substitution in {Regions([region])}",
            where=path,
            hint="positions are 1-based, on the assembly and the strand of the FASTA",
        )
    log.info("%s: %d of %d rows are substitutions of the region", path, n, len(labels))
    return effects


def _substitutions(region: Interval, codes: NDArray[np.uint8]) -> Iterator[Substitution]:
    for i, code in enumerate(codes.tolist()):
        if code != UNKNOWN_BASE:
            for k, alt in enumerate(BASES):
                if k != code:
                    yield Substitution(i, k, region.start + i, BASES[code], alt)


def _placed(
    alleles: Sequence[Substitution], values: NDArray[np.float32], codes: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Return the value of each base in each place, ``[L, 4]``: 0 for the base that is there."""
    placed = np.full((len(codes), len(BASES)), np.nan)
    known = np.flatnonzero(codes != UNKNOWN_BASE)
    placed[known, codes[known]] = 0.0
    places, bases = np.array([allele[:2] for allele in alleles]).T
    placed[places, bases] = values
    return placed


def _known(region: Interval, codes: NDArray[np.uint8]) -> list[Substitution]:
    """Return all substitutions, and say how many bases have none."""
    alleles = list(_substitutions(region, codes))
    if not alleles:
        raise UsageError("has no known base", where="--region")
    if unknown := int((codes == UNKNOWN_BASE).sum()):
        log.warning("%d unknown bases of the region are left out", unknown)
    return alleles


def _head(
    made: Provenance, model: Path, annotator: Annotator, contig: str, length: int
) -> list[str]:
    """Return the lines before the substitutions; `length` is that of the contig."""
    if annotator.table:
        return [*made.lines(), "\t".join(column.name for column in annotator.columns)]
    return [
        "##fileformat=VCFv4.3",
        contig_line(contig, length),
        *(
            score_line(tag.key, tag.kind, tag.text.format(model=model.name))
            for tag in annotator.tags
        ),
        *made.lines(),
        "\t".join(COLUMNS),
    ]


def _checked(contig: str, alleles: Sequence[Substitution]) -> CheckedLines:
    rest = "\t".join([MISSING] * 3)
    lines = Lines.of_texts(
        f"{contig}\t{pos + 1}\t{MISSING}\t{ref}\t{alt}\t{rest}" for *_, pos, ref, alt in alleles
    )
    contigs = [(run, contig) for run in lines.runs]
    return CheckedLines(lines, contigs, np.full(len(lines), SUBSTITUTION, np.uint8), {})


def _annotator(request: ExplainRequest, loaded: LoadedModel) -> Annotator:
    config = loaded.config
    conditions = config.conditions(
        request.tracks, contacts=request.contacts is not None, uncovered=request.uncovered
    )
    return Annotator(
        config.calibration(conditions),
        None,
        format_of(request.output).is_table,
        ranks=False,
        exclude_mismatches=False,
        has_logit=loaded.module.reads_window,
        differences=Differences.of(config.activity, cell=request.cell),
    )


def _changes(scores: Scores, differences: Differences) -> NDArray[np.float32]:
    """Return what the substitutions change: activity, or the logit against no change."""
    if scores.logit is None or scores.null is None:
        return differences.mean(scores.differences)
    return scores.logit - scores.null


def _draw(saturation: Saturation, folder: Path, *, force: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in saturation.parts(BASES_DRAWN):
        with atomic_path(folder / f"{_stem(part)}.png", force=force) as draft:
            draw(part, draft)


def _stem(part: Saturation) -> str:
    """Return the name of the files of a part."""
    return f"{safe_name(part.contig)}_{part.start + 1}-{part.start + len(part.codes)}"


def _summary(saturation: Saturation, region: str) -> RegionSummary:
    mutated = np.isfinite(saturation.changes)
    known = np.flatnonzero(saturation.codes != UNKNOWN_BASE)
    mutated[known, saturation.codes[known]] = False
    n, r, rho = 0, float("nan"), float("nan")
    if saturation.measured is not None:
        both = mutated & np.isfinite(saturation.measured)
        pair = saturation.measured[both], saturation.changes[both]
        n, r, rho = int(both.sum()), pearson(*pair), spearman(*pair)
    field = DIFFERENCE if saturation.of_effect else ACTIVITY
    return RegionSummary(region, field, int(mutated.sum()), n, r, rho)
