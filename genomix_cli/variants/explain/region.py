"""In-silico saturation mutagenesis (ISM): every substitution of a region, or around alleles.

Substitutions are scored as in `score`, all of a window in one pass, and compared with measured
effects if there are any. Outputs are a table or VCF and a heat map of each region; files for a
genome browser show the strongest change at each base.

Letters: L bases of the region.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import starmap
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
from genomix_cli.outputs import atomic_path, make_folder, safe_name
from genomix_cli.progress import track
from genomix_cli.provenance import Provenance
from genomix_cli.variants.explain.activity import UNIT
from genomix_cli.variants.explain.alleles import heeded, refuse_without_vcf, select_sites, warn
from genomix_cli.variants.explain.browser import BrowserFiles
from genomix_cli.variants.explain.explanation import LOG_ODDS, Site
from genomix_cli.variants.explain.heat_map import Saturation, draw
from genomix_cli.variants.explain.writer import made_by
from genomix_cli.variants.records.checks import SUBSTITUTION, CheckedLines
from genomix_cli.variants.records.inputs import Mode
from genomix_cli.variants.records.labels import allele_key, read_labels
from genomix_cli.variants.requests.explain import ExplainRequest
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

# Largest number of bases of all regions, with three alleles each.
LONGEST = 100_000
# Largest number of bases in a figure; longer regions have several.
BASES_DRAWN = 600
# Options that apply only to attributions, and options that select alleles of a VCF.
_OF_ATTRIBUTIONS = (
    *("attention", "mutagenesis", "report", "motifs", "baselines", "steps", "allow_incomplete"),
)
_OF_VCF = ("variants", "select", "top", "max_variants", "around")
MUTATES = "saturation mutagenesis, which attributes nothing"


@dataclass(frozen=True)
class RegionSummary:
    """Result for a region.

    Attributes
    ----------
    region : str
    field : str
        Field that was compared: ``GENOMIX_DA`` or ``GENOMIX_DL``.
    substitutions, measured : int
        Number of scored alleles, and how many of them were measured.
    pearson, spearman : float
        Signed correlations of the field with the measured effects; NaN without measurements.
    """

    region: str
    field: str
    substitutions: int
    measured: int
    pearson: float
    spearman: float


class Substitution(NamedTuple):
    """Substitution: index in the region, new base (0 to 3), 0-based position and both letters."""

    place: int
    base: int
    pos: int
    ref: str
    alt: str


class Region(NamedTuple):
    """A region to mutate.

    Attributes
    ----------
    place : Interval
    codes : NDArray
        uint8 ``[L]``.
    substitutions : tuple of Substitution
        All substitutions in order; unknown bases have none.
    explained : NDArray
        bool ``[L, 4]``: substitutions that are alleles of a VCF.
    measured : NDArray or None
        float64 ``[L, 4]``: measured effects; NaN where nothing was measured.
    """

    place: Interval
    codes: NDArray[np.uint8]
    substitutions: tuple[Substitution, ...]
    explained: NDArray[np.bool_]
    measured: NDArray[np.float64] | None


def explain_regions(request: ExplainRequest) -> tuple[RegionSummary, ...]:
    """Score, write and draw every substitution of a region or around alleles.

    Raises
    ------
    UsageError
        If the region is not in the FASTA or too long, an option applies only to attributions, or
        an allele is not in the VCF or cannot be scored.
    DataError
        If a file cannot be read, or nothing in the regions was measured.
    """
    _refuse_of_others(request)
    region = request.saturation.region
    if region is None:
        refuse_without_vcf(request)
    wanted = None if region is None else _parsed(region)
    device = resolve_device(request.device)
    loaded = load_model(request.model, device)
    refuse_unable(loaded.config, loaded.path)
    request = heeded(loaded, request)
    with closing(raw_genome(request, loaded.config)) as source:
        warn(loaded, source)
        mode: Mode = "shared"
        if wanted is None:
            sites, mode, cell = select_sites(request, source.fasta, loaded)
            request = replace(request, cell=cell)
            regions = regions_around(sites, source, request.saturation.around)
        else:
            regions = [_region(_located(wanted, source, request.fasta), source)]
        _tell_unknown(regions)
        if request.saturation.measured is not None:
            regions = _measured(request.saturation.measured, regions)
        made = _made(request, loaded, regions)
        engine = Engine(loaded.module, source, device, mode=mode)
        saturations = _write(regions, request, loaded, engine, made)
        _show(saturations, request, source.contigs, made)
    return tuple(_summary(each) for each in saturations)


def regions_around(sites: Sequence[Site], source: RawGenome, around: int) -> list[Region]:
    """Return the regions of alleles with `around` bases on either side, in FASTA order.

    Overlapping regions are merged, and regions are clipped to their contig.

    Raises
    ------
    UsageError
        If the regions have too many bases in total.
    """
    intervals = _around(sites, source.contigs, around)
    return [_region(each, source, sites) for each in intervals]


def _made(request: ExplainRequest, loaded: LoadedModel, regions: Sequence[Region]) -> Provenance:
    asked = request.saturation
    settings: dict[str, object] = {"around": asked.around}
    if asked.region is not None:
        settings = {"region": str(Regions([region.place for region in regions]))}
    inputs = {"variants": request.variants, "measured": asked.measured}
    return made_by(request, loaded, settings, inputs)


def _write(
    regions: Sequence[Region],
    request: ExplainRequest,
    loaded: LoadedModel,
    engine: Engine,
    made: Provenance,
) -> list[Saturation]:
    """Score and write the substitutions of each region; return the changes."""
    annotator, found = _annotator(request, loaded), []
    columns = annotator.columns if annotator.table else None
    lengths = {each.place.contig: engine.source.contigs[each.place.contig] for each in regions}
    with (
        atomic_path(request.output, force=request.force) as draft,
        open_output(draft, format_of(request.output), columns=columns) as output,
    ):
        output.lines(_head(made, loaded.path, annotator, lengths))
        for region in track(regions, "mutating"):
            block = _checked(region)
            scores = engine.score([Target(c, a, a.pos // CORE) for c, a, _ in block.placed()])
            output.text(annotator.text(block, scores))
            found.append(_saturation(region, _changes(scores, annotator.differences), loaded))
    return found


def _refuse_of_others(request: ExplainRequest) -> None:
    """Refuse attribution options, and for a region also options that select alleles of a VCF."""
    defaults = {leaf.path: leaf.default for leaf in leaves(ExplainRequest)}
    given = [leaf for leaf in leaves(request) if leaf.default != defaults[leaf.path]]
    of_vcf = () if request.saturation.region is None else _OF_VCF
    for names, why in ((_OF_ATTRIBUTIONS, MUTATES), (of_vcf, "--region, which has no VCF")):
        if flags := [leaf.flag for leaf in given if {*leaf.path} & {*names}]:
            raise UsageError(f"does not apply to {why}: {', '.join(flags)}")


def _around(sites: Iterable[Site], contigs: Mapping[str, int], around: int) -> list[Interval]:
    """Return each allele with `around` bases on either side, merged, in FASTA order."""
    ends = ((contig, a.pos, a.pos + max(1, len(a.ref))) for _, contig, a in sites)
    merged = Regions(
        Interval(contig, max(0, start - around), min(end + around, contigs[contig]))
        for contig, start, end in ends
    ).by_contig
    found = [
        Interval(contig, *pair)
        for contig in contigs
        if contig in merged
        for pair in merged[contig].tolist()
    ]
    bases = sum(each.end - each.start for each in found)
    if bases > LONGEST:
        raise UsageError(
            "mutates too many bases",
            where="--ism",
            expected=f"at most {LONGEST:,}",
            found=f"{bases:,}",
            hint="choose fewer alleles, or a smaller --ism-around",
        )
    return found


def _parsed(text: str) -> Interval:
    """Parse one region, which must have a start and an end."""
    found = [
        Interval(contig, *pair)
        for contig, pairs in Regions.parse(text).by_contig.items()
        for pair in pairs.tolist()
    ]
    if len(found) != 1 or found[0].end == END or found[0].start < 0:
        expected = "one region with both ends, as chr1:1000-1400"
        raise UsageError("is not a single region", where="--region", expected=expected, found=text)
    bases = found[0].end - found[0].start
    if bases > LONGEST:
        raise UsageError(
            "is too long", where="--region", expected=f"at most {LONGEST:,} bp", found=f"{bases:,}"
        )
    return found[0]


def _located(wanted: Interval, source: RawGenome, fasta: Path) -> Interval:
    """Return the region with its contig spelled as in the FASTA."""
    contig = ContigNames(source.contigs, fasta).require(wanted.contig)
    if wanted.end > source.contigs[contig]:
        raise UsageError(
            f"reaches beyond {contig}",
            where="--region",
            expected=f"up to {source.contigs[contig]:,}",
            found=f"{wanted.end:,}",
        )
    return wanted._replace(contig=contig)


def _region(place: Interval, source: RawGenome, sites: Iterable[Site] = ()) -> Region:
    """Return a region with its bases and the alleles of a VCF in it."""
    codes = source.codes(*place)
    if (codes == UNKNOWN_BASE).all():
        raise UsageError("has no known base", where="--region")
    return Region(place, codes, _substitutions(place, codes), _explained(place, sites), None)


def _substitutions(place: Interval, codes: NDArray[np.uint8]) -> tuple[Substitution, ...]:
    """Return all substitutions of a region in order; unknown bases have none."""
    return tuple(
        Substitution(i, k, place.start + i, BASES[code], alt)
        for i, code in enumerate(codes.tolist())
        if code != UNKNOWN_BASE
        for k, alt in enumerate(BASES)
        if k != code
    )


def _explained(place: Interval, sites: Iterable[Site]) -> NDArray[np.bool_]:
    """Return the cells of alleles in a region, bool ``[L, 4]``; an indel marks all its bases."""
    cells = np.zeros((place.end - place.start, len(BASES)), bool)
    for _, contig, allele in sites:
        if contig == place.contig and place.start <= allele.pos < place.end:
            first = allele.pos - place.start
            of = allele.alt if allele.is_substitution else slice(None)
            cells[first : first + max(1, len(allele.ref)), of] = True
    return cells


def _tell_unknown(regions: Iterable[Region]) -> None:
    """Log how many bases are unknown and so have no substitution."""
    if unknown := int(sum((region.codes == UNKNOWN_BASE).sum() for region in regions)):
        log.warning("left out %d unknown bases", unknown)


def _measured(path: Path, regions: Sequence[Region]) -> list[Region]:
    """Return the regions with measured effects ``[L, 4]``; NaN where nothing was measured."""
    labels, found, n = read_labels(path), [], 0
    for region in regions:
        effects = np.full((len(region.codes), len(BASES)), np.nan)
        for i, k, pos, ref, alt in region.substitutions:
            key = allele_key(region.place.contig, pos + 1, ref, alt)
            effects[i, k] = labels.get(key, np.nan)
        found.append(region._replace(measured=effects))
        n += int(np.isfinite(effects).sum())
    if not n:
        raise DataError(
            f"has no measured substitution in {Regions([region.place for region in regions])}",
            where=path,
            hint="positions must be 1-based, on the assembly and strand of the FASTA",
        )
    log.info("%s: %d of %d rows are substitutions in this region", path, n, len(labels))
    return found


def _saturation(region: Region, values: NDArray[np.float32], loaded: LoadedModel) -> Saturation:
    """Arrange the values of a region's substitutions as ``[L, 4]``; 0 for the reference base."""
    codes, of_effect = region.codes, loaded.module.reads_window
    changes = np.full((len(codes), len(BASES)), np.nan)
    known = np.flatnonzero(codes != UNKNOWN_BASE)
    changes[known, codes[known]] = 0.0
    places, bases = np.array([allele[:2] for allele in region.substitutions]).T
    changes[places, bases] = values
    return Saturation(
        region.place.contig,
        region.place.start,
        codes,
        changes,
        region.measured,
        LOG_ODDS if of_effect else UNIT,
        loaded.path.name + (" (demonstration weights)" if loaded.config.demonstration else ""),
        of_effect=of_effect,
        explained=region.explained,
    )


def _head(
    made: Provenance, model: Path, annotator: Annotator, lengths: Mapping[str, int]
) -> list[str]:
    """Return the header lines of the output; `lengths` are those of the contigs."""
    if annotator.table:
        return [*made.lines(), "\t".join(column.name for column in annotator.columns)]
    return [
        "##fileformat=VCFv4.3",
        *starmap(contig_line, lengths.items()),
        *(
            score_line(tag.key, tag.kind, tag.text.format(model=model.name))
            for tag in annotator.tags
        ),
        *made.lines(),
        "\t".join(COLUMNS),
    ]


def _checked(region: Region) -> CheckedLines:
    contig = region.place.contig
    rest = "\t".join([MISSING] * 3)
    lines = Lines.of_texts(
        f"{contig}\t{pos + 1}\t{MISSING}\t{ref}\t{alt}\t{rest}"
        for *_, pos, ref, alt in region.substitutions
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
    """Return the changes by the substitutions: in activity, or in the logit against its null."""
    if scores.logit is None or scores.null is None:
        return differences.mean(scores.differences)
    return scores.logit - scores.null


def _show(
    saturations: Sequence[Saturation],
    request: ExplainRequest,
    contigs: Mapping[str, int],
    made: Provenance,
) -> None:
    """Draw the regions and write genome-browser files, if requested."""
    if request.plot_dir:
        for saturation in saturations:
            _draw(saturation, request.plot_dir, force=request.force)
    if request.browser:
        files = BrowserFiles(request.browser, request.fasta, contigs, made, force=request.force)
        for saturation in saturations:
            files.write_region(saturation, _stem(saturation))
        files.finish()


def _draw(saturation: Saturation, folder: Path, *, force: bool) -> None:
    make_folder(folder)
    for part in saturation.parts(BASES_DRAWN):
        with atomic_path(folder / f"{_stem(part)}.png", force=force) as draft:
            draw(part, draft)


def _stem(part: Saturation) -> str:
    """Return the file name stem of a part."""
    return f"{safe_name(part.contig)}_{part.start + 1}-{part.start + len(part.codes)}"


def _summary(saturation: Saturation) -> RegionSummary:
    place = saturation.start, saturation.start + len(saturation.codes)
    region = str(Regions([Interval(saturation.contig, *place)]))
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
